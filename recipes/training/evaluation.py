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
    """
    views = (images, images[:, :, ::-1])
    logits = sum(model.predict(view, batch_size=batch_size, verbose=0) for view in views)
    return float(np.mean(logits.argmax(-1) == labels))
