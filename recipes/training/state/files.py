"""The files of states: whole or not there, checked before they are believed, and with nothing in them that runs."""

import fractions
import hashlib
import json
import pathlib
import re
import warnings

import numpy as np

from recipes.atomic import leftovers
from recipes.atomic import write_atomically

_MAGIC = b"zoo state 1 "
_ARRAY_KINDS = "biufc"  # numbers: neither text nor Python objects
_SCALARS = (bool, int, float, str, type(None))


class States:
    """The states of a run, in a folder: the last ones, and the one that each phase of the training ended with.

    A state is a dict, of nothing but None, numbers, texts, fractions, arrays, and lists, tuples and dicts of these;
    "phase" in it is an int.

    Args:
        folder: path. It is made when something is written.
        keep: int. How many states are kept, beside the ends of phases. Defaults to 2.

    Example:

    >>> import tempfile
    >>> states = States(tempfile.mkdtemp())
    >>> for step in range(3):
    ...     _ = states.write({"phase": 0, "step": step, "weights": [np.arange(3)]})
    >>> [path.name for path in states.paths()], states.newest(0)["step"]
    (['state-2.bin', 'state-3.bin'], 2)
    """

    def __init__(self, folder, keep=2):
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def paths(self):
        """The files of states, the oldest first.

        Returns:
            list of paths.
        """
        return sorted(self.folder.glob("state-*.bin"), key=_number)

    def write(self, state):
        """Write a state, and delete those that are no longer kept.

        Args:
            state: dict.

        Returns:
            The path of the file.

        Raises:
            OSError: if it cannot be written. What was there before is there still.
        """
        paths = self.paths()
        path = self.folder / f"state-{_number(paths[-1]) + 1 if paths else 1}.bin"
        self._write(path, state)
        for old in [*paths, path][: -self.keep]:
            old.unlink()
        return path

    def newest(self, phase=None):
        """The last state that can be read; of those that cannot, a warning says so.

        Args:
            phase: int, or None for any. Defaults to None.

        Returns:
            dict, or None if there is none.
        """
        for path in reversed(self.paths()):
            state = _try(path)
            if state is not None and phase in (None, state["phase"]):
                return state
        return None

    def drop_newest(self, phase):
        """Delete the last state of a phase, if there is another one of it: nothing good came of it.

        Args:
            phase: int.
        """
        paths = [path for path in self.paths() if (state := _try(path)) is not None and state["phase"] == phase]
        if len(paths) > 1:
            paths[-1].unlink()

    def write_end(self, state):
        """Write the state that a phase has ended with.

        Args:
            state: dict.
        """
        self._write(self._end(state["phase"]), state)

    def end(self, phase):
        """The state that a phase has ended with; if it cannot be read, a warning says so.

        Args:
            phase: int.

        Returns:
            dict, or None if there is none.
        """
        return _try(self._end(phase)) if self._end(phase).is_file() else None

    def check(self):
        """Refuse a folder in which there is no state but damaged ones.

        Raises:
            ValueError: if it is so.
        """
        paths = self.paths()
        if paths and self.newest() is None and not any(map(_try, self.folder.glob("phase-*.bin"))):
            names = ", ".join(path.name for path in paths)
            raise ValueError(
                f"None of the states in {self.folder} can be read ({names}): they are damaged. Delete that folder, and "
                "the run begins anew, with the same arguments."
            )

    def _end(self, phase):
        return self.folder / f"phase-{phase}.bin"

    def _write(self, path, state):
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in leftovers(self.folder):  # of a process that was killed while it wrote
            part.unlink(missing_ok=True)
        write_state(path, state)


def write_state(path, state):
    """Write a state: a line with the checksum of all the rest, a line of JSON, and the bytes of the arrays.

    Args:
        path: of the file, whose folder exists.
        state: what `States` takes.

    Raises:
        TypeError: for anything else in it.
        OSError: if it cannot be written; then there is no such file, or the old one.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "state-1.bin")
    >>> write_state(path, {"phase": 0, "best": (fractions.Fraction(1, 3), np.float32(2))})
    >>> read_state(path)
    {'phase': 0, 'best': (Fraction(1, 3), np.float32(2.0))}
    """
    arrays = []
    content = _encode(state, arrays)
    kinds = [[array.dtype.str, list(array.shape)] for array in arrays]
    parts = [json.dumps({"state": content, "arrays": kinds}).encode() + b"\n"]
    parts += [np.ascontiguousarray(array).reshape(-1).view("uint8") for array in arrays]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with write_atomically(path) as new, new.open("wb") as file:
        file.write(_MAGIC + digest.hexdigest().encode() + b"\n")
        for part in parts:
            file.write(part)


def read_state(path):
    """Read a state, if it is whole.

    Args:
        path: of the file.

    Returns:
        dict.

    Raises:
        ValueError: if it is damaged, or no state.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "state-1.bin")
    >>> _ = path.write_bytes(b"zoo")
    >>> read_state(path)
    Traceback (most recent call last):
    ValueError: it does not begin as a state does
    """
    content = memoryview(pathlib.Path(path).read_bytes())
    first = len(_MAGIC) + 64
    if content[: len(_MAGIC)] != _MAGIC or content[first : first + 1] != b"\n":
        raise ValueError("it does not begin as a state does")
    content, digest = content[first + 1 :], bytes(content[len(_MAGIC) : first])
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("its checksum is another one: it is cut short, or was changed")
    try:
        end = content.obj.index(b"\n", first + 1) - first - 1
        header = json.loads(bytes(content[:end]))
        state = _decode(header["state"], _arrays(header["arrays"], content[end + 1 :]))
        if not isinstance(state["phase"], int):
            raise ValueError("its phase is no number")
        return state
    except (KeyError, IndexError, TypeError, RecursionError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"it is no state ({type(error).__name__})") from error


def _try(path):
    """The state in a file, or None with a warning."""
    try:
        return read_state(path)
    except (ValueError, OSError) as error:
        warnings.warn(f"{path} is damaged: {error}. It is left out.", stacklevel=3)
        return None


def _number(path):
    return int(re.sub(r"\D", "", path.stem) or 0)


def _arrays(kinds, content):
    """The arrays of a file; what a header claims is not believed before the bytes are there."""
    arrays, start = [], 0
    for kind, shape in kinds:
        dtype = np.dtype(kind)
        if dtype.kind not in _ARRAY_KINDS or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError(f"it holds an array of {kind!r}")
        count = 1
        for side in shape:
            count *= side
        if start + count * dtype.itemsize > len(content):
            raise ValueError("it is shorter than its arrays")
        part = content[start : start + count * dtype.itemsize]
        arrays.append(np.frombuffer(part, dtype).reshape(shape).copy())
        start += count * dtype.itemsize
    return arrays


def _encode(value, arrays):
    """A value as JSON; arrays are put into the list, and JSON has their places."""
    if type(value) in _SCALARS:
        return value
    if type(value) is list:
        return [_encode(each, arrays) for each in value]
    if type(value) is tuple:
        return {"tuple": [_encode(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, arrays), _encode(each, arrays)] for key, each in value.items()]}
    if isinstance(value, fractions.Fraction):
        return {"fraction": [value.numerator, value.denominator]}
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if array.dtype.kind not in _ARRAY_KINDS and array.dtype.kind != "V":
            raise TypeError(f"A state holds no array of {array.dtype}.")
        # bfloat16 and smaller are not NumPy's own; float32 holds each of their values.
        arrays.append(array.astype("float32") if array.dtype.kind == "V" else array)
        return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
    raise TypeError(f"A state holds no {type(value).__name__}.")


def _decode(value, arrays):
    if isinstance(value, list):
        return [_decode(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(_decode(each, arrays) for each in content)
    if kind == "dict":
        return {_decode(key, arrays): _decode(each, arrays) for key, each in content}
    if kind == "fraction":
        return fractions.Fraction(*content)
    return arrays[content] if kind == "array" else arrays[content][()]
