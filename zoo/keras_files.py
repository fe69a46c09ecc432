"""Keras's own files, of strangers too: nothing in them is executed, and none takes more memory than it has bytes."""

import io
import json
import math
import pathlib
import re
import threading
import zipfile

import keras

from zoo.checkpoints import reason_of
from zoo.checkpoints import refuse_bomb

SUFFIXES = (".keras", ".weights.h5", ".h5", ".hdf5")
_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {"metadata.json", _CONFIG, _WEIGHTS}
_MODULES = re.compile(
    r"builtins|keras(\.src)?(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|"
    r"optimizers|quantizers|random|regularizers)(\..*)?)?"
)
# Layers that execute code or read files that their configuration names.
_REFUSED = {
    *("__lambda__", "__typespec__", "FlaxLayer", "IntegerLookup", "JaxLayer", "Lambda", "MelSpectrogram"),
    *("STFTSpectrogram", "StringLookup", "TFSMLayer", "TextVectorization", "TorchModuleWrapper"),
}
_NUMBERS = re.compile(r"bool|u?int\d+|b?float\d+|complex\d+")
_UNSAVED = 2**20  # numbers: states of seed generators are in a network, and not in its file


def load_model(path):
    """Load a network from a `.keras` file, which may be a stranger's.

    Keras's safe mode refuses pickled code; here layers that run code of another kind or read files are refused
    too, classes that are neither Keras's nor registered, archives and arrays that unpack to more than the file has
    bytes, and networks of more weights than the file holds: before memory is taken for any of them.

    Args:
        path: path of the file.

    Returns:
        A `keras.Model` that is not compiled.

    Raises:
        ValueError: if there is none, it is damaged, or asks for what is refused.

    Example:

    >>> load_model("nowhere.keras")
    Traceback (most recent call last):
    ValueError: nowhere.keras cannot be loaded (No such file or directory). Expected a network by `model.save`.
    """
    path = pathlib.Path(path)
    try:
        if path.suffix != ".keras":
            raise ValueError("its name does not end in .keras")
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
        _check_size(_config(members[_CONFIG]), _count(members.pop(_WEIGHTS)))
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # damaged archives raise nearly anything
        raise ValueError(
            f"{path} cannot be loaded ({reason_of(error)}). Expected a network by `model.save`."
        ) from error


def load_weights(model, path):
    """Load weights into a network from a `.keras` or `.weights.h5` file, which may be a stranger's.

    Args:
        model: a `keras.Model` of the architecture that the file is of.
        path: path of the file.

    Raises:
        ValueError: if it is damaged, of another network, or unpacks to more than it has bytes.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> load_weights(model, "nowhere.weights.h5")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: nowhere.weights.h5 does not fit sequential... (No such file or directory). Give a file of this network.
    """
    path = pathlib.Path(path)
    try:
        if not path.name.endswith(SUFFIXES):
            raise ValueError(f"its name ends in none of {', '.join(SUFFIXES)}")
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                _count(_members(archive)[_WEIGHTS])
        else:
            _count(path.read_bytes())
        model.load_weights(path)
    except Exception as error:  # damaged files raise nearly anything
        raise ValueError(
            f"{path} does not fit {model.name} ({reason_of(error)}). Give a file of this network."
        ) from error


def _members(archive):
    """What the archive holds: of Keras, three files, as large as they are stored."""
    refuse_bomb(archive)
    names = archive.namelist()
    if set(names) != _MEMBERS or len(names) != len(_MEMBERS):
        raise ValueError(f"it holds {', '.join(names[:10])} where {', '.join(sorted(_MEMBERS))} are expected")
    return {name: archive.read(name) for name in (_CONFIG, _WEIGHTS)}


def _config(content):
    """The configuration without those of compilations, when all classes in it are found to be harmless."""
    config = json.loads(content)
    rest = [config]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            part.pop("compile_config", None)
            _check_class(part)
        rest += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return config


def _check_class(part):
    if "class_name" not in part:
        return
    name, module, registered = (part.get(key) for key in ("class_name", "module", "registered_name"))
    if name in ("__numpy__", "__tensor__"):
        if not _NUMBERS.fullmatch(str(part["config"]["dtype"])):
            raise ValueError(f"it holds numbers of type {part['config']['dtype']!r:.100}")
    elif not isinstance(name, str) or name in _REFUSED or part.get("config") in tuple(_REFUSED):
        raise ValueError(f"it asks for {name!r:.100}, which is refused: it may execute code or read files")
    elif not ((registered and keras.saving.get_registered_object(registered)) or _is_keras(module)):
        raise ValueError(f"it asks for {f'{module}.{name}':.100}, which is neither Keras's nor registered")


def _is_keras(module):
    return module is None or _MODULES.fullmatch(str(module))


def _count(content):
    """How many numbers the arrays of a file of HDF5 hold: no more than it has bytes."""
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        arrays = list(_arrays(h5py, file, set()))
    if sum(size * width for size, width in arrays) > len(content):
        raise ValueError("its arrays claim more than its own size")
    return sum(size for size, _ in arrays)


def _arrays(h5py, group, seen):
    """Counts and widths of the numbers below a group; groups may hold themselves."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r:.100} is a link out of its place")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            continue
        seen.add(address)
        if isinstance(item, h5py.Group):
            yield from _arrays(h5py, item, seen)
        elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "biufcV" or item.external or item.is_virtual:
            raise ValueError(f"{name!r:.100} is no array of numbers of its own")
        else:
            yield item.size or 0, item.dtype.itemsize


def _check_size(config, count):
    """Build the network without its numbers, to see that it has no more than the file.

    In a thread, as Keras would make up for variables without numbers in the next one that it begins here.
    """
    found = []

    def build():
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            found.append(sum(math.prod(variable.shape) for variable in model.variables))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    if found[0] > count + _UNSAVED:
        raise ValueError(f"its network has {found[0]:,} weights, of which the file holds {count:,}")
