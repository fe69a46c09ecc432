"""Published weights of BiT: the `.npz` files of big_transfer in our networks, and back."""

import math
import os
import pathlib
import re
import typing
import zipfile

import keras
import numpy as np

from zoo.checkpoints import reason_of
from zoo.checkpoints import refuse_bomb


class Published(typing.NamedTuple):
    """The network that files were published of.

    Args:
        network: str, as the files are called.
        widths: tuple of ints.
        depths: tuple of ints.

    Example:

    >>> PUBLISHED["BiTResNet152"].widths
    (2, 4)
    """

    network: str
    widths: tuple
    depths: tuple


PUBLISHED = {
    "BiTResNet50": Published("R50", (1, 3), (3, 4, 6, 3)),
    "BiTResNet101": Published("R101", (1, 3), (3, 4, 23, 3)),
    "BiTResNet152": Published("R152", (2, 4), (3, 8, 36, 3)),
}
# What comes before and after the network in the name of the file.
_FILES = {"imagenet21k": ("M", ""), "imagenet": ("S", ""), "imagenet21k_imagenet": ("M", "-ILSVRC2012")}
WEIGHTS = tuple(_FILES)
HEADS = ("load", "zeros")
_ADDRESS = "https://storage.googleapis.com/bit_models/"
_HEAD = "resnet/head/conv2d/"
_UNPACKED, _LEAST = 4, 2**26  # times the size of a file that weights may unpack to, and bytes


def load_npz(model, path, head="load"):
    """Load a published `.npz` file into a BiT.

    Either everything fits and is loaded, or nothing is. A classifier of another number of classes is
    not loaded: the model's becomes zeros, which fine-tuning begins with. A model without top takes
    the rest. Nothing in the file is executed.

    Args:
        model: a `keras.Model` by `zoo.BiTResNet50`, 101 or 152.
        path: path of the file.
        head: one of "load"; "zeros": the classifier becomes zeros, though it may fit. Defaults to "load".

    Raises:
        ValueError: if the file cannot be read, or with every array that is missing, unexpected, or of
            another shape.

    Example:

    >>> import pathlib, tempfile, zoo
    >>> options = {"include_top": False, "depths": (1,), "input_shape": (32, 32, 3)}
    >>> model, path = zoo.BiTResNet50(**options), pathlib.Path(tempfile.mkdtemp(), "tiny.npz")
    >>> np.savez(path, **to_npz_state(model))
    >>> load_npz(model, path)

    Reference:
        https://github.com/google-research/big_transfer
    """
    if head not in HEADS:
        raise ValueError(f"`head` must be one of {HEADS}. Received: head={head!r}")
    variables, state = _variables(model), read_npz(path)
    if _HEAD + "kernel" not in variables or head == "zeros" or _has_other_classes(variables, state):
        state = {key: array for key, array in state.items() if not key.startswith(_HEAD)}
        state |= {key: np.zeros(_shape(key, each)) for key, each in variables.items() if key.startswith(_HEAD)}
    _check_fit(model, path, variables, state)
    for key, variable in variables.items():
        variable.assign(state[key].reshape(variable.shape))


def to_npz_state(model):
    """The weights of a BiT as the published files hold them, for `numpy.savez`.

    Args:
        model: a `keras.Model` by `zoo.BiTResNet50`, 101 or 152.

    Returns:
        A dict of the published names and NumPy arrays.

    Raises:
        ValueError: if the model is another one.

    Example:

    >>> import zoo
    >>> state = to_npz_state(zoo.BiTResNet50(classes=3, depths=(1,), input_shape=(32, 32, 3)))
    >>> state["resnet/head/conv2d/kernel"].shape
    (1, 1, 256, 3)
    """
    arrays = {key: (variable, keras.ops.convert_to_numpy(variable)) for key, variable in _variables(model).items()}
    return {key: array.reshape(_shape(key, variable)) for key, (variable, array) in arrays.items()}


def download(builder, width, weights):
    """Download a published file once, to Keras's cache.

    No hashes were published: a file is taken as it is, once every array in it is found to be whole.

    Args:
        builder: str. Name of the builder, such as "BiTResNet50".
        width: int. That of the network.
        weights: one of "imagenet21k", "imagenet", "imagenet21k_imagenet".

    Returns:
        The path of the file.

    Raises:
        ValueError: if there is no such file, it cannot be downloaded, or it is damaged.

    Example:

    >>> download("BiTResNet50", 2, "imagenet")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...
    """
    published = PUBLISHED.get(builder)
    if published is None or weights not in WEIGHTS or width not in published.widths:
        networks = [f"{name} of width {width}" for name, each in PUBLISHED.items() for width in each.widths]
        raise ValueError(
            f"There are weights {', '.join(WEIGHTS)} of {', '.join(networks)}. "
            f"Received: {builder!r}, width={width!r}, weights={weights!r}"
        )
    size, suffix = _FILES[weights]
    name = f"BiT-{size}-{published.network}x{width}{suffix}.npz"
    cache = pathlib.Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    path = cache / "models" / name
    if not path.is_file():
        try:
            path = pathlib.Path(keras.utils.get_file(name, _ADDRESS + name, cache_dir=cache, cache_subdir="models"))
        except Exception as error:
            raise ValueError(
                f"{name} could not be downloaded ({reason_of(error)}). Download {_ADDRESS}{name} and put it at {path}."
            ) from error
    return path


def read_npz(path):
    """Read every array of an `.npz` file, a stranger's too; NumPy checks each by the sum that the archive has of it.

    Args:
        path: path of the file.

    Returns:
        A dict of names and NumPy arrays.

    Raises:
        ValueError: if it is damaged, holds objects, or unpacks to far more than its own size.

    Example:

    >>> read_npz("nowhere.npz")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: nowhere.npz cannot be read as an .npz file of arrays (No such file or directory). ...
    """
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_bomb(archive, _UNPACKED, _LEAST)
            _refuse_claims(archive)
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # damaged archives raise nearly anything
        raise ValueError(
            f"{path} cannot be read as an .npz file of arrays ({reason_of(error)}). If it was downloaded, delete it, "
            "and it is downloaded again."
        ) from error


def _refuse_claims(archive):
    """Refuse arrays that say that they have more numbers than there are: memory would be taken for them first."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    for record in archive.infolist():
        with archive.open(record) as file:
            shape, _, dtype = headers[np.lib.format.read_magic(file)](file)
        if math.prod(shape) * dtype.itemsize > record.file_size:
            raise ValueError(f"{record.filename!r:.100} claims to be of shape {shape!r:.100}, and is too short for it")


def _variables(model):
    """Every variable of the network by its published name."""
    names = {layer.name for layer in model.layers}
    if not {"conv1_conv", "conv2_block1_preact_gn", "post_gn"} <= names:
        raise ValueError(f"`model` must be a BiT by this package. Received: {model.name!r}")
    return {
        f"{prefix}{variable.name}": variable
        for layer in model.layers
        if (prefix := _prefix(layer.name))
        for variable in layer.variables
    }


def _prefix(name):
    """How the published names of a layer's variables begin, or None."""
    if match := re.fullmatch(r"conv(\d+)_block(\d+)_(\d|preact)_(conv|gn)", name):
        stage, unit, part, kind = match.groups()
        # A normalisation belongs to the convolution that follows it.
        letter = {"preact": "a", "0": "a"}.get(part) or "abc"[int(part) - (kind == "conv")]
        inner = "group_norm" if kind == "gn" else ("proj/" if part == "0" else "") + "standardized_conv2d"
        return f"resnet/block{int(stage) - 1}/unit{int(unit):02}/{letter}/{inner}/"
    return {
        "conv1_conv": "resnet/root_block/standardized_conv2d/",
        "post_gn": "resnet/group_norm/",
        "predictions": _HEAD,
    }.get(name)


def _shape(key, variable):
    """The published classifier is a convolution."""
    return (1, 1, *variable.shape) if key == _HEAD + "kernel" else tuple(variable.shape)


def _has_other_classes(variables, state):
    """Whether the file's classifier is whole, and only its number of classes is another one."""
    kernel, bias = (state.get(_HEAD + name) for name in ("kernel", "bias"))
    features, classes = variables[_HEAD + "kernel"].shape
    if kernel is None or bias is None or kernel.ndim != 4:
        return False
    return kernel.shape[:3] == (1, 1, features) and kernel.shape[3:] == bias.shape != (classes,)


def _check_fit(model, path, variables, state):
    problems = [f"{key} is missing" for key in variables if key not in state]
    problems += [f"{key} is unexpected" for key in state if key not in variables]
    for key in variables.keys() & state.keys():
        found, expected = state[key].shape, _shape(key, variables[key])
        if found != expected:
            problems.append(f"{key} has shape {found} where {expected} is expected")
        elif state[key].dtype.kind != "f":
            problems.append(f"{key} is of type {state[key].dtype} where floats are expected")
    if problems:
        raise ValueError(
            f"{path} does not fit {model.name}: {'; '.join(sorted(problems))}. Build the network of the file."
        )
