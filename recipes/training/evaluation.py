"""Accuracy beyond what `evaluate` measures: outputs averaged over several views of an image."""

import numpy as np

from recipes.replicas import full_batch

# The weight of each view, by how many there are: airbench's levels 0, 1 and 2 of test-time augmentation;
# and one for every place within a pixel, which count the same.
WEIGHTS = {1: (1.0,), 2: (0.5, 0.5), 6: (0.25, 0.25, 0.125, 0.125, 0.125, 0.125), 18: (1 / 18,) * 18}
_PLACES = {
    1: [(0, 0)],
    2: [(0, 0)],
    6: [(0, 0), (-1, -1), (1, 1)],
    18: [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)],
}


def predict_views(model, images, views=6, batch_size=500):
    """What a model gives for several views of each image.

    Args:
        model: a `keras.Model` from images to logits.
        images: array `(samples, height, width, channels)`.
        views: one of 1, the image alone; 2, it and its mirror image; 6, these two, the same of the
            image one pixel further down and to the right, and further up and to the left, reflected
            at the edges; 18, these two of all nine places within a pixel. Defaults to 6.
        batch_size: int. Defaults to 500.

    Returns:
        float array `(views, samples, classes)`.

    Raises:
        ValueError: for another number of views.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    >>> predict_views(model, np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]]), views=2)
    array([[[1., 2., 3., 6.]],
    <BLANKLINE>
           [[2., 1., 6., 3.]]], dtype=float32)

    Reference:
        https://github.com/KellerJordan/cifar10-airbench
    """
    if views not in WEIGHTS or isinstance(views, bool):
        raise ValueError(f"`views` must be one of {tuple(WEIGHTS)}. Received: views={views!r}")
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    places = (padded[:, 1 + down :, 1 + right :][:, :height, :width] for down, right in _PLACES[views])
    shown = (each for place in places for each in (place, place[:, :, ::-1])[:views])
    batch_size = full_batch(len(images), batch_size)
    return np.stack([model.predict(view, batch_size=batch_size, verbose=0) for view in shown])


def mean_of_views(logits):
    """The mean over the views of `predict_views`, in which the image as it is counts most.

    Args:
        logits: float array `(views, samples, classes)`.

    Returns:
        float array `(samples, classes)`.

    Example:

    >>> mean_of_views(np.array([[[1.0, 2.0]], [[3.0, 2.0]]]))
    array([[2., 2.]])
    """
    return np.tensordot(np.array(WEIGHTS[len(logits)], logits.dtype), logits, axes=1)


def refine(model, images, logits, fraction, views=6, batch_size=500):
    """Look once more, in several views, at the images of which a model is least sure.

    Few others would change their class, so this costs `fraction` of test-time augmentation.

    Args:
        model: a `keras.Model` from images to logits.
        images: array `(samples, height, width, channels)`.
        logits: float array `(samples, classes)`, what is known of the images.
        fraction: float in [0, 1]. Of the images, those with the smallest lead of the first class.
        views: as in `predict_views`. Defaults to 6.
        batch_size: int. Defaults to 500.

    Returns:
        float array `(samples, classes)`.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    >>> known = np.array([[0.0, 9.0, 0.0, 0.0], [0.0, 0.1, 0.0, 0.0]], "float32")
    >>> refine(model, np.ones((2, 2, 2, 1)), known, fraction=0.5)
    array([[0., 9., 0., 0.],
           [1., 1., 1., 1.]], dtype=float32)
    """
    second, first = np.sort(logits, axis=-1)[:, -2:].T
    unsure = np.argsort(first - second)[: round(fraction * len(images))]
    logits = logits.copy()
    if len(unsure):
        logits[unsure] = mean_of_views(predict_views(model, images[unsure], views, batch_size))
    return logits


def accuracy(logits, labels):
    """The fraction of samples whose highest logit is that of their class.

    Args:
        logits: float array `(samples, classes)`.
        labels: int array `(samples,)`.

    Returns:
        float in [0, 1].

    Example:

    >>> accuracy(np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([1, 1]))
    0.5
    """
    return float(np.mean(logits.argmax(-1) == labels))


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
    return accuracy(mean_of_views(predict_views(model, images, 2, batch_size)), labels)
