"""Pictures of what a network makes of images; each function returns a matplotlib Figure."""

import numpy as np

from recipes.reporting.tiles import Tile
from recipes.reporting.tiles import plot_tiles
from recipes.reporting.tiles import words

_RIGHT, _WRONG = "#1a7f37", "#cf222e"


def plot_classes(evaluation, images, classes=None, count=10):
    """Show predictions class by class, with their confidences: green where right, red where wrong.

    Args:
        evaluation: an `Evaluation`. Without labels the classes are the predicted ones.
        images: uint8 `(images, height, width, 3)`, or what gives one where it is sliced.
        classes: list of int, or None for three of those that have images: of the highest recall, the middle
            one and the lowest; without labels, of the most images. Defaults to None.
        count: int. Images of each class, from all over the set. Defaults to 10.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if none of the classes has an image.

    Example:

    >>> from recipes.reporting.metrics import Evaluation
    >>> evaluation = Evaluation([0, 0], np.array([[0.75, 0.25], [0.4, 0.6]]), ["cat", "dog"])
    >>> figure = plot_classes(evaluation, np.zeros((2, 8, 8, 3), "uint8"))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['cat: 1 of 2 right', 'cat 75%', 'dog 60%']
    """
    names = evaluation.class_names
    groups = evaluation.predicted if evaluation.labels is None else evaluation.labels
    classes = _telling_classes(evaluation, groups) if classes is None else classes
    rows, headings = [], []
    for each in classes:
        positions = np.flatnonzero(groups == each)
        right = int((evaluation.predicted[positions] == each).sum())
        if len(positions):
            known = f"{right:,} of {len(positions):,} right" if evaluation.labels is not None else "predicted"
            headings.append(f"{words(names[each], length=60)}: {known}")
            chosen = positions[np.unique(np.linspace(0, len(positions) - 1, count).round().astype(int))]
            rows.append([_predicted_tile(evaluation, images, position) for position in map(int, chosen)])
    if not rows:
        raise ValueError(f"None of the classes has an image. Received: classes={list(classes)}")
    return plot_tiles(rows, headings)


def plot_grad_cam(images, maps, titles, headings=None, title=""):
    """Show images, and beside each where a network looks: grey where it does not, bright where it does most.

    Args:
        images: list of uint8 `(height, width, 3)`.
        maps: list with a list for each image, of float `(rows, columns)`, at least 0, of any size.
        titles: list with a list of str for each image: of the image, and of each map; of one that is 0 everywhere
            it says "nothing" too.
        headings: list of str, one for each image, or None. Defaults to None.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`: a row for each image. Every map is on a scale of its own.

    Example:

    >>> images = np.zeros((1, 8, 8, 3), "uint8")
    >>> figure = plot_grad_cam(images, [[np.eye(2)]], [["cat 87%", "cat"]])
    >>> len(figure.axes[0].images)
    2
    """
    rows = []
    for image, own, (first, *others) in zip(images, maps, titles, strict=True):
        others = [text if np.any(each) else f"{text}: nothing" for text, each in zip(others, own, strict=True)]
        shown = [Tile(overlay(image, each), text) for each, text in zip(own, others)]
        rows.append([Tile(image, first), *shown])
    return plot_tiles(rows, headings, title)


def plot_feature_maps(images, maps, count=11, title=""):
    """Show images, and the feature maps of the strongest channels beside each.

    Args:
        images: list of uint8 `(height, width, 3)`.
        maps: float `(images, rows, columns, channels)`.
        count: int. Channels, those that vary most over all positions of the images. Defaults to 11.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`: a row for each image. The channels are the same in each row, and each has one
        scale in all rows, from its least to its largest value.

    Example:

    >>> maps = np.random.default_rng(0).random((2, 4, 4, 8))
    >>> figure = plot_feature_maps(np.zeros((2, 8, 8, 3), "uint8"), maps, count=3)
    >>> len(figure.axes[0].images)
    8
    """
    maps = np.asarray(maps, "float32")
    strongest = np.sort(np.argsort(-maps.std((0, 1, 2)), kind="stable")[:count])
    low, high = maps.min((0, 1, 2)), maps.max((0, 1, 2))
    scaled = (maps - low) / np.where(high > low, high - low, 1)
    rows = [
        [Tile(image, "image"), *(Tile(_colored(own[..., each], "viridis"), f"channel {each}") for each in strongest)]
        for image, own in zip(images, scaled, strict=True)
    ]
    return plot_tiles(rows, title=title)


def plot_filters(kernel, count=64, columns=16, title=""):
    """Show the filters of a convolution: in colours where it reads three channels.

    Args:
        kernel: float `(height, width, channels, filters)`.
        count: int. Filters that are shown, the first ones. Defaults to 64.
        columns: int. Pictures in a row. Defaults to 16.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`. Every filter has a scale of its own, on which 0 is the middle: grey of colours;
        white of others, blue below it and red above. Of these there is a row for each filter, with the first
        channels that it reads.

    Raises:
        ValueError: if it is no such array.

    Example:

    >>> len(plot_filters(np.ones((3, 3, 3, 20))).axes[0].images)
    20
    """
    kernel = np.asarray(kernel, "float32")
    if kernel.ndim != 4 or not kernel.size:
        raise ValueError(f"`kernel` must be (height, width, channels, filters). Received: {kernel.shape}")
    most = abs(kernel).max((0, 1, 2))
    scaled = 0.5 + 0.5 * kernel / np.where(most > 0, most, 1)
    if kernel.shape[2] == 3:
        tiles = [Tile(_bytes(scaled[..., number]), f"{number}") for number in range(min(count, kernel.shape[3]))]
        return plot_tiles([tiles[start : start + columns] for start in range(0, len(tiles), columns)], title=title)
    numbers = range(min(max(count // columns, 1), kernel.shape[3]))
    rows = [[Tile(_colored(part, "RdBu_r")) for part in np.moveaxis(scaled[..., each], -1, 0)] for each in numbers]
    return plot_tiles([row[:columns] for row in rows], [f"filter {each}" for each in numbers], title)


def overlay(image, values):
    """Lay a map over an image.

    Args:
        image: uint8 `(height, width, 3)`.
        values: float `(rows, columns)`, at least 0: of any size, enlarged smoothly.

    Returns:
        uint8 `(height, width, 3)`: the image in grey where the map is 0, coloured towards its largest value.

    Example:

    >>> overlay(np.full((4, 4, 3), 100, "uint8"), np.zeros((2, 2)))[0, 0]
    array([100, 100, 100], dtype=uint8)
    """
    import matplotlib
    from PIL import Image

    image, values = np.asarray(image, "float32"), np.asarray(values, "float32")
    large = Image.fromarray(values).resize(image.shape[1::-1], Image.Resampling.BILINEAR)
    large = np.asarray(large)[..., None] / max(values.max(), np.finfo("float32").tiny)
    colors = 255 * matplotlib.colormaps["turbo"](large[..., 0])[..., :3]
    grey = image.mean(-1, keepdims=True)
    opacity = 0.6 * large.clip(0, 1)
    return ((1 - opacity) * grey + opacity * colors).round().astype("uint8")


def _telling_classes(evaluation, groups):
    """Three classes: the best, the middle one and the worst, or the most frequent of what was predicted."""
    counts = np.bincount(groups, minlength=len(evaluation.class_names))
    present = np.flatnonzero(counts)
    if evaluation.labels is None:
        return np.argsort(-counts, kind="stable")[: min(3, len(present))]
    right = np.bincount(groups[evaluation.predicted == groups], minlength=len(counts))
    ordered = present[np.argsort(-right[present] / counts[present], kind="stable")]
    return ordered[np.unique([0, len(ordered) // 2, len(ordered) - 1])]


def _predicted_tile(evaluation, images, position):
    """An image with its prediction."""
    predicted, label = evaluation.predicted[position], None
    if evaluation.labels is not None:
        label = evaluation.labels[position]
    color = "black" if label is None else _RIGHT if label == predicted else _WRONG
    title = words(evaluation.class_names[predicted], evaluation.confidence[position])
    return Tile(np.asarray(images[position : position + 1])[0], title, color)


def _colored(values, name):
    """Values from 0 to 1 in the colours of a map."""
    import matplotlib

    return _bytes(matplotlib.colormaps[name](values)[..., :3])


def _bytes(values):
    return (255 * np.clip(values, 0, 1)).round().astype("uint8")
