"""Which of the three routes brings images to a model that trains: the same pixels on each."""

import dataclasses
from typing import Literal

import keras
import numpy as np

import augment
from recipes.training import session
from recipes.training.memory import InMemoryData

PIPELINES = ("auto", "tf.data", "numpy", "memory")
_ON_DEVICE = 2**30  # bytes of images


@dataclasses.dataclass(frozen=True)
class Route:
    """How images reach the model: the arguments that recipes on a user's images have in common.

    A parameter of a recipe with this annotation stands for all of these arguments.

    Args:
        pipeline: one of "tf.data", "numpy", "memory" (images on the device, the steps of an epoch in one
            dispatch), or "auto": "memory" on an accelerator for up to a gigabyte of images; else tf.data on
            TensorFlow, and numpy on other backends. Defaults to "auto".
        threads: int. Threads that make batches ahead, of "numpy". Defaults to 1.

    Example:

    >>> from recipes.data.dataset import Dataset
    >>> images, labels = np.zeros((5, 8, 8, 3), "uint8"), np.arange(5)
    >>> dataset = Dataset("blank", images, labels, images, labels, list("abcde"))
    >>> len(Route("numpy").batches(dataset, [], batch_size=2, seed=0))
    2
    """

    pipeline: Literal[PIPELINES] = "auto"
    threads: int = 1

    def batches(self, dataset, operations, *, batch_size, seed, initial_epoch=0):
        """Shuffled, augmented batches of the training images with their classes, without a smaller last one.

        Args:
            dataset: a `recipes.data.dataset.Dataset`.
            operations: list of `augment` operations.
            batch_size: int.
            seed: int.
            initial_epoch: int. The epoch to begin with: that of the phase of the training. Defaults to 0.

        Returns:
            What `recipes.training.run.Run.fit` takes; with an attribute `paths`, of all images, None if they are no
            files.

        Raises:
            ValueError: as `training_batches`.
        """
        data = training_batches(
            self.pipeline,
            dataset.train_images,
            dataset.one_hot(dataset.train_labels),
            operations,
            batch_size=batch_size,
            seed=seed,
            threads=self.threads,
            initial_epoch=initial_epoch,
        )
        data.paths = None if dataset.train_files is None else dataset.train_files.paths
        return data


def training_batches(pipeline, images, labels, operations, *, batch_size, seed, threads=1, initial_epoch=0):
    """Shuffled, augmented batches, without a smaller last one.

    Args:
        pipeline: one of "tf.data", "numpy", "memory", or "auto", as `choose_pipeline` chooses.
        images: uint8 array-like `(samples, height, width, channels)`.
        labels: array `(samples, ...)`.
        operations: list of `augment` operations.
        batch_size: int.
        seed: int.
        threads: int. Threads that make batches ahead, of "numpy". Defaults to 1.
        initial_epoch: int. The epoch that a stream of tf.data begins with; others are told it. Defaults to 0.

    Returns:
        What `recipes.training.run.Run.fit` takes.

    Raises:
        ValueError: for another pipeline, no worker, or arguments that the route refuses.

    Example:

    >>> images, labels = np.zeros((5, 8, 8, 3), "uint8"), np.arange(5)
    >>> len(training_batches("numpy", images, labels, [], batch_size=2, seed=0))
    2
    """
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1. Received: threads={threads}")
    settings = {"batch_size": batch_size, "seed": seed, "drop_remainder": True}
    chosen = choose_pipeline(pipeline, images)
    if chosen == "numpy":
        return augment.ArrayGenerator(images, labels, operations, **settings, workers=threads)
    if chosen == "memory":
        return InMemoryData(images, labels, operations, **settings)
    return augment.pipeline(images, labels, operations, **settings, initial_epoch=initial_epoch)


def choose_pipeline(pipeline, images):
    """The route for some images on this backend and device.

    Args:
        pipeline: one of "tf.data", "numpy", "memory", "auto". "auto" is "memory" for an array of at most a
            gigabyte on a single accelerator, which then waits for no batch; else "tf.data" on TensorFlow, as it
            makes the next batches on all cores, and "numpy" on other backends.
        images: array-like.

    Returns:
        "tf.data", "numpy" or "memory".

    Raises:
        ValueError: for another one.

    Example:

    >>> choose_pipeline("numpy", np.zeros((5, 8, 8, 3), "uint8"))
    'numpy'
    """
    if pipeline not in PIPELINES:
        raise ValueError(f"`pipeline` must be one of {', '.join(PIPELINES)}. Received: {pipeline!r}")
    if pipeline != "auto":
        return pipeline
    alone = session.on_accelerator() and not session.on_several_devices()
    if alone and type(images) is np.ndarray and images.nbytes <= _ON_DEVICE:
        return "memory"
    return "tf.data" if keras.backend.backend() == "tensorflow" else "numpy"
