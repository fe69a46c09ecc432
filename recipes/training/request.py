"""What a run was asked for: the file from which it goes on after an interruption."""

import json
import os
import pathlib

import keras

from recipes.atomic import write_text

PATHS = ("_dir", "_file", "_annotations", "weights")  # the ends of arguments that are paths
STATE = "state"  # the folder, in that of a run that has not finished
REQUEST = "run.json"


def write_request(folder, record, arguments):
    """Write `state/run.json`: the recipe and all its arguments, with whole paths.

    Args:
        folder: path of the run.
        record: a `recipes.reporting.records.Record`.
        arguments: dict. All arguments of the recipe.

    Example:

    >>> import tempfile
    >>> from recipes.reporting.records import Record
    >>> folder = tempfile.mkdtemp()
    >>> write_request(folder, Record("cifar10_davidnet", "dawn", precision="float32"), {"epochs": 3})
    >>> read_request(folder)["arguments"]
    {'epochs': 3, 'precision': 'float32', 'jit_compile': False}
    """
    arguments = {name: _whole(name, value) for name, value in arguments.items()}
    chosen = {"precision": record.precision, "jit_compile": record.jit_compile}  # not chosen anew on another device
    request = {
        "recipe": record.recipe,
        "experiment": record.experiment,
        "arguments": arguments | chosen,
        "seed": record.seed,
        **chosen,
        "backend": keras.backend.backend(),
        "versions": record.versions,
    }
    path = pathlib.Path(folder, STATE, REQUEST)
    path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps(request, indent=2) + "\n")


def read_request(folder):
    """Read what a run was asked for that can go on.

    Args:
        folder: path of the run.

    Returns:
        dict with "recipe", "arguments" and more.

    Raises:
        ValueError: if it is no run, or one that has finished, or was trained on another backend.

    Example:

    >>> read_request("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no state/run.json. Give the folder of a run that was interrupted.
    """
    folder = pathlib.Path(folder)
    path = folder / STATE / REQUEST
    if (folder / "record.json").is_file():
        raise ValueError(f"{folder} is a run that has finished: there is nothing to go on with.")
    if not path.is_file():
        raise ValueError(f"{folder} holds no {STATE}/{REQUEST}. Give the folder of a run that was interrupted.")
    try:
        request = json.loads(path.read_text())
        whole = isinstance(request["recipe"], str) and isinstance(request["arguments"], dict)
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        whole = False
    if not whole:
        raise ValueError(f"{path} is damaged: what the run was asked for cannot be read. Begin a new run.")
    backend = request.get("backend")
    if backend != keras.backend.backend():
        raise ValueError(
            f"{folder} was begun on the backend {backend}, and cannot go on to the same end on "
            f"{keras.backend.backend()}: set KERAS_BACKEND={backend}."
        )
    return request


def cut(files, sizes):
    """Cut files back to the sizes that they had when a state was saved.

    Args:
        files: list of paths.
        sizes: dict of file name to bytes; a file that is not in it was not there.

    Example:

    >>> import tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "history.csv")
    >>> _ = path.write_text("epoch,loss\\n0,0.5\\n")
    >>> cut([path], {"history.csv": 11})
    >>> path.read_text()
    'epoch,loss\\n'
    """
    for path in files:
        size = sizes.get(path.name, 0)
        if not size:
            path.unlink(missing_ok=True)
        elif path.stat().st_size > size:
            os.truncate(path, size)


def _whole(name, value):
    """The path from the root, of what is a path."""
    if isinstance(value, str) and name.endswith(PATHS) and pathlib.Path(value).exists():
        return str(pathlib.Path(value).absolute())
    return value
