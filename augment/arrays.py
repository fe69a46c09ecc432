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
    *("transpose", "where", "zeros"),
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


def is_torch_on_cpu(array):
    """Whether NumPy can work in the memory of a torch tensor.

    Args:
        array: as for `namespace`.

    Returns:
        bool.

    Example:

    >>> is_torch_on_cpu(np.zeros(1))
    False
    """
    if not type(array).__module__.startswith("torch") or array.device.type != "cpu" or array.requires_grad:
        return False
    return keras.backend.standardize_dtype(array.dtype) != "bfloat16"  # which NumPy does not know


def in_numpy(function):
    """Hand NumPy arrays, and torch tensors on a CPU, whose memory NumPy shares, to a function of their own.

    Args:
        function: `(images, *arguments) -> images`, of NumPy arrays.

    Returns:
        A decorator for the same function of any tensors.

    Example:

    >>> @in_numpy(lambda images, factor: images * factor)
    ... def scale(images, factor):
    ...     raise AssertionError("for other tensors")
    >>> scale(np.ones(2), 3).tolist()
    [3.0, 3.0]
    """

    def decorate(general):
        @functools.wraps(general)
        def change(images, *arguments):
            if isinstance(images, np.ndarray):
                return function(images, *arguments)
            if not is_torch_on_cpu(images):
                return general(images, *arguments)
            import torch

            given = (each.numpy() if torch.is_tensor(each) else each for each in arguments)
            return torch.from_numpy(np.ascontiguousarray(function(images.numpy(), *given)))

        return change

    return decorate


def cast_like(array, images):
    """Cast float results to the dtype of images: integers are rounded and kept in their range.

    Args:
        array: float array that is of no further use.
        images: array of the dtype that is wanted.

    Returns:
        An array of that dtype.

    Example:

    >>> cast_like(np.array([-3.0, 7.6, 300.0]), np.zeros(1, "uint8"))
    array([  0,   8, 255], dtype=uint8)
    """
    xp = namespace(array)
    if array.dtype == images.dtype:
        return array
    if is_integer(images) and isinstance(array, np.ndarray):
        array = np.rint(array, out=array)  # in place, as new memory takes longer than the work
        np.clip(array, *limits(images), out=array)
    elif is_integer(images):
        array = xp.clip(xp.round(array), *limits(images))
    return xp.cast(array, images.dtype)


def limits(images):
    """What a dtype of integers can hold.

    Args:
        images: as for `namespace`.

    Returns:
        `(lowest, highest)`, or None for floats.

    Example:

    >>> limits(np.zeros(1, "uint8"))
    (0, 255)
    """
    if not is_integer(images):
        return None
    information = np.iinfo(keras.backend.standardize_dtype(images.dtype))
    return int(information.min), int(information.max)


def join_channels(channels):
    """Put single channels side by side.

    Args:
        channels: list of arrays `(batch, height, width)`.

    Returns:
        `(batch, height, width, channels)`.

    Example:

    >>> join_channels([np.zeros((1, 1, 2)), np.ones((1, 1, 2))])[0, 0]
    array([[0., 1.],
           [0., 1.]])
    """
    if not type(channels[0]).__module__.startswith("jax"):
        return namespace(channels[0]).stack(channels, axis=-1)
    # XLA on a CPU takes ten times as long for a `stack` of what it computes in the same loop.
    import jax.numpy as jnp

    joined = channels[0][..., None]
    for number, channel in enumerate(channels[1:], 1):
        joined = jnp.where(jnp.arange(len(channels)) < number, joined, channel[..., None])
    return joined


def repeat(times, change, array):
    """Change an array several times, one after another.

    A loop for XLA, on which a chain of operations would be computed again for each pixel that an
    operation reads, and so take exponentially long.

    Args:
        times: int.
        change: function from turn (0, 1, ...) and array to an array.
        array: as for `namespace`.

    Returns:
        An array.

    Example:

    >>> repeat(3, lambda turn, array: array + turn, np.zeros(1)).item()
    3.0
    """
    if type(array).__module__.startswith("jax"):
        import jax

        if isinstance(array, jax.core.Tracer):
            dtype = jax.eval_shape(lambda array: change(0, array), array).dtype
            return jax.lax.fori_loop(0, times, change, array.astype(dtype))
    for turn in range(times):
        array = change(turn, array)
    return array


@functools.cache
def _numpy():
    return types.SimpleNamespace(
        **{name: getattr(np, name) for name in _SAME_NAMES},
        asarray=np.asarray,
        argsort=lambda array: np.argsort(array, kind="stable"),
        cast=lambda array, dtype: np.asarray(array).astype(dtype, copy=False),
        clip=np.clip,
        flip=np.flip,
        lerp=_lerp,
        replace=_numpy_replace,
        take=lambda array, index, axis=0: np.take(array, index, axis=axis),
        true_rows=np.flatnonzero,
    )


def _lerp(start, end, weight):
    return start + weight * (end - start)


def _torch_lerp(start, end, weight):
    """In one pass over the memory of `start`, which is of no further use."""
    return start.lerp_(end, weight)


def _numpy_replace(array, rows, values):
    array = array.copy()
    array[rows] = values
    return array


@functools.cache
def _keras():
    torch = keras.backend.backend() == "torch"
    own_take = {"torch": _torch_take, "jax": _jax_take}
    return types.SimpleNamespace(
        **{name: getattr(keras.ops, name) for name in _SAME_NAMES},
        argsort=keras.ops.argsort,
        asarray=keras.ops.convert_to_tensor,
        cast=keras.ops.cast,
        clip=keras.ops.clip,
        flip=keras.ops.flip,
        lerp=_torch_lerp if torch else _lerp,
        replace=lambda array, rows, values: array.clone().index_copy_(0, rows.long(), values),  # torch only
        take=own_take.get(keras.backend.backend(), keras.ops.take),
        true_rows=lambda flags: flags.nonzero()[:, 0],  # torch only
    )


def _jax_take(array, index, axis=0):
    """Without the check for positions outside; and `take` gives another shape where there is nothing to take."""
    return array.at[(slice(None),) * axis + (index,)].get(mode="clip")


def _torch_take(array, index, axis=0):
    """Three times as fast as `keras.ops.take`, which wraps negative positions first."""
    shape = array.shape[:axis] + index.shape + array.shape[axis + 1 :]
    return array.index_select(axis, index.reshape(-1)).reshape(shape)


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
        clip=tf.clip_by_value,
        flip=lambda array, axis: tf.reverse(array, [axis]),
        lerp=_lerp,
        replace=lambda array, rows, values: tf.tensor_scatter_nd_update(array, rows[:, None], values),
        shape=tf.shape,
        take=lambda array, index, axis=0: tf.gather(array, index, axis=axis),
        true_rows=lambda flags: tf.where(flags)[:, 0],
    )
