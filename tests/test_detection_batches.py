"""Batches of images of mixed sizes: sides, padding, order, boxes that follow; and the preparation of a detector."""

import itertools
import json

import numpy as np
import pytest
from cocos import write_coco
from cocos import write_images

import augment
from recipes.data import decoding
from recipes.data.coco import load_coco
from recipes.data.detection import DetectionSplit
from recipes.data.detection_batches import DetectionBatches
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.framing import Framing
from recipes.data.framing import join_shapes
from recipes.data.preparation import read_preparation

IDENTITY = {"mean": 0, "std": 1}
NATIVE = {"min_side": 48, "max_side": 48, "multiple": 8, **IDENTITY}  # images of 48 pixels stay as they are
PREPARATION = {"class_names": ["cat", "dog"], "category_ids": [3, 7], "min_side": 32, "max_side": 60, "multiple": 16}


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return load_coco(write_coco(tmp_path_factory.mktemp("coco"), train=22)).train


def batches(train, **settings):
    return DetectionBatches(train, **{"batch_size": 4, "min_side": 32, "max_side": 60, "multiple": 16, **settings})


# Sides


@pytest.mark.parametrize("sides", [(608, 1024), (800, 1333), (64, 64)])
def test_images_are_scaled_as_the_original_does(sides):
    """The rule in the words of specs.md, 1.9; but an exact multiple gains no padding."""
    least, most = sides
    framing, sizes = Framing(*sides), np.random.default_rng(0).integers(20, 2000, (300, 2))
    for (height, width), ours in zip(sizes.tolist(), framing.scaled(sizes).tolist()):
        scale = least / min(height, width)
        if scale * max(height, width) > most:
            scale = most / max(height, width)
        assert ours == [max(round(height * scale), 1), max(round(width * scale), 1)]
    assert framing.padded([[608, 609], [1, 640]]).tolist() == [[608, 640], [32, 640]]


def test_shapes_are_joined_with_the_least_waste():
    rng = np.random.default_rng(0)
    shapes = rng.integers(1, 9, (60, 2)) * 32
    distinct = sorted({tuple(shape) for shape in shapes.tolist()}, key=lambda shape: (shape[1] / shape[0], shape[0]))[
        :12
    ]
    shapes = np.array([shape for shape in shapes.tolist() if tuple(shape) in distinct])

    def area(ends):
        groups = [distinct[start:end] for start, end in itertools.pairwise((0, *ends, len(distinct)))]
        largest = {shape: np.prod(np.max(group, axis=0)) for group in groups for shape in group}
        return sum(largest[tuple(shape)] for shape in shapes.tolist())

    for most in (1, 2, 4):
        joined, group = join_shapes(shapes, most)
        assert len(joined) <= most
        assert (joined[group] >= shapes).all()
        best = min(area(ends) for ends in itertools.combinations(range(1, len(distinct)), most - 1))
        assert joined[group].prod(1).sum() == best
    joined, group = join_shapes(shapes, 1000)
    assert np.array_equal(joined[group], shapes)


# Order


@pytest.mark.parametrize("drop_last", [True, False])
def test_every_image_comes_once_in_an_epoch_with_others_in_the_next(train, drop_last):
    data = batches(train, shapes=2, drop_last=drop_last, workers=0)
    assert len(data) == (5 if drop_last else 6)
    together, last = [], set()
    for epoch in range(12):
        data.set_epoch(epoch)
        order = data.order(epoch)
        assert sorted(order) == list(range(22))
        groups = np.split(order, range(4, 22, 4))
        together.append({frozenset(group.tolist()) for group in groups})
        last.update(groups[-1].tolist())
        mixed = sum(len(set(data._shape_of[group])) > 1 for group in groups)
        assert mixed <= 1, "at most one batch lies between two shapes"
    assert len(last) > 12, "other images are in the smaller batch"
    assert len(set.union(*together)) > 12 * 4, "other images come together"
    seen = [targets["labels"] for _, targets in (data[step] for step in range(len(data)))]
    assert sum(map(len, seen)) == (20 if drop_last else 22)


def test_a_batch_depends_on_seed_epoch_and_step_alone(train):
    operations = [augment.ScaleJitter(), augment.HorizontalFlip(), augment.ColorJitter(0.3)]
    data, again = (batches(train, operations=operations, seed=3, workers=workers) for workers in (0, 2))
    visited = [(1, 2), (0, 5), (0, 2), (1, 2)]
    first, second = {}, {}
    for kept, made, steps in ((first, data, visited), (second, again, reversed(visited))):
        for epoch, step in steps:
            made.set_epoch(epoch)
            kept[epoch, step] = made[step]
    for key, (images, targets) in first.items():
        assert np.array_equal(images, second[key][0])
        assert all(np.array_equal(targets[name], second[key][1][name]) for name in ("boxes", "labels", "sizes"))
    assert not np.array_equal(first[0, 2][0], first[1, 2][0])


# Pixels and boxes


def test_images_are_normalised_then_padded_with_zeros(train):
    data = batches(train, training=False, mean=(9, 10, 11), std=(2, 3, 4))
    order, shapes, start = data.order(0), set(), 0
    assert sorted(order) == list(range(22))
    for step in range(len(data)):
        images, targets = data[step]
        shapes.add(images.shape[1:3])
        assert images.dtype == targets["boxes"].dtype == targets["sizes"].dtype == "float32"
        assert targets["labels"].dtype == "int32"
        sides = targets["sizes"].astype(int).tolist()
        for image, (height, width), boxes, position in zip(images, sides, targets["boxes"], order[start:]):
            decoded = decoding.read_image(train.paths[position], (height, width))
            np.testing.assert_allclose(image[:height, :width], (decoded - [9.0, 10, 11]) / [2, 3, 4], rtol=1e-5)
            assert (image[height:] == 0).all()
            assert (image[:, width:] == 0).all()
            factor = np.array([width, height] * 2) / train.sizes[position][[1, 0, 1, 0]]
            np.testing.assert_allclose(boxes[0], train.boxes[position][0] * factor, rtol=1e-5)
        start += len(images)
    assert shapes == {(32, 48), (48, 32), (32, 64), (48, 48)}  # the last of a batch between two
    assert start == 22


def test_boxes_follow_the_operations(train):
    """All that is drawn in an image is its object."""
    whole = train.take(np.flatnonzero(train.sizes.max(1) == 48))
    operations = [
        augment.HorizontalFlip(),
        augment.VerticalFlip(),
        augment.Translation(9),
        augment.CenterCrop((20, 44)),
    ]
    data = DetectionBatches(whole, operations, batch_size=7, **NATIVE)
    images, targets = data[0]
    assert images.shape == (7, 24, 48, 3)
    assert (targets["sizes"] == (20, 44)).all()
    for image, box in zip(images, targets["boxes"][:, 0]):
        rows, columns = np.nonzero(image[..., 0])
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert len(np.unique(targets["boxes"][:, 0], axis=0)) > 4


def test_objects_that_leave_the_image_and_images_without_any(train):
    first = train.take([0, 1])
    boxes = [np.array([[1.0, 1, 3, 3], [10, 10, 30, 20], [0, 0, 5, 30]]), np.zeros((0, 4))]
    labels, crowds = [np.array([0, 1, 0]), np.zeros(0, int)], [np.array([False, False, True]), np.zeros(0, bool)]
    split = DetectionSplit(first.paths, first.sizes, first.image_ids, boxes, labels, crowds, None)
    cut = [augment.CenterCrop((30, 34)), augment.CenterCrop((26, 34))]
    _, targets = DetectionBatches(split, cut, batch_size=2, training=False, image_size=(30, 40), rows=5)[0]
    assert targets["labels"].tolist() == [[1, -2, -1, -1, -1], [-1] * 5]
    assert targets["boxes"][0, :3].tolist() == [[7, 8, 27, 18], [0, 0, 2, 26], [0, 0, 0, 0]]
    assert not targets["boxes"][1].any()


def test_few_shapes(train):
    data = batches(train, shapes=1, workers=0)
    assert {data[step][0].shape[1:3] for step in range(len(data))} == {(48, 64)}
    data = batches(train, image_size=(20, 36))
    assert {data[step][0].shape[1:3] for step in range(len(data))} == {(20, 36)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must leave a batch of 22"),
        ({"batch_size": 23, "drop_last": True}, "`batch_size` must leave a batch of 22"),
        ({"rows": 0}, "`rows` must be at least 1"),
        ({"min_side": 70}, "`min_side` must be at most `max_side`"),
        ({"multiple": 0}, "`multiple`"),
        ({"std": 0}, "`std`"),
        ({"operations": [augment.Mixup(0.2)]}, "must change each image by itself"),
        ({"operations": ["flip"]}, "instances of augment.Operation"),
    ],
)
def test_what_makes_no_batches_is_refused(train, change, message):
    with pytest.raises(ValueError, match=message):
        batches(train, **change)


# Preparation


def test_a_detectors_preparation_is_kept_beside_it(tmp_path):
    preparation = DetectionPreparation(**PREPARATION, mean=(1, 2, 3))
    path = preparation.write(tmp_path)
    assert read_preparation(tmp_path) == preparation
    path.write_text(json.dumps({**preparation.to_dict(), "kind": "segmentation"}))
    with pytest.raises(ValueError, match="damaged: the kind 'segmentation' is not one of detection"):
        read_preparation(tmp_path)


def test_a_detector_sees_mixed_sizes_as_its_training_did(train):
    preparation, seen = DetectionPreparation(**PREPARATION), []
    data = batches(train, training=False)
    trained_on = {}
    for step in range(len(data)):
        images, targets = data[step]
        for image, (height, width) in zip(images, targets["sizes"].astype(int)):
            trained_on[int(data.order(0)[len(trained_on)])] = image[:height, :width]
    for positions, framed in preparation.batches(train.paths, batch_size=8):
        seen += positions.tolist()
        assert (framed.originals == train.sizes[positions]).all()
        assert (np.array(framed.images.shape[1:3]) % 16 == 0).all()
        for image, (height, width), position in zip(framed.images, framed.sizes.astype(int), positions.tolist()):
            assert np.array_equal(image[:height, :width], trained_on[position])
        back = framed.restore(np.stack([[[0, 0, width, height]] for height, width in framed.sizes]))
        np.testing.assert_allclose(back[:, 0, 2:], framed.originals[:, ::-1], rtol=1e-6)
    assert sorted(seen) == list(range(22))
    one = preparation.read(train.paths[0])
    assert one.images.shape == (1, 32, 48, 3)
    stretched = DetectionPreparation(**{**PREPARATION, "image_size": (18, 27)}).read(train.paths[:3])
    assert stretched.images.shape == (3, 18, 27, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_ids": [3]}, "`category_ids` must be 2 different integers"),
        ({"category_ids": [3, 3]}, "`category_ids`"),
        ({"class_names": "ab"}, "class_names"),
        ({"max_side": 0}, "`max_side`"),
        ({"image_size": (8, 8, 3)}, "image_size"),
    ],
)
def test_preparations_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        DetectionPreparation(**{**PREPARATION, **change})


def test_files_that_cannot_be_read_are_named(tmp_path):
    write_images(tmp_path, 1)
    preparation = DetectionPreparation(**PREPARATION)
    with pytest.raises(ValueError, match="nowhere.png: no such file"):
        preparation.read([tmp_path / "000.png", "nowhere.png"])
    with pytest.raises(ValueError, match="`batch_size`"):
        next(preparation.batches([tmp_path / "000.png"], batch_size=0))
