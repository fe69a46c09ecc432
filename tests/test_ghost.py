"""Ghost batch normalisation: a batch in parts is as many batches, of which the gradient is the mean."""

import keras
import numpy as np
import pytest

import zoo

to_numpy = keras.ops.convert_to_numpy


def network():
    keras.utils.set_random_seed(0)
    images = keras.Input((5, 5, 3))
    x = keras.layers.Conv2D(4, 3, name="convolution")(images)
    x = zoo.BatchNormalization(momentum=0.5, name="normalization")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x)))


def batch(samples):
    draw = np.random.default_rng(1).normal
    return draw(size=(samples, 5, 5, 3)).astype("float32"), draw(size=(samples, 4)).astype("float32")


def test_a_step_is_the_mean_of_the_steps_of_the_parts():
    model, (images, targets) = network(), batch(8)
    before = model.get_weights()
    parts = []
    for part in (slice(4), slice(4, 8)):
        alone = network()
        alone.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
        alone.train_on_batch(images[part], targets[part])
        parts.append({weight.name: to_numpy(weight) for weight in alone.trainable_weights})
    whole = zoo.ghost_batches(model, 2)
    whole.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    whole.train_on_batch(images, targets)
    assert not np.allclose(before[0], to_numpy(model.weights[0]), atol=1e-4)
    for weight in model.trainable_weights:
        expected = np.mean([part[weight.name] for part in parts], axis=0)
        np.testing.assert_allclose(to_numpy(weight), expected, atol=1e-5)


def test_running_statistics_take_the_parts_one_after_another():
    model, (images, _) = network(), batch(5)
    features = to_numpy(model.get_layer("convolution")(images))
    mean, variance = np.zeros(4), np.ones(4)
    for part in (features[:2], features[2:]):
        mean, variance = (mean + part.mean((0, 1, 2))) / 2, (variance + part.var((0, 1, 2))) / 2
    zoo.ghost_batches(model, 2)(images, training=True)
    normalization = model.get_layer("normalization")
    np.testing.assert_allclose(to_numpy(normalization.moving_mean), mean, atol=1e-5)
    np.testing.assert_allclose(to_numpy(normalization.moving_variance), variance, atol=1e-5)


def test_predictions_are_those_of_the_model(tmp_path):
    model, (images, _) = network(), batch(7)
    whole = zoo.ghost_batches(model, 3)
    whole.compile()
    assert whole.output_shape == model.output_shape
    np.testing.assert_allclose(whole.predict(images, batch_size=4, verbose=0), to_numpy(model(images)), atol=1e-6)
    whole.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(images)), to_numpy(model(images)), atol=1e-6)


def test_one_part_is_the_model_itself():
    model = network()
    assert zoo.ghost_batches(model, 1) is model


def test_parts_that_are_none_are_refused():
    for parts in (0, 1.5, True, "2"):
        with pytest.raises(ValueError, match="`parts` must be a positive integer"):
            zoo.ghost_batches(network(), parts)
    with pytest.raises(ValueError, match="sample for each of 3 parts. Received: 2 samples"):
        zoo.ghost_batches(network(), 3)(np.ones((2, 5, 5, 3)))
    first, second = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(ValueError, match="one input. Received: a model of 2"):
        zoo.ghost_batches(keras.Model([first, second], keras.layers.Add()([first, second])), 2)
