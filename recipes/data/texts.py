"""Texts of strangers: json that is as large and as deep as it may be, and names that may be those of files."""

import json
import math
import pathlib

from recipes.data.room import check_room

_TIMES = 12  # that objects of Python take of memory, as against the text


def read_json(path):
    """Read a json.

    Args:
        path: of the file.

    Returns:
        What it holds.

    Raises:
        ValueError: if there is none, it is damaged, nested too deeply, or too large for the memory.

    Example:

    >>> read_json("nowhere.json")
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.json: No such file or directory
    """
    try:
        check_room(path, _TIMES)
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError(f"Cannot read {path}: it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def is_finite(value):
    """Whether a value of a json is a number that a float can hold.

    Args:
        value: anything.

    Returns:
        bool.

    Example:

    >>> is_finite(1), is_finite(True), is_finite(10**400)
    (True, False, False)
    """
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_file(path):
    """Whether there is a file, of whatever a stranger calls one.

    Args:
        path: a `pathlib.Path`.

    Returns:
        bool. False also for names that no file can have.

    Example:

    >>> is_file(pathlib.Path("x" * 1000))
    False
    """
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long
        return False
