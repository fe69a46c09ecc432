"""A user's own images: what is read of folders and csv files, how files are decoded, split, kept and refused."""

import pathlib

import cv2
import numpy as np
import pandas
import pytest
from PIL import Image

from recipes.data import cache
from recipes.data import csv_files
from recipes.data import decoding
from recipes.data import files
from recipes.data import layouts
from recipes.data import splits
from recipes.data.decoded import DecodedImages
from recipes.data.images import load_image_dataset
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation

BLOOD_CELLS = pathlib.Path(__file__).parents[2] / "shared" / "data" / "blood_cells"
RNG = np.random.default_rng(0)


def smooth(width=40, height=30, mode="RGB"):
    coarse = Image.fromarray(RNG.integers(256, size=(4, 5, 3), dtype="uint8"))
    return coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def deep(*shape):
    return RNG.integers(65536, size=(30, 40, *shape), dtype="uint16")


def draw(folder, names, size=(12, 10)):
    """Write a picture of its own for each name."""
    for name in names:
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth(*size).save(path)


def class_folders(folder, counts, kind="png"):
    draw(folder, [f"{name}/{name}_{number}.{kind}" for name, count in counts.items() for number in range(count)])
    return folder


def write_csv(path, /, **columns):
    pandas.DataFrame(columns).to_csv(path, index=False)
    return path


WRITERS = {
    "rgb.png": lambda path: smooth().save(path),
    "grey.png": lambda path: smooth(mode="L").save(path),
    "two_levels.png": lambda path: smooth(mode="1").save(path),
    "palette.png": lambda path: smooth().quantize(16).save(path),
    "transparent.png": lambda path: smooth(mode="RGBA").save(path),
    "grey_16.png": lambda path: Image.fromarray(deep()).save(path),
    "rgb_16.png": lambda path: cv2.imwrite(str(path), deep(3)),
    "rgba_16.png": lambda path: cv2.imwrite(str(path), deep(4)),
    "grey_16.tif": lambda path: Image.fromarray(deep()).save(path),
    "rgb_16.tiff": lambda path: cv2.imwrite(str(path), deep(3)),
    "packed.tif": lambda path: smooth().save(path, compression="tiff_lzw"),
    "cmyk.tif": lambda path: smooth(mode="CMYK").save(path),
    "rgb.bmp": lambda path: smooth().save(path),
    "palette.bmp": lambda path: smooth().quantize(16).save(path),
    "rgb.jpg": lambda path: smooth().save(path, quality=95),
    "grey.jpeg": lambda path: smooth(mode="L").save(path),
    "progressive.jpg": lambda path: smooth().save(path, progressive=True),
    "cmyk.jpg": lambda path: smooth(mode="CMYK").save(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_is_decoded_as_opencv_does(name, tmp_path):
    WRITERS[name](tmp_path / name)
    expected = cv2.imread(str(tmp_path / name), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)[..., ::-1].astype(int)
    assert (expected.max() > 255) == ("16" in name)
    expected = expected >> 8 if "16" in name else expected
    image = decoding.read_image(tmp_path / name, (30, 40), "center_crop")
    assert image.dtype == np.uint8
    assert np.abs(image - expected).max() <= (3 if path_is_lossy(name) else 0)


def path_is_lossy(name):
    return name.endswith((".jpg", ".jpeg")) or "cmyk" in name


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_images_are_turned_as_the_camera_says(kind, orientation, tmp_path):
    exif = Image.Exif()
    exif[274] = orientation
    picture, path = smooth(80, 60), tmp_path / f"turned.{kind}"
    picture.save(path, exif=exif, **({"quality": 95} if kind == "jpg" else {}))
    turned = {3: np.rot90(picture, 2), 6: np.rot90(picture, -1), 7: np.rot90(picture, 2).transpose(1, 0, 2)}[
        orientation
    ]
    image = decoding.read_image(path, turned.shape[:2], "center_crop")
    assert np.abs(image - turned.astype(int)).mean() < (2 if kind == "jpg" else 0.01)


@pytest.mark.parametrize(
    ("fit", "size", "box", "inner"),
    [
        ("stretch", (20, 16), (0, 0, 90, 60), (0, 0, 20, 16)),
        ("crop", (20, 20), (15, 0, 75, 60), (0, 0, 20, 20)),
        ("crop", (20, 40), (0, 7.5, 90, 52.5), (0, 0, 20, 40)),
        ("pad", (30, 30), (0, 0, 90, 60), (5, 0, 25, 30)),
        ("center_crop", (20, 16), (37, 20, 53, 40), (0, 0, 20, 16)),
        ("center_crop", (40, 101), (0, 10, 90, 50), (0, 5, 40, 95)),  # as torchvision: the odd pixel at the end
    ],
)
def test_fits(fit, size, box, inner, tmp_path):
    """`box` of the picture, scaled, makes `inner` (top, left, bottom, right) of the result; the rest is black."""
    picture = smooth(90, 60)
    picture.save(tmp_path / "1.png")
    top, left, bottom, right = inner
    expected = np.zeros((*size, 3), "uint8")
    scaled = picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)
    expected[top:bottom, left:right] = scaled
    np.testing.assert_array_equal(decoding.read_image(tmp_path / "1.png", size, fit), expected)


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_large_jpegs_look_the_same_though_they_are_decoded_smaller(fit, tmp_path):
    picture = smooth(640, 400)
    picture.save(tmp_path / "1.jpg", quality=95)
    picture.save(tmp_path / "1.png")
    jpeg, png = (decoding.read_image(tmp_path / f"1.{kind}", 32, fit).astype(int) for kind in ("jpg", "png"))
    assert np.abs(jpeg - png).mean() < 1.5


def test_everything_that_cannot_be_read_is_listed_in_one_error(tmp_path, monkeypatch):
    draw(tmp_path, ["good.png", "good.jpg", "good.bmp", "good.tif"], (60, 50))
    for kind in ("png", "jpg", "bmp", "tif"):
        content = (tmp_path / f"good.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(content[: len(content) // 2])
    content = (tmp_path / "good.png").read_bytes()
    (tmp_path / "holes.png").write_bytes(content[:200] + bytes(len(content) - 220) + content[-20:])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no image")
    Image.fromarray(np.zeros((4, 4), "float32")).save(tmp_path / "float.tif")
    smooth(200, 200).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    (tmp_path / "folder.png").mkdir()
    names = [*sorted(path.name for path in tmp_path.iterdir()), "missing.png"]
    paths = [tmp_path / name for name in names]
    with pytest.raises(ValueError, match=f"{len(names) - 4} images cannot be read") as error:
        decoding.read_images(paths, 8)
    text = str(error.value)
    assert {paths[row].name for row in decoding.check_images(paths)} == {name for name in names if "good" not in name}
    assert all(name in text for name in names if "good" not in name)
    assert "good" not in text
    assert "float.tif: its pixels have 32 bits" in text
    assert "missing.png: no such file" in text


def test_many_problems_are_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_TASKS", 7)
    with pytest.raises(ValueError, match=r"^50 images.*0\.png.*19\.png: no such file; and 30 more") as error:
        decoding.read_images([tmp_path / f"{number}.png" for number in range(50)], 8)
    assert "20.png" not in str(error.value)


def test_decoded_images_are_indexed_as_an_array_is(tmp_path):
    draw(tmp_path, [f"{number}.png" for number in range(5)])
    images = DecodedImages([str(tmp_path / f"{number}.png") for number in range(5)], 8, "pad")
    array = decoding.read_images(images.paths, 8, "pad")
    assert (images.shape, images.ndim, images.dtype, len(images)) == (array.shape, 4, array.dtype, 5)
    for index in (2, -1, slice(1, 4), [3, 0], np.array([4, 4]), np.array([True, False] * 2 + [True]), slice(0, 0)):
        np.testing.assert_array_equal(images[index], array[index])
    np.testing.assert_array_equal(np.asarray(images), array)
    with pytest.raises(IndexError):
        images[5]


# csv files


@pytest.mark.parametrize(
    ("header", "names"),
    [("Path,label", {}), ("Image ID;Image class", {}), ("x\tfile_name\tDiagnosis", {}), ("a,b", {"a": 1})],
)
def test_columns_and_separators_are_found(header, names, tmp_path):
    draw(tmp_path, ["1.png", "2.png"])
    separator = next(each for each in ",;\t" if each in header)
    columns = header.split(separator)
    rows = [[f"{number}.png", name] for number, name in ((2, "b"), (1, "a"))]
    rows = [["0"] * (len(columns) - 2) + row for row in rows]
    text = "\n".join([header, *(separator.join(row) for row in rows)])
    (tmp_path / "some.csv").write_text(text, encoding="utf-8-sig")
    given = {"path_column": "a", "label_column": "b"} if names else {}
    found = csv_files.read_csv(tmp_path / "some.csv", **given)
    assert [pathlib.Path(path).name for path in found.paths] == ["2.png", "1.png"]
    assert found.labels.tolist() == [1, 0]
    assert found.class_names == ["a", "b"]


def test_classes_are_in_the_order_of_names_or_of_values(tmp_path):
    names = [f"{number}.png" for number in range(4)]
    numbers = csv_files.read_csv(write_csv(tmp_path / "1.csv", path=names, label=[10, 9, 2, 10]))
    assert numbers.class_names == ["2", "9", "10"]
    assert numbers.labels.tolist() == [2, 1, 0, 2]
    floats = csv_files.read_csv(write_csv(tmp_path / "2.csv", path=names, label=[1.0, 0.0, 1.0, 0.0]))
    assert floats.class_names == ["0", "1"]
    words = csv_files.read_csv(write_csv(tmp_path / "3.csv", path=names, label=["b", "NA", "a", "10"]))
    assert words.class_names == ["10", "NA", "a", "b"]
    class_folders(tmp_path / "folders", {"10": 1, "9": 1})
    assert files.list_images(tmp_path / "folders").class_names == ["9", "10"]


def test_ids_match_without_extension_and_with_other_zeros(tmp_path):
    draw(tmp_path, ["sub/00007.png", "sub/cell_1.v2.bmp", "plain.tif", "deep/er/x.png"])
    ids = ["7", "cell_1.v2", "plain.tif", "deep\\er\\x.png", "absent"]
    found, problems = csv_files.find_files(ids, [tmp_path])
    assert found[:4] == [
        str(tmp_path / name) for name in ("sub/00007.png", "sub/cell_1.v2.bmp", "plain.tif", "deep/er/x.png")
    ]
    assert list(problems) == [4]
    assert csv_files.find_files(["7"], [tmp_path, tmp_path / "sub"])[0] == found[:1]


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"x": ["1.png"], "label": ["a"]}, {}, "Columns of .*: x, label.*path_column"),
        ({"path": ["1.png"], "x": ["a"]}, {}, "Columns of .*: path, x.*label_column"),
        ({"path": ["1.png"], "label": ["a"]}, {"label_column": "kind"}, "no column 'kind'.*path, label"),
        ({"path": ["1.png"], "label": ["a"]}, {"group_column": "patient"}, "no column 'patient'"),
        ({"path": ["1.png", "2.png"], "label": ["a", ""]}, {}, "label: no value in line 3"),
        ({"path": [], "label": []}, {}, "no rows"),
        ({"path": ["1.png", "1.png"], "label": ["a", "b"]}, {}, "more than once.*1.png"),
        ({"path": ["1.png", "2.png"], "label": ["a", "z"]}, {"class_names": ["a", "b"]}, "z. The classes of the"),
        ({"path": ["same", "2.png"], "label": ["a", "b"]}, {}, "'same' could be .*same.png or .*same.png"),
    ],
)
def test_csv_files_that_make_no_sense_are_refused(columns, arguments, message, tmp_path):
    draw(tmp_path, ["1.png", "2.png", "x/same.png", "y/same.png"])
    with pytest.raises(ValueError, match=message):
        csv_files.read_csv(write_csv(tmp_path / "some.csv", **columns), **arguments)


@pytest.mark.parametrize("content", ["path,label\n1.png,a,b\n", "path,label\n1.png,a\n2.png,a,b\n", "", "\xff\xfe"])
def test_csv_files_that_cannot_be_read_are_named(content, tmp_path):
    (tmp_path / "some.csv").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match="Cannot read .*some.csv"):
        csv_files.read_table(tmp_path / "some.csv")


# Layouts


def found_in(path, **arguments):
    found = layouts.find_splits(path, **arguments)
    return {name: len(part) for name, part in found.items()}, found


@pytest.mark.parametrize(("validation", "train"), [("val", "train"), ("valid", "Train"), ("validation", "training")])
def test_class_folders_by_split(validation, train, tmp_path):
    class_folders(tmp_path / train, {"b": 3, "a": 2})
    class_folders(tmp_path / validation, {"b": 1})
    class_folders(tmp_path / "test", {"a": 1, "b": 2})
    sizes, found = found_in(tmp_path)
    assert sizes == {"train": 5, "validation": 1, "test": 3}
    assert found["validation"].labels.tolist() == [1]
    assert found["test"].labels.tolist() == [0, 1, 1]


def test_a_test_without_class_folders_has_no_labels(tmp_path):
    class_folders(tmp_path / "train", {"a": 5, "b": 5})
    draw(tmp_path / "test", ["2.png", "1.png"])
    data = load_image_dataset(tmp_path, 8)
    assert data.test_images.shape == (2, 8, 8, 3)
    assert data.test_labels is None
    assert [pathlib.Path(path).name for path in data.test_files.paths] == ["1.png", "2.png"]
    assert data.describe()["test"] == 2
    assert (len(data.train_images), len(data.validation_images)) == (8, 2)


def test_csv_by_split_with_a_test_without_labels(tmp_path):
    draw(tmp_path, [f"all/{number}.png" for number in range(7)])
    paths = [f"all/{number}.png" for number in range(7)]
    write_csv(tmp_path / "train.csv", Path=paths[:4], label=["b", "a", "b", "a"])
    write_csv(tmp_path / "valid.csv", Path=paths[4:5], label=["b"])
    write_csv(tmp_path / "test.csv", Path=paths[5:])
    sizes, found = found_in(tmp_path, label_column="label")
    assert sizes == {"train": 4, "validation": 1, "test": 2}
    assert found["train"].labels.tolist() == [1, 0, 1, 0]
    assert found["validation"].labels.tolist() == [1]
    assert found["test"].labels is None


def test_one_csv_or_one_folder_of_classes_is_split_by_class(tmp_path):
    class_folders(tmp_path / "images", {"a": 20, "b": 10})
    paths = [str(path.relative_to(tmp_path / "images")) for path in files.files_below(tmp_path / "images")]
    table = write_csv(tmp_path / "cells.csv", file=paths, kind=[path[0] for path in paths])
    for path, arguments in (
        (tmp_path / "images", {}),
        (table, {"label_column": "kind", "image_dir": tmp_path / "images"}),
        (tmp_path, {"label_column": "kind", "image_dir": tmp_path / "images"}),
    ):
        _, found = found_in(path, validation_fraction=0.3, seed=3, **arguments)
        assert np.bincount(found["train"].labels).tolist() == [14, 7]
        assert np.bincount(found["validation"].labels).tolist() == [6, 3]
    again = found_in(path, validation_fraction=0.3, seed=3, **arguments)[1]["train"].paths
    other = found_in(path, validation_fraction=0.3, seed=4, **arguments)[1]["train"].paths
    assert found["train"].paths == again != other


def test_where_folders_and_csv_are_there_a_column_or_the_layout_says_which(tmp_path):
    class_folders(tmp_path / "train", {"a": 6, "b": 6})
    paths = [str(path.relative_to(tmp_path)) for path in files.files_below(tmp_path / "train")][1:-1]
    write_csv(tmp_path / "train.csv", path=paths, label=[path[6] for path in paths])
    assert sum(found_in(tmp_path)[0].values()) == 12
    assert sum(found_in(tmp_path, layout="csv")[0].values()) == 10
    assert sum(found_in(tmp_path, label_column="label")[0].values()) == 10


def test_layouts_that_make_no_sense_are_refused(tmp_path):
    for arguments, message in (
        ({"layout": "tree"}, "`layout` must be one of"),
        ({"validation_fraction": 1}, "between 0 and 1"),
        ({}, "holds none of these"),
    ):
        with pytest.raises(ValueError, match=message):
            layouts.find_splits(tmp_path, **arguments)
    class_folders(tmp_path / "one", {"only/a": 2})
    (tmp_path / "one").joinpath("train.csv").write_text("path,label\nonly/a/only/a_0.png,x\n")
    with pytest.raises(ValueError, match="one class, x"):
        layouts.find_splits(tmp_path / "one")
    class_folders(tmp_path / "two" / "train", {"a": 2, "b": 2})
    class_folders(tmp_path / "two" / "val", {"a": 2, "c": 2})
    with pytest.raises(ValueError, match="val holds c. The classes of the training are"):
        layouts.find_splits(tmp_path / "two")
    (tmp_path / "two" / "valid").mkdir()
    with pytest.raises(ValueError, match="both for validation"):
        layouts.find_splits(tmp_path / "two")
    draw(tmp_path / "flat" / "training", ["1.png", "2.png"])
    write_csv(tmp_path / "flat" / "data.csv", id=[1, 2], label=["a", "b"])
    with pytest.raises(ValueError, match="zoo data arrange"):
        layouts.find_splits(tmp_path / "flat")


def test_images_and_patients_in_two_splits_are_refused(tmp_path):
    paths = [f"{number}.png" for number in range(5)]
    write_csv(tmp_path / "train.csv", path=paths[:4], label=list("abab"), patient=list("xyzx"))
    write_csv(tmp_path / "val.csv", path=paths[3:], label=list("ba"), patient=list("vw"))
    with pytest.raises(ValueError, match=r"Images.*3.png in train and validation"):
        layouts.find_splits(tmp_path)
    write_csv(tmp_path / "val.csv", path=paths[4:], label=["a"], patient=["x"])
    with pytest.raises(ValueError, match="Groups.*x in train and validation"):
        layouts.find_splits(tmp_path, group_column="patient")
    assert found_in(tmp_path)[0] == {"train": 4, "validation": 1}


# Splits


def test_groups_stay_together_and_classes_keep_their_shares():
    groups = np.repeat(np.arange(60), RNG.integers(3, 9, 60))
    labels = (groups % 3 == 0).astype("int32")
    for fraction in (0.2, 0.25, 0.4, 0.7):
        rest, taken = splits.split(labels, fraction, seed=1, groups=groups)
        assert not set(groups[rest]) & set(groups[taken])
        assert sorted([*rest, *taken]) == list(range(len(labels)))
        assert abs(len(taken) / len(labels) - fraction) < 0.08
        assert abs(labels[taken].mean() - labels[rest].mean()) < 0.1
    assert splits.split(labels, 0.2, 1, groups)[1].tolist() == splits.split(labels, 0.2, 1, groups)[1].tolist()


def test_impossible_splits_say_why():
    with pytest.raises(ValueError, match="Class rare has one image"):
        splits.split([0, 0, 0, 1], 0.5, class_names=["common", "rare"])
    with pytest.raises(ValueError, match="Class 0 has one group"):
        splits.split([0, 0, 1, 1], 0.5, groups=["x", "x", "y", "z"])
    with pytest.raises(ValueError, match=r"0.1 of 10 images leaves fewer than one of each of 3 classes"):
        splits.split([0, 1, 2, 0, 1, 2, 0, 1, 2, 0], 0.1)
    with pytest.raises(ValueError, match="No split of 3 groups"):
        splits.split([0, 1, 1, 2, 2, 0], 0.5, groups=["x", "x", "y", "y", "z", "z"])


# Data sets and caches


@pytest.fixture
def folder(tmp_path):
    class_folders(tmp_path / "data" / "train", {"a": 4, "b": 3}, "jpg")
    class_folders(tmp_path / "data" / "val", {"a": 2, "b": 1})
    return tmp_path / "data"


def test_every_cache_gives_the_same_images(folder, tmp_path):
    kept = {
        name: load_image_dataset(folder, (9, 8), fit="pad", cache=name, cache_dir=tmp_path) for name in cache.CACHES
    }
    memory = kept["memory"]
    expected = [decoding.read_image(path, (9, 8), "pad") for path in memory.train_files.paths]
    np.testing.assert_array_equal(memory.train_images, expected)
    assert memory.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    for data in kept.values():
        np.testing.assert_array_equal(data.train_images, memory.train_images)
        np.testing.assert_array_equal(data.validation_images, memory.validation_images)
        assert data.mean == memory.mean
        assert data.std == memory.std
    np.testing.assert_allclose(memory.mean, memory.train_images.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(memory.std, memory.train_images.std((0, 1, 2)), atol=1e-4)
    assert isinstance(kept["disk"].train_images, np.memmap)
    assert isinstance(kept["none"].train_images, DecodedImages)
    assert type(kept["auto"].train_images) is np.ndarray
    assert kept["disk"].describe() == memory.describe()
    assert kept["none"].describe()["sha256"] != memory.describe()["sha256"]
    before = kept["none"].describe()
    smooth().save(memory.train_files.paths[0])
    assert kept["none"].describe() != before


def test_statistics_of_many_images_are_those_of_some(folder, monkeypatch):
    data = load_image_dataset(folder, 8)
    monkeypatch.setattr("recipes.data.dataset._VALUES", 3 * 8 * 8 * 3)
    np.testing.assert_allclose(data.mean, data.train_images[[0, 3, 6]].mean((0, 1, 2)), atol=1e-4)


def test_auto_goes_from_memory_to_disk_to_nothing(monkeypatch, tmp_path):
    assert cache.choose_cache("auto", 10, (8, 8), tmp_path) == "memory"
    monkeypatch.setattr(cache.room, "memory", lambda: 4 * 10 * 8 * 8 * 3 - 4)
    assert cache.choose_cache("auto", 10, (8, 8), tmp_path) == "disk"
    monkeypatch.setattr(cache, "_free", lambda folder: 10 * 8 * 8 * 3)
    assert cache.choose_cache("auto", 10, (8, 8), tmp_path) == "none"
    with pytest.raises(ValueError, match="`cache` must be one of"):
        cache.choose_cache("ram", 10, (8, 8))


def damage(path, change):
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif change == "flipped":
        content = bytearray(path.read_bytes())
        content[-7] ^= 1
        path.write_bytes(content)
    elif change == "undescribed":
        path.with_suffix(".json").unlink()
    elif change == "half described":
        path.with_suffix(".json").write_text('{"shape": [')
    elif change == "foreign":
        np.save(path, np.zeros((7, 8, 8, 3), "int16"))


@pytest.mark.parametrize("change", ["none", "cut", "flipped", "undescribed", "half described", "foreign"])
def test_a_cache_is_used_again_and_made_anew_when_damaged(change, folder, tmp_path, monkeypatch):
    paths = [str(path) for path in files.files_below(folder / "train")]
    expected = np.array(cache.load_images(paths, 8, cache="disk", cache_dir=tmp_path / "kept")[0])
    (path,) = (tmp_path / "kept").glob("*.npy")
    damage(path, change)
    decoded = []
    monkeypatch.setattr(
        decoding, "decode_into", lambda *given, real=decoding.decode_into: decoded.append(1) or real(*given)
    )
    images, problems = cache.load_images(paths, 8, cache="disk", cache_dir=tmp_path / "kept")
    np.testing.assert_array_equal(images, expected)
    assert decoded == ([] if change == "none" else [1])
    assert problems == {}
    assert {each.suffix for each in (tmp_path / "kept").iterdir()} == {".npy", ".json"}
    images[0] = 0  # in memory alone
    np.testing.assert_array_equal(cache.load_images(paths, 8, cache="disk", cache_dir=tmp_path / "kept")[0], expected)


def test_other_images_and_settings_have_other_caches(folder, tmp_path):
    paths = [str(path) for path in files.files_below(folder / "train")]

    def kept(size=8, fit="stretch"):
        return np.array(cache.load_images(paths, size, fit, "disk", tmp_path / "kept")[0])

    first = kept()
    assert (kept(fit="pad") != first).any()
    assert kept(9).shape[1:] == (9, 9, 3)
    smooth(13, 11).save(paths[2])
    assert ((kept() != first).any((1, 2, 3)) == np.eye(7, dtype=bool)[2]).all()


def test_an_interruption_leaves_no_cache(folder, tmp_path, monkeypatch):
    paths = [str(path) for path in files.files_below(folder / "train")]

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(decoding, "decode_into", interrupt)
        cache.load_images(paths, 8, cache="disk", cache_dir=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written.*cache_dir"):
        cache.load_images(paths, 8, cache="disk", cache_dir=tmp_path / "file")


@pytest.mark.parametrize("kept", ["memory", "disk", "none"])
def test_bad_files_are_all_refused_or_skipped_and_counted(kept, folder, tmp_path):
    (folder / "train" / "a" / "cut.jpg").write_bytes((folder / "train" / "a" / "a_0.jpg").read_bytes()[:300])
    (folder / "val" / "b" / "notes.txt").write_text("no image")
    arguments = {"cache": kept, "cache_dir": tmp_path / "kept"}
    with pytest.raises(ValueError, match="2 images cannot be read") as error:
        load_image_dataset(folder, 8, **arguments)
    assert "cut.jpg" in str(error.value)
    assert "notes.txt" in str(error.value)
    for _ in range(2):  # the second time from the disk
        data = load_image_dataset(folder, 8, skip_bad=True, **arguments)
        assert data.describe()["skipped"] == len(data.skipped) == 2
        assert data.train_labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
        expected = decoding.read_images(data.train_files.paths, 8)
        np.testing.assert_array_equal(data.train_images, expected)
        assert len(data.validation_images) == len(data.validation_labels) == 3
    for path in (folder / "train" / "b").iterdir():
        path.write_text("no image")
    with pytest.raises(ValueError, match="No image can be read of class b"):
        load_image_dataset(folder, 8, skip_bad=True, **arguments)


def test_missing_rows_of_a_csv_are_listed_or_skipped(tmp_path):
    draw(tmp_path, [f"{number}.png" for number in range(8)])
    names = [f"{number}.png" for number in range(10)]
    write_csv(tmp_path / "all.csv", path=names, label=list("abababababab")[:10])
    with pytest.raises(ValueError, match="2 images cannot be read") as error:
        load_image_dataset(tmp_path / "all.csv", 8)
    assert all(f"{number}.png: no such file" in str(error.value) for number in (8, 9))
    data = load_image_dataset(tmp_path / "all.csv", 8, skip_bad=True)
    assert len(data.train_images) + len(data.validation_images) == 8
    assert data.name == "all"


# Preparation


def test_a_preparation_sees_what_training_saw(folder, tmp_path):
    data = load_image_dataset(folder, (9, 8), fit="crop")
    preparation = Preparation((9, 8), "crop", data.mean, data.std, data.class_names)
    preparation.write(tmp_path)
    again = read_preparation(tmp_path)
    assert again == preparation
    images = again.read(data.validation_files.paths)
    np.testing.assert_array_equal(images, data.validation_images)
    np.testing.assert_array_equal(again.read(pathlib.Path(data.validation_files.paths[0])), images[0])
    expected = (images - np.array(data.mean)) / np.array(data.std)
    np.testing.assert_allclose(again.normalize(images), expected, atol=1e-5)
    assert again.normalize(images).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size"),
        ({"image_size": (8, 8, 3)}, "image_size"),
        ({"fit": "squeeze"}, "`fit` must be one of"),
        ({"mean": (1, 2)}, "`mean` must be a number, or three"),
        ({"std": 0}, "`std`"),
        ({"std": float("nan")}, "`std`"),
        ({"class_names": "ab"}, "class_names"),
        ({"class_names": []}, "class_names"),
    ],
)
def test_preparations_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Preparation(**{"image_size": 8, "fit": "pad", "mean": 0, "std": 1, "class_names": ["a", "b"], **change})


def test_damaged_preparations_are_named(tmp_path):
    for content in ("{", "[]", '{"fit": "pad"}'):
        (tmp_path / "preparation.json").write_text(content)
        with pytest.raises(ValueError, match="preparation.json is damaged"):
            read_preparation(tmp_path)


# Real images


@pytest.mark.parametrize("layout", ["folders", "csv"])
def test_blood_cells(layout):
    if not BLOOD_CELLS.is_dir():
        pytest.skip("the images of blood cells are not on this machine")
    data = load_image_dataset(BLOOD_CELLS, 24, layout=layout, cache="memory")
    assert data.class_names == ["Platelets", "RBC", "WBC"]
    for part, labels, listed in (
        ("train", data.train_labels, data.train_files),
        ("val", data.validation_labels, data.validation_files),
    ):
        table = pandas.read_csv(BLOOD_CELLS / f"{part}.csv").set_index("Path").label
        given = {str(pathlib.Path(path).relative_to(BLOOD_CELLS)): name for path, name in zip(listed.paths, labels)}
        assert {path: data.class_names[label] for path, label in given.items()} == table.to_dict()
    picture = Image.open(data.train_files.paths[17]).convert("RGB").resize((24, 24), Image.Resampling.BILINEAR)
    assert np.abs(data.train_images[17] - np.asarray(picture, "int32")).mean() < 1.5
