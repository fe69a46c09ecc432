"""CIFAR-10 as published, as others write it, and what pretends to be it."""

import os
import pickle
import struct

import numpy as np
import pytest

from recipes.data import cifar10
from recipes.data.cifar10 import load_cifar10
from recipes.data.digits import load_digits

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def batch(number, count=4):
    images = np.random.default_rng(number).integers(0, 256, (count, 3072), dtype="uint8")
    return images, [(number + label) % 10 for label in range(count)]


def python3_pickle(images, labels):
    return pickle.dumps({b"data": images, b"labels": labels, b"batch_label": b"x"}, protocol=4)


def python2_pickle(images, labels):
    """What cPickle of Python 2 wrote, protocol 2: byte strings for text, NumPy's reconstruct for arrays."""

    def string(text):
        text = text if isinstance(text, bytes) else text.encode()
        return b"U" + bytes([len(text)]) + text if len(text) < 256 else b"T" + struct.pack("<i", len(text)) + text

    def integer(number):
        return b"J" + struct.pack("<i", number)

    dtype = b"cnumpy\ndtype\n" + string("u1") + integer(0) + integer(1) + b"\x87R"
    dtype += b"(" + integer(3) + string("|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + integer(0) + b"\x85" + string("b")
    array += b"\x87R" + b"(" + integer(1) + integer(images.shape[0]) + integer(images.shape[1]) + b"\x86"
    array += dtype + b"\x89" + string(images.tobytes()) + b"tb"
    numbers = b"](" + b"".join(map(integer, labels)) + b"e"
    items = string("data") + array + string("labels") + numbers + string("filenames") + b"](" + string("a.png") + b"e"
    return b"\x80\x02}(" + items + b"u."


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(python3_pickle(*batch(number)))
    return folder


@pytest.mark.parametrize("write", [python2_pickle, python3_pickle])
def test_pickles_of_both_pythons_give_the_images(folder, write):
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(write(*batch(number)))
    dataset = load_cifar10(folder)
    assert dataset.train_images.shape == (20, 32, 32, 3)
    assert dataset.validation_images.shape == (4, 32, 32, 3)
    rows = np.concatenate([batch(number)[0] for number in range(5)])
    np.testing.assert_array_equal(dataset.train_images[7, 3, 5], rows[7].reshape(3, 32, 32)[:, 3, 5])
    assert dataset.train_labels.tolist() == [label for number in range(5) for label in batch(number)[1]]
    assert dataset.validation_labels.tolist() == batch(5)[1]


def test_the_folder_or_its_parent_may_be_given(folder):
    assert load_cifar10(folder.parent).describe() == load_cifar10(str(folder)).describe()


class Shell:
    """A pickle of this runs a command when it is loaded by pickle.load."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_pickles_that_call_something_are_refused_and_not_run(folder, tmp_path):
    trace = tmp_path / "trace"
    (folder / "data_batch_2").write_bytes(pickle.dumps({b"data": Shell(f"touch {trace}"), b"labels": []}))
    with pytest.raises(ValueError, match="data_batch_2 is truncated or no batch of CIFAR-10.*system"):
        load_cifar10(folder)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (python3_pickle(*batch(1))[:-500], "truncated"),
        (b"", "truncated"),
        (b"\x89PNG\r\n", "truncated or no batch"),
        (pickle.dumps([1, 2]), "no batch"),
        (pickle.dumps({b"labels": [1]}), "no batch.*data"),
        (python3_pickle(np.zeros((4, 3072), "float32"), [0] * 4), r"uint8.*float32 \(4, 3072\)"),
        (python3_pickle(np.zeros((4, 100), "uint8"), [0] * 4), r"\(4, 100\)"),
        (python3_pickle(np.zeros((4, 3072), "uint8"), [0] * 3), "label.*4 images"),
        (python3_pickle(np.zeros((4, 3072), "uint8"), [0, 1, 2, 10]), "from 0 to 9"),
        (pickle.dumps({b"data": np.array([object], dtype=object), b"labels": [1]}), "truncated or no batch"),
    ],
)
def test_damaged_and_foreign_files_are_named_in_one_line(folder, content, message):
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_3.*{message}") as error:
        load_cifar10(folder)
    assert "\n" not in str(error.value)


def test_missing_files_are_named(folder):
    (folder / "data_batch_4").unlink()
    with pytest.raises(ValueError, match="lacks data_batch_4"):
        load_cifar10(folder)
    with pytest.raises(ValueError, match="nowhere"):
        load_cifar10("nowhere")


def test_a_failed_download_says_what_to_do(monkeypatch):
    import keras

    def fail():
        raise Exception("URL fetch failure\nand more")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    with pytest.raises(ValueError, match="URL fetch failure.*--data-dir"):
        load_cifar10()


def test_a_download_gives_the_same_form(monkeypatch, folder):
    import keras

    local = load_cifar10(folder)
    splits = (
        (local.train_images, local.train_labels[:, None].astype("uint8")),
        (local.validation_images, local.validation_labels[:, None].astype("uint8")),
    )
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: splits)
    assert load_cifar10().describe() == local.describe()


def test_the_fingerprint_tells_data_sets_apart(folder):
    before = load_cifar10(folder).describe()["sha256"]
    images, labels = batch(1)
    images[0, 0] ^= 1
    (folder / "data_batch_2").write_bytes(python3_pickle(images, labels))
    assert load_cifar10(folder).describe()["sha256"] != before


def test_digits_are_real_and_split_by_class():
    dataset = load_digits()
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_images.max() == 255
    assert len(dataset.train_images) + len(dataset.validation_images) == 1797
    shares = [np.bincount(labels) / len(labels) for labels in (dataset.train_labels, dataset.validation_labels)]
    np.testing.assert_allclose(*shares, atol=0.01)


def test_statistics_are_those_of_the_training_images():
    dataset = load_digits()
    np.testing.assert_allclose(dataset.mean, dataset.train_images.mean((0, 1, 2)), atol=1e-3)
    np.testing.assert_allclose(dataset.std, dataset.train_images.std((0, 1, 2)), atol=1e-3)


def test_the_published_files_are_read():
    path = os.environ.get("CIFAR10_DIR")
    if not path:
        pytest.skip("set CIFAR10_DIR to a cifar-10-batches-py to read the real data")
    dataset = load_cifar10(path)
    assert dataset.train_images.shape == (50_000, 32, 32, 3)
    assert np.bincount(dataset.train_labels).tolist() == [5_000] * 10
    np.testing.assert_allclose(dataset.mean, (125.307, 122.950, 113.865), atol=1e-2)
    np.testing.assert_allclose(dataset.std, (62.993, 62.089, 66.705), atol=1e-2)
    assert dataset.class_names == cifar10.CLASS_NAMES
