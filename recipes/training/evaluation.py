"""Accuracy beyond what `evaluate` measures: outputs averaged over several views of an image."""

import numpy as np

LEVELS = (0, 1, 2)


def predict_views(model, images, level=2, batch_size=500):
    """Average what a model gives for several views of each image: test-time augmentation.

    Args:
        model: a `keras.Model` from images to logits.
        images: array `(samples, height, width, channels)`.
        level: one of 0, the image alone; 1, the image and its mirror image; 2, with half of the
            weight, these two, and with a quarter each, the same of the image one pixel further down and
            to the right, and further up and to the left, reflected at the edges. Defaults to 2.
        batch_size: int. Defaults to 500.

    Returns:
        float array `(samples, classes)`.

    Raises:
        ValueError: for an unknown level.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    >>> predict_views(model, np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]]), level=1)
    array([[1.5, 1.5, 4.5, 4.5]], dtype=float32)

    Reference:
        https://github.com/KellerJordan/cifar10-airbench
    """
    if level not in LEVELS or isinstance(level, bool):
        raise ValueError(f"`level` must be one of {LEVELS}. Received: level={level!r}")
    return sum(weight * model.predict(view, batch_size=batch_size, verbose=0) for weight, view in _views(images, level))


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
    logits = predict_views(model, images, level=1, batch_size=batch_size)
    return float(np.mean(logits.argmax(-1) == labels))


def _views(images, level):
    """Pairs of weight and view; the weights add up to 1."""
    places = [(1.0, images)]
    if level == 2:
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        places = [(0.5, images), (0.25, padded[:, :-2, :-2]), (0.25, padded[:, 2:, 2:])]
    if level == 0:
        return places
    return [(weight / 2, each) for weight, view in places for each in (view, view[:, :, ::-1])]
