"""A picture of what every augmentation does to given images."""

import re

import numpy as np

import augment
from recipes.data import decoding
from recipes.reporting.plots import plot_images


def plot_preview(paths=(), size=96, seed=0, columns=6):
    """Show every augmentation on images, with the choices of several epochs side by side.

    Args:
        paths: list of image files; scikit-learn's two photographs if it is empty. Defaults to none.
        size: int. Pixels a side that the images are scaled to. Defaults to 96.
        seed: int. Defaults to 0.
        columns: int. Pictures of each image in a row, the original first. Defaults to 6.

    Returns:
        A `matplotlib.figure.Figure`: a row for each augmentation.

    Raises:
        ValueError: if a file is missing or no image, or `size` is too small.

    Example:

    >>> len(plot_preview(columns=2).axes) % 2
    0
    """
    if size < 16:
        raise ValueError(f"`size` must be at least 16 pixels. Received: size={size}")
    images = read_images(paths, size)
    pictures, titles = [], []
    for title, operation in examples(size).items():
        for row in draws(operation, images, columns - 1, seed):
            pictures += row
            titles += ["original", *[title] * (columns - 1)]
    return plot_images(pictures, titles, columns * len(images))


def examples(size):
    """Every operation, strong enough to be seen; the sizes are those of CIFAR-10, in proportion.

    What is not set here is shown with its defaults, so a new operation appears by itself.

    Args:
        size: int. Pixels a side of the images.

    Returns:
        dict of title to `augment.Operation`.

    Example:

    >>> "random erasing" in examples(96)
    True
    """
    eighth, quarter = size // 8, size // 4
    chosen = {
        "pad, crop": augment.PadCrop(eighth),
        "pad by edge, crop": augment.PadCrop(eighth, mode="edge"),
        "pad by 0, crop": augment.PadCrop(eighth, mode="constant"),
        "crop, pad": augment.CropPad(eighth),
        "resized crop": augment.RandomResizedCrop(size),
        "resize": augment.Resize((size // 2, size)),
        "center crop": augment.CenterCrop(3 * quarter),
        "horizontal flip": augment.HorizontalFlip(),
        "alternating flip": augment.AlternatingFlip(),
        "vertical flip": augment.VerticalFlip(),
        "translation": augment.Translation(0.2),
        "rotation": augment.Rotation(15, mode="reflect"),
        "color jitter": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
        "brightness": augment.Brightness(0.5),
        "contrast": augment.Contrast(0.5),
        "saturation": augment.Saturation(0.8),
        "hue": augment.Hue(0.2),
        "grayscale": augment.Grayscale(0.5),
        "gaussian blur": augment.GaussianBlur((0.5, size / 32)),
        "normalize": augment.Normalize((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
        "cutout": augment.Cutout(quarter),
        "cutout, 2 clipped": augment.Cutout(quarter, count=2, inside=False),
        "random erasing": augment.RandomErasing(probability=1.0),
        "erasing, one value": augment.RandomErasing(probability=1.0, per_pixel=False),
        "mixup": augment.Mixup(1.0),
        "cutmix": augment.CutMix(),
        "some of the time": augment.RandomApply([augment.Grayscale(1.0), augment.Rotation(30)]),
        "one of them": augment.OneOf([augment.Grayscale(1.0), augment.Cutout(quarter), augment.Hue(0.3)]),
        "in any order": augment.RandomOrder([augment.Cutout(quarter), augment.Rotation(45, mode="edge")]),
    }
    shown = {type(operation) for operation in chosen.values()}
    others = [value for value in vars(augment).values() if _is_operation(value) and value not in shown]
    return chosen | {re.sub("(?<=[a-z])(?=[A-Z])", " ", each.__name__).lower(): each() for each in others}


def draws(operation, images, count, seed=0):
    """Each image, and what some epochs make of it.

    Args:
        operation: an `augment.Operation`.
        images: uint8 `(samples, height, width, channels)`, changed all at once, so that they can be mixed.
        count: int. How many epochs.
        seed: int. Defaults to 0.

    Returns:
        A list for each image: uint8 pictures, the original first.

    Example:

    >>> [row] = draws(augment.HorizontalFlip(), np.zeros((1, 4, 4, 3), "uint8"), count=2)
    >>> len(row)
    3
    """
    index, labels = np.arange(len(images), dtype="int32"), np.eye(len(images), dtype="float32")
    batches, epoch = [images], 0
    while len(batches) <= count:
        changed, _ = augment.transform([operation], images, labels, index=index, seed=seed, epoch=epoch)
        epoch += 1
        # Of few images each is often its own partner, and mixed with itself: that would show nothing.
        if epoch > 8 * count or not operation.changes_labels() or (changed != images).any():
            batches.append(_as_picture(changed))
    return [[batch[number] for batch in batches] for number in range(len(images))]


def _is_operation(value):
    return isinstance(value, type) and issubclass(value, augment.Operation) and value is not augment.Operation


def _as_picture(images):
    """Pixels as they are; what is no longer in pixels' units, on its own range."""
    if images.min() < 0 or images.max() > 255:
        images = (images - images.min()) * (255 / (images.max() - images.min()))
    return images.round().astype("uint8")


def read_images(paths, size):
    """Read pictures: the middle square of each.

    Args:
        paths: list of image files; scikit-learn's two photographs if it is empty.
        size: int. Pixels a side that the squares are scaled to.

    Returns:
        uint8 `(count, size, size, 3)`.

    Raises:
        ValueError: if a file is missing or no image.

    Example:

    >>> read_images((), 32).shape
    (2, 32, 32, 3)
    """
    from PIL import Image

    if not paths:
        from sklearn.datasets import load_sample_images

        opened = [Image.fromarray(image) for image in load_sample_images().images]
    else:
        opened = [Image.fromarray(decoding.read_original(path)) for path in paths]
    squares = []
    for image in opened:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        squares.append(np.asarray(image.resize((size, size), box=(left, top, left + side, top + side))))
    return np.stack(squares)
