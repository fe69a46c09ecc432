"""Work on some of the samples, or of the pixels, and leave the others as they are.

Where the number of those that change may depend on the draw, nothing is computed for the others: on
NumPy arrays, and on CPUs with TensorFlow and torch. A compiler that must know every shape (XLA, and
so JAX), and a GPU, which would have to wait for the number, compute both and select.
"""

import contextlib
import contextvars
import functools

import keras
import numpy as np

from augment import arrays
from augment import draws

_ON_CPU = contextvars.ContextVar("on_cpu", default=False)


@contextlib.contextmanager
def on_cpu():
    """Say that TensorFlow works on the CPU in here, as tf.data always does, though there may be a GPU.

    Example:

    >>> with on_cpu():
    ...     pass
    """
    token = _ON_CPU.set(True)
    try:
        yield
    finally:
        _ON_CPU.reset(token)


def numbers_may_vary(array):
    """Whether the number of samples at work may depend on values.

    Args:
        array: a NumPy array, a TensorFlow tensor, or a tensor of the Keras backend.

    Returns:
        bool.

    Example:

    >>> numbers_may_vary(np.zeros(3))
    True
    """
    if isinstance(array, np.ndarray):
        return True
    if type(array).__module__.startswith("tensorflow"):
        return _ON_CPU.get() or not _tensorflow_has_gpu()
    return arrays.is_torch_on_cpu(array)


def change_where(chosen, change, values, *arguments, into=None):
    """Change some of the samples.

    Args:
        chosen: bool `(batch, 1)`.
        change: a function of samples, and of the arguments that belong to them.
        values: `(batch, ...)`.
        *arguments: nested structures of arrays `(batch, ...)`.
        into: `(batch, ...)`, what the other samples are; or None for `values`. Defaults to None.

    Returns:
        `(batch, ...)`, in float32 if either is float.

    Example:

    >>> change_where(np.array([[True], [False]]), np.negative, np.array([1, 2])).tolist()
    [-1, 2]
    """
    into = values if into is None else into
    if not numbers_may_vary(values):
        return select(chosen, change(values, *arguments), into)
    xp = arrays.namespace(values)
    rows = xp.true_rows(chosen[:, 0])
    some, *arguments = keras.tree.map_structure(lambda array: xp.take(array, rows), (values, *arguments))
    changed = change(some, *arguments)
    dtype = _common_dtype(changed, into)
    return xp.replace(xp.cast(into, dtype), rows, xp.cast(changed, dtype))


def select(chosen, changed, values):
    """Take some of the samples from one array, and the rest from the other.

    Args:
        chosen: bool `(batch, 1)`.
        changed: `(batch, ...)`.
        values: likewise.

    Returns:
        `(batch, ...)`, in float32 if either is float.

    Example:

    >>> select(np.array([[True], [False]]), np.array([3.0, 4.0], "float32"), np.array([1, 2])).tolist()
    [3.0, 2.0]
    """
    if changed is values:
        return values
    xp = arrays.namespace(values)
    dtype = _common_dtype(changed, values)
    chosen = xp.reshape(chosen, (-1,) + (1,) * (len(values.shape) - 1))
    return xp.where(chosen, xp.cast(changed, dtype), xp.cast(values, dtype))


def _paste_slices(images, source, top, left, height, width):
    """In NumPy, slices are ten times as fast as masks."""
    source, result = np.broadcast_to(source, images.shape), images.copy()
    edges = [np.maximum(edge, 0) for edge in (top, top + height, left, left + width)]
    edges = [np.broadcast_to(edge, (len(images), edge.shape[1])).tolist() for edge in edges]
    for sample, boxes in enumerate(zip(*edges)):
        for first_row, last_row, first_column, last_column in zip(*boxes):
            place = sample, slice(first_row, last_row), slice(first_column, last_column)
            result[place] = source[place]
    return result


@arrays.in_numpy(_paste_slices)
def paste(images, source, top, left, height, width):
    """Replace the pixels in boxes.

    Args:
        images: `(batch, height, width, channels)`.
        source: the new pixels, an array that broadcasts to the shape of `images`, of their dtype.
        top: int32 `(batch, count)`. First row of each box; may lie outside the image.
        left: int32 `(batch, count)`. First column.
        height: int, or int32 `(batch, count)`.
        width: int, or int32 `(batch, count)`.

    Returns:
        Images of the same dtype.

    Example:

    >>> image = np.zeros((1, 2, 3, 1), "uint8")
    >>> box = [np.array([[value]]) for value in (0, 1, 1, 2)]
    >>> paste(image, np.uint8(7), *box)[0, :, :, 0]
    array([[0, 7, 7],
           [0, 0, 0]], dtype=uint8)
    """
    xp = arrays.namespace(images)
    covered, source = boxes_mask(images, top, left, height, width), xp.cast(source, images.dtype)
    if len(source.shape) and source.shape[1] != 1:
        return xp.where(covered, source, images)
    # Twice as fast for one value an image: `where` would spread the mask over the channels first.
    covered = xp.cast(covered, images.dtype)
    return images * (1 - covered) + source * covered


def paste_noise(images, key, low, high, top, left, height, width):
    """Replace the pixels in boxes by uniform random numbers.

    Args:
        images: `(batch, height, width, channels)`.
        key: int32 `(batch, 2)`, random words, of which and of its place each number is a function.
        low: float. Smallest number.
        high: float. Largest number; there are 2**16 steps between the two.
        top: int32 `(batch, count)`. First row of each box; may lie outside the image.
        left: int32 `(batch, count)`. First column.
        height: int, or int32 `(batch, count)`.
        width: int, or int32 `(batch, count)`.

    Returns:
        Images of the same dtype.

    Example:

    >>> box = [np.array([[value]]) for value in (0, 1, 1, 2)]
    >>> paste_noise(np.zeros((1, 1, 4, 1), "float32"), np.array([[3, 4]]), 0, 1, *box).ravel().astype(bool)
    array([False,  True,  True, False])
    """
    xp = arrays.namespace(images)
    batch, rows, columns, channels = arrays.shape(images)
    covered = boxes_mask(images, top, left, height, width)
    pixels = rows * columns

    def noise(sample, pixel):
        numbers = draws.halves((xp.take(key[:, 0], sample), xp.take(key[:, 1], sample)), pixel, channels)
        return xp.cast(low + (high - low) * numbers, images.dtype)

    if not numbers_may_vary(images):
        pixel = xp.arange(pixels, dtype="int32")[None, :]
        sample = xp.arange(batch, dtype="int32")[:, None] + pixel * 0
        values = noise(sample, pixel + sample * 0)
        return xp.where(covered, xp.reshape(values, (-1, rows, columns, channels)), images)
    places = xp.cast(xp.true_rows(xp.reshape(covered, (-1,))), "int32")
    flat = xp.reshape(images, (-1, channels))
    return xp.reshape(xp.replace(flat, places, noise(places // pixels, places % pixels)), (-1, rows, columns, channels))


def boxes_mask(images, top, left, height, width):
    """Which pixels lie in one of the boxes.

    Args:
        images: `(batch, height, width, channels)`.
        top: int32 `(batch, count)`. First row of each box; may lie outside the image.
        left: int32 `(batch, count)`. First column.
        height: int, or int32 `(batch, count)`.
        width: int, or int32 `(batch, count)`.

    Returns:
        bool `(batch, height, width, 1)`.

    Example:

    >>> corner = np.array([[1]])
    >>> boxes_mask(np.zeros((1, 2, 3, 1)), top=corner, left=corner, height=1, width=2)[0, :, :, 0]
    array([[False, False, False],
           [False,  True,  True]])
    """
    xp = arrays.namespace(images)
    _, rows, columns, _ = arrays.shape(images)
    y = xp.arange(rows, dtype="int32")[None, None, :]
    x = xp.arange(columns, dtype="int32")[None, None, :]
    in_rows = (y >= top[:, :, None]) & (y < (top + height)[:, :, None])
    in_columns = (x >= left[:, :, None]) & (x < (left + width)[:, :, None])
    inside = in_rows[:, :, :, None] & in_columns[:, :, None, :]
    return (inside[:, 0] if inside.shape[1] == 1 else xp.any(inside, axis=1))[..., None]


def _common_dtype(changed, values):
    return values.dtype if changed.dtype == values.dtype else "float32"


@functools.cache
def _tensorflow_has_gpu():
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
