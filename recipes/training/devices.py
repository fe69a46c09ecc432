"""On which devices a run trains: one, those of this machine, or those of several processes, its workers.

Data parallel, by the engines that the backends have: `tf.distribute` on TensorFlow, `keras.distribution` on JAX. The
batch stays that of the recipe, and each device gets its share of it: the same images, augmented in the same way, since
their draws are functions of the seed, the epoch and the image. Statistics of batch normalization, losses and gradients
are those of the whole batch, so that a run on several devices is that on one but for the order of sums. On JAX this is
so of dropout too; on TensorFlow each replica draws other masks.
"""

import contextlib
import functools
import os
import re
import sys

import keras
import numpy as np

from recipes.replicas import divided_batch
from recipes.replicas import full_batch
from recipes.training.memory import InMemoryData

WORDS = ("auto", "all", "workers")
_OF_WORKERS = ("peer", "connect", "collective", "unavailable", "gloo", "heartbeat", "socket")


class WorkerLost(ConnectionError):
    """Another worker of the run, or the way to it, is gone: the others cannot go on without it.

    Args:
        message: str. What the backend says of it.

    Example:

    >>> isinstance(WorkerLost("worker 1 is gone"), OSError)
    True
    """

    def __init__(self, message):
        super().__init__(message)


def leave(error):
    """End the process, where an error says that other workers are gone, with the status 1 and without a farewell.

    JAX would wait for them when Python ends, and abort when they do not come.

    Args:
        error: an exception.

    Example:

    >>> leave(ValueError("another error"))
    """
    if isinstance(error, WorkerLost):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


class Devices:
    """The devices of a run; this one, a single device, of which nothing has to be known.

    Args:
        count: int. Devices over which a batch is divided, of all workers. Defaults to 1.
        workers: int. Processes that train together. Defaults to 1.
        worker: int. Which of them this process is. The first, 0, writes the files. Defaults to 0.

    Example:

    >>> devices = Devices()
    >>> devices.count, devices.several, devices.writes
    (1, False, True)
    """

    def __init__(self, count=1, workers=1, worker=0):
        self.count, self.workers, self.worker = count, workers, worker

    @property
    def several(self):
        """bool. Whether a batch is divided."""
        return self.count > 1

    @property
    def writes(self):
        """bool. Whether this process is the one that writes files and shows progress."""
        return self.worker == 0

    def scope(self):
        """A context in which models are made, trained and used."""
        return contextlib.nullcontext()

    def check(self, batch_size, jit_compile=None):
        """Refuse a batch that devices cannot share, and what cannot be compiled for several.

        Args:
            batch_size: int, of the whole batch, or None where it is not known.
            jit_compile: bool or None. What was asked for. Defaults to None.

        Raises:
            ValueError: for these.
        """
        if batch_size is not None and batch_size % self.count:
            fitting = max(batch_size // self.count, 1) * self.count
            raise ValueError(
                f"A batch is divided over {self.count} devices, so it must be a multiple of them, such as "
                f"batch_size={fitting}. Received: batch_size={batch_size}"
            )

    def steps(self, data, steps_per_epoch):
        """Steps of each epoch; refuse training batches that cannot be shared.

        Args:
            data: what is trained on.
            steps_per_epoch: int, or list of ints where epochs differ.

        Returns:
            int; on one device what was given.

        Raises:
            ValueError: if the last batch of an epoch is smaller, or epochs differ.
        """
        if not self.several:
            return steps_per_epoch
        size, samples = getattr(data, "batch_size", 1), getattr(data, "samples", 0)
        if samples and len(data) * size > samples:
            raise ValueError(
                f"A batch is divided over {self.count} devices: leave out the smaller last one. "
                f"Received: {samples} samples in batches of {size}"
            )
        steps = [*np.ravel(steps_per_epoch)]
        if len(set(steps)) > 1:
            raise ValueError(
                "On several devices all epochs must have as many steps: select samples on one device, in memory."
            )
        operations = (
            [data.operations_of(epoch) for epoch in range(len(steps))] if isinstance(data, InMemoryData) else []
        )
        if any(each != operations[0] for each in operations):
            raise ValueError(
                "On several devices all epochs must have images of one size, and the same operations: give "
                'image_sides="", or leave out `devices`.'
            )
        return int(steps[0])

    def stream(self, data, steps_per_epoch):
        """What Keras's own `fit` is given on several devices of data in memory, whose passes need not be epochs.

        Args:
            data: what is trained on.
            steps_per_epoch: int.

        Returns:
            A `keras.utils.PyDataset` of so many steps; other data, and on one device all, as they are.
        """
        return _Stream(data, steps_per_epoch) if self.several and isinstance(data, InMemoryData) else data

    def given(self, arguments):
        """Arguments of `fit` that fit the devices.

        Args:
            arguments: dict. Of `keras.Model.fit`.

        Returns:
            dict.

        Raises:
            ValueError: if there are so few validation images that some device would have none of a batch.
        """
        if not self.several:
            return arguments
        validation = arguments.get("validation_data")
        if isinstance(validation, tuple):
            size = full_batch(len(validation[0]), arguments.get("validation_batch_size") or 32)
            return {**arguments, "validation_batch_size": size}
        if hasattr(validation, "order"):
            size = divided_batch(validation.samples, validation.batch_size)
            if size is None:
                raise ValueError(
                    f"{validation.samples} validation images cannot be divided over {self.count} devices so that each "
                    "has some of every batch: train on fewer devices, or give a larger `batch_size`."
                )
            if size != validation.batch_size:
                return {**arguments, "validation_data": _Rebatched(validation, size)}
        return arguments

    def share(self, data, initial_epoch=0, step=0):
        """Training batches as this process must give them to `fit`.

        Args:
            data: `tf.data.Dataset` or `keras.utils.PyDataset` of whole batches.
            initial_epoch: int. The epoch to begin with, of the latter. Defaults to 0.
            step: int. The step to begin with, of the latter: others stand for those before. Defaults to 0.

        Returns:
            What `keras.Model.fit` takes; the data themselves where there is one worker.
        """
        return data

    @contextlib.contextmanager
    def training(self, model):
        """A context for `fit` of a compiled model.

        Args:
            model: a compiled `keras.Model`.

        Raises:
            ValueError: for an optimizer that does on several devices what it does not on one.
            WorkerLost: if another worker is gone.
        """
        yield

    def callbacks(self):
        """Callbacks that come before all others of `fit`.

        Returns:
            list of `keras.callbacks.Callback`.
        """
        return []


class _Stream(keras.utils.PyDataset):
    """Pass after pass through data in memory, in epochs of a number of steps, as on one device."""

    def __init__(self, data, steps):
        super().__init__()
        self.data, self.steps, self.epoch = data, steps, 0

    def set_epoch(self, epoch, logs=None):
        self.epoch = epoch

    def __len__(self):
        return self.steps

    def __getitem__(self, number):
        place = self._place(self.epoch, number)
        return self.data.load(place[0], self.data.positions(*place))

    def positions(self, epoch, step):
        """int array: of what samples a batch is made; what names those of a loss that is no number."""
        return self.data.positions(*self._place(epoch, step))

    def _place(self, epoch, step):
        """The pass through the data, and the step of it."""
        return divmod(epoch * self.steps + step, len(self.data))


class _Rebatched(keras.utils.PyDataset):
    """The same samples of an `augment.EpochGenerator`, in batches of another size."""

    def __init__(self, data, batch_size):
        super().__init__()
        self.data, self.batch_size = data, batch_size

    def __len__(self):
        return -(-self.data.samples // self.batch_size)

    def __getitem__(self, number):
        index = self.data.order(0)[number * self.batch_size :][: self.batch_size]
        return self.data.load(0, index)


def choose_devices(devices="auto"):
    """Find the devices of a run, and make them ready: before anything is computed.

    Args:
        devices: "auto", one device; an int, so many of this machine; "all" of this machine; or "workers", those of
            all processes that train together, each of which is started with the same arguments. On TensorFlow these
            are told of one another by `TF_CONFIG`; on JAX by `KERAS_DISTRIBUTION_JOB_ADDRESSES`,
            `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`, or what `jax.distributed` finds
            out by itself. On a machine without accelerators an int makes so many virtual devices of its CPU, to try
            things out. Defaults to "auto".

    Returns:
        A `Devices`.

    Raises:
        ValueError: for anything else, more devices than there are, workers of which nothing is known, or torch.

    Example:

    >>> choose_devices().count
    1
    """
    known = (type(devices) is int and devices >= 1) or devices in WORDS
    if not known or isinstance(devices, bool):
        raise ValueError(f"`devices` must be at least 1, or one of {', '.join(WORDS)}. Received: devices={devices!r}")
    if devices in ("auto", 1):
        return Devices()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from recipes.training import strategies as engines
    elif backend == "jax":
        from recipes.training import sharding as engines
    else:
        raise ValueError(
            f"On {backend} Keras trains on one device: it has no engine for several. Use KERAS_BACKEND=tensorflow or "
            f"KERAS_BACKEND=jax, or leave out `devices`. Received: devices={devices!r}"
        )
    return _workers(engines) if devices == "workers" else engines.local_devices(None if devices == "all" else devices)


@functools.cache
def _workers(engines):
    """A process can join its workers once, before it computes."""
    return engines.worker_devices()


def refuse_count(wanted, found, advice):
    """Say that there are not as many devices as are wanted.

    Args:
        wanted: int.
        found: int.
        advice: str. What to do.

    Raises:
        ValueError: always.

    Example:

    >>> refuse_count(4, 1, "Ask for fewer.")
    Traceback (most recent call last):
    ValueError: There are 1 devices. Ask for fewer. Received: devices=4
    """
    raise ValueError(f"There are {found} devices. {advice} Received: devices={wanted}")


@contextlib.contextmanager
def clear_errors(errors):
    """Turn what a backend says when another worker is gone into one line that says so.

    Args:
        errors: tuple of types of errors that may mean it.

    Raises:
        WorkerLost: for one of these.

    Example:

    >>> with clear_errors((RuntimeError,)):
    ...     raise RuntimeError("Connection reset by peer")
    Traceback (most recent call last):
    recipes.training.devices.WorkerLost: Another worker of this run is gone (Connection reset by peer).
    Start all of them again, with --resume.
    """
    try:
        yield
    except errors as error:
        found = (line for line in str(error).splitlines() if any(word in line.lower() for word in _OF_WORKERS))
        text = next(found, None)
        if text is None:
            raise
        text = re.sub(r"\{\{.*?\}\}", "", text).strip()  # where in its graph TensorFlow noticed it
        raise WorkerLost(
            f"Another worker of this run is gone ({text[:200]}). Start all of them again, with --resume."
        ) from error


def endless_batches(data, initial_epoch=0, step=0):
    """The batches of all epochs of a generator, one epoch after the other.

    Args:
        data: a `keras.utils.PyDataset`; one with a method `set_epoch` is told each epoch.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        step: int. The step of it to begin with: its batch stands for those before. Defaults to 0.

    Returns:
        A generator of batches.

    Example:

    >>> import numpy as np
    >>> from augment import ArrayGenerator
    >>> data = ArrayGenerator(np.zeros((4, 2, 2, 1)), np.arange(4), batch_size=2, shuffle=False)
    >>> batches = endless_batches(data)
    >>> [next(batches)[1].tolist() for _ in range(3)]
    [[0, 1], [2, 3], [0, 1]]
    """
    epoch = initial_epoch
    while True:
        if hasattr(data, "set_epoch"):
            data.set_epoch(epoch)
        for number in range(len(data)):
            yield data[max(number, step)]
        epoch, step = epoch + 1, 0
