"""A data set of images in memory, split into training and validation."""

import dataclasses
import functools
import hashlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images and labels in memory.

    Args:
        name: str.
        train_images: uint8 `(samples, height, width, channels)`.
        train_labels: int `(samples,)`.
        validation_images: uint8 `(samples, height, width, channels)`.
        validation_labels: int `(samples,)`.
        class_names: list of str.

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

    @functools.cached_property
    def mean(self):
        """tuple of floats. Mean of each channel over the training images, from 0 to 255."""
        return tuple(float(value) for value in self.train_images.mean((0, 1, 2), dtype="float64").round(4))

    @functools.cached_property
    def std(self):
        """tuple of floats. Standard deviation of each channel over the training images."""
        variance = [self.train_images[..., channel].var(dtype="float64") for channel in range(len(self.mean))]
        return tuple(float(value) for value in np.sqrt(variance).round(4))

    def one_hot(self, labels):
        """Labels as rows of zeros and a one.

        Args:
            labels: int `(samples,)`.

        Returns:
            float32 `(samples, classes)`.
        """
        return np.eye(len(self.class_names), dtype="float32")[labels]

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

    def shown(self, images, labels, count=32):
        """Some images of a batch as the network was shown them, and their main class.

        Args:
            images: float `(batch, height, width, channels)`, normalised.
            labels: float `(batch, classes)`.
            count: int. Defaults to 32.

        Returns:
            `(pixels, names)`, the pixels from 0 to 1.
        """
        images, labels = np.asarray(images[:count]), np.asarray(labels[:count])
        return (images * self.std + self.mean) / 255, [self.class_names[label] for label in labels.argmax(-1)]

    def describe(self):
        """What a record says of the data.

        Returns:
            dict of name, sizes, and a fingerprint: SHA-256 over the bytes of all arrays.
        """
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.validation_images, self.validation_labels):
            digest.update(str((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array))
        return {
            "name": self.name,
            "train": len(self.train_images),
            "validation": len(self.validation_images),
            "classes": len(self.class_names),
            "sha256": digest.hexdigest(),
        }
