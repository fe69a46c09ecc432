"""Boxes follow their pixels: a rectangle is drawn, both are changed, and compared."""

import keras
import numpy as np
import pytest
from samples import choose

import augment

HEIGHT, WIDTH = 40, 52
WHOLE_PIXELS = [
    augment.HorizontalFlip(),
    augment.AlternatingFlip(),
    augment.VerticalFlip(),
    augment.Translation(12, probability=0.8),
    augment.PadCrop(9, mode="constant"),
    augment.PadCrop(3, size=(24, 30), mode="constant"),
    augment.CenterCrop((20, 26)),
    augment.CenterCrop((60, 70)),
    augment.RandomApply([augment.Translation(7), augment.HorizontalFlip()], 0.6),
    augment.RandomOrder([augment.Translation(7), augment.VerticalFlip()]),
    augment.OneOf([augment.PadCrop(2, size=30, mode="constant"), augment.CenterCrop(30)]),
]
LEAVING_BOXES = [
    augment.Cutout(4),
    augment.RandomErasing(),
    augment.GaussianBlur(1.0),
    augment.ColorJitter(0.4),
    augment.Grayscale(),
    augment.Normalize((1.0,), (2.0,)),
]


def some_boxes(samples=60):
    """One box an image, with whole pixels, and a row of zeros beside it."""
    rng = np.random.default_rng(0)
    left, top = rng.integers(0, WIDTH - 12, samples), rng.integers(0, HEIGHT - 12, samples)
    width, height = rng.integers(3, 13, samples), rng.integers(3, 13, samples)
    boxes = np.stack([left, top, left + width, top + height], axis=1).astype("float32")
    return np.stack([boxes, boxes * 0], axis=1)


def drawn(boxes):
    """Images with the first box of each filled."""
    images = np.zeros((len(boxes), HEIGHT, WIDTH, 1), "float32")
    for image, (left, top, right, bottom) in zip(images, boxes[:, 0].astype(int)):
        image[top:bottom, left:right] = 1
    return images


def found(images, least=0.5):
    """The boxes of what is drawn; zeros where nothing is left."""
    boxes = []
    for image in images[..., 0] > least:
        rows, columns = np.nonzero(image)
        nothing = len(rows) == 0
        boxes.append([0] * 4 if nothing else [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return np.array(boxes, "float32")


def both(operation, boxes, training=True):
    index = np.arange(len(boxes), dtype="int32")
    images, _, boxes = augment.transform([operation], drawn(boxes), None, boxes, index=index, seed=5, training=training)
    return images, boxes


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("operation", WHOLE_PIXELS, ids=str)
def test_boxes_follow_whole_pixels_exactly(operation, training):
    images, boxes = both(operation, some_boxes(), training)
    assert boxes.dtype == "float32"
    assert np.array_equal(boxes[:, 0], found(images))
    assert (boxes[:, 1] == 0).all(), "a row of zeros stays one"
    assert len(np.unique(boxes[:, 0], axis=0)) > 20


def test_boxes_that_leave_the_image_become_zeros():
    boxes = np.array([[[0, 0, 5, 5]], [[10, 10, 15, 15]]], "float32")
    operation, choice = augment.Translation(8), {"down": np.array([[0]]), "right": np.array([[-7]])}
    moved = operation.apply_boxes(boxes, choice, (HEIGHT, WIDTH, 3))
    assert moved.tolist() == [[[0, 0, 0, 0]], [[3, 10, 8, 15]]]


def test_crop_pad_moves_boxes_within_the_part_that_is_kept():
    boxes, padding = some_boxes(), 4
    images, moved = both(augment.CropPad(padding), boxes)
    kept = images[:, padding:-padding, padding:-padding]  # beyond are reflections
    expected = found(kept)
    expected[expected[:, 2] > 0] += padding
    assert np.array_equal(moved[:, 0], expected)


@pytest.mark.parametrize(
    "operation",
    [
        augment.Rotation(180),
        augment.RandomResizedCrop((30, 44), (0.4, 1.0)),
        augment.Resize((60, 26)),
        augment.ScaleJitter((0.6, 1.7)),
    ],
    ids=str,
)
def test_boxes_enclose_interpolated_pixels_closely(operation):
    images, boxes = both(operation, some_boxes())
    sure, touched = found(images), found(images, least=1e-3)
    shown = sure[:, 2] > 0  # slivers at the edge may show no pixel
    assert shown.sum() > 30
    inwards = np.array([1, 1, -1, -1])
    assert ((sure - boxes[:, 0]) * inwards)[shown].min() > -0.51, "at least all that is half covered"
    assert ((boxes[:, 0] - touched) * inwards)[shown].min() > -2, "corners may be too sharp to touch a pixel"
    assert (boxes[:, 1] == 0).all()


def test_random_resized_crop_moves_boxes_outside_training():
    images, boxes = both(augment.RandomResizedCrop(40), some_boxes(), training=False)
    assert np.array_equal(boxes[:, 0], found(images)), "40 x 40 of 40 x 52 are cut out, and not scaled"


@pytest.mark.parametrize("operation", LEAVING_BOXES, ids=str)
def test_operations_that_move_no_pixels_leave_boxes_alone(operation):
    boxes = some_boxes()
    images = np.zeros((60, HEIGHT, WIDTH, 3), "uint8")
    for training in (True, False):
        result = augment.transform([operation], images, None, boxes, index=np.arange(60), training=training)[2]
        assert np.array_equal(result, boxes)


@pytest.mark.parametrize(
    "operation", [*WHOLE_PIXELS, augment.Rotation(180), augment.RandomResizedCrop(30), augment.ScaleJitter()], ids=str
)
def test_tensors_give_the_boxes_of_arrays(operation):
    boxes, shape = some_boxes(), (HEIGHT, WIDTH, 1)
    choice = choose(operation, shape, samples=60)
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, choice)
    result = operation.apply_boxes(keras.ops.convert_to_tensor(boxes), tensors, shape)
    expected = operation.apply_boxes(boxes, choice, shape)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(result), expected, atol=1e-3)


@pytest.mark.parametrize("labels", [None, np.arange(120).reshape(60, 2)])
def test_every_route_moves_boxes(labels):
    tf = pytest.importorskip("tensorflow")
    boxes, operations = some_boxes(), [augment.HorizontalFlip(), augment.Rotation(20)]
    images, index = drawn(boxes), np.arange(60, dtype="int32")
    _, _, expected = augment.transform(operations, images, labels, boxes, index=index, seed=3)
    options = {"boxes": boxes, "batch_size": 60, "seed": 3, "shuffle": False}
    _, targets = augment.ArrayGenerator(images, labels, operations, **options)[0]
    streamed = next(iter(augment.pipeline(images, labels, operations, epochs=1, **options)))
    layer = augment.Augmentation(operations, seed=3)
    on_device = layer(images, labels, boxes=boxes, index=index, epoch=0, training=True)
    assert isinstance(streamed[1]["boxes"], tf.Tensor)
    assert set(targets) == set(streamed[1]) == ({"boxes"} if labels is None else {"boxes", "labels"})
    assert len(on_device) == (2 if labels is None else 3)
    for result in (targets["boxes"], streamed[1]["boxes"].numpy(), keras.ops.convert_to_numpy(on_device[-1])):
        np.testing.assert_allclose(result, expected, atol=1e-3)


def test_as_many_boxes_as_images_are_needed():
    with pytest.raises(ValueError, match="`images` and `boxes`.*60 and 59"):
        augment.ArrayGenerator(drawn(some_boxes()), boxes=some_boxes(59))
