"""Reading torch's files without torch, and files that mean harm."""

import collections
import os
import pickle
import zipfile

import numpy as np
import pytest

from zoo.checkpoints import read_checkpoint

FORMATS = ("zip", "legacy")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def save(torch, content, path, format):
    torch.save(content, path, _use_new_zipfile_serialization=format == "zip")
    return path


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool"])
def test_tensors_are_those_that_torch_saved(torch, tmp_path, format, dtype):
    whole = (torch.arange(24) % 7 / 2).reshape(2, 3, 4).to(getattr(torch, dtype))
    state = {
        "whole": whole,
        "part": whole[1, :, 1:3],  # a view, with an offset and strides, of the same storage
        "transposed": whole.permute(2, 0, 1),
        "parameter": torch.nn.Parameter(whole.clone(), requires_grad=False),
        "scalar": whole[1, 2, 3].clone(),
        "empty": whole[:0].clone(),
    }
    arrays = read_checkpoint(save(torch, state, tmp_path / "state.pth", format))
    assert list(arrays) == list(state)
    for name, tensor in state.items():
        expected = tensor.float().numpy() if dtype == "bfloat16" else tensor.numpy()
        assert arrays[name].dtype == expected.dtype
        np.testing.assert_array_equal(arrays[name], expected)


def test_safetensors_are_those_that_the_library_saved(torch, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    whole = (torch.arange(24) % 7 / 2).reshape(2, 3, 4)
    state = {name: whole.to(getattr(torch, name)) for name in ("float32", "float16", "bfloat16", "int64")}
    safetensors.save_file(state, tmp_path / "state.safetensors")
    arrays = read_checkpoint(tmp_path / "state.safetensors")
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        "float32": "float32",
        "float16": "float16",
        "bfloat16": "float32",
        "int64": "int64",
    }
    for name in state:
        np.testing.assert_array_equal(arrays[name], whole.numpy().astype(arrays[name].dtype))


@pytest.mark.parametrize("format", FORMATS)
def test_the_state_dict_of_a_training_checkpoint_is_found(torch, tmp_path, format):
    last = collections.OrderedDict({"module.weight": torch.ones(2), "module.bias": torch.zeros(2)})
    last._metadata = {"": {"version": 1}}
    for content in (
        {"epoch": 3, "arch": "resnet18", "state_dict": last, "optimizer": {"state": {0: {"step": torch.ones(1)}}}},
        {"model": {"state_dict": last}},
        {"state_dict": {"bias": torch.ones(9)}, "state_dict_ema": last},
        {f"_orig_mod.{name}": value for name, value in last.items()},
    ):
        arrays = read_checkpoint(save(torch, content, tmp_path / "checkpoint.pt", format))
        assert {name: array.tolist() for name, array in arrays.items()} == {"weight": [1, 1], "bias": [0, 0]}


def write_zip(path, content, storages=(), others=(), compression=zipfile.ZIP_STORED):
    """A file as torch.save would write it, around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", content)
        for key, data in storages:
            archive.writestr(f"archive/data/{key}", data)
        for name, data in dict(others).items():
            archive.writestr(name, data)
    return path


def write_legacy(path, content, storages=()):
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    keys = pickle.dumps([key for key, _ in storages], 2)
    tail = b"".join((len(data) // 4).to_bytes(8, "little") + data for _, data in storages)
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + content + keys + tail)
    return path


WRITERS = (write_zip, write_legacy)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def hostile(marker):
    """Pickles that would leave a file if anything in them were executed; what the error must name."""
    shell = f"touch {marker}"
    evaluated = f"open({str(marker)!r}, 'w').close()"
    yield pickle.dumps({"weight": Call(os.system, shell)}, 2), "system"
    yield pickle.dumps({"weight": Call(os.system, shell)}, 4), "system"
    yield pickle.dumps({"weight": Call(eval, evaluated)}, 2), "eval"
    yield pickle.dumps({"weight": Call(exec, evaluated)}, 5), "exec"
    yield pickle.dumps({"weight": Call(__import__, "os")}, 2), "__import__"
    yield pickle.dumps({"weight": Call(getattr, "x", "y")}, 2), "getattr"
    yield f"(dS'weight'\ncos\nsystem\n(S'{shell}'\ntRs.".encode(), "os.system"  # protocol 0
    yield f"(S'{shell}'\nios\nsystem\n.".encode(), "os.system"  # by INST
    yield b"\x80\x04\x8c\x05torch\x8c\x04load\x93\x8c\x01x\x85R.", "torch.load"
    yield b"\x80\x04\x8c\x0ctorch._utils\x8c\x13os.system.something\x93.", "torch._utils"  # dots in the name
    yield b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "_load_from_bytes"  # unpickles without limits
    yield b"\x80\x02cnumpy\nload\n.", "numpy.load"
    yield b"\x80\x02cfunctools\npartial\n.", "functools.partial"
    yield b"\x80\x02\x82\x01.", "EXT1"  # a number in the registry of copyreg
    yield b"\x80\x02Nr\xff\xff\xff\x7f.", "LONG_BINPUT"  # a memo of many gigabytes
    # Setting an attribute of what rebuilds tensors.
    yield b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x08\x00\x00\x00__call__K\x01s\x86b.", ""


@pytest.mark.parametrize("write", WRITERS)
def test_hostile_pickles_execute_nothing(tmp_path, write):
    marker = tmp_path / "executed"
    for content, named in hostile(marker):
        with pytest.raises(ValueError, match=f"bad.pth cannot be read as a checkpoint.*{named}"):
            read_checkpoint(write(tmp_path / "bad.pth", content))
        assert not marker.exists()


def pickled_tensor(numel, offset, shape, strides, key="0", kind="FloatStorage"):
    """The pickle of {"weight": tensor} as torch writes it, with whatever numbers."""

    def body(value):
        return pickle.dumps(value, 2)[2:-1]

    storage = b"(" + body("storage") + f"ctorch\n{kind}\n".encode() + body(key) + body("cpu") + body(numel) + b"tQ"
    arguments = b"(" + storage + body(offset) + body(shape) + body(strides) + body(False) + body(None) + b"t"
    return b"\x80\x02}" + body("weight") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"Rs."


DATA = np.arange(4, dtype="<f4").tobytes()


@pytest.mark.parametrize("write", WRITERS)
def test_the_forged_tensors_of_these_tests_are_right_when_their_claims_are(tmp_path, write):
    path = write(tmp_path / "good.pth", pickled_tensor(4, 1, (3,), (1,)), [("0", DATA)])
    assert read_checkpoint(path)["weight"].tolist() == [1, 2, 3]


def test_the_order_of_bytes_is_the_files(tmp_path):
    numbers = np.arange(4, dtype=">f4").tobytes()
    path = write_zip(
        tmp_path / "big.pth", pickled_tensor(4, 0, (4,), (1,)), [("0", numbers)], {"archive/byteorder": b"big"}
    )
    assert read_checkpoint(path)["weight"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"shape": (2, 4), "strides": (4, 1)}, "claims more"),
        ({"shape": (10**12,), "strides": (0,)}, "claims more"),
        ({"shape": (2, 2), "strides": (3, 1)}, "cannot be read"),
        ({"offset": 2}, "cannot be read"),
        ({"offset": -1}, "offset -1"),
        ({"strides": (-1,)}, "strides"),
        ({"strides": (1, 1)}, "another way"),
        ({"shape": (2.5,)}, "shape"),
        ({"numel": 1000}, "4000 bytes"),
        ({"numel": 2**62}, "bytes"),
        ({"numel": -1}, "-1 elements"),
        ({"key": "../../0"}, "cannot be read"),
        ({"key": 0}, "storage 0"),
        ({"kind": "ComplexFloatStorage"}, "ComplexFloatStorage"),
    ],
)
def test_claims_beyond_the_file_are_refused(tmp_path, write, claims, message):
    content = pickled_tensor(**({"numel": 4, "offset": 0, "shape": (4,), "strides": (1,)} | claims))
    with pytest.raises(ValueError, match=message):
        read_checkpoint(write(tmp_path / "bad.pth", content, [("0", DATA)]))


@pytest.mark.parametrize("format", [*FORMATS, "safetensors"])
def test_truncated_files_are_refused(torch, tmp_path, format):
    path = tmp_path / ("state.safetensors" if format == "safetensors" else "state.pth")
    state = {"weight": torch.randn(50, 10), "bias": torch.randn(50)}
    if format == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    else:
        save(torch, state, path, format)
    data = path.read_bytes()
    for size in (*range(0, 400, 13), *range(400, len(data), 97), len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
            read_checkpoint(path)


def test_names_in_a_zip_lead_nowhere(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    others = dict.fromkeys(["../escaped", f"{tmp_path}/absolute", "archive/../../escaped"], b"evil")
    path = write_zip(inside / "state.pth", pickled_tensor(4, 0, (4,), (1,)), [("0", DATA)], others)
    assert read_checkpoint(path)["weight"].tolist() == [0, 1, 2, 3]
    assert [child.name for child in tmp_path.iterdir()] == ["inside"]


def test_zip_bombs_and_other_zips_are_refused(tmp_path):
    bomb = pickled_tensor(10**7, 0, (10**7,), (1,)), [("0", bytes(4 * 10**7))]
    with pytest.raises(ValueError, match="more than its own size"):
        read_checkpoint(write_zip(tmp_path / "bomb.pth", *bomb, compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(tmp_path / "other.pth", "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    with pytest.raises(ValueError, match="0 files data.pkl"):
        read_checkpoint(tmp_path / "other.pth")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([1, 2], 2), "a list"),
        (pickle.dumps({"weight": [1.0]}, 2), "no tensors: 'weight'"),
        (pickle.dumps({3: None}, 2), "no tensors: 3"),
        (b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", "no tensors: 'model'"),  # a dict that holds itself
        (b"garbage", "cannot be read"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path, write, content, message):
    with pytest.raises(ValueError, match=message):
        read_checkpoint(write(tmp_path / "bad.pth", content))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent.pth cannot be read.*No such file"):
        read_checkpoint(tmp_path / "absent.pth")
