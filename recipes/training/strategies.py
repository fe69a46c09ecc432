"""Several devices on TensorFlow: strategies of `tf.distribute`, which run each step once for each device."""

import contextlib
import functools
import json
import os

import keras

from recipes.optimizers.rates import innermost
from recipes.training import devices

_OWN_SEED = 0x9E3779B1  # what is added to a seed for each replica: far apart, and never the same


class Replicas(devices.Devices):
    """The replicas of a `tf.distribute` strategy.

    Args:
        strategy: a `tf.distribute.Strategy`.
        workers: int. Defaults to 1.
        worker: int. Defaults to 0.

    Example:

    >>> Replicas.__mro__[1].__name__
    'Devices'
    """

    def __init__(self, strategy, workers=1, worker=0):
        super().__init__(strategy.num_replicas_in_sync, workers, worker)
        self.strategy = strategy
        self._seeds = OwnSeeds(strategy, worker * self.count // workers)

    def scope(self):
        return self.strategy.scope()

    def check(self, batch_size, jit_compile=None):
        super().check(batch_size)
        if jit_compile:
            raise ValueError(
                "TensorFlow's XLA compiles for one device: leave out `jit_compile` on several. "
                f"Received: jit_compile={jit_compile}"
            )

    def share(self, data, initial_epoch=0, step=0):
        if self.workers == 1:
            return data
        return self.strategy.distribute_datasets_from_function(lambda context: self._parts(data, initial_epoch, step))

    def _parts(self, data, initial_epoch, step):
        """The share of each replica of this worker, one after the other, of one batch after the other."""
        import tensorflow as tf

        here = self.count // self.workers
        first = self.worker * here

        def divide(*batch):
            size = tf.shape(tf.nest.flatten(batch)[0])[0] // self.count
            parts = tf.data.Dataset.range(first, first + here, output_type=tf.int32)
            return parts.map(lambda part: tf.nest.map_structure(lambda each: each[part * size :][:size], batch))

        if not isinstance(data, tf.data.Dataset):
            data = _as_dataset(data, initial_epoch, step)
        return data.flat_map(divide).prefetch(2)

    @contextlib.contextmanager
    def training(self, model):
        import tensorflow as tf

        _check_optimizer(model.optimizer)
        names = ("Unavailable", "Aborted", "DeadlineExceeded", "Internal") if self.workers > 1 else ()
        errors = tuple(getattr(tf.errors, f"{name}Error") for name in names)
        for_workers = _fit_for_workers(model) if self.workers > 1 else contextlib.nullcontext()
        with devices.clear_errors(errors), _summed_first(model.optimizer), for_workers:
            yield

    def callbacks(self):
        return [self._seeds]


class OwnSeeds(keras.callbacks.Callback):
    """Give each replica seeds of its own: copies of one would drop the same units of each share of a batch.

    Args:
        strategy: a `tf.distribute.Strategy`.
        first: int. The number of the first replica of this worker.

    Example:

    >>> OwnSeeds(None, 0).model is None
    True
    """

    def __init__(self, strategy, first):
        super().__init__()
        self.strategy, self.first = strategy, first
        self._known, self._begins = {}, True

    def on_epoch_begin(self, epoch, logs=None):
        self._begins = True

    def on_train_batch_begin(self, batch, logs=None):
        # Not when the epoch begins: a state of a training is given back to the model after that.
        if self._begins:
            self._begins = False
            for variable in self.model.variables:
                if variable.path.endswith("seed_generator_state"):
                    self._spread(variable)

    def _spread(self, variable):
        copies = self.strategy.experimental_local_results(variable.value)
        # The first number is the seed, which stays; the second counts draws.
        _, seed = self._known.setdefault(id(variable), (variable, int(copies[0][0])))
        for number, copy in enumerate(copies, self.first):
            count = int(copy[1])
            copy.assign([(seed + number * _OWN_SEED) % 2**31 if number else seed, count])


def local_devices(count):
    """Devices of this machine.

    Args:
        count: int, or None for all of them.

    Returns:
        A `recipes.training.devices.Devices`.

    Raises:
        ValueError: if there are not as many.

    Example:

    >>> devices.choose_devices(1).count
    1
    """
    import tensorflow as tf

    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "CPU" and count:
        _make_virtual(count)
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    if count and count > len(names):
        advice = "Virtual ones can be made before TensorFlow computes for the first time. Ask for fewer, or at once."
        devices.refuse_count(count, len(names), advice if kind == "CPU" else "Ask for fewer.")
    names = names[:count]
    return Replicas(_mirrored(*names)) if len(names) > 1 else devices.Devices()


def worker_devices():
    """Devices of all workers that `TF_CONFIG` names.

    Returns:
        A `recipes.training.devices.Devices`.

    Raises:
        ValueError: if it names none, or TensorFlow has computed already.

    Example:

    >>> devices.choose_devices("auto").workers
    1
    """
    import tensorflow as tf

    try:
        config = json.loads(os.environ.get("TF_CONFIG", ""))
        addresses, worker = config["cluster"]["worker"], int(config["task"]["index"])
        fits = config["task"]["type"] == "worker" and 0 <= worker < len(addresses)
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise ValueError(
            'Workers are named by the environment variable TF_CONFIG: {"cluster": {"worker": ["host1:2222", '
            '"host2:2222"]}, "task": {"type": "worker", "index": 0}}, with another index in each process. '
            f"Received: TF_CONFIG={os.environ.get('TF_CONFIG')!r}"
        )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ValueError(
            "Workers must join before TensorFlow computes for the first time: begin the process with it."
        ) from error
    return Replicas(strategy, len(addresses), worker)


@functools.cache
def _mirrored(*names):
    """One strategy in a process: another one of the same devices would give the same names to other reductions."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def _make_virtual(count):
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        with contextlib.suppress(RuntimeError):  # it has computed already: what there is, is there
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)


def _as_dataset(data, *beginning):
    import tensorflow as tf

    def specification(array):
        array = tf.convert_to_tensor(array)
        return tf.TensorSpec((None, *array.shape[1:]), array.dtype)

    signature = tf.nest.map_structure(specification, data[0])
    return tf.data.Dataset.from_generator(lambda: devices.endless_batches(data, *beginning), output_signature=signature)


def _check_optimizer(optimizer):
    for each in innermost(optimizer):
        if each.gradient_accumulation_steps or (each.use_ema and each.ema_overwrite_frequency):
            raise ValueError(
                "Keras's `gradient_accumulation_steps` and `ema_overwrite_frequency` do not work in tf.distribute: use "
                "recipes.optimizers.Accumulated and Lookahead, or one device. "
                f"Received: gradient_accumulation_steps={each.gradient_accumulation_steps}, "
                f"ema_overwrite_frequency={each.ema_overwrite_frequency}"
            )


@contextlib.contextmanager
def _fit_for_workers(model):
    """Let Keras's `fit` run with several workers, where two things in it fail.

    It looks at a batch to build the model, which is built, and takes means of logs over an axis that these do not have.
    """

    def with_axis(step):
        return lambda data: keras.tree.map_structure(lambda log: keras.ops.expand_dims(log, 0), step(data))

    changed = {name: with_axis(getattr(model, name)) for name in ("train_step", "test_step")}
    changed["_maybe_symbolic_build"] = lambda **data: None
    fresh = {"train_function": None, "test_function": None}
    vars(model).update(changed | fresh)
    try:
        yield
    finally:
        for name in changed:
            del vars(model)[name]
        vars(model).update(fresh)


@contextlib.contextmanager
def _summed_first(optimizer):
    """Sum the gradients over the replicas before the optimizer sees them.

    Keras does so in the innermost optimizer, after clipping, accumulation and the check for overflows: each replica
    would clip gradients of its own, and all follow the overflows of the first.
    """
    import tensorflow as tf

    apply = optimizer.apply

    def apply_sums(grads, trainable_variables=None):
        given = [gradient for gradient in grads if gradient is not None]
        sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, given))
        return apply([None if gradient is None else next(sums) for gradient in grads], trainable_variables)

    inner = list(innermost(optimizer))
    for each in inner:
        vars(each)["_all_reduce_sum_gradients"] = list
    vars(optimizer)["apply"] = apply_sums
    try:
        yield
    finally:
        del vars(optimizer)["apply"]
        for each in inner:
            del vars(each)["_all_reduce_sum_gradients"]
