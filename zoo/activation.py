"""Activations in one pass over memory, where the framework takes one for each operation."""

import functools
import math

import keras
import numpy as np

# Of GELU's polynomials: beyond the bound they are 0 or 1, and with more terms bfloat16 would not be nearer.
_BOUND = 4.5
_TERMS = 10


@keras.saving.register_keras_serializable(package="zoo")
class Activation(keras.layers.Activation):
    """Apply an activation, compiled into one loop on CPUs.

    A drop-in for `keras.layers.Activation`: the same arguments and results. On TensorFlow and a CPU,
    an activation made of several operations reads and writes the whole batch for each of them, in
    bfloat16 with conversions, and so does its gradient: GELU took three times as long. Here XLA makes
    one loop of them, which computes in float32. ReLU is one operation already; it, and everything on
    other devices and backends, is Keras's own.

    GELU, the exact one, is in bfloat16 a polynomial there, where the error function would take most of the
    time: twice as fast, and at most 0.00004 from it, 0.00014 in the gradient, where the values of bfloat16
    themselves are 0.008 apart from 1 on.

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
        if self.activation is keras.activations.gelu and keras.backend.standardize_dtype(inputs.dtype) == "bfloat16":
            return _in_one_pass(_gelu, _gelu_slope)(inputs)
        return _in_one_pass(self.activation)(inputs)


_SINGLE = (keras.activations.linear, keras.activations.relu, keras.activations.relu6, keras.activations.sigmoid)


def _is_faster(inputs):
    if keras.backend.backend() != "tensorflow" or isinstance(inputs, keras.KerasTensor):
        return False
    import tensorflow as tf

    floating = keras.backend.standardize_dtype(inputs.dtype) in ("bfloat16", "float16", "float32")
    return isinstance(inputs, tf.Tensor) and floating and not tf.config.list_logical_devices("GPU")


@functools.lru_cache(maxsize=64)
def _in_one_pass(activation, slope=None):
    """The activation and its gradient, by its slope if given, each compiled by XLA."""
    import tensorflow as tf

    def forward(inputs):
        return tf.cast(activation(tf.cast(inputs, "float32")), inputs.dtype)

    def backward(inputs, upstream):
        if slope:
            return tf.cast(slope(tf.cast(inputs, "float32")) * tf.cast(upstream, "float32"), inputs.dtype)
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


def _gelu(inputs):
    import tensorflow as tf

    # Below the bound what is left of the factor is its rounding, which is not to be multiplied further.
    return tf.maximum(inputs, -_BOUND) * _polynomial(_normal_distribution, inputs)


def _gelu_slope(inputs):
    return _polynomial(_slope_of_gelu, inputs)


def _normal_distribution(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


def _slope_of_gelu(x):
    return _normal_distribution(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _polynomial(function, inputs):
    """A function that goes from 0 to 1, and is 1/2 plus an odd one, by a polynomial that ends at 0 and 1."""
    import tensorflow as tf

    x = tf.clip_by_value(inputs, -_BOUND, _BOUND)
    square, result = x * x, 0.0
    for coefficient in reversed(_coefficients(function)):
        result = result * square + coefficient
    return result * x + 0.5


@functools.lru_cache
def _coefficients(function):
    """Of x, x^3, x^5, ...: those of least squares at Chebyshev's places, the last of which is met exactly."""
    places = np.cos(np.linspace(0, np.pi / 2, 1000, endpoint=False))
    weights = np.where(places == 1, 1e5, 1.0)
    values = np.array([function(_BOUND * place) - 0.5 for place in places])
    values[0] = 0.5
    powers = places[:, None] ** (2 * np.arange(_TERMS) + 1)
    solution = np.linalg.lstsq(powers * weights[:, None], values * weights, rcond=None)[0]
    return [float(each) for each in solution / _BOUND ** (2 * np.arange(_TERMS) + 1)]
