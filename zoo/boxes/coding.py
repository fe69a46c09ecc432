"""Boxes as a network gives them: by their distance from anchors."""

import math

import keras

from zoo.boxes import overlaps

STD = (0.1, 0.1, 0.2, 0.2)
LARGEST_LOG = math.log(1000 / 16)  # of a side over the anchor's: an object of 1,000 pixels found by an anchor of 16


def encode(boxes, anchors, std=STD):
    """What a network must give for these boxes.

    The shift of the centre in widths and heights of the anchor, and the logarithm of the sides over the
    anchor's, divided by `std`. Sides below a pixel count as one.

    Args:
        boxes: `(..., anchors, 4)`: for each anchor its object.
        anchors: `(anchors, 4)`.
        std: tuple of four. The usual size of each number.

    Returns:
        float32 `(..., anchors, 4)`.

    Example:

    >>> regressions = encode([[2.0, 0.0, 12.0, 10.0]], [[0.0, 0.0, 10.0, 10.0]])
    >>> keras.ops.convert_to_numpy(regressions).round(3).tolist()
    [[2.0, 0.0, 0.0, 0.0]]

    Reference:
        https://arxiv.org/abs/1311.2524
    """
    x, y, width, height = _centre(boxes)
    anchor_x, anchor_y, anchor_width, anchor_height = _centre(anchors)
    width, height = keras.ops.maximum(width, 1.0), keras.ops.maximum(height, 1.0)
    parts = [
        (x - anchor_x) / anchor_width,
        (y - anchor_y) / anchor_height,
        keras.ops.log(width / anchor_width),
        keras.ops.log(height / anchor_height),
    ]
    return keras.ops.stack([part / each for part, each in zip(parts, std)], axis=-1)


def decode(regressions, anchors, std=STD, largest_log=LARGEST_LOG):
    """The boxes that a network gives: what `encode` does, backwards.

    Args:
        regressions: `(..., anchors, 4)`.
        anchors: `(anchors, 4)`.
        std: as for `encode`.
        largest_log: float. Bound of the logarithm of a side over the anchor's, so that an untrained
            network gives no infinite boxes.

    Returns:
        float32 `(..., anchors, 4)`, not cut off at the edges of the image.

    Example:

    >>> boxes = decode([[2.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 10.0, 10.0]])
    >>> keras.ops.convert_to_numpy(boxes).round(3).tolist()
    [[2.0, 0.0, 12.0, 10.0]]
    """
    x, y, log_width, log_height = (part * each for part, each in zip(overlaps.sides(regressions), std))
    anchor_x, anchor_y, anchor_width, anchor_height = _centre(anchors)
    x, y = anchor_x + x * anchor_width, anchor_y + y * anchor_height
    half_width = keras.ops.exp(keras.ops.minimum(log_width, largest_log)) * anchor_width / 2
    half_height = keras.ops.exp(keras.ops.minimum(log_height, largest_log)) * anchor_height / 2
    return keras.ops.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)


def clip(boxes, sizes):
    """Cut boxes off at the edges of their images.

    Args:
        boxes: `(batch, count, 4)`.
        sizes: `(batch, 2)` or `(2,)`. Height and width of each image, or of all.

    Returns:
        float32 `(batch, count, 4)`. A box outside has no area.

    Example:

    >>> keras.ops.convert_to_numpy(clip([[[-1.0, 2.0, 30.0, 40.0]]], (20, 10))).tolist()
    [[[0.0, 2.0, 10.0, 20.0]]]
    """
    if isinstance(sizes, (list, tuple)):
        sizes = keras.ops.stack([keras.ops.cast(side, "float32") for side in sizes])
    sizes = keras.ops.cast(sizes, "float32")
    height, width = sizes[..., 0:1], sizes[..., 1:2]
    left, top, right, bottom = overlaps.sides(boxes)
    left, right = (keras.ops.minimum(keras.ops.maximum(side, 0.0), width) for side in (left, right))
    top, bottom = (keras.ops.minimum(keras.ops.maximum(side, 0.0), height) for side in (top, bottom))
    return keras.ops.stack([left, top, right, bottom], axis=-1)


def _centre(boxes):
    """Centre, width and height."""
    left, top, right, bottom = overlaps.sides(boxes)
    width, height = right - left, bottom - top
    return left + width / 2, top + height / 2, width, height
