"""Checkpoints of torch as arrays: `.safetensors`, and both formats of `.pth`, read without torch."""

import collections
import math
import pathlib
import pickle
import pickletools
import reprlib
import typing
import zipfile

import numpy as np

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# How the formats name their numbers. bfloat16, which NumPy lacks, is the upper half of a float32.
_DTYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "bfloat16",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Where training scripts keep the weights; an average of them, as timm keeps, comes before the last ones.
_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LONGEST = 300  # characters of a reason
_SHORTLY = reprlib.Repr()  # as what pickles hold may be endless when it is written out


def read_checkpoint(path):
    """Read the state dict of a torch module.

    Nothing that a pickle asks for is executed: the few names that state dicts need stand for
    functions of this module, and any other is refused. A state dict inside a training checkpoint
    (`{"state_dict": ...}`) is found, and a prefix that all names share ("module.") is cut.

    Args:
        path: path of a `.safetensors` file, or of a file by `torch.save`: zip, or older than torch 1.6.

    Returns:
        A dict of names and NumPy arrays; bfloat16 becomes float32.

    Raises:
        ValueError: if the file is damaged, claims more than it holds, or asks for anything but tensors.

    Example:

    >>> import pathlib, struct, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "tiny.safetensors")
    >>> header = b'{"bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    >>> _ = path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2))
    >>> read_checkpoint(path)
    {'bias': array([1., 2.], dtype=float32)}
    """
    path = pathlib.Path(path)
    try:
        state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({reason_of(error)}). Expected a state dict by safetensors or "
            "torch.save."
        ) from error
    return _cut_prefixes(state)


def reason_of(error):
    """Why a file cannot be read, in a line.

    Args:
        error: an exception.

    Returns:
        str.

    Example:

    >>> reason_of(ValueError("it is damaged"))
    'it is damaged'
    """
    text = (getattr(error, "strerror", None) or str(error)).strip()
    return text.splitlines()[0][:_LONGEST] if text else type(error).__name__


def refuse_bomb(archive, times=1, least=0):
    """Refuse an archive that unpacks to more than it should.

    Args:
        archive: a `zipfile.ZipFile`.
        times: number. How many times the size of its file it may unpack to. Defaults to 1, as torch and Keras
            compress nothing.
        least: int. Bytes that it may unpack to however small its file is. Defaults to 0.

    Raises:
        ValueError: if it does.

    Example:

    >>> import io
    >>> with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
    ...     archive.writestr("zeros", bytes(1000))
    ...     refuse_bomb(archive)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: it unpacks to 1,000 bytes, more than its own size, ...
    """
    records = archive.infolist()
    unpacked = sum(record.file_size for record in records)
    size = min(sum(record.compress_size for record in records), archive.fp.seek(0, 2))  # records may overlap
    if unpacked > max(times * size, least):
        raise ValueError(f"it unpacks to {unpacked:,} bytes, more than its own size, {size:,}")


def check_pickle(file, size):
    """Refuse what a pickle does with memory alone: to be called before one is loaded.

    Args:
        file: a file that is open for reading bytes, at the beginning of the pickle, where it is left.
        size: int. Bytes of the whole file.

    Raises:
        pickle.UnpicklingError: for numbers that stand for names, or places beyond the size; ValueError for what is
            damaged.

    Example:

    >>> import io
    >>> check_pickle(io.BytesIO(pickle.dumps([1, 2])), size=100)
    """
    start = file.tell()
    for opcode, argument, _ in pickletools.genops(file):
        # Numbers of the extension registry stand for names; a number in the memo takes memory up to it.
        if opcode.name.startswith("EXT") or (opcode.name.endswith("PUT") and argument > size):
            raise pickle.UnpicklingError(f"its pickle has {opcode.name} {argument}")
    file.seek(start)


def _find_state(content):
    for _ in _NESTED:
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__} where a state dict should be")
        inner = next((name for name in _NESTED if isinstance(content.get(name), dict)), None)
        if inner is None:
            break
        content = content[inner]
    return content


def _cut_prefixes(state):
    for prefix in _PREFIXES * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _read_safetensors(path):
    import safetensors

    # The library's own NumPy functions do not know bfloat16.
    tensors = safetensors.deserialize(path.read_bytes())
    return {name: _array(tensor["data"], tensor["dtype"], tensor["shape"]) for name, tensor in tensors}


def _read_pickled(path):
    with path.open("rb") as file:
        read = _read_zip if file.read(4) == b"PK\x03\x04" else _read_legacy
        file.seek(0)
        content, storages, byteorder = read(file, path.stat().st_size)
    state = _find_state(content)
    foreign = [
        repr(name) for name, value in state.items() if not (isinstance(name, str) and isinstance(value, _Tensor))
    ]
    if foreign:
        raise ValueError(f"these are no tensors: {', '.join(foreign[:10])}")
    return {name: tensor.realize(storages, byteorder) for name, tensor in state.items()}


def _read_zip(file, size):
    """The content of the format since torch 1.6, and its storages by key."""
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: record for record in archive.infolist()}
        refuse_bomb(archive)
        pickles = [name for name in records if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"it is a zip with {len(pickles)} files data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        byteorder = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in records else "little"
        with archive.open(pickles[0]) as content:
            unpickler = _unpickle(content, size)
        storages = {}
        for key, storage in unpickler.storages.items():
            name = f"{root}data/{key}"
            if name not in records:
                raise ValueError(f"it lacks the record {name}")
            storages[key] = storage.check(archive.read(name))
    return unpickler.content, storages, byteorder


def _read_legacy(file, size):
    """The content of the format before torch 1.6, and its storages by key."""
    if _unpickle(file, size).content != _LEGACY_MAGIC:
        raise ValueError("it is no file by torch.save")
    _unpickle(file, size)  # the version of the format: there is one
    system = _unpickle(file, size).content
    unpickler = _unpickle(file, size)
    storages = {}
    for key in _unpickle(file, size).content:
        storage = unpickler.storages[key]
        file.seek(8, 1)  # the number of elements, which the storage has told
        storages[key] = storage.check(file.read(storage.num_bytes) if storage.num_bytes <= size else b"")
    return unpickler.content, storages, "little" if system["little_endian"] else "big"


def _unpickle(file, size):
    """Load one pickle after a look at it; the unpickler, with `content` and `storages`."""
    check_pickle(file, size)
    unpickler = _TensorsOnly(file, encoding="utf-8")
    unpickler.content = unpickler.load()
    return unpickler


class _Storage(typing.NamedTuple):
    """Numbers that tensors are views of."""

    dtype: str
    key: str
    num_elements: int

    @property
    def num_bytes(self):
        return self.num_elements * _numpy_dtype(self.dtype).itemsize

    def check(self, data):
        if len(data) != self.num_bytes:
            raise ValueError(f"storage {self.key} should have {self.num_bytes} bytes and has {len(data)}")
        return data


class _Tensor(typing.NamedTuple):
    """A view of a storage that may not have been read yet."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple

    def realize(self, storages, byteorder):
        data = storages[self.storage.key]
        return _array(data, self.storage.dtype, self.shape, self.offset, self.strides, byteorder)


class _TensorsOnly(pickle.Unpickler):
    """An unpickler that knows only what state dicts are made of."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _RebuildTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _RebuildParameter()
        if module == "torch" and name in _DTYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused: no state dict needs it")

    def persistent_load(self, identifier):
        kind, dtype, key, _, num_elements, *view = identifier
        if kind != "storage" or any(part is not None for part in view):
            raise pickle.UnpicklingError("it refers to something else than a whole storage")
        if not isinstance(key, str) or not isinstance(num_elements, int) or num_elements < 0:
            shown = [_SHORTLY.repr(each) for each in (key, num_elements)]
            raise pickle.UnpicklingError("it refers to a storage {} of {} elements".format(*shown))
        storage = _Storage(dtype, key, num_elements)
        if self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError(f"it describes storage {key:.100} in two ways")
        return storage


# Objects without attributes, not functions: a pickle can set the attributes of what it is given.
class _RebuildTensor:
    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, *_):
        if not isinstance(storage, _Storage) or len(shape) != len(strides):
            raise pickle.UnpicklingError("it describes a tensor in another way than torch does")
        if any(not isinstance(number, int) or number < 0 for number in (offset, *shape, *strides)):
            shown = [_SHORTLY.repr(each) for each in (offset, shape, strides)]
            raise pickle.UnpicklingError("a tensor has offset {}, shape {} and strides {}".format(*shown))
        if math.prod(shape) > storage.num_elements:
            raise pickle.UnpicklingError(f"a tensor of shape {shape} claims more than the storage {storage.key} holds")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    __slots__ = ()

    def __call__(self, data, *_):
        return data


def _numpy_dtype(name, byteorder="little"):
    if name not in _DTYPES:
        raise ValueError(f"it holds numbers of type {_SHORTLY.repr(name)}")
    dtype = _DTYPES[name]
    return np.dtype("u2" if dtype == "bfloat16" else dtype).newbyteorder("<" if byteorder == "little" else ">")


def _array(data, dtype, shape, offset=0, strides=None, byteorder="little"):
    numbers = _numpy_dtype(dtype, byteorder)
    if strides is not None:
        strides = [stride * numbers.itemsize for stride in strides]
    # NumPy refuses what lies outside of the data.
    array = np.ndarray(shape, numbers, data, offset * numbers.itemsize, strides)
    if _DTYPES[dtype] == "bfloat16":
        array = (array.astype("u4") << 16).view("f4")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
