"""What fuzzing needs: a small whole file of every kind, its reader, and ways to spoil it."""

import io
import json
import pathlib
import pickle
import struct
import tempfile
import zipfile

import keras
import numpy as np
from PIL import Image

from recipes.data.box_files import read_boxes
from recipes.data.cifar10 import load_cifar10
from recipes.data.coco import read_coco
from recipes.data.csv_files import read_csv
from recipes.data.decoding import check_images
from recipes.data.decoding import read_image
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation
from recipes.reporting.evaluation import read_evaluation
from recipes.reporting.records import Record
from recipes.reporting.records import read_record
from recipes.reporting.report import read_history
from zoo.bit_weights import read_npz
from zoo.checkpoints import read_checkpoint
from zoo.keras_files import load_model
from zoo.keras_files import load_weights

EDITS = ("flip", "cut", "put", "number", "repeat", "drop")
# What is put in: marks, ends and numbers of texts and formats.
TOKENS = [
    *(b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999", b'"', b"'", b",", b"\n", b"\r", b"{}"),
    *(b"[[[[", b"]", b"\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xff" * 8, b"../", b"\xed\xa0\x80", b"."),
]
TORCH_PICKLE = (  # of {"weight": a tensor (2, 3)}, as torch writes it
    b"\x80\x02}X\x06\x00\x00\x00weightctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
    b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86"
    b"\x89ccollections\nOrderedDict\n)RtRs."
)


def spoil(content, edits):
    """Change a file: `edits` are `(kind, place, value)`, one of `EDITS` and two numbers."""
    content = bytearray(content)
    for kind, place, value in edits:
        at = place % (len(content) + 1)
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << value % 8
        elif kind == "cut":
            del content[at:]
        elif kind == "put":
            content[at:at] = TOKENS[value % len(TOKENS)]
        elif kind == "number":
            width = (1, 2, 4, 8)[value % 4]
            content[at : at + width] = (value * 0x9E3779B97F4A7C15 % 2 ** (8 * width)).to_bytes(width, "little")
        elif kind == "repeat":
            content[at:at] = content[at : at + value % 64]
        elif kind == "drop":
            del content[at : at + value % 64]
    return bytes(content)


def packed(members):
    """A zip of `{name: content}`, nothing compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _written(write, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, f"file{suffix}")
        write(path)
        return path.read_bytes()


def _network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="relu"), keras.layers.Dropout(0.1)])


def _members():
    """Of a `.keras` file."""
    with zipfile.ZipFile(io.BytesIO(_written(lambda path: _network().save(path), ".keras"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _picture(kind, mode="RGB"):
    pixels = (np.arange(12 * 10 * 3) % 251).astype("uint8").reshape(12, 10, 3)
    return _written(lambda path: Image.fromarray(pixels).convert(mode).save(path, kind), "")


def _torch_legacy():
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [pickle.dumps(part, 2) for part in head] + [TORCH_PICKLE, pickle.dumps(["0"], 2)]
    return b"".join(parts) + (6).to_bytes(8, "little") + bytes(24)


def _safetensors():
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(24)


def _coco():
    box = {"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0}
    images = [{"id": number, "file_name": f"{number}.png", "height": 8, "width": 8} for number in (5, 6, 7)]
    categories = [{"id": 7, "name": "cat", "supercategory": "none"}, {"id": 3, "name": "dog"}]
    annotations = [box, {**box, "id": 2, "image_id": 6, "category_id": 3}, {**box, "id": 3, "image_id": 7}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def _cifar():
    images = (np.arange(2 * 3072) % 251).astype("uint8").reshape(2, 3072)
    return pickle.dumps({b"data": images, b"labels": [0, 1], b"filenames": [b"a.png", b"b.png"]}, protocol=2)


def _read_cifar(path):
    for number in range(1, 6):
        path.with_name(f"data_batch_{number}").write_bytes(path.read_bytes())
    return load_cifar10(path.parent)


def _read_picture(path):
    check_images([path])
    return read_image(path, 8)


def _of_folder(read):
    return lambda path: read(path.parent)


def readers():
    """What is read: name to (content, name of the file, how the content is wrapped, reader).

    Archives are spoiled as a whole, where a checksum finds nearly everything, and in a member that is packed anew.
    """
    keras_file, plain = _members(), lambda content: content
    torch_file = {"archive/data.pkl": TORCH_PICKLE, "archive/data/0": bytes(24)}
    table = "path,label,probability/a,probability/b\n1.png,a,0.75,0.25\n2.png,b,0.5,0.5\n"
    preparation = json.dumps(Preparation(8, "crop", 1.0, (1.0, 2.0, 3.0), ["a", "b"]).to_dict())
    record = json.dumps(Record("cifar10_davidnet", "ours", arguments={"data": "digits"}, date="2026").to_dict())
    npz = _written(lambda path: np.savez(path, a=np.arange(6.0), b=np.eye(2)), ".npz")
    load = {
        **{f"image {kind}": (_picture(kind), "1.png", plain, _read_picture) for kind in ("PNG", "JPEG", "GIF", "BMP")},
        "image TIFF": (_picture("TIFF"), "1.tif", plain, _read_picture),
        "image PNG of a palette": (_picture("PNG", "P"), "1.png", plain, _read_picture),
        "safetensors": (_safetensors(), "1.safetensors", plain, read_checkpoint),
        "torch zip": (packed(torch_file), "1.pth", plain, read_checkpoint),
        "torch zip, pickle": (TORCH_PICKLE, "1.pth", _inside(torch_file, "archive/data.pkl"), read_checkpoint),
        "torch legacy": (_torch_legacy(), "1.pth", plain, read_checkpoint),
        "npz": (npz, "1.npz", plain, read_npz),
        "npz, array": (_array(), "1.npz", _inside({"a.npy": b""}, "a.npy"), read_npz),
        "keras": (packed(keras_file), "1.keras", plain, load_model),
        "weights.h5": (keras_file["model.weights.h5"], "1.weights.h5", plain, _load_weights),
        "CIFAR-10": (_cifar(), "test_batch", plain, _read_cifar),
        "COCO": (_coco(), "1.json", plain, lambda path: read_coco(path, [path.parent])),
        "csv": (b"path,label\n1.png,a\n2.png,b\n3.png,a\n", "1.csv", plain, read_csv),
        "csv of boxes": (_boxes(), "1.csv", plain, read_boxes),
        "record": (record.encode(), "record.json", plain, _of_folder(read_record)),
        "preparation": (preparation.encode(), "preparation.json", plain, _of_folder(read_preparation)),
        "predictions": (table.encode(), "predictions.csv", plain, _of_folder(read_evaluation)),
        "history": (b"epoch,loss\n0,1.5\n1,1.25\n", "history.csv", plain, _of_folder(read_history)),
    }
    for member in ("config.json", "model.weights.h5"):
        load[f"keras, {member}"] = keras_file[member], "1.keras", _inside(keras_file, member), load_model
    return load


def _inside(members, name):
    return lambda content: packed({**members, name: content})


def _array():
    return _written(lambda path: np.save(path, np.arange(6.0)), ".npy")


def _boxes():
    return b"1.png,1,1,5,5,cat\n2.png,,,,,\n3.png,2,2,6,6,dog\n4.png,1,2,6,6,dog\n5.png,1,2,6,6,cat\n"


def _load_weights(path):
    load_weights(_network(), path)


def finding(reader, content, folder):
    """What is wrong with how a file is read, or None: it is read, or refused with a ValueError in one line."""
    _, name, wrap, read = reader
    path = pathlib.Path(folder, name)
    path.write_bytes(wrap(content))
    try:
        read(path)
    except ValueError as error:
        if type(error) is not ValueError or "\n" in str(error) or len(str(error)) > 20_000:
            return f"{type(error).__name__}: {str(error)[:300]!r}"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]!r}"
    return None
