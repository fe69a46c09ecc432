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
        ((70, 15, 15, 16), {"filters": 256}),  # more samples than are taken at a time, and a remainder
        ((9, 7, 5, 4), {"filters": 256, "kernel_size": (3, 5), "use_bias": False}),
        ((9, 8, 6, 4), {"filters": 256, "padding": "valid"}),
        ((9, 11, 11, 4), {"filters": 256, "kernel_size": 1, "activation": "silu"}),
        ((2, 16, 16, 4), {"filters": 256}),  # from here on Keras's own
        ((4, 7, 7, 4), {}),
        ((4, 6, 6, 4), {"filters": 256, "strides": 2}),
        ((4, 6, 6, 4), {"filters": 256, "kernel_size": 2}),
        ((4, 6, 6, 4), {"filters": 256, "dilation_rate": 2}),
        ((4, 6, 6, 4), {"filters": 256, "groups": 2}),
        ((4, 6, 6, 4), {"padding": "valid"}),
    ],
)
def test_convolution_is_a_drop_in_for_keras(policy, shape, arguments):
    arguments = {"filters": 8, "kernel_size": 3, "padding": "same", "dtype": policy, **arguments}
    check_drop_in(zoo.Conv2D(**arguments), keras.layers.Conv2D(**arguments), shape, policy)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("known", [True, False], ids=["known sides", "any sides"])
@pytest.mark.parametrize(
    "shape, pool_size, kernel_size, filters",
    [
        ((2, 7, 7, 4), 2, 3, 8),
        ((2, 7, 6, 4), 2, (1, 5), 8),
        ((2, 5, 8, 4), 3, (2, 4), 8),
        ((2, 8, 6, 4), 2, 3, 8),
        ((3, 7, 5, 4), 2, 3, 256),
    ],
)
def test_rows_that_a_pooling_leaves_out_are_not_computed_and_not_missed(
    policy, known, shape, pool_size, kernel_size, filters
):
    arguments = {"filters": filters, "kernel_size": kernel_size, "padding": "same", "dtype": policy}
    sides = shape[1:3] if known else (None, None)

    def followed_by_pooling(convolution):
        pooling = keras.layers.MaxPooling2D(pool_size, dtype=policy)
        return keras.Sequential([keras.Input((*sides, shape[3])), convolution, pooling])

    ours = zoo.Conv2D(**arguments, pool_size=pool_size)
    check_drop_in(*map(followed_by_pooling, (ours, keras.layers.Conv2D(**arguments))), shape, policy)
    whole = tuple(side // pool_size * pool_size for side in shape[1:3])
    assert tuple(ours(np.ones(shape, "float32")).shape) == (shape[0], *whole, filters)
    assert ours.compute_output_shape(shape) == (shape[0], *whole, filters)


def test_rows_that_a_pooling_leaves_out_with_channels_first():
    images = np.random.default_rng(1).normal(size=(2, 4, 7, 5)).astype("float32")
    arguments = {"filters": 8, "kernel_size": 3, "padding": "same"}
    ours = zoo.Conv2D(**arguments, pool_size=2, data_format="channels_first")
    assert ours.compute_output_shape(images.shape) == (2, 8, 6, 4)
    ours.build(images.shape)
    theirs = keras.layers.Conv2D(**arguments, data_format="channels_last")
    theirs.build((2, 7, 5, 4))
    theirs.set_weights(ours.get_weights())
    expected = to_numpy(theirs(images.transpose(0, 2, 3, 1)))[:, :6, :4].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(to_numpy(ours(images)), expected, atol=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"pool_size": 0}, "`pool_size` must be a positive integer. Received: pool_size=0"),
        ({"pool_size": True}, "pool_size=True"),
        ({"pool_size": 2, "padding": "valid"}, "padding='valid'"),
        ({"pool_size": 2, "strides": 2}, r"strides=\(2, 2\)"),
        ({"pool_size": 2, "dilation_rate": 2}, r"dilation_rate=\(2, 2\)"),
    ],
)
def test_what_is_no_pooling_after_a_convolution_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.Conv2D(8, 3, **{"padding": "same", **arguments})


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", ["gelu", "silu", "relu", "tanh", "softmax", "leaky_relu"])
def test_activation_is_a_drop_in_for_keras(policy, activation):
    layers = [made(activation, dtype=policy) for made in (zoo.Activation, keras.layers.Activation)]
    check_drop_in(*layers, (8, 5, 5, 4), policy)


def test_gelu_in_bfloat16_is_as_near_as_its_polynomial(backend):
    """What bfloat16 can hold of the exact values, and 0.00004 and 0.00014 beside it; nothing far from zero."""
    if backend != "tensorflow":
        assert not zoo.activation._is_faster(keras.ops.ones((2,), "bfloat16"))
        return
    import tensorflow as tf

    inputs = tf.cast(np.concatenate([np.linspace(-8, 8, 20001), [-1e30, -1e3, 1e3, 1e30]]), "bfloat16")
    exact_inputs = tf.cast(inputs, "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([inputs, exact_inputs])
        outputs, exact_outputs = zoo.Activation("gelu", dtype="bfloat16")(inputs), keras.activations.gelu(exact_inputs)
    pairs = [
        (outputs, exact_outputs, 4e-5),
        (tape.gradient(outputs, inputs), tape.gradient(exact_outputs, exact_inputs), 1.4e-4),
    ]
    for ours, exact, error in pairs:
        np.testing.assert_allclose(tf.cast(ours, "float32"), exact, rtol=2**-8, atol=error)


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
    """Which way is taken cannot be seen in the results: the gradient of the fast one is a product of matrices."""
    if backend != "tensorflow":
        assert not zoo.Conv2D(256, 3, padding="same", dtype="bfloat16")._is_faster(
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
    assert "Conv2DBackpropFilter" not in operations(zoo.Conv2D(256, 3, **arguments), 15)
    assert "Conv2DBackpropFilter" not in operations(zoo.Conv2D(256, 3, pool_size=3, **arguments), 17)
    assert "Conv2DBackpropFilter" in operations(zoo.Conv2D(256, 3, **arguments), 16)
    assert "Conv2DBackpropFilter" in operations(zoo.Conv2D(255, 3, **arguments), 7)
    assert "Conv2DBackpropFilter" in operations(zoo.Conv2D(256, 3, padding="same"), 7)


def test_a_model_of_fast_layers_is_saved_and_loaded(tmp_path):
    layers = [zoo.Conv2D(4, 3, padding="same", pool_size=2), zoo.GroupNormalization(2), zoo.Activation("gelu")]
    model = keras.Sequential([keras.Input((7, 7, 3)), *layers])
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(1).normal(size=(2, 7, 7, 3)).astype("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].pool_size == 2
    assert [type(layer) for layer in loaded.layers] == [zoo.Conv2D, zoo.GroupNormalization, zoo.Activation]
    np.testing.assert_allclose(to_numpy(loaded(images)), to_numpy(model(images)), rtol=1e-6)
