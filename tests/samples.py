"""What tests of operations share: some images, and ways to draw and to apply."""

import numpy as np

import augment
from augment import draws

LIKELY = 1e-4  # the seeds are fixed: a test of this level passes always or never


def some_images(shape=(3, 9, 11, 3), dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def soft_labels(samples):
    return np.random.default_rng(1).dirichlet(np.ones(4), samples).astype("float32")


def change(operation, images, seed=0, epoch=0, index=None, training=True):
    index = np.arange(len(images), dtype="int32") if index is None else index
    labels = soft_labels(len(images))
    return augment.transform([operation], images, labels, index=index, seed=seed, epoch=epoch, training=training)


def choose(operation, image_shape=(9, 11, 3), samples=20_000, seed=0, epoch=0):
    return operation.draw(draws.Stream(seed, epoch, np.arange(samples, dtype="int32")), image_shape)


def column(*values, dtype="int32"):
    return np.array(values, dtype)[:, None]
