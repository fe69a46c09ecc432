"""A data set of images, split into training, validation and, where there is one, test."""

import dataclasses
import functools
import hashlib

import numpy as np

import augment
from recipes.data.files import ImageFiles

_VALUES = 2**28  # from which statistics are taken
_AT_ONCE = 2**22  # values


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels.

    Images are arrays, in memory or mapped files, or array-likes that give arrays where they are indexed
    with numbers, slices or arrays of positions.

    Args:
        name: str.
        train_images: uint8 `(samples, height, width, channels)`.
        train_labels: int `(samples,)`.
        validation_images: uint8 `(samples, height, width, channels)`.
        validation_labels: int `(samples,)`.
        class_names: list of str.
        test_images: uint8 `(samples, height, width, channels)`, or None. Defaults to None.
        test_labels: int `(samples,)`, or None where they are not known. Defaults to None.
        train_files: the `ImageFiles` that the images were read from, or None. Defaults to None.
        validation_files: the same. Defaults to None.
        test_files: the same. Defaults to None.
        skipped: tuple of str. Files that were left out, and why. Defaults to none.

    Example:

    >>> images, labels = np.zeros((2, 4, 4, 3), "uint8"), np.array([0, 1])
    >>> Dataset("blank", images, labels, images, labels, ["a", "b"]).describe()["train"]
    2
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    class_names: list
    test_images: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    train_files: ImageFiles | None = None
    validation_files: ImageFiles | None = None
    test_files: ImageFiles | None = None
    skipped: tuple = ()

    @property
    def mean(self):
        """tuple of floats. Mean of each channel over the training images, from 0 to 255.

        Over all of them, or as many, evenly spread, as make 2**28 values.
        """
        return tuple(float(value) for value in self._statistics[0].round(4))

    @property
    def std(self):
        """tuple of floats. Standard deviation of each channel over the same images."""
        return tuple(float(value) for value in self._statistics[1].round(4))

    @functools.cached_property
    def _statistics(self):
        """Mean and standard deviation, exactly: from how often each value occurs."""
        samples, *_, channels = shape = self.train_images.shape
        per_image = int(np.prod(shape[1:]))
        rows = np.arange(samples)[:: -(-samples * per_image // _VALUES)]
        counts = np.zeros((channels, 256))
        for part in np.array_split(rows, -(-len(rows) * per_image // _AT_ONCE)):
            images = np.asarray(self.train_images[part])
            counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(channels)]
        counts /= counts.sum(1, keepdims=True)
        mean = counts @ np.arange(256)
        return mean, np.sqrt((counts * (np.arange(256) - mean[:, None]) ** 2).sum(1))

    def one_hot(self, labels):
        """Labels as rows of zeros and a one.

        Args:
            labels: int `(samples,)`.

        Returns:
            float32 `(samples, classes)`.
        """
        return np.eye(len(self.class_names), dtype="float32")[labels]

    def validation_batches(self, operations, batch_size):
        """The validation images in batches, in their order, with nothing random.

        Args:
            operations: list of `augment` operations, which do what they do outside training.
            batch_size: int.

        Returns:
            An `augment.ArrayGenerator` of images and rows of `one_hot`.
        """
        labels = self.one_hot(self.validation_labels)
        return augment.ArrayGenerator(self.validation_images, labels, operations, batch_size=batch_size, training=False)

    def steps(self, batch_size, epochs):
        """Full batches in an epoch.

        Args:
            batch_size: int.
            epochs: int.

        Returns:
            int.

        Raises:
            ValueError: if there is no epoch, or no full batch.
        """
        samples = len(self.train_images)
        if epochs < 1:
            raise ValueError(f"`epochs` must be at least 1. Received: epochs={epochs}")
        if not 1 <= batch_size <= samples:
            raise ValueError(f"`batch_size` must be from 1 to {samples}, the images. Received: batch_size={batch_size}")
        return samples // batch_size

    def shown(self, images, labels, count=32, preparation=None):
        """Some images of a batch as the network was shown them, and their main class.

        Args:
            images: float `(batch, height, width, channels)`, normalised.
            labels: float `(batch, classes)`.
            count: int. Defaults to 32.
            preparation: the `Preparation` by which they were normalised, or None for the statistics of
                the data. Defaults to None.

        Returns:
            `(pixels, names)`, the pixels from 0 to 1.
        """
        images, labels = np.asarray(images[:count]), np.asarray(labels[:count])
        known = preparation or self
        return (images * known.std + known.mean) / 255, [self.class_names[label] for label in labels.argmax(-1)]

    def describe(self):
        """What a record says of the data.

        Returns:
            dict of name, sizes, how many files were left out if any were, and a fingerprint: SHA-256 over the
            bytes of all arrays; of images that are decoded on indexing, over the bytes of their files.
        """
        digest = hashlib.sha256()
        arrays = [self.train_images, self.train_labels, self.validation_images, self.validation_labels]
        for array in [*arrays, self.test_images, self.test_labels]:
            for part in () if array is None else _contents(array):
                digest.update(part)
        sizes = {"train": len(self.train_images), "validation": len(self.validation_images)}
        if self.test_images is not None:
            sizes["test"] = len(self.test_images)
        if self.skipped:
            sizes["skipped"] = len(self.skipped)
        return {"name": self.name, **sizes, "classes": len(self.class_names), "sha256": digest.hexdigest()}


def _contents(array):
    """The bytes of an array, some rows at a time."""
    if hasattr(array, "contents"):
        yield from array.contents()
        return
    yield str((array.shape, array.dtype.str)).encode()
    rows = max(1, _AT_ONCE // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), rows):
        yield np.ascontiguousarray(array[start : start + rows])
