"""What a user's folder or csv of images holds: which files are for training, validation and test."""

import pathlib

from recipes.data import files
from recipes.data import splits
from recipes.data.csv_files import read_csv
from recipes.data.decoding import shorten

LAYOUTS = ("auto", "folders", "csv")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_EXPECTED = "train/CLASS/*, CLASS/*, train.csv, or one csv"


def find_splits(
    data_dir,
    *,
    layout="auto",
    validation_fraction=0.2,
    seed=0,
    path_column=None,
    label_column=None,
    group_column=None,
    image_dir=None,
    validation_as_test=False,
):
    """List the images for training, validation and test that a folder or a csv holds.

    Understood are `train/CLASS/*` with `val` (valid, validation) and `test`, which may have no class
    folders and then no labels; `train.csv` with the like; two or more folders `CLASS/*`; and one csv. Where
    a validation is not given, it is split off the training, by class and by group.

    Args:
        data_dir: path of a folder, or of a csv.
        layout: "folders" or "csv", where both are there; "auto" takes csv files if a column is named or
            there are no class folders. Defaults to "auto".
        validation_fraction: float, where it is split off. Defaults to 0.2.
        seed: int, of that split. Defaults to 0.
        path_column: str or None, as for `recipes.data.csv_files.read_csv`. Defaults to None.
        label_column: str or None. Defaults to None.
        group_column: str or None. No group may be in two splits. Defaults to None.
        image_dir: path that a csv's paths begin at, besides its own folder, or None. Defaults to None.
        validation_as_test: bool. Whether a validation that is given is the test, and another one is split off
            the training. Defaults to False.

    Returns:
        dict from "train", "validation" and, where there is one, "test" to `ImageFiles`.

    Raises:
        ValueError: without `data_dir`; if there is no training, one class alone, a split that is impossible,
            or files or groups that are in two splits.

    Example:

    >>> find_splits("nowhere")
    Traceback (most recent call last):
    ValueError: `data_dir` must be a folder or a csv. Received: 'nowhere'
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}. Received: {layout!r}")
    splits.check_fraction("validation_fraction", validation_fraction)
    if data_dir is None:
        raise ValueError("Give the folder of the images, or their csv, as `data_dir` (--data-dir).")
    path = pathlib.Path(data_dir)
    if not path.exists():
        raise ValueError(f"`data_dir` must be a folder or a csv. Received: {str(data_dir)!r}")
    files.check_finished(path)
    columns = {"path_column": path_column, "label_column": label_column, "group_column": group_column}
    tables = _tables(path)
    wants_csv = layout == "csv" or any(columns.values()) or path.is_file()
    folders = {} if wants_csv else _folders(path)
    if folders and not (layout == "auto" and folders.keys() == {None} and "train" in tables):
        found = _from_folders(folders)
    elif tables and layout != "folders":
        found = _from_tables(path, tables, image_dir, **columns)
    else:
        raise ValueError(f"{path} holds none of these: {_EXPECTED}.")
    if len(found["train"].class_names) < 2:
        raise ValueError(f"{path} holds one class, {found['train'].class_names[0]}. There must be two to tell apart.")
    if validation_as_test and "validation" in found:
        if "test" in found:
            raise ValueError(f"{path} has a test already: leave out `validation_as_test`, or the test.")
        found["test"] = found.pop("validation")
    if "validation" not in found:
        train = found["train"]
        parts = splits.split(train.labels, validation_fraction, seed, train.groups, train.class_names)
        found["train"], found["validation"] = map(train.take, parts)
    check_apart(found)
    return found


def split_entries(paths):
    """Which of some files or folders are splits by their names.

    Args:
        paths: iterable of `pathlib.Path`.

    Returns:
        dict from "train", "validation" and "test", those that there are, to a path.

    Raises:
        ValueError: if two are the same split.

    Example:

    >>> list(split_entries([pathlib.Path("Valid.csv"), pathlib.Path("more.csv")]))
    ['validation']
    """
    found = {}
    for path in paths:
        name = SPLIT_NAMES.get(path.stem.lower())
        if name in found:
            raise ValueError(f"{found[name]} and {path} are both for {name}. Leave one.")
        if name:
            found[name] = path
    return found


def check_apart(found):
    """Refuse files and groups that are in two splits: figures would be of what was trained on.

    Args:
        found: dict from split to `ImageFiles`.

    Raises:
        ValueError: if there are any.

    Example:

    >>> check_apart({})
    """
    for kind in ("paths", "groups"):
        seen = {}
        for name, part in found.items():
            for each in set(getattr(part, kind) or []):
                seen.setdefault(each, []).append(name)
        shared = [f"{each} in {' and '.join(names)}" for each, names in sorted(seen.items()) if len(names) > 1]
        if shared:
            kind = "Images" if kind == "paths" else "Groups"
            raise ValueError(f"{kind} are in more than one split: {shorten(shared)}. Leave each in one.")


def _folders(path):
    """Class folders by split, None for all of them; empty where there are none."""
    folders = files.class_folders(path)
    named = split_entries(folders)
    if named:
        return named if "train" in named and files.class_folders(named["train"]) else {}
    return {None: path} if len(folders) > 1 else {}


def _from_folders(folders):
    train = files.list_images(folders.get("train", folders.get(None)), check=False)
    found = {"train": train}
    for name in ("validation", "test"):
        folder = folders.get(name)
        if folder and name == "test" and not files.class_folders(folder):
            files.check_finished(folder)
            found[name] = _unlabelled(folder, train.class_names)
        elif folder:
            found[name] = files.list_images(folder, check=False, class_names=train.class_names)
    return found


def _unlabelled(folder, class_names):
    paths = [str(path) for path in files.files_below(folder)]
    if not paths:
        raise ValueError(f"{folder} holds no images. Add some, or delete it.")
    return files.ImageFiles(paths, None, class_names)


def _tables(path):
    """The csv files by split, None for the only one."""
    if path.is_file():
        return {None: path}
    found = sorted(each for each in path.glob("*") if each.suffix.lower() == ".csv" and not each.name.startswith("."))
    named = split_entries(found)
    if "train" in named:
        return named
    return {None: found[0]} if len(found) == 1 and not named else {}


def _from_tables(path, tables, image_dir, **columns):
    if None in tables and path.is_dir() and split_entries(files.class_folders(path)):
        raise ValueError(
            f"{path} has folders for splits without class folders, and {tables[None].name}. "
            f"Put the images into class folders with `zoo data arrange`, or give {tables[None]} to have it split anew."
        )
    folders = [path.parent if path.is_file() else path]
    if image_dir is not None:
        folders.append(pathlib.Path(image_dir))
    columns["folders"] = folders
    train = read_csv(tables.get("train", tables.get(None)), **columns)
    found = {"train": train}
    for name in ("validation", "test"):
        if name in tables:
            classes = train.class_names
            found[name] = read_csv(tables[name], class_names=classes, need_labels=name != "test", **columns)
    return found
