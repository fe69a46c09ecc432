"""Accuracy beyond what `evaluate` measures."""

import numpy as np


def flip_accuracy(model, images, labels, batch_size=500):
    """Accuracy of the mean of the logits for each image and its mirror image.

    Args:
        model: a `keras.Model` from images to logits.
        images: float array `(samples, height, width, channels)`.
        labels: int array `(samples,)`.
        batch_size: int. Defaults to 500.

    Returns:
        float in [0, 1].

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalMaxPooling2D()])
    >>> images = np.zeros((2, 4, 4, 3), "float32")
    >>> images[0, 0, 0, 1] = images[1, 0, 0, 2] = 1
    >>> flip_accuracy(model, images, np.array([1, 0]))
    0.5
    """
    views = (images, images[:, :, ::-1])
    logits = sum(model.predict(view, batch_size=batch_size, verbose=0) for view in views)
    return float(np.mean(logits.argmax(-1) == labels))
