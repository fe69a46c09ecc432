"""A picture of what every augmentation does to given images."""

import pathlib

import numpy as np

import augment
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
    images = _read(paths, size)
    pictures, titles = [], []
    for title, operation in _operations(size).items():
        changed = [_augmented(operation, images, seed, epoch) for epoch in range(columns - 1)]
        for number, original in enumerate(images):
            pictures += [original, *(batch[number] for batch in changed)]
            titles += ["original", *[title] * len(changed)]
    return plot_images(pictures, titles, columns * len(images))


def _operations(size):
    """Every operation, strong enough to be seen; the sizes are those of CIFAR-10, in proportion."""
    eighth = size // 8
    return {
        "pad, crop": augment.PadCrop(eighth),
        "pad by edge, crop": augment.PadCrop(eighth, mode="edge"),
        "pad by 0, crop": augment.PadCrop(eighth, mode="constant"),
        "crop, pad": augment.CropPad(eighth),
        "horizontal flip": augment.HorizontalFlip(),
        "vertical flip": augment.VerticalFlip(),
        "rotation": augment.Rotation(15, mode="reflect"),
        "gaussian blur": augment.GaussianBlur((0.5, size / 32)),
        "cutout": augment.Cutout(size // 4),
        "cutout, 2 clipped": augment.Cutout(size // 4, count=2, inside=False),
        "random erasing": augment.RandomErasing(probability=1.0),
        "erasing, one value": augment.RandomErasing(probability=1.0, per_pixel=False),
        "mixup": augment.Mixup(1.0),
    }


def _augmented(operation, images, seed, epoch):
    """The images after one operation, all at once, so that Mixup has partners."""
    index, labels = np.arange(len(images), dtype="int32"), np.eye(len(images), dtype="float32")
    changed, _ = augment.transform([operation], images, labels, index=index, seed=seed, epoch=epoch)
    return changed.round().astype("uint8")


def _read(paths, size):
    """The images as uint8 `(count, size, size, 3)`; the middle square of each."""
    from PIL import Image

    if not paths:
        from sklearn.datasets import load_sample_images

        opened = [Image.fromarray(image) for image in load_sample_images().images]
    else:
        opened = [_open(pathlib.Path(path)) for path in paths]
    squares = []
    for image in opened:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        squares.append(np.asarray(image.resize((size, size), box=(left, top, left + side, top + side))))
    return np.stack(squares)


def _open(path):
    from PIL import Image

    try:
        return Image.open(path).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no image that can be read ({error}).") from error
