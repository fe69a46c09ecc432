"""`zoo data arrange`: what goes where, and that nothing is lost, overwritten or left half done."""

import collections
import pathlib
import shutil

import pandas
import pytest
from PIL import Image

from recipes.__main__ import main
from recipes.data import files
from recipes.data.arrange import arrange


def draw(folder, names):
    for number, name in enumerate(names):
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (number % 256, 7, 7)).save(path)


def write_csv(path, /, **columns):
    pandas.DataFrame(columns).to_csv(path, index=False)
    return path


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in files.files_below(folder)}


@pytest.fixture
def flat(tmp_path):
    """40 images of 8 patients, and a csv of ids without extension and without zeros."""
    numbers = range(40)
    draw(tmp_path / "flat", [f"{number:05}.png" for number in numbers])
    classes = ["Golgi" if number % 4 == 0 else "Centromere" for number in numbers]
    patients = [f"p{number // 5}" for number in numbers]
    write_csv(tmp_path / "data.csv", **{"Image ID": numbers, "Image class": classes, "patient": patients})
    return tmp_path


def test_the_splits_of_experiment_000(tmp_path, capsys):
    """Three flat folders and one csv become what torchvision's ImageFolder reads."""
    draw(tmp_path / "data", ["training/1.png", "training/2.png", "training/3.png", "validation/4.png", "test/5.png"])
    write_csv(tmp_path / "data" / "data.csv", id=["1.png", "2.png", "3.png", "4", "5"], **{"class": list("abaab")})
    command = ["data", "arrange", str(tmp_path / "data"), str(tmp_path / "data" / "arranged")]
    assert main([*command, "--csv", str(tmp_path / "data" / "data.csv")]) == 0
    before = tree(tmp_path / "data")
    images = {name for name in before if name.startswith("arranged") and name.endswith(".png")}
    assert images == {
        f"arranged/{name}.png" for name in ("train/a/1", "train/b/2", "train/a/3", "validation/a/4", "test/b/5")
    }
    assert before["arranged/train/b/2.png"] == before["training/2.png"]
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert all(row.split() in rows for row in ("a 2 1 0 3", "b 1 0 1 2", "all 3 1 1 5"))
    assert main([*command, "--csv", str(tmp_path / "data" / "data.csv")]) == 2
    assert "holds files already" in capsys.readouterr().err
    assert tree(tmp_path / "data") == before


def test_fractions_of_every_class(flat):
    counts, skipped = arrange(
        flat / "flat", flat / "out", csv=flat / "data.csv", validation_fraction=0.2, test_fraction=0.1
    )
    assert counts == {
        "train": {"Centromere": 21, "Golgi": 7},
        "validation": {"Centromere": 6, "Golgi": 2},
        "test": {"Centromere": 3, "Golgi": 1},
    }
    assert skipped == []
    table = pandas.read_csv(flat / "out" / "arranged.csv")
    assert len(table) == 40
    for path, source, label in zip(table.path, table.source, table.label):
        assert (flat / "out" / path).read_bytes() == pathlib.Path(source).read_bytes()
        assert label == ("Golgi" if int(pathlib.Path(source).stem) % 4 == 0 else "Centromere")
    listed = files.list_images(flat / "out" / "train")
    assert collections.Counter(listed.labels.tolist()) == {0: 21, 1: 7}


def test_patients_are_not_divided(flat):
    arrange(flat / "flat", flat / "out", csv=flat / "data.csv", group_column="patient", test_fraction=0.25)
    table = pandas.read_csv(flat / "out" / "arranged.csv")
    patient = [int(pathlib.Path(source).stem) // 5 for source in table.source]
    assert set(table.split) == {"train", "validation", "test"}
    assert (table.groupby(patient).split.nunique() == 1).all()


def test_patients_who_were_divided_by_others_are_named(tmp_path):
    draw(tmp_path / "in", ["train/1.png", "train/2.png", "test/3.png"])
    table = write_csv(tmp_path / "some.csv", id=[1, 2, 3], label=list("aba"), patient=list("xyx"))
    with pytest.raises(ValueError, match="Groups.*x in train and test"):
        arrange(tmp_path / "in", tmp_path / "out", csv=table, group_column="patient")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["link", "symlink"])
def test_class_folders_are_split_by_links(mode, tmp_path):
    names = [f"{name}/{name}{number}.png" for name in "ab" for number in range(5)]
    draw(tmp_path / "in", names)
    counts, _ = arrange(tmp_path / "in", tmp_path / "out", mode=mode)
    assert counts == {"train": {"a": 4, "b": 4}, "validation": {"a": 1, "b": 1}}
    for name in names:
        (path,) = (tmp_path / "out").glob(f"*/{name}")
        assert path.samefile(tmp_path / "in" / name)
        assert path.is_symlink() == (mode == "symlink")


def test_everything_wrong_is_listed_before_anything_is_written(flat, capsys):
    (flat / "flat" / "00003.png").unlink()
    (flat / "flat" / "00007.png").write_bytes((flat / "flat" / "00008.png").read_bytes()[:50])
    draw(flat / "flat", ["99.png"])
    command = ["data", "arrange", str(flat / "flat"), str(flat / "out"), "--csv", str(flat / "data.csv")]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ("flat/3: no such file", "00007.png: ", "99.png: in no row"))
    assert "00008.png" not in message
    assert not (flat / "out").exists()
    assert main([*command, "--skip-bad"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("left out: ") == 3
    assert len(files.files_below(flat / "out")) == 38 + 1


def test_an_interrupted_arrangement_is_noticed_and_continued(flat, monkeypatch):
    arguments = {"csv": flat / "data.csv", "test_fraction": 0.1}
    arrange(flat / "flat", flat / "whole", **arguments)
    copied, copy = [], shutil.copy2

    def break_off(source, target):
        copied.append(source)
        if len(copied) == 15:
            target.write_bytes(b"half")
            raise KeyboardInterrupt
        copy(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copy2", break_off)
        arrange(flat / "flat", flat / "out", **arguments)
    done = tree(flat / "out")
    assert len(done) == 14
    folder = next(path for path in (flat / "out").iterdir() if path.is_dir())
    for path in (flat / "out", folder):
        with pytest.raises(ValueError, match="was not finished: run the same"):
            files.list_images(path)
    with pytest.raises(ValueError, match="unfinished arrangement of other images or settings"):
        arrange(flat / "flat", flat / "out", **arguments, seed=1)
    assert tree(flat / "out") == done
    times = {path: path.stat().st_mtime_ns for path in files.files_below(flat / "out")}
    arrange(flat / "flat", flat / "out", **arguments)
    assert tree(flat / "out") == tree(flat / "whole")
    assert times.items() <= {path: path.stat().st_mtime_ns for path in files.files_below(flat / "out")}.items()
    assert not list((flat / "out").rglob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "move"}, "`mode` must be one of"),
        ({"validation_fraction": 1.5}, "validation_fraction"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "leave something for training"),
        ({"group_column": "nobody"}, "no column 'nobody'"),
        ({"csv": None, "label_column": "label"}, "pass csv"),
        ({"output": "flat/out", "csv": None}, "must lie outside"),
        ({"csv": "absent.csv"}, "Cannot read .*absent.csv"),
        ({"csv": "slashes.csv"}, "class 'a/b' is no name of a folder"),
    ],
)
def test_bad_arguments_write_nothing(arguments, message, flat):
    table = {"id": range(40), "label": ["a/b" if number % 2 else ".." for number in range(40)]}
    write_csv(flat / "slashes.csv", **table)
    given = {"output": "out", "csv": "data.csv", **arguments}
    output, csv = flat / given.pop("output"), given.pop("csv")
    with pytest.raises(ValueError, match=message):
        arrange(flat / "flat", output, csv=csv and flat / csv, **given)
    assert not output.exists()


def test_files_of_one_name_are_not_put_onto_each_other(tmp_path):
    draw(tmp_path / "in", ["a/x/1.png", "a/y/1.png", "b/1.png", "b/2.png"])
    with pytest.raises(ValueError, match="x/1.png and .*y/1.png would both be"):
        arrange(tmp_path / "in", tmp_path / "out", validation_fraction=0)
    assert not (tmp_path / "out").exists()
