"""The same pixels in tf.data, in the Keras layer and in NumPy generators, in any precision."""

import keras
import numpy as np
import pytest
from batches import FLOATS
from batches import INTEGERS
from batches import ROUTES
from batches import SAMPLES
from batches import SEED
from batches import SHIFTS
from batches import from_pipeline
from batches import one_hot
from batches import reference
from batches import some_images
from batches import to_numpy

import augment
from augment import draws


@pytest.mark.parametrize("route", ROUTES)
def test_integer_operations_give_equal_pixels_on_every_route(route):
    images, labels, epoch = some_images(), one_hot(), 3
    expected, expected_labels = reference(images, labels, INTEGERS, SEED, epoch, np.arange(SAMPLES))
    result, result_labels = ROUTES[route](images, labels, INTEGERS, epoch)
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)
    assert np.array_equal(result_labels, expected_labels)


@pytest.mark.parametrize("route", ROUTES)
def test_float_operations_give_close_pixels_on_every_route(route):
    images, labels = some_images("float32"), one_hot()
    expected, _ = reference(images, labels, FLOATS, SEED, 2, np.arange(SAMPLES))
    result, _ = ROUTES[route](images, labels, FLOATS, 2)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mode", ["edge", "reflect", "constant"])
def test_rotation_gives_close_pixels_on_every_route(route, mode):
    images, labels, rotation = some_images("float32"), one_hot(), [augment.Rotation(30, mode, fill=0.5)]
    expected, _ = reference(images, labels, rotation, SEED, 2, np.arange(SAMPLES))
    result, _ = ROUTES[route](images, labels, rotation, 2)
    np.testing.assert_allclose(result, expected, atol=1 / 32)  # OpenCV rounds positions to that part of a pixel
    assert np.abs(result - expected).mean() < 0.005


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("per", ["image", "batch"])
def test_mixup_gives_close_images_and_labels_on_every_route(route, per):
    images, labels = some_images("float32"), one_hot()
    mixup = [augment.HorizontalFlip(), augment.Mixup(0.6, per)]
    batches = [reference(images, labels, mixup, SEED, 2, part) for part in (np.arange(5), np.arange(5, 10))]
    for result, expected in zip(ROUTES[route](images, labels, mixup, 2), to_numpy(batches)):
        np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(10,), (10, 2, 2)])
def test_labels_of_any_shape_pass_through(shape):
    labels = np.random.default_rng(0).normal(size=shape).astype("float32")
    for route in ROUTES.values():
        assert np.array_equal(route(some_images(), labels, [augment.HorizontalFlip()], 0)[1], labels)


def test_pipeline_and_generator_visit_samples_in_the_same_order():
    pytest.importorskip("tensorflow")
    images, labels = some_images(), np.arange(SAMPLES)
    options = {"batch_size": 4, "seed": -3}
    data = augment.pipeline(images, labels, SHIFTS, initial_epoch=5, epochs=6, **options)
    generator = augment.ArrayGenerator(images, labels, SHIFTS, **options)
    generator.epoch = 5
    for ours, theirs in zip(data, generator, strict=False):
        assert np.array_equal(ours[0].numpy(), theirs[0])
        assert np.array_equal(ours[1].numpy(), theirs[1])
    order = draws.permutation(-3, 5, np.arange(SAMPLES, dtype="int32"))
    assert np.array_equal(to_numpy([generator[step] for step in range(3)])[1], order)


def test_half_precision_leaves_images_and_labels_exact_in_the_layer(mixed_float16):
    wide = np.random.default_rng(0).normal(1000, 1e5, (SAMPLES, 8, 9, 3)).astype("float32")
    labels = np.random.default_rng(1).dirichlet(np.ones(3), SAMPLES).astype("float32")
    index = np.arange(SAMPLES, dtype="int32")
    layer = augment.Augmentation([augment.PadCrop(2), augment.HorizontalFlip()])
    for images in (some_images(), wide):
        result, result_labels = layer(images, labels, index=index, epoch=0, training=True)
        assert keras.backend.standardize_dtype(result.dtype) == images.dtype
        expected, _ = augment.transform(layer.operations, images, index=index)
        assert np.array_equal(keras.ops.convert_to_numpy(result), expected)
        assert keras.backend.standardize_dtype(result_labels.dtype) == "float32"
        assert np.array_equal(keras.ops.convert_to_numpy(result_labels), labels)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_half_precision_leaves_images_exact_in_a_model(mixed_float16, dtype):
    inputs = keras.Input((8, 9, 3), dtype=dtype)
    model = keras.Model(inputs, augment.Augmentation([augment.HorizontalFlip()])(inputs))
    images = some_images(dtype)
    result = model(images, training=False)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    assert np.array_equal(keras.ops.convert_to_numpy(result), images)


def test_half_precision_leaves_images_and_labels_exact_in_the_pipeline(mixed_float16):
    pytest.importorskip("tensorflow")
    wide = np.random.default_rng(0).normal(1000, 1e5, (SAMPLES, 8, 9, 3)).astype("float32")
    labels = np.random.default_rng(1).dirichlet(np.ones(3), SAMPLES).astype("float32")
    operations = [augment.PadCrop(2), augment.HorizontalFlip()]
    for images in (some_images(), wide):
        result, result_labels = from_pipeline(images, labels, operations, 0)
        expected, _ = reference(images, labels, operations, SEED, 0, np.arange(SAMPLES))
        assert result.dtype == images.dtype
        assert np.array_equal(result, expected)
        assert result_labels.dtype == np.float32
        assert np.array_equal(result_labels, labels)


def build_pipeline(images, labels, operations, **options):
    pytest.importorskip("tensorflow")
    return augment.pipeline(images, labels, operations, **{"batch_size": 2, **options})


@pytest.mark.parametrize("build", [build_pipeline, augment.ArrayGenerator])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((10, 8, 8))}, r"`images`.*\(10, 8, 8\)"),
        ({"images": [1, 2, 3]}, "`images`.*list"),
        ({"labels": np.zeros(9)}, "`labels`.*10 and 9"),
        ({"batch_size": 0}, "`batch_size`.*batch_size=0"),
        ({"batch_size": 2.0}, r"`batch_size`.*batch_size=2\.0"),
        ({"batch_size": True}, "`batch_size`.*batch_size=True"),
        ({"batch_size": 11, "drop_remainder": True}, "`batch_size`|11"),
        ({"seed": 1.5}, r"`seed`.*seed=1\.5"),
        ({"seed": None}, "`seed`.*seed=None"),
        ({"operations": ["flip"]}, "`operations`.*'flip'"),
        ({"operations": 3}, "`operations`.*3"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name_and_value(build, changes, words):
    arguments = {"images": some_images(), "labels": one_hot(), "operations": [], **changes}
    with pytest.raises(ValueError, match=words):
        build(**arguments)


@pytest.mark.parametrize("build", [build_pipeline, augment.ArrayGenerator])
def test_a_single_operation_needs_no_list(build):
    build(some_images(), one_hot(), augment.PadCrop(2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.arange(SAMPLES)}, "`y_train`.*one-hot"),
        ({"y_train": one_hot(9)}, "10 and 9"),
        ({"y_train": [one_hot(), one_hot(9)]}, "10 and 9"),
        ({"batch_size": 6}, "10 images make no batch of 12"),
        ({"batch_size": -1}, "`batch_size`.*batch_size=-1"),
        ({"batch_size": 1.5}, r"`batch_size`.*batch_size=1\.5"),
        ({"batch_size": True}, "`batch_size`.*batch_size=True"),
        ({"alpha": 0}, "`alpha`.*alpha=0"),
        ({"seed": "1"}, "`seed`.*seed='1'"),
        ({"datagen": 3}, "`operations`|`datagen`"),
    ],
    ids=str,
)
def test_mixup_generator_refuses_bad_arguments(changes, words):
    arguments = {"X_train": some_images(), "y_train": one_hot(), "batch_size": 2, **changes}
    with pytest.raises(ValueError, match=words):
        augment.MixupGenerator(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"p": 2}, "probability"), ({"s_l": 0.5}, "area"), ({"r_1": 0}, "aspect"), ({"v_l": 300}, "value")],
)
def test_random_eraser_refuses_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        augment.get_random_eraser(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"), [({"operations": ["flip"]}, "operations"), ({"operations": [], "seed": 0.5}, "seed")]
)
def test_layer_refuses_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        augment.Augmentation(**arguments)


@pytest.mark.parametrize(("initial_epoch", "epochs"), [(3, 2), (0, 0), (-1, None)])
def test_pipeline_refuses_epochs_that_never_come(initial_epoch, epochs):
    with pytest.raises(ValueError, match="epoch"):
        build_pipeline(some_images(), one_hot(), [], initial_epoch=initial_epoch, epochs=epochs)
