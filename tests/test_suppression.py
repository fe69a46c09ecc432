"""Suppression against the greedy loop that defines it, one box after another."""

import math

import keras
import numpy as np
import pytest
from compiled import run

from zoo import boxes as of
from zoo.boxes import sweep


def greedy(boxes, scores, labels, threshold):
    """Torchvision's algorithm: the best that is left stays, and drops what overlaps it."""
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    dropped, kept = np.zeros(len(boxes), bool), []
    for best in np.argsort(-scores, kind="stable"):
        if dropped[best]:
            continue
        kept.append(best)
        width = np.minimum(right[best], right) - np.maximum(left[best], left)
        height = np.minimum(bottom[best], bottom) - np.maximum(top[best], top)
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore"):
            dropped |= (labels == labels[best]) & (shared / (areas + areas[best] - shared) > threshold)
    return np.array(kept, "int64")


def scattered(rng, count, side=200, whole=False):
    corner = rng.uniform(0, side, (count, 2))
    boxes = np.concatenate([corner, corner + np.exp(rng.uniform(1.5, 4.5, (count, 2)))], axis=1).astype("float32")
    return np.round(boxes / 8) * 8 if whole else boxes


def clustered(rng, count, objects=4):
    centres = scattered(rng, objects)[rng.integers(objects, size=count)]
    return (centres + rng.normal(0, 3, (count, 4))).astype("float32")


def expected_detections(boxes, scores, threshold, score_threshold, candidates, detections):
    """One image, pair by pair of box and class."""
    place, label = np.nonzero(scores > score_threshold)
    best = np.argsort(-scores[place, label], kind="stable")[:candidates]
    place, label = place[best], label[best]
    kept = greedy(boxes[place], scores[place, label], label, threshold)[:detections]
    return boxes[place[kept]], scores[place[kept], label[kept]], label[kept]


@pytest.mark.parametrize(
    ("candidates", "detections", "threshold", "compiled"),
    [(480, 480, 0.5, False), (480, 20, 0.3, True), (50, 50, 0.7, True), (700, 700, 0.5, False)],
)
def test_suppression_on_the_device_equals_the_loop(candidates, detections, threshold, compiled):
    rng = np.random.default_rng(0)
    boxes = np.stack([scattered(rng, 120), clustered(rng, 120), scattered(rng, 120)])
    scores = rng.permutation(boxes.shape[0] * 120 * 4).reshape(3, 120, 4).astype("float32") / 1440
    scores[2] *= 0.04  # an image on which nothing is found
    options = {"candidates": candidates, "detections": detections, "iou_threshold": threshold}
    found = run(lambda *arrays: of.non_maximum_suppression(*arrays, **options), boxes, scores, compiled=compiled)
    for image in range(3):
        expected = expected_detections(boxes[image], scores[image], threshold, 0.05, candidates, detections)
        count = len(expected[2])
        for name, values in zip(("boxes", "scores", "labels"), expected):
            assert found[name].shape[:2] == (3, detections)
            np.testing.assert_array_equal(found[name][image, :count], values)
            assert (found[name][image, count:] == (-1 if name == "labels" else 0)).all()
    assert (found["labels"][2] == -1).all() and (found["labels"][:2, 0] >= 0).all()
    assert found["labels"].dtype == "int32"


def test_none_of_equal_scores_is_lost_or_found_twice():
    boxes = np.stack([np.arange(40.0) * 20, np.zeros(40), np.arange(40.0) * 20 + 10, np.ones(40)], axis=-1)[None]
    scores = np.full((1, 40, 1), 0.5, "float32")
    found = of.non_maximum_suppression(boxes, scores, candidates=40, detections=40)
    found = keras.ops.convert_to_numpy(found["boxes"])
    assert sorted(found[0, :, 0].tolist()) == boxes[0, :, 0].tolist()
    again = of.non_maximum_suppression(boxes, scores, candidates=40, detections=10)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again["boxes"]), found[:, :10])


def test_scores_that_are_no_numbers_are_not_found():
    boxes = scattered(np.random.default_rng(1), 6)[None]
    scores = np.array([0.9, np.nan, 0.8, 0.05, np.nan, 0.0], "float32")[None, :, None]
    found = of.non_maximum_suppression(boxes, scores, candidates=9, detections=9, iou_threshold=1.0)
    found = keras.ops.convert_to_numpy(found["scores"])
    np.testing.assert_array_equal(found[0, :3], np.float32([0.9, 0.8, 0.0]))


@pytest.mark.parametrize("boxes_of", [scattered, clustered])
@pytest.mark.parametrize("classes", [1, 3, 40])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.75, 1.0])
def test_suppression_of_many_equals_the_loop(boxes_of, classes, threshold):
    rng = np.random.default_rng(classes)
    boxes, labels = boxes_of(rng, 1500), rng.integers(-2, classes - 2, 1500)
    scores = rng.permutation(1500).astype("float32")
    expected = greedy(boxes, scores, labels, threshold)
    np.testing.assert_array_equal(of.suppress(boxes, scores, labels, threshold), expected)


@pytest.mark.parametrize("few", [0, 10**6])
def test_both_ways_to_compare_neighbours_equal_the_loop(few, monkeypatch):
    """In many small rounds, with equal scores and boxes, and boxes of no size."""
    for name, value in {"_SMALLEST": 16, "_LARGEST": 64, "_PAIRS": 300, "_ROWS": 8, "_FEW": few}.items():
        monkeypatch.setattr(sweep, name, value)
    rng = np.random.default_rng(5)
    boxes, labels = scattered(rng, 500, whole=True), rng.integers(3, size=500)
    boxes[::50, 2:] = boxes[::50, :2]
    scores = rng.integers(0, 5, 500) / 4
    for threshold in (0.0, 0.25, 0.5):
        found = of.suppress(boxes, scores, labels, threshold)
        np.testing.assert_array_equal(found, greedy(boxes, scores, labels, threshold))


def test_suppression_of_none_and_of_one_class():
    assert of.suppress(np.zeros((0, 4)), np.zeros(0)).tolist() == []
    boxes = scattered(np.random.default_rng(2), 50)
    scores = np.linspace(0, 1, 50)
    assert of.suppress(boxes, scores).tolist() == of.suppress(boxes, scores, np.full(50, 7)).tolist()


def test_detections_of_perfect_outputs_are_the_objects():
    image_shape, sizes = (70, 90), np.float32([[70, 90], [40, 50]])
    anchors = of.anchors(image_shape)
    objects = np.float32([[10, 10, 42, 42], [50, 30, 90, 70]])
    index, state = (keras.ops.convert_to_numpy(each) for each in of.match(anchors, objects[None], [[0, 1]]))
    coded = keras.ops.convert_to_numpy(of.encode(objects[index[0]], anchors))
    logits = np.full((2, len(anchors), 3), -9.0, "float32")
    logits[:, np.arange(len(anchors)), index[0] + 1] = np.where(state[0] == 1, 3.0, -9.0)
    outputs, few = (np.stack([coded, coded]), logits), {"candidates": 60, "detections": 5}
    found = run(
        lambda boxes, logits, sizes: of.detect(named(boxes, logits), image_shape, sizes, **few), *outputs, sizes
    )
    assert sorted(found["labels"][0].tolist()) == [-1, -1, -1, 1, 2]
    assert found["labels"][1].tolist() == [1, -1, -1, -1, -1]
    order = np.argsort(found["labels"][0, :2])
    np.testing.assert_allclose(found["boxes"][0, :2][order], objects, atol=1e-3)
    np.testing.assert_allclose(found["scores"][0, :2], 1 / (1 + math.exp(-3)), rtol=1e-5)
    # On the second image, the second object lies in the padding, beyond a width of 50.
    np.testing.assert_allclose(found["boxes"][1, :2], [[10, 10, 42, 40], [0, 0, 0, 0]], atol=1e-3)
    whole = run(lambda *outputs: of.detect(named(*outputs), image_shape, **few), *outputs, compiled=False)
    assert whole["boxes"].shape == (2, 5, 4)
    np.testing.assert_allclose(whole["boxes"][1, :2], found["boxes"][0, :2], atol=1e-4)


def named(boxes, logits):
    return {"boxes": boxes, "classes": logits}


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((3, 4), (3, 1)), {}, r"\(batch, count, 4\).*Received: shapes \(3, 4\) and \(3, 1\)"),
        (((1, 3, 4), (1, 3, 2)), {"iou_threshold": 2}, "from 0 to 1.*iou_threshold=2"),
        (((1, 3, 4), (1, 3, 2)), {"candidates": 50}, "detections=100, candidates=50"),
    ],
)
def test_bad_arguments_on_the_device_are_refused(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        of.non_maximum_suppression(*map(np.zeros, shapes), **options)


@pytest.mark.parametrize(
    ("arrays", "threshold", "message"),
    [
        ((np.zeros((3, 4)), np.zeros(2)), 0.5, r"Received: shapes \(3, 4\), \(2,\), \(2,\)"),
        ((np.full((3, 4), np.nan), np.zeros(3)), 0.5, "must be finite"),
        ((np.zeros((3, 4)), np.zeros(3)), -0.1, "iou_threshold=-0.1"),
    ],
)
def test_bad_arguments_for_many_are_refused(arrays, threshold, message):
    with pytest.raises(ValueError, match=message):
        of.suppress(*arrays, iou_threshold=threshold)
