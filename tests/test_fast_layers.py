"""The layers made for speed against Keras's own: the same weights, the same results, the same gradients."""

import keras
import numpy as np
import pytest

import zoo

to_numpy = keras.ops.convert_to_numpy


def trained(layer, shape, policy):
    """Outputs, and the weights after a step of a model made of a layer."""
    draw = np.random.default_rng(1).normal
    model = keras.Sequential([keras.Input(shape[1:]), keras.layers.Dense(shape[-1], dtype=policy), layer])
    model.layers[0].set_weights([np.eye(shape[-1]), np.zeros(shape[-1])])  # so that gradients to the inputs count
    if layer.weights:
        layer.set_weights([np.random.default_rng(2).normal(0, 0.1, weight.shape) for weight in layer.weights])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    inputs = draw(size=shape).astype("float32")
    outputs = to_numpy(keras.ops.cast(model(inputs), "float32"))
    targets = draw(size=outputs.shape).astype("float32")
    model.train_on_batch(inputs, targets)
    return [outputs, *model.get_weights()]


def check_drop_in(ours, theirs, shape, policy):
    tolerance = {"float32": 1e-5, "mixed_bfloat16": 2e-2}[policy]
    for own, other in zip(trained(ours, shape, policy), trained(theirs, shape, policy), strict=True):
        np.testing.assert_allclose(own, other, rtol=tolerance, atol=tolerance * max(np.abs(other).max(), 0.1))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "shape, arguments",
    [
        ((250, 3, 3, 4), {"kernel_size": 3}),  # more samples than are taken at a time, and a remainder
        ((125, 7, 5, 4), {"kernel_size": (3, 5), "use_bias": False}),
        ((70, 11, 11, 4), {"kernel_size": 1, "activation": "silu"}),
        ((4, 15, 15, 4), {"kernel_size": 3}),  # from here on Keras's own
        ((4, 6, 6, 4), {"kernel_size": 3, "strides": 2}),
        ((4, 6, 6, 4), {"kernel_size": 2}),
        ((4, 6, 6, 4), {"kernel_size": 3, "dilation_rate": 2}),
        ((4, 6, 6, 4), {"kernel_size": 3, "groups": 2}),
        ((4, 6, 6, 4), {"kernel_size": 3, "padding": "valid"}),
    ],
)
def test_convolution_is_a_drop_in_for_keras(policy, shape, arguments):
    layers = [made(8, dtype=policy, **{"padding": "same", **arguments}) for made in (zoo.Conv2D, keras.layers.Conv2D)]
    check_drop_in(*layers, shape, policy)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", ["gelu", "silu", "relu", "tanh", "softmax", "leaky_relu"])
def test_activation_is_a_drop_in_for_keras(policy, activation):
    layers = [made(activation, dtype=policy) for made in (zoo.Activation, keras.layers.Activation)]
    check_drop_in(*layers, (8, 5, 5, 4), policy)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "shape, arguments",
    [
        ((4, 6, 5, 64), {}),
        ((4, 1, 1, 64), {"groups": 8}),
        ((3, 5, 4, 12), {"groups": 3, "center": False, "epsilon": 0.1}),
        ((3, 5, 4, 12), {"groups": 1, "scale": False}),
        ((3, 5, 4, 12), {"groups": -1}),
        ((3, 8, 5, 4), {"groups": 4, "axis": 1}),
        ((3, 5, 12), {"groups": 4}),
    ],
)
def test_group_normalization_is_a_drop_in_for_keras(policy, shape, arguments):
    made = (zoo.GroupNormalization, keras.layers.GroupNormalization)
    check_drop_in(*(each(dtype=policy, **arguments) for each in made), shape, policy)


def test_group_normalization_of_values_far_from_zero():
    images = np.random.default_rng(1).normal(30, 1, (2, 9, 9, 64)).astype("float32")
    groups = images.astype("float64").reshape(2, 81, 32, 2)
    mean, variance = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(variance + 1e-5)).reshape(images.shape)
    np.testing.assert_allclose(to_numpy(zoo.GroupNormalization(epsilon=1e-5)(images)), expected, atol=1e-3)


def test_group_normalization_of_any_number_of_images_in_a_compiled_step():
    model = keras.Sequential([keras.Input((None, None, 64)), zoo.GroupNormalization()])
    for samples, side in ((3, 4), (2, 5)):
        images = np.random.default_rng(1).normal(size=(samples, side, side, 64)).astype("float32")
        expected = to_numpy(keras.layers.GroupNormalization()(images))
        np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)


def test_fast_layers_know_which_inputs_are_theirs(backend):
    """Which way is taken cannot be seen in the results: the gradient of the fast one is made of convolutions."""
    if backend != "tensorflow":
        assert not zoo.Conv2D(4, 3, padding="same", dtype="bfloat16")._is_faster(
            keras.ops.ones((2, 7, 7, 3), "bfloat16")
        )
        return
    import tensorflow as tf

    def operations(layer, side):
        layer.build((None, None, None, 4))

        def gradient(images):
            with tf.GradientTape() as tape:
                outputs = layer(images)
            return tape.gradient(outputs, layer.trainable_weights or images)

        signature = tf.TensorSpec((4, side, side, 4), layer.compute_dtype)
        return {each.type for each in tf.function(gradient).get_concrete_function(signature).graph.get_operations()}

    arguments = {"padding": "same", "dtype": "mixed_bfloat16"}
    assert "Conv2DBackpropFilter" not in operations(zoo.Conv2D(4, 3, **arguments), 7)
    assert "Conv2DBackpropFilter" in operations(zoo.Conv2D(4, 3, **arguments), 15)
    assert "Conv2DBackpropFilter" in operations(zoo.Conv2D(4, 3, padding="same"), 7)


def test_a_model_of_fast_layers_is_saved_and_loaded(tmp_path):
    layers = [zoo.Conv2D(4, 3, padding="same"), zoo.GroupNormalization(2), zoo.Activation("gelu")]
    model = keras.Sequential([keras.Input((7, 7, 3)), *layers])
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(1).normal(size=(2, 7, 7, 3)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in loaded.layers] == [zoo.Conv2D, zoo.GroupNormalization, zoo.Activation]
    np.testing.assert_allclose(to_numpy(loaded(images)), to_numpy(model(images)), rtol=1e-6)
