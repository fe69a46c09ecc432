"""How far boxes overlap."""

import keras

LEAST_AREA = 1e-8  # two boxes of no area overlap by 0, not by 0 / 0


def intersection_over_union(boxes, others):
    """The area that two boxes share, over the area that they cover together; for all pairs.

    Args:
        boxes: float `(..., count, 4)`.
        others: float `(..., other_count, 4)`.

    Returns:
        float32 `(..., count, other_count)`, from 0 to 1.

    Raises:
        ValueError: if the last axis of one is not of four sides.

    Example:

    >>> import numpy as np
    >>> overlaps = intersection_over_union(np.array([[0, 0, 2, 2]]), np.array([[0, 0, 2, 2], [1, 0, 3, 2]]))
    >>> np.round(keras.ops.convert_to_numpy(overlaps), 3)
    array([[1.   , 0.333]], dtype=float32)
    """
    boxes, others = sides(boxes), sides(others)
    boxes, others = [side[..., :, None] for side in boxes], [side[..., None, :] for side in others]
    shared = intersection(boxes, others)
    return shared / keras.ops.maximum(area(boxes) + area(others) - shared, LEAST_AREA)


def sides(boxes):
    """Take boxes apart.

    Args:
        boxes: `(..., 4)`.

    Returns:
        list of left, top, right and bottom, each float32 `(...)`.

    Raises:
        ValueError: if the last axis is not of four sides.

    Example:

    >>> [float(side[0]) for side in sides([[1, 2, 3, 4]])]
    [1.0, 2.0, 3.0, 4.0]
    """
    boxes = keras.ops.cast(keras.ops.convert_to_tensor(boxes), "float32")
    if boxes.shape[-1] != 4:
        raise ValueError(f"Boxes must be (..., 4): left, top, right, bottom. Received: shape={tuple(boxes.shape)}")
    return [boxes[..., side] for side in range(4)]


def area(box):
    """The area of boxes.

    Args:
        box: what `sides` returns.

    Returns:
        float32, 0 for a box whose right is not right of its left.

    Example:

    >>> float(area([1.0, 1.0, 3.0, 4.0]))
    6.0
    """
    left, top, right, bottom = box
    return keras.ops.maximum(right - left, 0.0) * keras.ops.maximum(bottom - top, 0.0)


def intersection(box, other):
    """The area that boxes share, element by element.

    Args:
        box: what `sides` returns.
        other: likewise; the shapes broadcast.

    Returns:
        float32 of the common shape.

    Example:

    >>> float(intersection([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]))
    2.0
    """
    left, top = (keras.ops.maximum(box[side], other[side]) for side in (0, 1))
    right, bottom = (keras.ops.minimum(box[side], other[side]) for side in (2, 3))
    return area((left, top, right, bottom))
