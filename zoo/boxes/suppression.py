"""From many overlapping boxes to one for each object."""

import keras

from zoo.boxes import coding
from zoo.boxes import overlaps
from zoo.boxes import pyramid


def detect(outputs, image_shape, sizes=None, *, anchors=None, std=coding.STD, **suppression):
    """Turn what a detector gives into detections: decode, cut off at the edges, suppress.

    Args:
        outputs: dict of "boxes" `(batch, anchors, 4)`, as coded, and "classes" `(batch, anchors, classes)`, logits.
        image_shape: `(height, width)` of the images that the network saw, as for `anchors`.
        sizes: `(batch, 2)`. Height and width of the real image in the upper left corner of a padded one: nothing
            is found outside. Defaults to None, all of it.
        anchors: `(anchors, 4)`. Defaults to None, those of `anchors(image_shape)`.
        std: tuple of four, as for `encode`.
        **suppression: as for `non_maximum_suppression`.

    Returns:
        dict, as of `non_maximum_suppression`.

    Raises:
        ValueError: as for `non_maximum_suppression`.

    Example:

    >>> import numpy as np
    >>> outputs = {"boxes": np.zeros((1, 45, 4), "float32"), "classes": np.full((1, 45, 3), -9.0, "float32")}
    >>> outputs["classes"][0, 0, 2] = 9.0
    >>> found = detect(outputs, (8, 8), detections=2, candidates=2)
    >>> [keras.ops.convert_to_numpy(found[name]).tolist() for name in ("labels", "boxes")]
    [[[2, -1]], [[[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 0.0, 0.0]]]]
    """
    if anchors is None:
        anchors = pyramid.anchors(image_shape)
    boxes = coding.clip(coding.decode(outputs["boxes"], anchors, std), image_shape if sizes is None else sizes)
    there = keras.ops.cast(overlaps.area(overlaps.sides(boxes)) > 0, "float32")
    scores = keras.ops.sigmoid(keras.ops.cast(outputs["classes"], "float32"))
    return non_maximum_suppression(boxes, scores * there[..., None], **suppression)


def non_maximum_suppression(boxes, scores, *, score_threshold=0.05, iou_threshold=0.5, candidates=1000, detections=100):
    """Leave out each box that overlaps a better one of its class.

    A box can be found as several classes. All is done at once on the device, in shapes that do not depend on
    the values: the `candidates` best pairs of box and class go on; then every one is dropped that overlaps one
    of its class which stands before it and is not dropped itself, over and over until nothing changes, which
    is after as many turns as the longest chain of overlaps has boxes. It takes memory for `candidates ** 2`
    floats an image; for many more, `suppress` is the better way.

    Args:
        boxes: `(batch, count, 4)`.
        scores: `(batch, count, classes)`, at least 0.
        score_threshold: float. Only higher scores count.
        iou_threshold: float. Boxes that overlap by more are the same.
        candidates: int. So many are compared.
        detections: int. So many come out, at most `candidates`.

    Returns:
        dict of "boxes" float32 `(batch, detections, 4)`, "scores" float32 `(batch, detections)`, and "labels"
        int32 `(batch, detections)`, the best first; rows of zeros with the label -1 fill up.

    Raises:
        ValueError: if shapes do not fit, or an argument is out of its range.

    Example:

    >>> boxes = [[[0.0, 0.0, 8.0, 8.0], [1.0, 0.0, 9.0, 8.0], [20.0, 0.0, 28.0, 8.0]]]
    >>> found = non_maximum_suppression(boxes, [[[0.75], [0.5], [0.25]]], candidates=3, detections=3)
    >>> [keras.ops.convert_to_numpy(found[name]).tolist() for name in ("scores", "labels")]
    [[[0.75, 0.25, 0.0]], [[0, 0, -1]]]
    """
    boxes = keras.ops.cast(keras.ops.convert_to_tensor(boxes), "float32")
    scores = keras.ops.cast(keras.ops.convert_to_tensor(scores), "float32")
    _check(boxes, scores, score_threshold, iou_threshold, candidates, detections)
    boxes, scores, labels = _best(boxes, scores, score_threshold, candidates)
    kept = _independent(_suppressions(boxes, labels, iou_threshold), scores > 0)
    # Ranks are all different, so that every backend chooses the same among equal scores.
    ranks = keras.ops.arange(candidates, 0, -1, dtype="float32")
    rank, chosen = keras.ops.top_k(keras.ops.where(kept, ranks, 0.0), detections)
    there = rank > 0
    boxes = keras.ops.take_along_axis(boxes, chosen[..., None], axis=1)
    return {
        "boxes": keras.ops.where(there[..., None], boxes, 0.0),
        "scores": keras.ops.where(there, keras.ops.take_along_axis(scores, chosen, axis=1), 0.0),
        "labels": keras.ops.where(there, keras.ops.take_along_axis(labels, chosen, axis=1), -1),
    }


def _best(boxes, scores, threshold, candidates):
    """The best pairs of box and class, in order; scores of those that do not count are 0."""
    ops = keras.ops
    classes = ops.shape(scores)[-1]
    # The best pairs lie among the boxes that are best by their best class: the rest of the pairs is never sorted.
    highest = ops.max(scores, axis=-1)
    filling = ops.zeros_like(highest[:, :1]) - 1.0
    highest = ops.concatenate(
        [ops.where(highest > threshold, highest, -1.0), ops.repeat(filling, candidates, axis=1)], axis=1
    )
    highest, places = ops.top_k(highest, candidates)
    places = ops.minimum(places, ops.shape(boxes)[1] - 1)
    boxes = ops.take_along_axis(boxes, places[..., None], axis=1)
    scores = ops.take_along_axis(scores, places[..., None], axis=1)
    scores = ops.where(ops.logical_and(scores > threshold, highest[..., None] > 0), scores, 0.0)
    scores, pairs = ops.top_k(ops.reshape(scores, (-1, candidates * classes)), candidates)
    boxes = ops.take_along_axis(boxes, (pairs // classes)[..., None], axis=1)
    return boxes, scores, ops.cast(pairs % classes, "int32")


def _suppressions(boxes, labels, threshold):
    """`(batch, candidates, candidates)`: whether the one of the row, if it stays, drops the one of the column."""
    count = boxes.shape[1]
    order = keras.ops.arange(count, dtype="int32")
    same = keras.ops.logical_and(labels[:, :, None] == labels[:, None, :], order[:, None] < order[None, :])
    return keras.ops.logical_and(same, overlaps.intersection_over_union(boxes, boxes) > threshold)


def _independent(suppressions, there):
    """What stays. Of the first n in the order, all are right after n turns, so that the end is the greedy result."""
    ops = keras.ops
    suppressions = ops.cast(suppressions, "float32")
    start = ops.cast(there, "float32")

    def turn(kept, before):
        dropped = ops.matmul(kept[:, None, :], suppressions)[:, 0]
        return ops.where(dropped > 0, 0.0, start), kept

    kept, _ = ops.while_loop(lambda kept, before: ops.any(kept != before), turn, (start, start - 1.0))
    return kept > 0


def _check(boxes, scores, score_threshold, iou_threshold, candidates, detections):
    if len(boxes.shape) != 3 or boxes.shape[-1] != 4 or len(scores.shape) != 3:
        raise ValueError(
            "`boxes` must be (batch, count, 4) and `scores` (batch, count, classes). "
            f"Received: shapes {tuple(boxes.shape)} and {tuple(scores.shape)}"
        )
    if not (0 <= score_threshold <= 1 and 0 <= iou_threshold <= 1):
        raise ValueError(
            "Thresholds must be from 0 to 1. "
            f"Received: score_threshold={score_threshold}, iou_threshold={iou_threshold}"
        )
    if not 1 <= detections <= candidates:
        raise ValueError(
            "`detections` must be 1 at least, and `candidates` at most. "
            f"Received: detections={detections}, candidates={candidates}"
        )
