"""Activations in one pass over memory, where the framework takes one for each operation."""

import functools

import keras


@keras.saving.register_keras_serializable(package="zoo")
class Activation(keras.layers.Activation):
    """Apply an activation, compiled into one loop on CPUs.

    A drop-in for `keras.layers.Activation`: the same arguments and results. On TensorFlow and a CPU,
    an activation made of several operations reads and writes the whole batch for each of them, in
    bfloat16 with conversions, and so does its gradient: GELU took three times as long. Here XLA makes
    one loop of them, which computes in float32. ReLU is one operation already; it, and everything on
    other devices and backends, is Keras's own.

    Args:
        activation: str or callable, elementwise or not, without weights of its own.
        **kwargs: of `keras.layers.Activation`.

    Example:

    >>> layer = Activation("gelu")
    >>> [round(float(value), 3) for value in layer(keras.ops.convert_to_tensor([-1.0, 0.0, 1.0]))]
    [-0.159, 0.0, 0.841]

    Reference:
        https://arxiv.org/abs/1606.08415
    """

    def call(self, inputs):
        if self.activation in _SINGLE or not _is_faster(inputs):
            return super().call(inputs)
        return _in_one_pass(self.activation)(inputs)


_SINGLE = (keras.activations.linear, keras.activations.relu, keras.activations.relu6, keras.activations.sigmoid)


def _is_faster(inputs):
    if keras.backend.backend() != "tensorflow" or isinstance(inputs, keras.KerasTensor):
        return False
    import tensorflow as tf

    floating = keras.backend.standardize_dtype(inputs.dtype) in ("bfloat16", "float16", "float32")
    return isinstance(inputs, tf.Tensor) and floating and not tf.config.list_logical_devices("GPU")


@functools.lru_cache(maxsize=64)
def _in_one_pass(activation):
    """The activation and its gradient, each compiled by XLA."""
    import tensorflow as tf

    def forward(inputs):
        return tf.cast(activation(tf.cast(inputs, "float32")), inputs.dtype)

    def backward(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = forward(inputs)
        return tape.gradient(outputs, inputs, upstream)

    forward_compiled = tf.function(forward, jit_compile=True, autograph=False)
    backward_compiled = tf.function(backward, jit_compile=True, autograph=False)

    @tf.custom_gradient
    def apply(inputs):
        return forward_compiled(inputs), lambda upstream: backward_compiled(inputs, upstream)

    return apply
