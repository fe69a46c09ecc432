"""Anchors: the boxes of many sizes and shapes from which a detector starts, over all levels of a pyramid."""

import numbers

import keras
import numpy as np

SIZES = (32, 64, 128, 256, 512)
STRIDES = (8, 16, 32, 64, 128)
RATIOS = (0.5, 1.0, 2.0)
SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))


def anchors(image_shape, sizes=SIZES, strides=STRIDES, ratios=RATIOS, scales=SCALES):
    """Lay the anchors of all levels over an image.

    A level of stride s has `ceil(height / s)` rows and `ceil(width / s)` columns of cells, also where the
    sides are no multiples of the stride. Each cell has an anchor of every ratio and scale about its centre,
    of the area `(size * scale) ** 2`. Those that reach over the edge of the image are kept as they are.

    Args:
        image_shape: `(height, width)`: integers, or scalar tensors where the shape is known only while
            a graph runs, as `keras.ops.shape(images)[1:3]` gives them.
        sizes: tuple of one number per level. The side of the square anchor of scale 1.
        strides: tuple of one integer per level. Pixels from one cell to the next.
        ratios: tuple. Heights over widths.
        scales: tuple. Factors of the size.

    Returns:
        float32 `(anchors, 4)` in the order level, row, column, ratio, scale: a NumPy array if the shape is
        of integers, else a tensor.

    Raises:
        ValueError: if `sizes` and `strides` are not of one length, or a number is not positive.

    Example:

    >>> anchors((8, 16), sizes=(32,), strides=(8,), ratios=(1.0,), scales=(1.0,))
    array([[-12., -12.,  20.,  20.],
           [ -4., -12.,  28.,  20.]], dtype=float32)

    Reference:
        https://arxiv.org/abs/1708.02002
    """
    _check(sizes, strides, ratios, scales)
    height, width = image_shape
    static = all(isinstance(side, numbers.Integral) for side in (height, width))
    xp = np if static else keras.ops
    levels = [
        _level(xp, -(-height // stride), -(-width // stride), stride, _cell(size, ratios, scales))
        for size, stride in zip(sizes, strides)
    ]
    return xp.concatenate(levels, axis=0)


def _cell(size, ratios, scales):
    """The anchors about the origin."""
    sides = size * np.array(scales)[None, :]
    ratios = np.array(ratios)[:, None]
    widths = sides / np.sqrt(ratios)
    heights = widths * ratios
    corners = np.stack([-widths, -heights, widths, heights], axis=-1) / 2
    return corners.reshape(-1, 4).astype("float32")


def _level(xp, rows, columns, stride, cell):
    y = (xp.arange(rows, dtype="float32") + 0.5) * stride
    x = (xp.arange(columns, dtype="float32") + 0.5) * stride
    x, y = xp.meshgrid(x, y)
    centres = xp.stack([x, y, x, y], axis=-1)
    return xp.reshape(centres[:, :, None] + cell, (-1, 4))


def _check(sizes, strides, ratios, scales):
    if len(sizes) != len(strides):
        raise ValueError(
            f"Every level needs a size and a stride. Received: {len(sizes)} sizes={sizes}, "
            f"{len(strides)} strides={strides}"
        )
    for name, values in {"sizes": sizes, "strides": strides, "ratios": ratios, "scales": scales}.items():
        if len(values) == 0 or min(values) <= 0:
            raise ValueError(f"`{name}` must be positive numbers, at least one. Received: {name}={values}")
