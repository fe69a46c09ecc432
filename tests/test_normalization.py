"""The fused batch normalisation against Keras's own."""

import keras
import numpy as np
import pytest

import zoo

to_numpy = keras.ops.convert_to_numpy


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}, {"axis": 1}, {"momentum": 0.1}])
def test_batch_normalization_is_a_drop_in_for_keras(policy, arguments):
    shape = (8, 6, 5, 4)
    inputs = np.random.default_rng(1).normal(3, 2, shape).astype("float32")
    ours = zoo.BatchNormalization(dtype=policy, **arguments)
    theirs = keras.layers.BatchNormalization(dtype=policy, **arguments)
    for layer in (ours, theirs):
        layer.build(shape)
    weights = [np.random.default_rng(2).uniform(0.5, 2, weight.shape) for weight in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for training in (True, False):
        results = [layer(inputs, training=training) for layer in (ours, theirs)]
        assert results[0].dtype == results[1].dtype
        results = [to_numpy(keras.ops.cast(result, "float32")) for result in results]
        np.testing.assert_allclose(*results, atol=tolerance, rtol=tolerance)
    for own, other in zip(ours.weights, theirs.weights):
        np.testing.assert_allclose(to_numpy(own), to_numpy(other), rtol=1e-5, atol=1e-6)


def test_batch_normalization_trains_as_keras_does():
    inputs = np.random.default_rng(1).normal(3, 2, (16, 6, 5, 4)).astype("float32")
    targets = np.random.default_rng(2).normal(size=(16, 6, 5, 4)).astype("float32")
    trained = []
    for layer in (zoo.BatchNormalization(), keras.layers.BatchNormalization()):
        model = keras.Sequential([keras.Input((6, 5, 4)), layer])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        for _ in range(3):
            model.train_on_batch(inputs, targets)
        trained.append(model.get_weights())
    for own, other in zip(*trained):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_passes_on_the_gradients_of_keras():
    """Fine-tuning: the statistics stand still, what lies below is trained."""
    inputs = np.random.default_rng(1).normal(3, 2, (16, 6, 5, 4)).astype("float32")
    targets = np.random.default_rng(2).normal(size=(16, 6, 5, 4)).astype("float32")
    trained = []
    for made in (zoo.BatchNormalization, keras.layers.BatchNormalization):
        frozen = made(trainable=False)
        model = keras.Sequential([keras.Input((6, 5, 4)), keras.layers.Dense(4, kernel_initializer="ones"), frozen])
        frozen.set_weights([np.arange(1.0, 5), np.arange(4.0), np.arange(2.0, 6), np.arange(3.0, 7)])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        for _ in range(2):
            model.train_on_batch(inputs, targets)
        trained.append(model.get_weights())
    for own, other in zip(*trained):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_keeps_its_statistics():
    layer = zoo.BatchNormalization()
    layer.trainable = False
    layer(np.random.default_rng(1).normal(3, 2, (8, 6, 5, 4)).astype("float32"), training=True)
    np.testing.assert_array_equal(to_numpy(layer.moving_mean), 0)
