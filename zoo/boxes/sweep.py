"""Suppression among very many boxes, in NumPy: only those near each other are compared."""

import typing

import numpy as np

_SMALLEST, _LARGEST = 128, 4096  # boxes that are settled in one round: few while many are still dropped
_PAIRS, _ROWS, _FEW = 2**15, 256, 192  # compared at a time: enough to be worth a call, few enough for the cache
_MARGIN = 1.00001  # for what float32 rounds


class _Boxes(typing.NamedTuple):
    """Boxes in the order of their places: class after class, and from left to right in each."""

    sides: np.ndarray  # float32 (5, count), with the area
    places: np.ndarray  # float64
    labels: np.ndarray
    ranks: np.ndarray  # 0 is the best

    def take(self, indices):
        return _Boxes(self.sides[:, indices], *(part[indices] for part in self[1:]))


def suppress(boxes, scores, labels=None, iou_threshold=0.5):
    """Leave out each box that overlaps a better one of its class; for any number of boxes, without a bound.

    The greedy result, as that of torchvision's `batched_nms`. Boxes are sorted along the image: one whose
    centre is far from another's cannot overlap it much, and is not compared. The best hundreds are settled
    at a time, and what they drop is gone before the next.

    Args:
        boxes: float array `(count, 4)`.
        scores: float array `(count,)`.
        labels: int array `(count,)`. Defaults to None, one class.
        iou_threshold: float. Boxes that overlap by more are the same.

    Returns:
        int64 array: the places of what stays, the best first; of equal scores, the first is the better.

    Raises:
        ValueError: if the shapes do not fit, a value is not finite, or the threshold is not from 0 to 1.

    Example:

    >>> boxes = np.array([[0, 0, 8, 8], [1, 0, 9, 8], [20, 0, 28, 8]])
    >>> suppress(boxes, np.array([0.3, 0.8, 0.5]))
    array([1, 2])
    """
    boxes, scores = np.asarray(boxes, "float32"), np.asarray(scores)
    labels = np.zeros(len(scores), "int64") if labels is None else np.asarray(labels)
    _check(boxes, scores, labels, iou_threshold)
    best_first = np.argsort(-scores, kind="stable")
    rest = _arrange(boxes[best_first], labels[best_first])
    kept, size = [], _SMALLEST
    while len(rest.ranks):
        best = _are_best(rest.ranks, size)
        block, rest = rest.take(np.flatnonzero(best)), rest.take(np.flatnonzero(~best))
        heads = block.take(_independent(block, iou_threshold))
        rest = rest.take(_apart(heads, rest, iou_threshold))
        kept.append(heads.ranks)
        size = min(2 * size, _LARGEST)
    return best_first[np.sort(np.concatenate(kept))] if kept else best_first


def _arrange(boxes, labels):
    left, top, right, bottom = boxes.T
    centres = (left.astype("float64") + right) / 2
    # Classes are so far apart that no box reaches another class.
    apart = np.ptp(centres) + 2 * np.ptp(boxes) + 1 if len(boxes) else 0
    places = centres + np.unique(labels, return_inverse=True)[1] * apart
    sides = np.stack([left, top, right, bottom, (right - left) * (bottom - top)])
    return _Boxes(sides, places, labels, np.arange(len(boxes))).take(np.argsort(places))


def _are_best(ranks, count):
    if len(ranks) <= count:
        return np.ones(len(ranks), "bool")
    return ranks < np.partition(ranks, count)[count]


def _independent(boxes, threshold):
    """Indices of what stays among few. Any number of turns settles as many of the best at least."""
    better, worse = map(np.concatenate, zip(*_near(boxes, boxes, threshold)))
    ordered = boxes.ranks[better] < boxes.ranks[worse]
    better, worse = better[ordered], worse[ordered]
    before, stays = None, np.ones(len(boxes.ranks), "bool")
    while before is None or (stays != before).any():
        before, stays = stays, np.ones_like(stays)
        stays[worse[before[better]]] = False
    return np.flatnonzero(stays)


def _apart(heads, rest, threshold):
    """Indices of the rest that overlap no head."""
    stays = np.ones(len(rest.ranks), "bool")
    for _, column in _near(heads, rest, threshold):
        stays[column] = False
    return np.flatnonzero(stays)


def _near(boxes, others, threshold):
    """Find the pairs that overlap by more: two arrays of indices, some pairs at a time."""
    reaches = _reaches(boxes.sides, others.sides, threshold)
    first = np.searchsorted(others.places, boxes.places - reaches, "left")
    last = np.maximum(np.searchsorted(others.places, boxes.places + reaches, "right"), first)
    few = last - first < _FEW
    yield from _near_few(boxes, others, threshold, first, last, np.flatnonzero(few))
    yield from _near_many(boxes, others, threshold, first, last, np.flatnonzero(~few))


def _near_few(boxes, others, threshold, first, last, rows):
    """Compare pair by pair, where each box has few neighbours."""
    counts = (last - first)[rows]
    parts = np.cumsum(counts) // _PAIRS
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(parts)) + 1):
        row, count = rows[part], counts[part]
        starts = first[row] - np.cumsum(count) + count
        row, column = np.repeat(row, count), np.arange(count.sum()) + np.repeat(starts, count)
        over = np.flatnonzero(_overlap(boxes.sides[:, row], others.sides[:, column], threshold))
        yield row[over], column[over]


def _near_many(boxes, others, threshold, first, last, rows):
    """Compare some boxes with all that lie near any of them, without the cost of gathering each pair."""
    widths = boxes.sides[2, rows] - boxes.sides[0, rows]
    rows = rows[np.lexsort((rows, np.frexp(widths)[1]))]  # those of like width see equally far
    start, count = 0, _ROWS

    def choose():
        row = rows[start : start + count]
        return row, first[row].min(), last[row].max()

    while start < len(rows):
        row, low, high = choose()
        while count > 1 and len(row) * (high - low) > _PAIRS:
            count //= 2
            row, low, high = choose()
        pairs = _overlap(boxes.sides[:, row, None], others.sides[:, None, low:high], threshold)
        pairs &= boxes.labels[row, None] == others.labels[low:high]
        over, column = np.nonzero(pairs)
        yield row[over], column + low
        start, count = start + count, min(2 * count, _ROWS)


def _reaches(sides, others, threshold):
    """How far the centre of a box that overlaps by more can be.

    The overlap of two boxes is at most that of their widths as intervals. Intervals of widths v and w whose
    centres are d apart overlap by more than t only if d < (v + w) (1 - t) / (2 (1 + t)) and t w < v.
    """
    widths = (sides[2] - sides[0]).astype("float64")
    widest = (others[2] - others[0]).max(initial=0)
    partners = np.minimum(widths / threshold, widest) if threshold else widest
    return _MARGIN * (widths + partners) * (1 - threshold) / (2 * (1 + threshold))


def _overlap(boxes, others, threshold):
    shared = np.minimum(boxes[2], others[2])
    shared -= np.maximum(boxes[0], others[0])
    np.maximum(shared, 0, out=shared)
    heights = np.minimum(boxes[3], others[3])
    heights -= np.maximum(boxes[1], others[1])
    np.maximum(heights, 0, out=heights)
    shared *= heights
    union = np.add(boxes[4], others[4], out=heights)
    union -= shared
    with np.errstate(invalid="ignore"):  # two boxes of no area: 0 / 0 is not more than the threshold
        shared /= union
    return shared > threshold


def _check(boxes, scores, labels, threshold):
    if boxes.ndim != 2 or boxes.shape[1] != 4 or scores.shape != boxes.shape[:1] or labels.shape != scores.shape:
        raise ValueError(
            "`boxes` must be (count, 4), `scores` and `labels` (count,). "
            f"Received: shapes {boxes.shape}, {scores.shape}, {labels.shape}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("`boxes` and `scores` must be finite. Received: NaN or infinity among them")
    if not 0 <= threshold <= 1:
        raise ValueError(f"`iou_threshold` must be from 0 to 1. Received: iou_threshold={threshold}")
