"""Training from a state on, in the middle of an epoch too: what Keras's `fit` cannot do by itself."""

import contextlib

import keras

from recipes.training import memory
from recipes.training.state.snapshot import build
from recipes.training.state.snapshot import restore


def fit_from(model, data, saving, *, epochs, steps_per_epoch=None, initial_epoch=0, callbacks=(), **arguments):
    """Train as `fit` does, from the state on that a `RunState` was made with, and let it save states.

    What follows is what would have followed then: the same batches, metrics of whole epochs, history, and numbers of
    steps in callbacks, which hear nothing of what was made before. An epoch that was begun is gone through by `fit`
    from its beginning, with nothing computed up to where it was left; batches up to there are not made.

    Args:
        model: a compiled `keras.Model`.
        data: `tf.data.Dataset`, of which a method `after(batches)` gives the stream without its first batches, as
            that of `augment.pipeline`; `keras.utils.PyDataset`, of which a method `set_epoch(epoch)` is told each
            epoch; or `recipes.training.memory.InMemoryData`.
        saving: a `recipes.training.state.RunState`, with or without a state to go on from.
        epochs: int. The epoch to end before.
        steps_per_epoch: int; or None, of a `PyDataset` and of data in memory. Defaults to None.
        initial_epoch: int. The epoch that the training began with. Defaults to 0.
        callbacks: list of callbacks; those whose state is saved are among the `callbacks` of `saving`. Defaults to
            none.
        **arguments: of `keras.Model.fit`; for data in memory, of `recipes.training.memory.fit`.

    Returns:
        The `keras.callbacks.History`, with the epochs before the state if it is among the callbacks.

    Raises:
        ValueError: if the state is of another model, or of other callbacks, or a stream has no `steps_per_epoch`.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from recipes.training.state import RunState
    >>> def some_model():
    ...     keras.utils.set_random_seed(1)
    ...     model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     return model
    >>> images, labels = np.random.default_rng(0).random((6, 4, 4, 1)), np.ones((6, 1))
    >>> data = memory.InMemoryData(images, labels, batch_size=2)
    >>> folder = tempfile.mkdtemp()
    >>> through = some_model()
    >>> history = fit_from(through, data, RunState(folder, save_steps=2), epochs=2, steps_per_dispatch=2)
    >>> left, state = some_model(), RunState(folder).states.newest()
    >>> history = fit_from(left, data, RunState(folder, state=state), epochs=2)
    >>> [bool((mine == other).all()) for mine, other in zip(through.get_weights(), left.get_weights())]
    [True, True]
    """
    state, in_memory = saving.state, isinstance(data, memory.InMemoryData)
    first, step = initial_epoch, 0
    if state is not None:
        build_for(model, data)
        first, step = state["epoch"], state["step"]
        if state["stopped"] and not step:
            first = epochs  # a callback had ended it
    saving.first_epoch, saving.iterator_stays = first, in_memory or steps_per_epoch is not None
    arguments |= {"epochs": epochs, "initial_epoch": first}
    callbacks = [*([] if in_memory else epoch_callbacks(data)), *callbacks, saving]
    with contextlib.closing(saving):
        if in_memory:
            made = {"initial_step": step, "initial_logs": state["logs"]} if step else {}
            return memory.fit(model, data, steps_per_epoch=steps_per_epoch, callbacks=callbacks, **made, **arguments)
        if hasattr(data, "element_spec"):
            if steps_per_epoch is None:
                raise ValueError("A stream has no epochs of its own: give `steps_per_epoch`. Received: None")
            data = _later(data, (first - initial_epoch) * steps_per_epoch + step if first < epochs else 0, step)
        elif step:
            data = _StandIns(data, step)
        arguments |= {"steps_per_epoch": steps_per_epoch, "verbose": 0}
        if not step:
            return model.fit(data, callbacks=callbacks, **arguments)
        steps = steps_per_epoch or len(data)
        told = _CallbackList(
            callbacks,
            data,
            *(first, step, state["logs"]),
            add_history=True,
            model=model,
            verbose=0,
            epochs=epochs,
            steps=steps,
        )
        try:
            return model.fit(data, callbacks=told, **arguments)
        finally:
            told.end()


def epoch_callbacks(data):
    """What tells the data the epoch: generators must be told, a tf.data pipeline goes through its epochs by itself.

    Args:
        data: what `fit_from` takes.

    Returns:
        list of callbacks.

    Example:

    >>> epoch_callbacks("a pipeline")
    []
    """
    if not hasattr(data, "set_epoch"):
        return []
    return [keras.callbacks.LambdaCallback(on_epoch_begin=data.set_epoch)]


def end_as(model, data, callbacks, state):
    """Leave a model and callbacks as a training left them that had ended.

    Args:
        model: a compiled `keras.Model`.
        data: what `fit_from` takes.
        callbacks: list of callbacks, those of the state.
        state: dict, what `recipes.training.state.States.end` gives.

    Raises:
        ValueError: if the state is of another model, or of other callbacks.

    Example:

    >>> import numpy as np
    >>> from recipes.training.state import take
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> data = memory.InMemoryData(np.zeros((4, 2, 2, 1)), np.zeros((4, 1)), batch_size=2)
    >>> build_for(model, data)
    >>> end_as(model, data, [], take(model))
    """
    build_for(model, data)
    for callback in callbacks:
        callback.set_model(model)
    restore(model, callbacks, state)


def build_for(model, data):
    """Make the variables that training a model on data makes, so that a state can be given to them.

    Args:
        model: a compiled `keras.Model`.
        data: what `fit_from` takes.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> build_for(model, memory.InMemoryData(np.zeros((4, 2, 2, 1)), np.zeros((4, 1)), batch_size=2))
    >>> model.optimizer.built
    True
    """
    if isinstance(data, memory.InMemoryData):
        batch = data.load(0, data.order(0)[: data.batch_size])
        data = [tuple(keras.tree.map_structure(keras.ops.convert_to_tensor, batch))]
    build(model, data)


def _later(data, batches, stand_ins):
    """A stream without its first batches, and behind some that nobody looks at."""
    if batches:
        data = data.after(batches) if hasattr(data, "after") else data.skip(batches)
    return data.take(1).cache().repeat(stand_ins).concatenate(data) if stand_ins else data


class _StandIns(keras.utils.PyDataset):
    """Batches of which, while it skips, the first ones are all the first that is needed: it alone is made."""

    def __init__(self, data, step):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.step = data, step
        self.skips, self._batch = False, None

    @property
    def num_batches(self):
        return self.data.num_batches

    def __len__(self):
        return self.data.num_batches

    def __getitem__(self, number):
        if not self.skips or number >= self.step:
            return self.data[number]
        if self._batch is None:
            self._batch = self.data[min(self.step, len(self) - 1)]
        return self._batch

    def on_epoch_begin(self):
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        self.data.on_epoch_end()


class _CallbackList(keras.callbacks.CallbackList):
    """Lets `fit` go through the steps of its first epoch that were made before: nothing is computed, nobody is told."""

    def __init__(self, callbacks, data, epoch, step, logs, **arguments):
        super().__init__(callbacks, **arguments)
        self.data, self.epoch, self.step, self.logs = data, epoch, step, logs
        self.skips, self.function = False, None

    def on_train_begin(self, logs=None):
        self.function = self._model.train_function
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.end()
        super().on_epoch_begin(epoch, logs)
        if epoch == self.epoch:
            self._skip(True)

    def on_train_batch_begin(self, batch, logs=None):
        if self.skips and batch >= self.step:
            self._skip(False)
        if not self.skips:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if not self.skips:
            super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.end()
        super().on_epoch_end(epoch, logs)

    def end(self):
        """Skip nothing more."""
        if self.skips:
            self._skip(False)
        if isinstance(self.data, _StandIns):
            self.data.skips = False

    def _skip(self, skips):
        self.skips = skips
        # Not by assignment, which Keras looks at; and not by a property that fetches the state on JAX.
        vars(self._model)["train_function"] = self._step_over if skips else self.function
        if skips and isinstance(self.data, _StandIns):
            self.data.skips = True

    def _step_over(self, *arguments):
        """The training function meanwhile: Keras passes a state on JAX alone, and but for torch an iterator."""
        *state, batches = arguments
        if hasattr(batches, "__next__"):
            for _ in range(self._model.steps_per_execution):
                next(batches)
        return (self.logs, *state) if state else self.logs
