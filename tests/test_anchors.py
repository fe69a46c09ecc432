"""Anchors against their formula, overlaps against counted pixels, matching against a loop over pairs."""

import math

import keras
import numpy as np
import pytest
from compiled import run

from zoo import boxes as of

SHAPES = [(1, 1), (64, 64), (33, 70), (131, 257)]


def published_anchors(height, width):
    """Section by section as the paper and the original describe it."""
    found = []
    for level in range(3, 8):
        stride, size = 2**level, 2 ** (level + 2)
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                for ratio in (0.5, 1, 2):
                    for scale in (2**0, 2 ** (1 / 3), 2 ** (2 / 3)):
                        across = math.sqrt((size * scale) ** 2 / ratio)
                        down = across * ratio
                        found.append((x - across / 2, y - down / 2, x + across / 2, y + down / 2))
    return np.array(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_anchors_equal_the_formula(shape):
    anchors = of.anchors(shape)
    assert isinstance(anchors, np.ndarray) and anchors.dtype == "float32"
    np.testing.assert_allclose(anchors, published_anchors(*shape), rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES[1:3])
def test_anchors_of_images_of_unknown_size(shape):
    found = run(lambda images: of.anchors(keras.ops.shape(images)[1:3]), np.zeros((2, *shape, 3), "float32"))
    np.testing.assert_array_equal(found, of.anchors(shape))


def test_anchors_of_other_pyramids():
    found = of.anchors((20, 30), sizes=(10, 40), strides=(10, 20), ratios=(4.0,), scales=(1.0, 2.0))
    assert found.shape == ((2 * 3 + 1 * 2) * 2, 4)
    assert found[0].tolist() == [2.5, -5.0, 7.5, 15.0]
    assert found[-1].tolist() == [10.0, -70.0, 50.0, 90.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (32, 64)}, "2 sizes=.* 5 strides="),
        ({"ratios": (1.0, 0.0)}, r"`ratios` must be positive.*\(1.0, 0.0\)"),
        ({"scales": ()}, "`scales` must be positive numbers, at least one"),
    ],
)
def test_bad_pyramids_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        of.anchors((64, 64), **options)


def whole_boxes(rng, count, side=24):
    corner, size = rng.integers(0, side, (count, 2)), rng.integers(0, side // 2, (count, 2))
    return np.concatenate([corner, corner + size], axis=1).astype("float32")


def test_overlap_equals_counted_pixels():
    rng = np.random.default_rng(0)
    boxes, others = whole_boxes(rng, 20), whole_boxes(rng, 30)

    def filled(box):
        pixels = np.zeros((40, 40), bool)
        left, top, right, bottom = box.astype(int)
        pixels[top:bottom, left:right] = True
        return pixels

    counted = [[(filled(a) & filled(b)).sum() / max((filled(a) | filled(b)).sum(), 1) for b in others] for a in boxes]
    found = keras.ops.convert_to_numpy(of.intersection_over_union(boxes, others))
    np.testing.assert_allclose(found, counted, atol=1e-6)
    batched = keras.ops.convert_to_numpy(of.intersection_over_union(boxes.reshape(2, 10, 4), others))
    np.testing.assert_array_equal(batched.reshape(20, 30), found)
    with pytest.raises(ValueError, match=r"left, top, right, bottom. Received: shape=\(5,\)"):
        of.intersection_over_union(boxes, np.zeros(5))


def test_coding_of_one_box_by_hand():
    anchor, box = [[10.0, 20.0, 50.0, 40.0]], [[20.0, 20.0, 40.0, 60.0]]
    found = keras.ops.convert_to_numpy(of.encode(box, anchor))
    np.testing.assert_allclose(found, [[0.0, 5.0, math.log(0.5) / 0.2, math.log(2) / 0.2]], rtol=1e-6)
    found = keras.ops.convert_to_numpy(of.encode(box, anchor, std=(1, 1, 1, 1)))
    np.testing.assert_allclose(found, [[0.0, 0.5, math.log(0.5), math.log(2)]], rtol=1e-6)


def test_decoding_undoes_encoding():
    rng = np.random.default_rng(1)
    anchors = of.anchors((70, 90))
    boxes = rng.uniform(0, 60, (2, len(anchors), 4)).astype("float32")
    boxes[..., 2:] += boxes[..., :2] + 1
    found = of.decode(of.encode(boxes, anchors), anchors)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), boxes, atol=1e-3)


def test_boxes_of_no_size_and_wild_outputs_stay_finite():
    anchors = [[0.0, 0.0, 16.0, 16.0]]
    found = keras.ops.convert_to_numpy(of.encode([[4.0, 4.0, 4.0, 4.0]], anchors))
    np.testing.assert_allclose(found, [[-2.5, -2.5] + [math.log(1 / 16) / 0.2] * 2], rtol=1e-6)
    found = keras.ops.convert_to_numpy(of.decode([[0.0, 0.0, 1e4, 1e4]], anchors))
    np.testing.assert_allclose(found, [[-492.0, -492.0, 508.0, 508.0]], rtol=1e-5)


def test_clip_to_one_or_to_each_image():
    boxes = [[[-5.0, -6.0, 70.0, 80.0]], [[30.0, 30.0, 40.0, 40.0]]]
    found = [keras.ops.convert_to_numpy(of.clip(boxes, sizes)) for sizes in ((50, 60), [[50, 60], [20, 10]])]
    np.testing.assert_array_equal(found[0], [[[0, 0, 60, 50]], [[30, 30, 40, 40]]])
    np.testing.assert_array_equal(found[1], [[[0, 0, 60, 50]], [[10, 20, 10, 20]]])


def matched(anchors, boxes, labels, size, positive, negative, best):
    """One image, pair by pair."""

    def area(box):
        return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)

    def shared(a, b):
        return area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))

    def overlap(a, b):
        return shared(a, b) / max(area(a) + area(b) - shared(a, b), 1e-8)

    def is_inside(anchor):
        return (anchor[0] + anchor[2]) / 2 < size[1] and (anchor[1] + anchor[3]) / 2 < size[0]

    index, state = [], []
    objects = [row for row in range(len(boxes)) if labels[row] >= 0]
    crowds = [row for row in range(len(boxes)) if labels[row] == -2]
    for anchor in anchors:
        overlaps = {row: overlap(anchor, boxes[row]) for row in objects}
        most = max(overlaps.values(), default=0.0)
        index.append(max(objects, key=overlaps.get) if most > 0 else 0)
        state.append(1 if most >= positive else -1 if most >= negative else 0)
        if state[-1] == 0 and any(shared(anchor, boxes[row]) / area(anchor) >= 0.5 for row in crowds):
            state[-1] = -1
    forced = {}
    for row in objects if best else ():
        overlaps = [overlap(anchor, boxes[row]) if is_inside(anchor) else 0.0 for anchor in anchors]
        place = int(np.argmax(overlaps))
        if overlaps[place] > forced.get(place, (0.0, 0))[0]:
            forced[place] = overlaps[place], row
    for place, (_, row) in forced.items():
        index[place], state[place] = row, 1
    state = [value if is_inside(anchor) else -1 for anchor, value in zip(anchors, state)]
    return index, state


def a_batch(anchors, images=4, rows=6):
    """Objects near anchors and far from them, small ones, crowds, and rows that fill up."""
    rng = np.random.default_rng(2)
    near = anchors[rng.integers(len(anchors), size=(images, rows))] + rng.uniform(-6, 6, (images, rows, 4))
    corner = rng.uniform(0, 60, (images, rows, 2))
    small = np.concatenate([corner, corner + rng.uniform(3, 9, (images, rows, 2))], axis=-1)
    boxes = np.where(rng.random((images, rows, 1)) < 0.7, near, small).astype("float32")
    labels = rng.choice([0, 1, 2, -1, -2], size=(images, rows)).astype("int32")
    labels[-1] = -1
    return boxes * (labels != -1)[..., None], labels, np.array([[70, 90], [50, 60], [70, 40], [64, 64]], "float32")


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("best", [False, True])
def test_matching_equals_a_loop_over_pairs(best, compiled):
    anchors = of.anchors((70, 90), sizes=(16, 32), strides=(16, 32))
    boxes, labels, sizes = a_batch(anchors)
    options = {"positive": 0.6, "negative": 0.3, "best": best}
    index, state = run(lambda *arrays: of.match(anchors, *arrays, **options), boxes, labels, sizes, compiled=compiled)
    assert index.dtype == state.dtype == "int32"
    doubles = anchors.astype("float64"), boxes.astype("float64")
    for image in range(len(boxes)):
        expected = matched(doubles[0], doubles[1][image], labels[image], sizes[image], *options.values())
        np.testing.assert_array_equal(state[image], expected[1])
        np.testing.assert_array_equal(index[image], expected[0])
    assert {-1, 0, 1} == set(np.unique(state)), "the test shows all three"


def test_all_of_an_image_counts_where_no_size_is_given():
    anchors = of.anchors((9, 9), sizes=(8,), strides=(8,), ratios=(1.0,), scales=(1.0,))
    in_the_corner = [[[8.0, 8.0, 16.0, 16.0]]]
    _, state = of.match(anchors, in_the_corner, [[0]])
    assert keras.ops.convert_to_numpy(state).tolist() == [[0, 0, 0, 1]]
    _, state = of.match(anchors, in_the_corner, [[0]], sizes=[[9, 9]])
    assert keras.ops.convert_to_numpy(state).tolist() == [[0, -1, -1, -1]]


@pytest.mark.parametrize("rows", [0, 3])
def test_images_without_objects_are_all_negative(rows):
    anchors = of.anchors((32, 32))
    boxes, labels = np.zeros((2, rows, 4), "float32"), np.full((2, rows), -1, "int32")
    index, state = map(keras.ops.convert_to_numpy, of.match(anchors, boxes, labels, best=True))
    assert index.shape == state.shape == (2, len(anchors))
    assert not index.any() and not state.any()


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ((np.zeros((3, 4)), np.zeros((3,))), {}, r"\(batch, count, 4\).*Received: shapes \(3, 4\) and \(3,\)"),
        ((np.zeros((1, 3, 4)), np.zeros((1, 3))), {"negative": 0.6}, "negative=0.6, positive=0.5"),
        ((np.zeros((1, 3, 4)), np.zeros((1, 3))), {"positive": 1.5}, "negative=0.4, positive=1.5"),
    ],
)
def test_bad_matches_are_refused(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        of.match(np.zeros((2, 4), "float32"), *arrays, **options)
