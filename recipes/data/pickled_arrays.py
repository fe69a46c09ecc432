"""Pickles of plain values and NumPy's arrays, of strangers too: nothing that they ask for is executed."""

import math
import pickle
import re

import numpy as np

_RECONSTRUCT = (("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"))
_NUMBERS = re.compile(r"[<>=|]?[biuf]\d")


def read_pickle(path):
    """Read a pickle of plain values and arrays of numbers.

    Args:
        path: a `pathlib.Path`.

    Returns:
        What it holds; of an array, what `as_array` makes one of.

    Raises:
        ValueError: of whatever kind damaged pickles raise; `pickle.UnpicklingError` where one asks for more.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "some.pickle")
    >>> _ = path.write_bytes(pickle.dumps({"numbers": np.arange(3)}, protocol=4))
    >>> as_array(read_pickle(path)["numbers"]).tolist()
    [0, 1, 2]
    """
    from zoo.checkpoints import check_pickle

    with path.open("rb") as file:
        check_pickle(file, path.stat().st_size)
        return _ArraysOnly(file, encoding="bytes").load()


def as_array(value):
    """An array of what a pickle holds.

    Args:
        value: of an array, or list of int.

    Returns:
        A NumPy array.

    Raises:
        ValueError: if it is neither.

    Example:

    >>> as_array([3, 4]).tolist()
    [3, 4]
    """
    if isinstance(value, _Array):
        return value.realize()
    # A list that holds itself many times over would be an array without end.
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise ValueError(f"it holds a {type(value).__name__} where integers are expected")
    return np.array(value, "int64")


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that knows what arrays are made of, and what pickles hold without any class."""

    def find_class(self, module, name):
        if (module, name) in _RECONSTRUCT:
            return _MakeArray()
        if (module, name) == ("numpy", "ndarray"):
            return "ndarray"  # only ever an argument of _reconstruct: nothing to call
        if (module, name) == ("numpy", "dtype"):
            return _MakeType()
        if (module, name) == ("_codecs", "encode"):
            return _Encode()
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


# Objects without attributes that stand for NumPy's: a pickle can set the state of what it is given, and NumPy's own
# believe it.
class _MakeArray:
    __slots__ = ()

    def __call__(self, *_):
        return _Array()


class _MakeType:
    __slots__ = ()

    def __call__(self, name, *_):
        name = name.decode() if isinstance(name, bytes) else name
        if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
            raise pickle.UnpicklingError("it holds an array of something else than numbers")
        return _Type(np.dtype(name))


class _Encode:
    """How Python 3 writes bytes for Python 2."""

    __slots__ = ()

    def __call__(self, text, *_):
        return text.encode("latin1")


class _Type:
    __slots__ = ("dtype",)

    def __init__(self, dtype):
        self.dtype = dtype

    def __setstate__(self, state):
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError("it holds an array in no order of bytes")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    __slots__ = ("state",)

    def __setstate__(self, state):
        self.state = state

    def realize(self):
        _, shape, kind, fortran, data = self.state
        if not isinstance(kind, _Type) or not isinstance(data, bytes) or not isinstance(shape, tuple):
            raise ValueError("it describes an array in another way than NumPy does")
        if any(type(side) is not int or side < 0 for side in shape):
            raise ValueError("it holds an array of no shape")
        if math.prod(shape) * kind.dtype.itemsize != len(data):
            raise ValueError(f"it holds {len(data)} bytes for an array of shape {shape!r:.100}")
        array = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran else "C")
        return array.astype(array.dtype.newbyteorder("="))
