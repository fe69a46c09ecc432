"""What it takes to leave one box for each object, among 100,000 candidates of an image.

    KERAS_BACKEND=torch python benchmarks/suppression.py --output suppression.json

Three quarters of the boxes lie around 100 objects, as a detector finds them, the others anywhere; no
top-k comes before. "numpy" and "torch" are torchvision's algorithm, class by class, in those; "torchvision"
is its compiled operator, left out where it cannot be loaded. Each must keep the same boxes as ours.
"""

import argparse

import measure
import numpy as np

_RATIOS = [("zoo", "numpy"), ("zoo", "torch"), ("zoo", "torchvision")]
_NOTES = [
    "an image has all the candidates; its decoding is not timed",
    "numpy, torch: the loop of torchvision's operator, class by class, one vectorised comparison for each kept box",
    "torch and torchvision on as many threads as they choose; zoo and numpy on one",
]


def suppress_zoo(options):
    """Time ours."""
    from zoo import boxes

    return _time(options, boxes.suppress)


def suppress_numpy(options):
    """Time the loop in NumPy."""

    def suppress(boxes, scores, labels, threshold):
        kept = [
            members[_greedy(boxes[members], scores[members], threshold)]
            for members in (np.flatnonzero(labels == label) for label in np.unique(labels))
        ]
        kept = np.concatenate(kept)
        return kept[np.argsort(-scores[kept], kind="stable")]

    return _time(options, suppress)


def _greedy(boxes, scores, threshold):
    order, kept = np.argsort(-scores, kind="stable"), []
    left, top, right, bottom = boxes[order].T
    areas, places = (right - left) * (bottom - top), np.arange(len(boxes))
    while len(places):
        best, places = places[0], places[1:]
        kept.append(order[best])
        width = np.minimum(right[best], right[places]) - np.maximum(left[best], left[places])
        height = np.minimum(bottom[best], bottom[places]) - np.maximum(top[best], top[places])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        places = places[shared / (areas[best] + areas[places] - shared) <= threshold]
    return np.array(kept)


def suppress_torch(options):
    """Time the loop in torch."""
    import torch

    def suppress(boxes, scores, labels, threshold):
        kept = []
        for label in labels.unique():
            members = (labels == label).nonzero()[:, 0]
            kept.append(members[_greedy_torch(boxes[members], scores[members], threshold)])
        kept = torch.cat(kept)
        return kept[scores[kept].argsort(descending=True, stable=True)]

    return _time(options, suppress, torch.from_numpy)


def _greedy_torch(boxes, scores, threshold):
    import torch

    order, kept = scores.argsort(descending=True, stable=True), []
    corners, places = boxes[order], torch.arange(len(boxes))
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    while len(places):
        best, places = places[0], places[1:]
        kept.append(order[best])
        low = torch.maximum(corners[best, :2], corners[places, :2])
        high = torch.minimum(corners[best, 2:], corners[places, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        places = places[shared / (areas[best] + areas[places] - shared) <= threshold]
    return torch.stack(kept)


def suppress_torchvision(options):
    """Time torchvision's operator."""
    import torch
    import torchvision

    return _time(options, torchvision.ops.batched_nms, torch.from_numpy)


def _time(options, suppress, convert=lambda array: array):
    from zoo import boxes

    data = _candidates(options)
    arrays = [convert(array) for array in data]
    kept = np.sort(np.asarray(suppress(*arrays, options.iou_threshold)))
    if not np.array_equal(kept, np.sort(boxes.suppress(*data, options.iou_threshold))):
        raise RuntimeError("the contender keeps other boxes than zoo.boxes.suppress")

    def step():
        suppress(*arrays, options.iou_threshold)

    speed = measure.images_per_second(step, 1, options.repetitions, warm_up=0)
    return {"images_per_second": speed, "seconds": float(f"{1 / speed:.4g}"), "kept": len(kept)}


def _candidates(options):
    """Boxes, scores that are all different, and labels."""
    rng = np.random.default_rng(0)
    objects, labels = _anywhere(rng, options.objects), rng.integers(options.classes, size=options.objects)
    around = options.candidates * 3 // 4
    near = rng.integers(options.objects, size=around)
    sides = np.tile(objects[near, 2:] - objects[near, :2], 2)
    found = objects[near] + rng.normal(0, 0.15, (around, 4)) * sides
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    boxes = np.concatenate([found, _anywhere(rng, options.candidates - around)]).astype("float32")
    labels = np.concatenate([labels[near], rng.integers(options.classes, size=options.candidates - around)])
    scores = rng.permutation(options.candidates).astype("float32") / options.candidates
    return boxes, scores, labels


def _anywhere(rng, count):
    """Of 16 to 256 pixels, in an image of 1333x800."""
    corners = rng.uniform(0, (1333, 800), (count, 2))
    return np.concatenate([corners, corners + 2 ** rng.uniform(4, 8, (count, 2))], axis=1)


_CONTENDERS = {
    "zoo": suppress_zoo,
    "numpy": suppress_numpy,
    "torch": suppress_torch,
    "torchvision": suppress_torchvision,
}


def _is_there(name):
    if name not in ("torch", "torchvision"):
        return True
    try:
        __import__(name)
    except (ImportError, RuntimeError):  # operators that were built for another variant of torch
        return False
    return True


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    contenders = {name: function for name, function in _CONTENDERS.items() if _is_there(name)}
    measure.add_options(parser, rounds=5, contenders=contenders)
    parser.add_argument("--candidates", type=int, default=100_000, help="boxes (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=80, help="(default: %(default)s)")
    parser.add_argument("--objects", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--iou-threshold", type=float, default=0.5, help="(default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3, help="in a round (default: %(default)s)")
    measure.race(__file__, parser.parse_args(), contenders, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
