"""One contract for all operations, and the arguments that they refuse."""

import keras
import numpy as np
import pytest
from samples import change
from samples import choose
from samples import soft_labels
from samples import some_images

import augment

OPERATIONS = {
    "pad_crop_reflect": augment.PadCrop(3),
    "pad_crop_edge": augment.PadCrop(3, mode="edge"),
    "pad_crop_constant": augment.PadCrop(3, mode="constant", fill=7),
    "pad_crop_size": augment.PadCrop(2, size=(6, 5)),
    "crop_pad": augment.CropPad(2),
    "horizontal_flip": augment.HorizontalFlip(),
    "alternating_flip": augment.AlternatingFlip(),
    "vertical_flip": augment.VerticalFlip(),
    "rotation": augment.Rotation(30),
    "rotation_reflect": augment.Rotation((-90, 10), mode="reflect", probability=0.8),
    "rotation_edge": augment.Rotation(180, mode="edge"),
    "gaussian_blur": augment.GaussianBlur((0.4, 1.5), probability=0.8),
    "normalize": augment.Normalize((100.0,), (50.0,)),
    "cutout_inside": augment.Cutout(3, fill=9),
    "cutout_clipped": augment.Cutout(4, inside=False),
    "cutout_count": augment.Cutout(2, count=3),
    "random_erasing_per_pixel": augment.RandomErasing(0.8),
    "random_erasing_flat": augment.RandomErasing(0.8, per_pixel=False),
    "mixup_image": augment.Mixup(0.4),
    "mixup_batch": augment.Mixup(0.4, per="batch"),
    "cutmix_image": augment.CutMix(),
    "cutmix_batch": augment.CutMix(0.5, per="batch"),
    "translation_pixels": augment.Translation(2),
    "translation_fractions": augment.Translation((0.3, 0.2), mode="reflect", probability=0.8),
    "resize": augment.Resize((5, 13)),
    "center_crop": augment.CenterCrop((5, 6)),
    "center_crop_padded": augment.CenterCrop((13, 8), fill=3),
    "random_resized_crop": augment.RandomResizedCrop((6, 7)),
    "random_resized_crop_aliased": augment.RandomResizedCrop(5, scale=(0.5, 1.0), antialias=False),
    "scale_jitter": augment.ScaleJitter((0.4, 1.9), fill=7, probability=0.8),
    "brightness": augment.Brightness(0.5),
    "contrast": augment.Contrast((0.2, 3.0)),
    "saturation": augment.Saturation(0.7),
    "hue": augment.Hue(0.3),
    "color_jitter": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "grayscale": augment.Grayscale(0.5),
    "random_apply": augment.RandomApply([augment.Rotation(30), augment.HorizontalFlip()], 0.6),
    "random_order": augment.RandomOrder([augment.Translation(2), augment.Brightness(0.5), augment.VerticalFlip()]),
    "one_of": augment.OneOf([augment.GaussianBlur((0.4, 1.5)), augment.VerticalFlip(), augment.Cutout(3)], (1, 2, 1)),
    "one_of_sizes": augment.OneOf([augment.PadCrop(1, size=6), augment.RandomResizedCrop(6)]),
    "one_of_mixing": augment.OneOf([augment.Mixup(0.4), augment.CutMix()]),
}


FIXED = {"normalize", "resize", "center_crop", "center_crop_padded"}
RANDOM = sorted(set(OPERATIONS) - FIXED)
MIXING = {name for name, operation in OPERATIONS.items() if operation.changes_labels()}
ALONE = sorted(set(OPERATIONS) - MIXING)  # each image by itself
FLOAT_RESULTS = {"normalize", "mixup_image", "mixup_batch", "one_of_mixing"}
NEW_SIZES = {name for name, operation in OPERATIONS.items() if operation.output_shape((9, 9, 3)) != (9, 9, 3)}
IDENTITY_OUTSIDE_TRAINING = sorted(set(OPERATIONS) - NEW_SIZES - {"normalize"})
COPYING = ("pad_crop", "crop_pad", "center_crop", "horizontal", "alternating", "vertical", "translation", "cut")
ROTATING = ("rotation", "random_apply")
COLOURING = ("brightness", "contrast", "saturation", "hue", "color", "grayscale", "random_order")
SHAPES = {"colour": (3, 9, 11, 3), "grey": (3, 11, 9, 1), "one": (1, 9, 9, 3), "none": (0, 9, 11, 3)}


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_gives_the_announced_shape_and_dtype(name, shape, dtype):
    operation, images = OPERATIONS[name], some_images(SHAPES[shape], dtype)
    expected = (len(images), *operation.output_shape(images.shape[1:]))
    result, labels = change(operation, images)
    assert result.shape == expected
    assert result.dtype == ("float32" if name in FLOAT_RESULTS else dtype)
    assert labels.shape == (len(images), 4)
    assert labels.dtype == "float32"
    assert operation.evaluate(images).shape == expected


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_leaves_its_arguments_alone(name, dtype):
    images = some_images(dtype=dtype)
    change(OPERATIONS[name], images)
    OPERATIONS[name].evaluate(images)
    assert np.array_equal(images, some_images(dtype=dtype))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_draw_gives_the_same_pixels(name, dtype):
    operation, images = OPERATIONS[name], some_images(dtype=dtype)
    first, second = choose(operation, samples=3), choose(operation, samples=3)
    keras.tree.assert_same_structure(first, second)
    assert all(map(np.array_equal, keras.tree.flatten(first), keras.tree.flatten(second)))
    assert np.array_equal(operation.apply(images, first), operation.apply(images, second))


@pytest.mark.parametrize("name", RANDOM)
def test_draws_differ_between_images(name):
    choice = keras.tree.flatten(choose(OPERATIONS[name], samples=20))
    assert all(len(values) == 20 for values in choice)
    assert any((values != values[:1]).any() for values in choice)


@pytest.mark.parametrize("name", [name for name in ALONE if name in RANDOM])
def test_pixels_differ_between_equal_images(name):
    images = np.repeat(some_images((1, 9, 11, 3)), 20, axis=0)
    result, _ = change(OPERATIONS[name], images)
    assert (result != result[:1]).any()


@pytest.mark.parametrize("other", [{"seed": 1}, {"seed": 2**32}, {"epoch": 1}], ids=str)
@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_or_epoch_gives_other_pixels(name, other):
    images = some_images((20, 9, 11, 3))
    assert not np.array_equal(change(OPERATIONS[name], images)[0], change(OPERATIONS[name], images, **other)[0])


@pytest.mark.parametrize("name", RANDOM)
def test_another_place_in_the_list_gives_other_pixels(name):
    images, labels = some_images((20, 9, 9, 3)), soft_labels(20)
    nothing = augment.HorizontalFlip(probability=0)
    first, second = (
        augment.transform(operations, images, labels, index=np.arange(20))[0]
        for operations in ([OPERATIONS[name], nothing], [nothing, OPERATIONS[name]])
    )
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ALONE)
def test_a_sample_does_not_depend_on_its_batch(name):
    images, some = some_images((20, 9, 11, 3)), np.array([11, 3, 4])
    together, _ = change(OPERATIONS[name], images)
    alone, _ = change(OPERATIONS[name], images[some], index=some)
    assert np.array_equal(together[some], alone)


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_random_outside_training(name):
    images = some_images()
    first, labels = change(OPERATIONS[name], images, seed=0, epoch=0, training=False)
    second, _ = change(OPERATIONS[name], images, seed=1, epoch=1, index=np.array([5, 4, 3]), training=False)
    assert np.array_equal(first, second)
    assert np.array_equal(labels, soft_labels(3))


@pytest.mark.parametrize("name", IDENTITY_OUTSIDE_TRAINING)
def test_leaves_images_as_they_are_outside_training(name):
    assert np.array_equal(OPERATIONS[name].evaluate(some_images()), some_images())


@pytest.mark.parametrize("name", ALONE)
def test_leaves_labels_alone(name):
    assert np.array_equal(change(OPERATIONS[name], some_images())[1], soft_labels(3))


def assert_close(result, expected, name):
    """Pixels of two libraries: a float half-way between two integers may be rounded up or down."""
    distance = np.abs(result.astype("float32") - expected.astype("float32"))
    if name.startswith(ROTATING):  # OpenCV rounds positions to 1/32 of a pixel, and these images are noise
        assert distance.max() <= 255 / 32
        assert distance.mean() < 1.5
    elif name.startswith(COLOURING):  # OpenCV may be off by one, and colour jitter is four of them
        assert distance.max() <= 4
        assert distance.mean() < 0.5
    else:
        assert distance.max() <= (1e-4 if name.startswith(COPYING) else 1)
        assert distance.mean() < 0.2


@pytest.mark.parametrize("name", OPERATIONS)
def test_tensors_give_the_pixels_of_arrays(name):
    operation, images = OPERATIONS[name], some_images()
    choice = choose(operation, samples=3, seed=4)
    tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, choice)
    expected = operation.apply(images, choice)
    result = operation.apply(keras.ops.convert_to_tensor(images), tensors)
    assert keras.backend.standardize_dtype(result.dtype) == expected.dtype
    assert_close(keras.ops.convert_to_numpy(result), expected, name)


@pytest.mark.parametrize("name", ALONE)
def test_tensors_of_bfloat16_keep_it(name):
    images = keras.ops.cast(keras.ops.convert_to_tensor(some_images()), "bfloat16")
    index = keras.ops.arange(3, dtype="int32")
    result, _ = augment.transform([OPERATIONS[name]], images, index=index)
    assert keras.backend.standardize_dtype(result.dtype) == ("float32" if name in FLOAT_RESULTS else "bfloat16")
    assert tuple(result.shape) == (3, *OPERATIONS[name].output_shape((9, 11, 3)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_tensors_may_hold_no_images(name):
    images, labels = (keras.ops.convert_to_tensor(array[:0]) for array in (some_images(), soft_labels(3)))
    index = keras.ops.zeros((0,), "int32")
    result, labels = augment.transform([OPERATIONS[name]], images, labels, index=index)
    assert tuple(result.shape) == (0, *OPERATIONS[name].output_shape((9, 11, 3)))
    assert tuple(labels.shape) == (0, 4)


@pytest.mark.parametrize("name", OPERATIONS)
def test_works_on_images_of_unknown_size(name):
    """In a TensorFlow graph that is traced without any side."""
    tf = pytest.importorskip("tensorflow")
    operation, images = OPERATIONS[name], some_images()
    index, labels, boxes = np.arange(3, dtype="int32"), soft_labels(3), np.tile([2.0, 3.0, 6.0, 9.0], (3, 2, 1))
    arguments = [images, labels] if name in MIXING else [images, labels, boxes.astype("float32")]
    signature = [tf.TensorSpec([None] * 3 + [3], "uint8"), tf.TensorSpec([None, 4]), tf.TensorSpec([None, None, 4])]

    @tf.function(input_signature=signature[: len(arguments)])
    def graph(*batch):
        return augment.transform([operation], *batch, index=tf.constant(index))

    for result, expected in zip(graph(*arguments), augment.transform([operation], *arguments, index=index)):
        assert result.dtype == expected.dtype
        assert_close(result.numpy(), expected, name)


@pytest.mark.parametrize("name", OPERATIONS)
def test_survives_serialization(name):
    config = keras.saving.serialize_keras_object(OPERATIONS[name])
    assert keras.saving.deserialize_keras_object(config) == OPERATIONS[name]


@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (augment.PadCrop, "padding", -1),
        (augment.PadCrop, "padding", 1.5),
        (augment.PadCrop, "padding", True),
        (augment.PadCrop, "padding", "4"),
        (augment.PadCrop, "size", 0),
        (augment.PadCrop, "size", (8, -8)),
        (augment.PadCrop, "size", (8, 8, 3)),
        (augment.PadCrop, "size", (8,)),
        (augment.PadCrop, "size", True),
        (augment.PadCrop, "size", 8.0),
        (augment.PadCrop, "mode", "mirror"),
        (augment.PadCrop, "mode", None),
        (augment.CropPad, "padding", -1),
        (augment.CropPad, "padding", 0.5),
        (augment.HorizontalFlip, "probability", 1.1),
        (augment.HorizontalFlip, "probability", -0.1),
        (augment.HorizontalFlip, "probability", True),
        (augment.HorizontalFlip, "probability", float("nan")),
        (augment.VerticalFlip, "probability", "0.5"),
        (augment.VerticalFlip, "probability", None),
        (augment.Rotation, "degrees", -15),
        (augment.Rotation, "degrees", (20, 10)),
        (augment.Rotation, "degrees", (1, 2, 3)),
        (augment.Rotation, "degrees", float("inf")),
        (augment.Rotation, "degrees", "15"),
        (augment.Rotation, "degrees", None),
        (augment.Rotation, "mode", "wrap"),
        (augment.Rotation, "probability", 2),
        (augment.GaussianBlur, "sigma", -1),
        (augment.GaussianBlur, "sigma", (-0.5, 1.0)),
        (augment.GaussianBlur, "sigma", (2.0, 1.0)),
        (augment.GaussianBlur, "sigma", "0.5"),
        (augment.GaussianBlur, "sigma", None),
        (augment.GaussianBlur, "probability", -1),
        (augment.Cutout, "size", 0),
        (augment.Cutout, "size", 2.5),
        (augment.Cutout, "size", True),
        (augment.Cutout, "count", 0),
        (augment.Cutout, "count", None),
        (augment.RandomErasing, "probability", 1.5),
        (augment.RandomErasing, "area", (0.4, 0.02)),
        (augment.RandomErasing, "area", (-0.1, 0.4)),
        (augment.RandomErasing, "area", (0.1, 1.1)),
        (augment.RandomErasing, "area", 0.4),
        (augment.RandomErasing, "aspect", (0, 1)),
        (augment.RandomErasing, "aspect", (2, 1)),
        (augment.RandomErasing, "value", (255, 0)),
        (augment.RandomErasing, "value", (5,)),
        (augment.RandomErasing, "value", (0, float("inf"))),
        (augment.RandomErasing, "value", (float("-inf"), 0)),
        (augment.Mixup, "alpha", 0),
        (augment.Mixup, "alpha", -0.2),
        (augment.Mixup, "alpha", True),
        (augment.Mixup, "alpha", float("inf")),
        (augment.Mixup, "alpha", float("nan")),
        (augment.Mixup, "alpha", "0.2"),
        (augment.Mixup, "per", "pixel"),
        (augment.CutMix, "alpha", 0),
        (augment.CutMix, "per", None),
        (augment.Translation, "shift", -1),
        (augment.Translation, "shift", 1.0),
        (augment.Translation, "shift", (1, 2, 3)),
        (augment.Translation, "shift", float("nan")),
        (augment.Translation, "shift", True),
        (augment.Translation, "mode", "wrap"),
        (augment.Translation, "probability", 2),
        (augment.CenterCrop, "size", 0),
        (augment.Resize, "size", (4, 0)),
        (augment.CenterCrop, "size", 2.5),
        (augment.RandomResizedCrop, "size", (8, 0)),
        (augment.ScaleJitter, "scale", (0, 1)),
        (augment.ScaleJitter, "probability", -1),
        (augment.Brightness, "factor", -0.1),
        (augment.Brightness, "factor", (1.2, 0.8)),
        (augment.Brightness, "value_range", (1, 0)),
        (augment.Brightness, "value_range", 255),
        (augment.Contrast, "factor", (-1, 1)),
        (augment.Saturation, "factor", "0.5"),
        (augment.Hue, "shift", 0.6),
        (augment.Hue, "shift", (-0.6, 0.1)),
        (augment.ColorJitter, "brightness", -1),
        (augment.ColorJitter, "contrast", None),
        (augment.ColorJitter, "saturation", (2, 1)),
        (augment.ColorJitter, "hue", 0.51),
        (augment.ColorJitter, "value_range", (0, 0)),
        (augment.Grayscale, "probability", 1.5),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_bad_argument_is_refused_by_name_and_value(build, name, value):
    with pytest.raises(ValueError) as error:
        build(**{name: value})
    assert f"`{name}`" in str(error.value)
    assert f"{name}={value!r}" in str(error.value)


@pytest.mark.parametrize(
    ("mean", "std", "received"),
    [
        ((1.0, 2.0), (1.0,), "mean=(1.0, 2.0)"),
        ((1.0,), (0.0,), "std=(0.0,)"),
        ((1.0, 2.0), (1.0, -1.0), "std=(1.0, -1.0)"),
        ((1.0,), (float("nan"),), "std=nan"),
        (127.5, 60.0, "mean=127.5"),
        ((), (), "mean=()"),
    ],
)
def test_bad_normalizations_are_refused(mean, std, received):
    with pytest.raises(ValueError, match="must be") as error:
        augment.Normalize(mean, std)
    assert received in str(error.value)


def test_random_erasing_refuses_shapes_that_never_fit():
    with pytest.raises(ValueError, match="area"):
        augment.RandomErasing(area=(0.9, 1.0), aspect=(3.0, 3.3))


@pytest.mark.parametrize(
    ("operation", "shape", "words"),
    [
        (augment.PadCrop(1, size=12), (3, 9, 11, 3), "at least 10 pixels"),
        (augment.PadCrop(9), (3, 9, 11, 3), "cannot reflect more than 8"),
        (augment.CropPad(4), (3, 8, 8, 3), "padding=4"),
        (augment.CropPad(4), (3, 10, 10, 3), "padding=4"),
        (augment.Cutout(10), (3, 9, 11, 3), "size=10"),
        (augment.GaussianBlur(3.0), (3, 9, 11, 3), "more than 9 pixels"),
        (augment.Normalize((1.0, 2.0, 3.0), (1.0, 1.0, 1.0)), (3, 9, 11, 1), "channels"),
        (augment.Normalize((1.0, 2.0), (1.0, 1.0)), (3, 9, 11, 3), "channels"),
    ],
    ids=str,
)
def test_images_of_the_wrong_size_are_refused(operation, shape, words):
    with pytest.raises(ValueError, match=words):
        change(operation, some_images(shape))


@pytest.mark.parametrize("labels", [np.array([0, 1, 2]), np.eye(3, dtype="int64"), np.zeros(3, "float32")])
def test_mixup_refuses_labels_that_are_not_soft(labels):
    with pytest.raises(ValueError, match="one-hot"):
        augment.transform([augment.Mixup()], some_images(), labels, index=np.arange(3))


def test_mixup_refuses_missing_labels():
    with pytest.raises(ValueError, match="Pass labels"):
        augment.transform([augment.Mixup()], some_images(), index=np.arange(3))


@pytest.mark.parametrize("operations", ["flip", None, [augment.PadCrop], ["flip"], [augment.PadCrop(4), None]], ids=str)
def test_what_is_no_operation_is_refused(operations):
    with pytest.raises(ValueError, match="Received") as error:
        augment.transform(operations, some_images(), index=np.arange(3))
    assert "`operations`" in str(error.value)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: augment.RandomResizedCrop(8, scale=(0.5, 1.5)), "`scale`.*1.5"),
        (lambda: augment.RandomResizedCrop(8, scale=(0, 1)), "`scale`.*0"),
        (lambda: augment.RandomResizedCrop(8, ratio=(2, 1)), "`ratio`.*2, 1"),
        (lambda: augment.RandomApply([augment.PadCrop(4)], probability=-1), "`probability`.*-1"),
        (lambda: augment.RandomApply([]), "`operations`"),
        (lambda: augment.OneOf([augment.PadCrop(4), "flip"]), "`operations`.*'flip'"),
        (lambda: augment.OneOf([augment.PadCrop(4)], weights=[1, 2]), r"`weights`.*\[1, 2\]"),
        (lambda: augment.OneOf([augment.PadCrop(4)], weights=[-1]), r"`weights`.*\[-1\]"),
        (lambda: augment.OneOf([augment.PadCrop(4)], weights=[0]), r"`weights`.*\[0\]"),
        (lambda: augment.OneOf([augment.PadCrop(4)], weights="even"), "`weights`.*'even'"),
    ],
)
def test_bad_compositions_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (augment.RandomApply(augment.CenterCrop(4)), "RandomApply cannot hold CenterCrop.*another size"),
        (augment.RandomOrder([augment.RandomResizedCrop(4)]), "RandomOrder cannot hold RandomResizedCrop"),
        (augment.OneOf([augment.CenterCrop(4), augment.CenterCrop(5)]), "different sizes"),
        (augment.Grayscale(), "3 channels, or 1. Received: 4"),
        (augment.Hue(), "3 channels, or 1. Received: 4"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(operation, words):
    with pytest.raises(ValueError, match=words):
        change(operation, some_images((2, 9, 11, 4)))


@pytest.mark.parametrize("name", sorted(MIXING))
def test_mixing_has_no_meaning_for_boxes(name):
    with pytest.raises(ValueError, match="boxes"):
        augment.transform([OPERATIONS[name]], some_images(), soft_labels(3), np.zeros((3, 1, 4)), index=np.arange(3))


def test_boxes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(batch, count, 4\).*\(3, 4\)"):
        augment.transform([augment.HorizontalFlip()], some_images(), None, np.zeros((3, 4)), index=np.arange(3))
