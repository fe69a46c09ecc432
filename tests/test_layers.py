"""The Keras layer: training, saving, labels."""

import keras
import numpy as np
import pytest
from batches import SAMPLES
from batches import SHIFTS
from batches import one_hot
from batches import some_images

import augment


def small_model(operations, shape=(8, 9, 3), dtype="uint8"):
    model = keras.Sequential(
        [
            keras.Input(shape, dtype=dtype),
            augment.Augmentation([*operations, augment.Normalize((127.5,), (127.5,))], seed=3),
            keras.layers.Flatten(),
            keras.layers.Dense(SAMPLES),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def functional_model(operations):
    images = keras.Input((8, 9, 3), dtype="uint8")
    values = augment.Augmentation([*operations, augment.Normalize((127.5,), (127.5,))], seed=3)(images)
    model = keras.Model(images, keras.layers.Dense(SAMPLES)(keras.layers.Flatten()(values)))
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def logits_without_augmentation(model, images):
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.layers[-1].weights)
    return ((images.astype("float32") - 127.5) / 127.5).reshape(len(images), -1) @ kernel + bias


@pytest.mark.parametrize("build", [small_model, functional_model])
def test_layer_trains_in_a_model_and_is_inactive_in_inference(build):
    model = build(SHIFTS)
    before = keras.ops.convert_to_numpy(model.layers[-1].kernel)
    history = model.fit(some_images(), one_hot(), batch_size=5, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert not np.array_equal(before, keras.ops.convert_to_numpy(model.layers[-1].kernel))
    expected = logits_without_augmentation(model, some_images())
    np.testing.assert_allclose(model.predict(some_images(), verbose=0), expected, atol=1e-4)
    augmented = keras.ops.convert_to_numpy(model(some_images(), training=True))
    assert np.abs(augmented - expected).max() > 0.1


@pytest.mark.parametrize("build", [small_model, functional_model])
def test_layer_survives_saving(build, tmp_path):
    model = build([augment.PadCrop(1, size=(8, 9)), augment.Rotation((-10, 5)), augment.RandomErasing(area=(0.1, 0.2))])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ours, theirs = (next(layer for layer in m.layers if "augmentation" in layer.name) for m in (model, loaded))
    assert theirs.operations == ours.operations
    assert theirs.seed == ours.seed == 3
    assert theirs.name == ours.name
    images = some_images()
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)
    for _ in range(2):  # the random numbers go on as they would have
        result, expected = (keras.ops.convert_to_numpy(layer(images, training=True)) for layer in (theirs, ours))
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_layer_goes_on_with_its_random_numbers_after_loading(tmp_path):
    model = small_model([augment.PadCrop(2)])
    model.fit(some_images(), one_hot(), batch_size=5, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    result, expected = (keras.ops.convert_to_numpy(m.layers[0](some_images(), training=True)) for m in (loaded, model))
    assert np.array_equal(result, expected)
    fresh = keras.ops.convert_to_numpy(small_model([augment.PadCrop(2)]).layers[0](some_images(), training=True))
    assert not np.array_equal(result, fresh)


def test_layer_draws_anew_for_each_batch_and_repeats_with_its_seed():
    layers = [augment.Augmentation([augment.PadCrop(2)], seed=seed) for seed in (1, 1, 2)]
    runs = [[keras.ops.convert_to_numpy(layer(some_images(), training=True)) for _ in range(3)] for layer in layers]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][1], runs[0][2])


@pytest.mark.parametrize("arguments", [{}, {"training": False}])
def test_layer_does_nothing_unless_it_trains(arguments):
    layer = augment.Augmentation([augment.PadCrop(2), augment.Rotation(30), augment.Cutout(3)])
    result = layer(some_images(), **arguments)
    assert keras.backend.standardize_dtype(result.dtype) == "uint8"
    assert np.array_equal(keras.ops.convert_to_numpy(result), some_images())


def test_layer_announces_its_output_shape():
    layer = augment.Augmentation([augment.PadCrop(2, size=(5, 6)), augment.Normalize((0.0,), (1.0,))])
    output = layer(keras.Input((8, 9, 3), dtype="uint8"), training=True)
    assert output.shape == (None, 5, 6, 3)
    assert output.dtype == "float32"


def test_layer_mixes_images_with_their_labels():
    images, labels = some_images("float32"), one_hot()
    layer = augment.Augmentation([augment.Mixup(0.5)])
    mixed_images, mixed_labels = (keras.ops.convert_to_numpy(part) for part in layer(images, labels, training=True))
    assert (mixed_labels.max(axis=1) < 1).any()
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1, rtol=1e-5)
    # Labels are one-hot of all samples: they say how the images were blended.
    np.testing.assert_allclose(mixed_images, np.tensordot(mixed_labels, images, axes=1), atol=1e-4)


def test_layer_needs_labels_to_mix():
    layer = augment.Augmentation([augment.Mixup()])
    with pytest.raises(ValueError, match="Pass labels"):
        layer(some_images(), training=True)
    assert np.array_equal(keras.ops.convert_to_numpy(layer(some_images())), some_images())


def test_xla_is_left_off_where_it_cannot_compile_the_layer(backend):
    """On CPUs TensorFlow works on the chosen samples alone; XLA must know how many there are."""
    model = small_model([augment.ColorJitter(0.4), augment.Rotation(20)])
    if backend == "tensorflow":
        assert model.jit_compile is False
    model.fit(some_images(), one_hot(), batch_size=5, verbose=0)
    assert np.isfinite(model.evaluate(some_images(), one_hot(), verbose=0))
