"""One spelling of the array functions that the operations need, for NumPy, TensorFlow and Keras tensors.

The same operation runs on NumPy arrays (generators), on TensorFlow tensors whatever the Keras
backend is (tf.data), and on tensors of the Keras backend (layers on the device).
"""

import functools
import types

import keras
import numpy as np

_SAME_NAMES = (
    *("abs", "any", "arange", "concatenate", "cos", "cumsum", "exp", "floor", "left_shift", "log", "matmul", "max"),
    *("maximum", "min", "minimum", "pad", "reshape", "right_shift", "round", "sign", "sin", "sqrt", "stack", "sum"),
    *("transpose", "where"),
)


def namespace(array):
    """Find the functions that work on `array`.

    Args:
        array: a NumPy array, a TensorFlow tensor, or a tensor of the Keras backend.

    Returns:
        A namespace of array functions, in NumPy's names.

    Example:

    >>> array = np.arange(3)
    >>> namespace(array).take(array, array[:2])
    array([0, 1])
    """
    if isinstance(array, np.ndarray):
        return _numpy()
    if type(array).__module__.startswith("tensorflow"):
        return _tensorflow()
    return _keras()


def shape(array):
    """Sides of an array: integers where they are known while tracing, else scalar tensors.

    Args:
        array: as for `namespace`.

    Returns:
        tuple.

    Example:

    >>> shape(np.zeros((2, 8, 8, 3)))
    (2, 8, 8, 3)
    """
    if type(array).__module__.startswith("tensorflow"):
        dynamic = namespace(array).shape(array)
        return tuple(dynamic[axis] if side is None else side for axis, side in enumerate(array.shape))
    return tuple(array.shape)


def is_integer(array):
    """Whether an array holds integers, as uint8 images do.

    Args:
        array: as for `namespace`.

    Returns:
        bool.

    Example:

    >>> is_integer(np.zeros(1, "uint8")), is_integer(np.zeros(1, "float32"))
    (True, False)
    """
    return "int" in keras.backend.standardize_dtype(array.dtype)


def cast_like(array, images):
    """Cast float results to the dtype of images: integers are rounded and kept in their range.

    Args:
        array: float array.
        images: array of the dtype that is wanted.

    Returns:
        An array of that dtype.

    Example:

    >>> cast_like(np.array([-3.0, 7.6, 300.0]), np.zeros(1, "uint8"))
    array([  0,   8, 255], dtype=uint8)
    """
    xp = namespace(array)
    if is_integer(images):
        limits = np.iinfo(keras.backend.standardize_dtype(images.dtype))
        array = xp.minimum(xp.maximum(xp.round(array), limits.min), limits.max)
    return xp.cast(array, images.dtype)


@functools.cache
def _numpy():
    return types.SimpleNamespace(
        **{name: getattr(np, name) for name in _SAME_NAMES},
        asarray=np.asarray,
        argsort=lambda array: np.argsort(array, kind="stable"),
        cast=lambda array, dtype: np.asarray(array).astype(dtype, copy=False),
        take=lambda array, index: np.take(array, index, axis=0),
    )


@functools.cache
def _keras():
    return types.SimpleNamespace(
        **{name: getattr(keras.ops, name) for name in _SAME_NAMES},
        argsort=keras.ops.argsort,
        asarray=keras.ops.convert_to_tensor,
        cast=keras.ops.cast,
        take=_torch_take
        if keras.backend.backend() == "torch"
        else lambda array, index: keras.ops.take(array, index, 0),
    )


def _torch_take(array, index):
    """Three times as fast as `keras.ops.take`, which wraps negative positions first."""
    return array.index_select(0, index.reshape(-1)).reshape(index.shape + array.shape[1:])


@functools.cache
def _tensorflow():
    import tensorflow as tf

    other_names = {
        "any": tf.reduce_any,
        "arange": lambda stop, dtype: tf.range(stop, dtype=dtype),
        "concatenate": tf.concat,
        "left_shift": tf.bitwise.left_shift,
        "log": tf.math.log,
        "max": tf.reduce_max,
        "min": tf.reduce_min,
        "pad": lambda array, width, mode: tf.pad(array, width, mode=mode.upper()),
        "right_shift": tf.bitwise.right_shift,
        "sum": tf.reduce_sum,
    }
    return types.SimpleNamespace(
        **{name: getattr(tf, name, None) for name in _SAME_NAMES} | other_names,
        argsort=lambda array: tf.argsort(array, stable=True),
        asarray=tf.convert_to_tensor,
        cast=tf.cast,
        shape=tf.shape,
        take=tf.gather,
    )
