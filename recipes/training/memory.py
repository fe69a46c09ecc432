"""Training on data that fit in the memory of the device, many steps in one dispatch.

`keras.Model.fit` goes back to Python for every batch. Here images and labels lie on the device,
batches are gathered and augmented in the compiled step, and one dispatch makes the steps of a whole
epoch: what an epoch costs is what its steps compute. Order, pixels, history and callbacks are those
of `fit`, since it is Keras's `fit` that runs, with another training function.
"""

import contextlib
import functools

import keras
import numpy as np

from augment import ArrayGenerator
from augment.operation import check_operations
from recipes.optimizers.rates import innermost
from recipes.training import session
from recipes.training.loops import make_loop


class InMemoryData(ArrayGenerator):
    """Arrays for `recipes.training.memory.fit`: shuffled, batched and augmented on the device.

    The third route beside `augment.pipeline` and `augment.ArrayGenerator`, with the same order and
    the same pixels. Given to Keras's own `fit`, it is an `ArrayGenerator`.

    Args:
        images: array `(samples, height, width, channels)`, uint8 or float.
        labels: array `(samples, ...)`, or None. Defaults to None.
        operations: list of `augment` operations, applied in this order; or a function from the epoch,
            an int, to such a list, for small images first and the like. Each list that it returns is
            compiled once. Defaults to none.
        boxes: array `(samples, count, 4)`, or None: then batches are `(images, targets)`, where
            targets is a dict of "boxes" and, if given, "labels". Defaults to None.
        batch_size: int. Defaults to 32.
        seed: int. Defaults to 0.
        shuffle: bool. Defaults to True.
        drop_remainder: bool. Whether to leave out a last batch that is smaller. Defaults to False.

    Raises:
        ValueError: for arrays of different lengths, a batch size that leaves no batch, a seed that
            is none, or operations that are none or do not fit.

    Example:

    >>> import augment, numpy as np
    >>> images, labels = np.zeros((10, 32, 32, 3), "uint8"), np.arange(10)
    >>> data = InMemoryData(images, labels, [augment.PadCrop(4)], batch_size=4, drop_remainder=True)
    >>> len(data)
    2
    """

    def __init__(
        self,
        images,
        labels=None,
        operations=(),
        *,
        boxes=None,
        batch_size=32,
        seed=0,
        shuffle=True,
        drop_remainder=False,
    ):
        settings = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle, "drop_remainder": drop_remainder}
        self._by_epoch = operations if callable(operations) else lambda epoch: operations
        super().__init__(images, labels, self.operations_of(0), boxes=boxes, **settings)
        self._drop_remainder = drop_remainder
        self._made_of, self._loops = None, []
        self.dispatched = []  # parts of the last dispatch: epoch, and the first step that failed
        self.select(None)

    @functools.cached_property
    def on_device(self):
        """list of images, labels and boxes as tensors; None for those that are not there."""
        return [None if each is None else _to_device(each) for each in (self.images, self.labels, self.boxes)]

    def select(self, index):
        """From now on an epoch visits some samples only, in the order in which it would visit all.

        Args:
            index: int array, positions of samples; or None for all of them.

        Raises:
            ValueError: for fewer samples than make a batch, where smaller ones are left out.
        """
        self._selected = np.ones(self.samples, bool) if index is None else np.zeros(self.samples, bool)
        self._selected[index] = True
        self.selected = int(self._selected.sum())
        if self.selected < (self.batch_size if self._drop_remainder else 1):
            raise ValueError(f"`index` must leave a batch of {self.batch_size}. Received: {self.selected} samples")
        self._steps = self.steps(self.selected)
        self._visits = (None, None)

    def steps(self, samples):
        """How many batches so many samples make.

        Args:
            samples: int.

        Returns:
            int.
        """
        return samples // self.batch_size if self._drop_remainder else -(-samples // self.batch_size)

    def order(self, epoch):
        known, order = self._visits
        if known != epoch:
            order = super().order(epoch)
            order = order[self._selected[order]]
            self._visits = epoch, order
        return order

    def first_failure(self):
        """The epoch and step, of the data, of the first loss of the last dispatch that was not finite, or None."""
        failures = ((epoch, failed()) for epoch, failed in self.dispatched)
        return next(((epoch, step) for epoch, step in failures if step is not None), None)

    def operations_of(self, epoch):
        """The operations of an epoch.

        Args:
            epoch: int.

        Returns:
            list of `augment` operations.

        Raises:
            ValueError: if they are none.
        """
        return check_operations(self._by_epoch(epoch))

    def loop(self, model, epoch):
        """The compiled steps of a model in an epoch, kept until the model is compiled anew.

        Args:
            model: a compiled `keras.Model`.
            epoch: int.

        Returns:
            What `recipes.training.loops.make_loop` returns.
        """
        rates = [each._learning_rate for each in innermost(model.optimizer)]
        made_of = [model, model.optimizer, *rates, model.loss, model.jit_compile, model.run_eagerly, *model.metrics]
        known = self._made_of
        if known is None or len(known) != len(made_of) or any(old is not new for old, new in zip(known, made_of)):
            self._made_of, self._loops = made_of, []
        operations = self.operations_of(epoch)
        for known, loop in self._loops:
            if known == operations:
                return loop
        loop = make_loop(model, self, operations)
        self._loops.append((operations, loop))
        return loop


def fit(
    model,
    data,
    *,
    epochs=1,
    initial_epoch=0,
    steps_per_epoch=None,
    steps_per_dispatch=None,
    callbacks=(),
    validation_data=None,
    validation_batch_size=None,
    validation_steps=None,
    validation_freq=1,
    initial_step=0,
    initial_logs=None,
):
    """Train as `keras.Model.fit` does, many steps at a time.

    Any model: its own `train_step` runs, with its loss, metrics, optimizer, schedule, precision. On
    TensorFlow and JAX the steps of a dispatch are one compiled loop; on torch, and with
    `run_eagerly`, a loop in Python.

    Callbacks at the ends of epochs are `fit`'s. Those that do something at a batch are told of each,
    and so a dispatch then is one step: `TerminateOnNaN`, `recipes.callbacks.LearningRateCallback`. A
    callback with an attribute `by_dispatch = True` is content with the last batch of each dispatch.
    `steps_per_execution`, with which the model may have been compiled, is 1 meanwhile.

    Args:
        model: a compiled `keras.Model`.
        data: an `InMemoryData`.
        epochs: int. The epoch to end before. Defaults to 1.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        steps_per_epoch: int, or None for one pass through the data. Defaults to None.
        steps_per_dispatch: int, or None for all steps of an epoch. Defaults to None.
        callbacks: list of `keras.callbacks.Callback`. Defaults to none.
        validation_data: as `keras.Model.fit` takes it, or None. Defaults to None.
        validation_batch_size: int or None. Defaults to None.
        validation_steps: int or None. Defaults to None.
        validation_freq: int, or list of epochs. Defaults to 1.
        initial_step: int. The step of the first epoch to begin with; callbacks hear nothing of those before it.
            What they and the metrics had seen by then is theirs to know: see `recipes.training.state`. Defaults to 0.
        initial_logs: dict. The logs of the step before that. Defaults to None.

    Returns:
        The `keras.callbacks.History`.

    Raises:
        ValueError: for other data, a model that is not compiled, numbers of steps that are none, or
            several devices.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> data = InMemoryData(np.zeros((10, 2, 2, 1), "uint8"), np.zeros((10, 1)), batch_size=4)
    >>> history = fit(model, data, epochs=2)
    >>> history.history["loss"]
    [0.0, 0.0]
    """
    _check(model, data, steps_per_epoch, steps_per_dispatch)
    callbacks = keras.tree.flatten(callbacks or [])
    per_dispatch = 1 if any(map(needs_batches, callbacks)) else steps_per_dispatch
    dispatches = _Dispatches(model, data, steps_per_epoch, per_dispatch, (initial_epoch, initial_step, initial_logs))
    with _borrowed(model, train_function=dispatches, steps_per_execution=1):
        return model.fit(
            _stand_in(data),
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=len(dispatches),
            callbacks=_CallbackList(
                callbacks, dispatches, add_history=True, model=model, verbose=0, epochs=epochs, steps=dispatches.steps
            ),
            validation_data=validation_data,
            validation_batch_size=validation_batch_size,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
            shuffle=False,  # the data have their own order
            verbose=0,
        )


def needs_batches(callback):
    """Whether a callback does something at each training batch.

    Args:
        callback: a `keras.callbacks.Callback`.

    Returns:
        bool.

    Example:

    >>> needs_batches(keras.callbacks.TerminateOnNaN()), needs_batches(keras.callbacks.EarlyStopping())
    (True, False)
    """
    # Keras's own define these methods always, and do nothing in them unless they are asked to.
    by_epoch = "epoch" in (getattr(callback, "save_freq", None), getattr(callback, "update_freq", None))
    if by_epoch or getattr(callback, "by_dispatch", isinstance(callback, keras.callbacks.ProgbarLogger)):
        return False
    names = [f"on_{batch}_{end}" for batch in ("batch", "train_batch") for end in ("begin", "end")]
    given = [getattr(getattr(callback, name), "__func__", None) for name in names]
    return given != [getattr(keras.callbacks.Callback, name) for name in names]


class _Dispatches:
    """The training function of a model for a while: each call makes the steps of one dispatch."""

    def __init__(self, model, data, steps_per_epoch, steps_per_dispatch, made):
        self.model, self.data = model, data
        self.steps_per_epoch, self.steps_per_dispatch = steps_per_epoch, steps_per_dispatch
        self.epoch = self.dispatch = 0
        self.made = made
        self.expected = len(self)

    @property
    def steps(self):
        """int. Of the epoch: fewer where some samples are selected."""
        return self.steps_per_epoch or len(self.data)

    @property
    def per_dispatch(self):
        """int. Steps of a dispatch, but for the last of an epoch."""
        return min(self.steps_per_dispatch or self.steps, self.steps)

    def __len__(self):
        return -(-self.steps // self.per_dispatch)

    @property
    def steps_made(self):
        """int. Steps of the epoch that were made before."""
        epoch, step, _ = self.made
        return step if epoch == self.epoch else 0

    def first(self, dispatch):
        """The first step of a dispatch that is left to make; None if there is none."""
        first = max(dispatch * self.per_dispatch, self.steps_made)
        return first if first <= self.last(dispatch) else None

    def last(self, dispatch):
        """The last step of a dispatch, and of its epoch at most."""
        return min((dispatch + 1) * self.per_dispatch, self.steps) - 1

    def __call__(self, *arguments):
        if len(self) != self.expected:
            raise ValueError(
                f"An epoch of {self.steps} steps takes {len(self)} dispatches, the first one took {self.expected}. "
                "Where samples are selected, an epoch must be one dispatch: leave out `steps_per_dispatch`, "
                "`steps_per_epoch` and callbacks that act at batches."
            )
        *state, _ = arguments  # Keras passes the state on JAX alone; its iterator is not used
        state, logs = state[0] if state else None, self.made[-1]
        first, self.data.dispatched = self.first(self.dispatch), []
        for epoch, *part in [] if first is None else self._parts(first, self.last(self.dispatch) + 1):
            logs, state, failed = self.data.loop(self.model, epoch)(state, epoch, *part)
            self.data.dispatched.append((epoch, failed))
        return (logs, state) if len(arguments) > 1 else logs

    def _parts(self, first, end):
        """Epoch, first step, count and size of what one loop can do: steps of one epoch and one size.

        The data are a stream of epochs of their own, which is what `fit` makes of a tf.data pipeline.
        """
        data = self.data
        full, remainder = divmod(data.selected, data.batch_size)
        first, end = self.epoch * self.steps + first, self.epoch * self.steps + end
        while first < end:
            epoch, step = divmod(first, len(data))
            count = min(full - step, end - first) if step < full else 1
            yield epoch, step, count, data.batch_size if step < full else remainder
            first += count


class _CallbackList(keras.callbacks.CallbackList):
    """Tells the dispatches where they are, and callbacks the steps where Keras counts dispatches."""

    def __init__(self, callbacks, dispatches, **arguments):
        super().__init__(callbacks, **arguments)
        self.dispatches = dispatches

    def on_epoch_begin(self, epoch, logs=None):
        self.dispatches.epoch = epoch
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.dispatches.dispatch = batch
        first = self.dispatches.first(batch)
        if first is not None:
            super().on_train_batch_begin(first, logs)

    def on_train_batch_end(self, batch, logs=None):
        if self.dispatches.first(batch) is not None:
            super().on_train_batch_end(self.dispatches.last(batch), logs)


@contextlib.contextmanager
def _borrowed(model, **attributes):
    """The model with other attributes, which are then as they were."""
    kept = {name: getattr(model, name) for name in attributes}
    vars(model).update(attributes)
    try:
        yield
    finally:
        vars(model).update(kept)


def _to_device(array):
    """Array-likes, such as images that are decoded on indexing, become arrays first."""
    return keras.ops.convert_to_tensor(array if keras.ops.is_tensor(array) else np.asarray(array))


def _stand_in(data):
    """What Keras may look at to build the model, as often as it likes: always the first batch."""
    batch = data.load(0, data.order(0)[: data.batch_size])
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat()

    def batches():
        while True:
            yield batch

    return batches()


def _check(model, data, steps_per_epoch, steps_per_dispatch):
    if not isinstance(data, InMemoryData):
        raise ValueError(f"`data` must be InMemoryData(images, labels, ...). Received: {type(data).__name__}")
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ValueError(f"The model must be compiled with an optimizer: call `compile`. Received: {model!r}")
    for name, value in (("steps_per_epoch", steps_per_epoch), ("steps_per_dispatch", steps_per_dispatch)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"`{name}` must be a positive integer, or None. Received: {name}={value!r}")
    if session.on_several_devices():
        raise ValueError("Data in memory lie on one device. Train on several with `keras.Model.fit` and a pipeline.")
