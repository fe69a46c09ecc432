"""Files that mean harm: nothing in them is executed, they leave no file, and take no memory that is not there."""

import io
import json
import pathlib
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest
from mutations import TORCH_PICKLE
from mutations import packed

from recipes.data import decoding
from recipes.data import room
from recipes.data.cifar10 import load_cifar10
from recipes.data.coco import read_coco
from recipes.data.csv_files import read_csv
from recipes.data.pickled_arrays import as_array
from recipes.data.pickled_arrays import read_pickle
from zoo.bit_weights import read_npz
from zoo.checkpoints import read_checkpoint
from zoo.keras_files import load_model
from zoo.keras_files import load_weights

MEGABYTES = 2**20


@pytest.fixture
def little_memory():
    """A context in which Python and NumPy must not take more than a few megabytes."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * MEGABYTES


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """What a `.keras` file of a small network consists of."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu")]).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def layer(kind, module="keras.layers", registered=None, **config):
    return {"module": module, "class_name": kind, "config": config, "registered_name": registered}


def with_layer(members, entry):
    """The file with another layer behind its own."""
    config = json.loads(members["config.json"])
    config["config"]["layers"].append(entry)
    return members | {"config.json": json.dumps(config)}


def pickled_lambda():
    code = {"class_name": "__lambda__", "config": {"value": "4wAAAA==", "defaults": None, "closure": None}}
    return layer("Lambda", name="harm", function=code)


FUNCTION = {"class_name": "function", "module": "os", "config": "system", "registered_name": "system"}
LAYERS = [
    pickled_lambda(),
    layer("Lambda", "keras.src.layers.core.lambda_layer", function=FUNCTION),
    layer("TFSMLayer", filepath="/nowhere/saved_model", call_endpoint="serve"),
    layer("TorchModuleWrapper", module_bytes="gASV"),
    layer("StringLookup", vocabulary="/etc/passwd"),
    layer("TextVectorization", vocabulary="/etc/passwd"),
    layer("system", "os"),
    layer("Popen", "subprocess", "subprocess>Popen", args=["touch", "trace"]),
    layer("Rescaling", "keras_hub.layers", scale=1.0),
    layer("get_file", "keras.utils", fname="x", origin="file:///etc/passwd"),
    layer("Activation", activation=FUNCTION),
    layer("Wrapper", layer=pickled_lambda()),
    layer(
        "Dense",
        units=2,
        kernel_initializer={"class_name": "__numpy__", "config": {"value": [0], "dtype": "S999999999"}},
    ),
]


@pytest.mark.parametrize("entry", LAYERS, ids=lambda entry: f"{entry['module']}.{entry['class_name']}")
def test_networks_that_would_execute_or_read_are_refused(entry, members, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("it came as far as Keras"))
    (tmp_path / "harm.keras").write_bytes(packed(with_layer(members, entry)))
    with pytest.raises(ValueError, match="harm.keras cannot be loaded .*(it asks for|numbers of type)"):
        load_model(tmp_path / "harm.keras")


HUGE = [
    [layer("Dense", units=10**9, name="huge")],
    [layer("Dense", units=30_000, name="a"), layer("Dense", units=30_000, name="b")],
    [layer("Embedding", input_dim=10**12, output_dim=64, name="huge")],
]


@pytest.mark.parametrize("entries", HUGE)
def test_networks_of_more_weights_than_the_file_are_refused_before_they_are_made(
    entries, members, tmp_path, little_memory
):
    for entry in entries:
        members = with_layer(members, entry)
    (tmp_path / "huge.keras").write_bytes(packed(members))
    with pytest.raises(ValueError, match="its network has [0-9,]+ weights, of which the file holds 8"):
        load_model(tmp_path / "huge.keras")
    with keras.StatelessScope():
        pass  # at whose end Keras makes up for variables without numbers: there must be none


def hdf5(change):
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        change(content.create_group("layers/dense/vars"))
    return file.getvalue()


def sparse(group):
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000), compression="gzip", fillvalue=0)


def outside(group):
    group.create_dataset("0", (100,), "u1", external=[("/etc/passwd", 0, 100)])


def linked(group):
    group["0"] = h5py.ExternalLink("/etc/passwd", "0")


def round_about(group):
    group["0"] = group


def objects(group):
    group.create_dataset("0", (1,), h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "message"),
    [(sparse, "more than its own size"), (outside, "no array"), (linked, "link"), (objects, "no array")],
)
def test_weights_that_are_elsewhere_or_unpack_to_more_are_refused(change, message, members, tmp_path, little_memory):
    (tmp_path / "1.keras").write_bytes(packed(members | {"model.weights.h5": hdf5(change)}))
    (tmp_path / "1.weights.h5").write_bytes(hdf5(change))
    with pytest.raises(ValueError, match=f"1.keras cannot be loaded .*{message}"):
        load_model(tmp_path / "1.keras")
    with pytest.raises(ValueError, match=f"does not fit .*{message}"):
        load_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), tmp_path / "1.weights.h5")


def test_groups_that_hold_themselves_come_to_an_end(members, tmp_path):
    (tmp_path / "1.keras").write_bytes(packed(members | {"model.weights.h5": hdf5(round_about)}))
    with pytest.raises(ValueError, match="1.keras cannot be loaded"):
        load_model(tmp_path / "1.keras")


NAMES = ["../escaped", "/tmp/escaped-by-zip", "assets/../../escaped", "archive/../../escaped"]


@pytest.mark.parametrize("name", NAMES)
def test_archives_write_nothing(name, members, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    torch = {"archive/data.pkl": TORCH_PICKLE, "archive/data/0": bytes(24)}
    array = io.BytesIO()
    np.save(array, np.ones(3))
    (inside / "1.keras").write_bytes(packed(members | {name: b"harm"}))
    (inside / "1.pth").write_bytes(packed(torch | {name: b"harm"}))
    (inside / "1.npz").write_bytes(packed({"a.npy": array.getvalue(), f"{name}.npy": array.getvalue()}))
    with pytest.raises(ValueError, match="it holds .*escaped"):
        load_model(inside / "1.keras")
    assert list(read_checkpoint(inside / "1.pth")) == ["weight"]
    assert len(read_npz(inside / "1.npz")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert not list(pathlib.Path("/tmp").glob("escaped*"))


def compressed(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_dot_", "."), content)
    return file.getvalue()


def test_archives_that_unpack_to_far_more_are_refused(tmp_path, little_memory):
    zeros = bytes(80 * MEGABYTES // 2)
    (tmp_path / "1.npz").write_bytes(compressed(a=zeros, b=zeros))
    del zeros
    with pytest.raises(ValueError, match="unpacks to 83,886,080 bytes"):
        read_npz(tmp_path / "1.npz")
    (tmp_path / "1.keras").write_bytes(compressed(config_dot_json=b" " * MEGABYTES))
    with pytest.raises(ValueError, match="unpacks to 1,048,576 bytes"):
        load_model(tmp_path / "1.keras")


def test_arrays_of_objects_and_of_claims_are_refused(tmp_path, little_memory):
    np.savez(tmp_path / "objects.npz", a=np.array([print]))
    claims = (
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,), }".ljust(127) + b"\n"
    )
    (tmp_path / "claims.npz").write_bytes(packed({"a.npy": claims}))
    for name in ("objects", "claims"):
        with pytest.raises(ValueError, match=f"{name}.npz cannot be read"):
            read_npz(tmp_path / f"{name}.npz")


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (2**63, b"{}"),
        (100, b"{}"),
        (2, b"{}{}"),
        (60, b'{"a": {"dtype": "F32", "shape": [9999999999], "data_offsets": [0, 4]}}'.ljust(60)),
        (68, b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99999999]}}'),
    ],
)
def test_headers_of_safetensors_that_claim_more_are_refused(length, header, tmp_path, little_memory):
    (tmp_path / "1.safetensors").write_bytes(struct.pack("<Q", length) + header + bytes(4))
    with pytest.raises(ValueError, match="1.safetensors cannot be read as a checkpoint"):
        read_checkpoint(tmp_path / "1.safetensors")


def png(width, height):
    """A picture of so many pixels, of which nothing follows."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_pictures_of_too_many_pixels_are_refused(tmp_path, little_memory):
    for size in ((60_000, 60_000), (10_000, 10_000)):
        (tmp_path / "1.png").write_bytes(png(*size))
        for read in (lambda path: decoding.read_image(path, 8), decoding.read_original):
            with pytest.raises(ValueError, match="1.png: .*pixels"):
                read(tmp_path / "1.png")
    assert "pixels" in decoding.check_images([tmp_path / "1.png"])[0]
    (tmp_path / "1.gif").write_bytes(b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(30))
    with pytest.raises(ValueError, match="1.gif"):
        decoding.read_image(tmp_path / "1.gif", 8)


def test_texts_that_memory_does_not_bear_are_not_read(tmp_path, monkeypatch, little_memory):
    for name in ("1.json", "1.csv"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)  # one line of a terabyte that takes no disk
    monkeypatch.setattr(room, "memory", lambda: 2**34)
    with pytest.raises(ValueError, match="Cannot read .*1.json: its 1099.5 GB take"):
        read_coco(tmp_path / "1.json", [tmp_path])
    with pytest.raises(ValueError, match="Cannot read .*1.csv: its 1099.5 GB take"):
        read_csv(tmp_path / "1.csv")


@pytest.mark.parametrize("text", ["[" * 10**6, '{"images":' * 10**5, '{"images": [], "x": ' + "9" * 5000 + "}"])
def test_json_without_end_is_refused(text, tmp_path):
    (tmp_path / "1.json").write_text(text)
    with pytest.raises(ValueError, match="Cannot read .*1.json"):
        read_coco(tmp_path / "1.json", [tmp_path])


def doubled(leaf, times):
    for _ in range(times):
        leaf = [leaf, leaf]
    return leaf


def test_lists_that_hold_themselves_over_and_over_are_no_arrays(tmp_path, little_memory):
    (tmp_path / "1").write_bytes(pickle.dumps(doubled(1, 60), protocol=4))
    with pytest.raises(ValueError, match="integers are expected"):
        as_array(read_pickle(tmp_path / "1"))
    (tmp_path / "1.pth").write_bytes(packed({"archive/data.pkl": pickle.dumps({"a": doubled(1, 60)}, 2)}))
    with pytest.raises(ValueError, match="these are no tensors: 'a'"):
        read_checkpoint(tmp_path / "1.pth")


def batch_with(state):
    """A batch of CIFAR-10 whose array has a state of its own."""
    array = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
    kind = b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR"
    return b"\x80\x04}(C\x04data" + array + state.replace(b"KIND", kind) + b"bC\x06labels]u."


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of gigabytes
        b"\x80\x02\x82\x01.",  # a name by a number
        batch_with(b"(K\x01\x8a\x06\x00\x00\x00\x00\x00\x01\x85KIND\x89C\x01xt"),  # claims a terabyte
        batch_with(b"(K\x01K\x01\x85KIND\x89]t"),  # a list of objects for bytes
        batch_with(b"}X\x05\x00\x00\x00dtypeX\x01\x00\x00\x00Os"),  # attributes
        # the state of a number type, which says that its numbers are pointers
        batch_with(b"(K\x01K\x08\x85KIND(K\x03X\x01\x00\x00\x00|NNNK\x08K\x08K\x3ftb\x89C\x08AAAAAAAAt"),
    ],
)
def test_pickles_of_arrays_cannot_forge_them(content, tmp_path, little_memory):
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_1"):
        load_cifar10(tmp_path)
