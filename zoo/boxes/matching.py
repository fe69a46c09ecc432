"""Which anchor is to find which object."""

import keras

from zoo.boxes import overlaps

NOTHING = -1  # the label of a row that fills up
CROWD = -2  # the label of a region of many objects
_MOSTLY = 0.5


def match(anchors, boxes, labels, sizes=None, positive=0.5, negative=0.4, best=False):
    """Give each anchor the object that it overlaps most, or none.

    An anchor is positive if it overlaps its object by `positive` at least, negative below `negative`, and
    ignored between. Ignored, too: anchors whose centre lies outside the real image, and negative ones at
    least half of which lies in a crowd. It takes memory for every anchor of the batch, not for every
    pair of anchor and object: objects come one after another.

    Args:
        anchors: `(anchors, 4)`.
        boxes: `(batch, count, 4)`.
        labels: int `(batch, count)`: at least 0 for an object, -1 for a row that fills up, -2 for a crowd.
        sizes: `(batch, 2)`. Height and width of the real image in the upper left corner of a padded one.
            Defaults to None, all of it.
        positive: float. Intersection over union.
        negative: float, at most `positive`.
        best: bool. Whether each object also gets the anchor that overlaps it most, however little that is;
            without, small objects may have none. Defaults to False, as published.

    Returns:
        `(index, state)`, both int32 `(batch, anchors)`: the row of the object, 0 if there is none, and 1 for
        positive, 0 for negative, -1 for ignored.

    Raises:
        ValueError: if the shapes do not fit, or the thresholds are not `0 < negative <= positive <= 1`.

    Example:

    >>> anchors = [[0.0, 0.0, 8.0, 8.0], [4.0, 0.0, 12.0, 8.0], [40.0, 40.0, 48.0, 48.0]]
    >>> index, state = match(anchors, [[[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 9.0, 8.0]]], [[-1, 0]])
    >>> keras.ops.convert_to_numpy(index).tolist(), keras.ops.convert_to_numpy(state).tolist()
    ([[1, 1, 0]], [[1, -1, 0]])

    Reference:
        https://arxiv.org/abs/1708.02002
    """
    boxes = keras.ops.cast(keras.ops.convert_to_tensor(boxes), "float32")
    labels = keras.ops.cast(keras.ops.convert_to_tensor(labels), "int32")
    _check(boxes, labels, positive, negative)
    anchors = [side[None] for side in overlaps.sides(anchors)]
    inside = _inside(anchors, sizes)
    most, index, crowded, forced = _compare(anchors, boxes, labels, inside, best)
    state = keras.ops.where(most >= positive, 1, keras.ops.where(most >= negative, -1, 0))
    state = keras.ops.where(keras.ops.logical_and(state == 0, crowded >= _MOSTLY), -1, state)
    if best:
        index = keras.ops.where(forced >= 0, forced, index)
        state = keras.ops.where(forced >= 0, 1, state)
    state = keras.ops.where(inside, state, -1)
    return index, keras.ops.cast(state, "int32")


def _compare(anchors, boxes, labels, inside, best):
    """Overlap with the nearest object and its row, part in a crowd, row of an object that has no better anchor."""
    ops = keras.ops
    anchor_area = overlaps.area(anchors)
    zeros = ops.zeros_like(anchor_area + ops.sum(boxes, axis=(1, 2))[:, None])
    rows = ops.cast(zeros, "int32")
    if labels.shape[1] == 0:
        return zeros, rows, zeros, rows - 1
    places = ops.cumsum(ops.ones_like(rows), axis=1) - 1

    def compare(row, carried):
        most, index, crowded, forced, forced_most = carried
        box = [side[:, None] for side in overlaps.sides(ops.take(boxes, row, axis=1))]
        label = ops.take(labels, row, axis=1)[:, None]
        shared = overlaps.intersection(anchors, box)
        overlap = shared / ops.maximum(anchor_area + overlaps.area(box) - shared, overlaps.LEAST_AREA)
        overlap = ops.where(label >= 0, overlap, 0.0)
        crowded = ops.where(label == CROWD, ops.maximum(crowded, shared / anchor_area), crowded)
        if best:
            inner = ops.where(inside, overlap, 0.0)
            chosen = places == ops.cast(ops.argmax(inner, axis=1), "int32")[:, None]
            chosen = ops.logical_and(chosen, inner > forced_most)
            forced, forced_most = ops.where(chosen, row, forced), ops.where(chosen, inner, forced_most)
        nearer = overlap > most
        index, most = ops.where(nearer, ops.cast(row, "int32"), index), ops.where(nearer, overlap, most)
        return most, index, crowded, ops.cast(forced, "int32"), forced_most

    used = ops.where(labels != NOTHING, ops.arange(ops.shape(labels)[1], dtype="int32") + 1, 0)
    count = ops.max(used, initial=0)  # rows that only fill up cost nothing
    return ops.fori_loop(0, count, compare, (zeros, rows, zeros, rows - 1, zeros))[:4]


def _inside(anchors, sizes):
    """Whether the centre of each anchor lies in the real image."""
    left, top, right, bottom = anchors
    if sizes is None:
        return keras.ops.ones_like(left, dtype="bool")
    sizes = keras.ops.cast(sizes, "float32")
    height, width = sizes[:, 0:1], sizes[:, 1:2]
    return keras.ops.logical_and((left + right) / 2 < width, (top + bottom) / 2 < height)


def _check(boxes, labels, positive, negative):
    if len(boxes.shape) != 3 or boxes.shape[-1] != 4 or len(labels.shape) != 2:
        raise ValueError(
            "`boxes` must be (batch, count, 4) and `labels` (batch, count). "
            f"Received: shapes {tuple(boxes.shape)} and {tuple(labels.shape)}"
        )
    if not 0 < negative <= positive <= 1:
        raise ValueError(
            f"The thresholds must be 0 < negative <= positive <= 1. Received: negative={negative}, positive={positive}"
        )
