"""Several devices on JAX: arrays whose batch is divided over them, by `keras.distribution`."""

import contextlib
import os

import keras

from recipes.training import devices

_VARIABLES = tuple(f"KERAS_DISTRIBUTION_{name}" for name in ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID"))
_WAIT = 60  # seconds for which workers wait for one another before the first step
_SILENCE = 20  # seconds after which a worker of which nothing is heard is taken for lost


class Parallel(keras.distribution.DataParallel):
    """Batches that are divided while they are trained on, and whole for everything else.

    An evaluation ends with a batch that does not divide.

    Args:
        names: list of str, of devices as `keras.distribution.list_devices` names them.

    Example:

    >>> Parallel.__mro__[1].__name__
    'DataParallel'
    """

    def __init__(self, names):
        super().__init__(devices=names, auto_shard_dataset=False)
        self.whole = True

    def get_data_layout(self, data_shape):
        if not self.whole:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


class Divided(devices.Devices):
    """Devices among which JAX divides arrays.

    Args:
        names: list of str, of devices as `keras.distribution.list_devices` names them.
        workers: int. Defaults to 1.
        worker: int. Defaults to 0.

    Example:

    >>> Divided.__mro__[1].__name__
    'Devices'
    """

    def __init__(self, names, workers=1, worker=0):
        super().__init__(len(names), workers, worker)
        self.distribution = Parallel(names)

    def scope(self):
        return self.distribution.scope()

    def share(self, data, initial_epoch=0, step=0):
        if self.workers == 1:
            return data
        if isinstance(data, keras.utils.PyDataset):
            data = devices.endless_batches(data, initial_epoch, step)
        return (self._part(batch) for batch in data)

    def _part(self, batch):
        """What the devices of this worker get of a batch."""

        def part(array):
            size = len(array) // self.workers
            return keras.ops.convert_to_numpy(array[self.worker * size : (self.worker + 1) * size])

        return keras.tree.map_structure(part, batch)

    def training(self, model):
        import jax

        return devices.clear_errors((jax.errors.JaxRuntimeError, ValueError) if self.workers > 1 else ())

    def callbacks(self):
        return [DivideEpochs(self.distribution)]


class DivideEpochs(keras.callbacks.Callback):
    """Divide batches from the beginning of an epoch to its end, but for evaluations.

    Args:
        distribution: a `Parallel`.

    Example:

    >>> DivideEpochs(None).model is None
    True
    """

    def __init__(self, distribution):
        super().__init__()
        self.distribution = distribution

    def on_epoch_begin(self, epoch, logs=None):
        self.distribution.whole = False

    def on_test_begin(self, logs=None):
        self.distribution.whole = True

    def on_epoch_end(self, epoch, logs=None):
        self.distribution.whole = True

    def on_train_end(self, logs=None):
        self.distribution.whole = True


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
    import jax

    if count and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # it has computed already: what there is, is there
            jax.config.update("jax_num_cpu_devices", count)
    names = keras.distribution.list_devices()
    if count and count > len(names):
        virtual = "Virtual ones of a CPU can be made before JAX computes for the first time. Ask for fewer, or at once."
        devices.refuse_count(count, len(names), virtual if names[0].startswith("cpu") else "Ask for fewer.")
    names = names[:count]
    return Divided(names) if len(names) > 1 else devices.Devices()


def worker_devices():
    """Devices of all workers, as the environment tells of them.

    Returns:
        A `recipes.training.devices.Devices`.

    Raises:
        ValueError: if it tells nothing, or JAX has computed already.

    Example:

    >>> devices.choose_devices("auto").workers
    1
    """
    import jax

    if not jax.distributed.is_initialized():
        addresses, count, number = map(os.environ.get, _VARIABLES)
        try:
            # What `keras.distribution.initialize` does, but for the times.
            jax.distributed.initialize(
                addresses and addresses.split(",")[0],
                count and int(count),
                number and int(number),
                initialization_timeout=_WAIT,
                heartbeat_timeout_seconds=_SILENCE,
                shutdown_timeout_seconds=_SILENCE,
            )
        except (ValueError, RuntimeError) as error:
            given = ", ".join(f"{name}={os.environ.get(name)!r}" for name in _VARIABLES)
            raise ValueError(
                f"The workers cannot be joined ({str(error).splitlines()[0]}). Before JAX computes, each process needs "
                f"{_VARIABLES[0]}=host:port, {_VARIABLES[1]} and {_VARIABLES[2]}. Received: {given}"
            ) from error
    names = keras.distribution.list_devices()
    return Divided(names, jax.process_count(), jax.process_index())
