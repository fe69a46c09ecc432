"""Annotations in csv files: a line for each box, and a file of classes."""

import csv
import pathlib

import numpy as np

from recipes.data.assembly import assemble
from recipes.data.csv_files import find_files
from recipes.data.decoding import shorten
from recipes.data.detection import DetectionSplit
from recipes.data.files import in_class_order
from recipes.data.room import check_room

_COLUMNS = 6
_HEADER = ("x1", "xmin", "left")
_TIMES = 20  # that cells take of memory, as against the file


def load_box_files(
    train,
    validation=None,
    test=None,
    *,
    classes=None,
    image_dir=None,
    validation_fraction=0.2,
    seed=0,
    check=True,
    skip_bad=False,
):
    """Load images with objects that csv files name.

    Lines are `path,x1,y1,x2,y2,class` in pixels, with or without a header; `path,,,,,` is an image without
    objects. Those of the classes are `name,id`, with ids 0, 1, ... in any order.

    Args:
        train: path of a csv.
        validation: path of a csv, or None to take it from the training. Defaults to None.
        test: path of a csv, whose lines may have a path alone, or None. Defaults to None.
        classes: path of a csv of the classes, or None for those of the training, by name.
            Defaults to None.
        image_dir: path that the images' paths begin at, besides the folder of the csv, or None.
            Defaults to None.
        validation_fraction: float, of the images, where no validation is given. Defaults to 0.2.
        seed: int, of that split. Defaults to 0.
        check: bool, as for `recipes.data.coco.load_coco`. Defaults to True.
        skip_bad: bool, likewise. Defaults to False.

    Returns:
        A `DetectionDataset`, whose `category_ids` are the labels.

    Raises:
        ValueError: for lines or classes that are not as they must be, and as
            `recipes.data.assembly.assemble`.

    Example:

    >>> load_box_files("nowhere.csv")
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.csv: No such file or directory

    Reference:
        https://github.com/yhenon/pytorch-retinanet#csv-datasets
    """
    names = None if classes is None else read_classes(classes)
    found = {}
    for name, path in {"train": train, "validation": validation, "test": test}.items():
        if path is not None:
            found[name], names = read_boxes(path, names, image_dir, need_objects=name != "test")
    settings = {"validation_fraction": validation_fraction, "seed": seed, "check": check, "skip_bad": skip_bad}
    return assemble(pathlib.Path(train).stem, found, names, list(range(len(names))), **settings)


def read_boxes(path, class_names=None, image_dir=None, need_objects=True):
    """Read a csv of boxes.

    Args:
        path: path of the csv.
        class_names: list of str, or None for those of this file. Defaults to None.
        image_dir: path or None. Defaults to None.
        need_objects: bool. False also takes lines of a path alone: a test set. Defaults to True.

    Returns:
        `(split, class_names)`, a `DetectionSplit` whose sizes are 0, as the file does not say them.

    Raises:
        ValueError: that says what is wrong with which line.

    Example:

    >>> read_boxes("nowhere.csv")
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.csv: No such file or directory
    """
    rows = _rows(path)
    if rows and len(rows[0][1]) > 1 and rows[0][1][1].lower() in _HEADER:
        rows = rows[1:]
    known = class_names or in_class_order({row[5] for _, row in rows if len(row) == _COLUMNS and row[5]})
    objects, problems = {}, []
    for line, row in rows:
        boxes = objects.setdefault(row[0], [])
        problem = _problem(row, known, need_objects)
        if problem:
            problems.append(f"line {line}: {problem}")
        elif any(row[1:]):
            boxes.append((tuple(map(float, row[1:5])), known.index(row[5])))
    if problems or not rows:
        raise ValueError(f"{path}: {shorten(problems) or 'no lines'}. Lines must be path,x1,y1,x2,y2,class.")
    home = pathlib.Path(path).parent
    paths, missing = find_files(objects, [home if image_dir is None else pathlib.Path(image_dir)], home)
    ambiguous = [problem for position, problem in missing.items() if paths[position] is None]
    if ambiguous:
        raise ValueError(f"{path}: {shorten(ambiguous)}. Give paths with their folders.")
    sizes, ids = np.zeros((len(paths), 2), "int32"), list(range(1, len(paths) + 1))
    if not need_objects and not any(objects.values()):
        return DetectionSplit(paths, sizes, ids), known
    return DetectionSplit(paths, sizes, ids, **_columns(objects.values())), known


def read_classes(path):
    """Read a csv of classes.

    Args:
        path: path of the csv.

    Returns:
        list of str, in the order of the ids.

    Raises:
        ValueError: if there is none, or its ids are not 0, 1, and so on, each once.

    Example:

    >>> read_classes("nowhere.csv")
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.csv: No such file or directory
    """
    rows = [row for _, row in _rows(path)]
    numbers = {row[1]: row[0] for row in rows if len(row) == 2 and row[0]}
    names = [numbers.get(str(number)) for number in range(len(rows))]
    if not rows or None in names or len(set(names)) < len(names):
        raise ValueError(
            f"{path}: lines must be name,id, each name once, with the ids 0 to {max(len(rows) - 1, 0)}. "
            f"Received: {shorten(','.join(row) for row in rows)}"
        )
    return names


def _rows(path):
    """Line numbers and cells, without spaces around them; empty lines are passed over."""
    try:
        check_room(path, _TIMES)
        with pathlib.Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(enumerate(csv.reader(file), 1))
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    rows = [(line, [cell.strip() for cell in row]) for line, row in rows]
    return [(line, row) for line, row in rows if any(row)]


def _problem(row, class_names, need_objects):
    """What is wrong with a line, or None."""
    if not row[0] or (len(row) != _COLUMNS and (need_objects or len(row) > 1)):
        return f"it must have a path and {_COLUMNS - 1} more cells. Received: {','.join(row)}"
    if not any(row[1:]):
        return None
    try:
        left, top, right, bottom = map(float, row[1:5])
    except ValueError:
        return f"a box must be four numbers. Received: {','.join(row[1:5])}"
    if not (np.isfinite([left, top, right, bottom]).all() and left < right and top < bottom):
        return f"a box must have x1 < x2 and y1 < y2. Received: {','.join(row[1:5])}"
    return None if row[5] in class_names else f"{row[5]!r} is none of the classes {', '.join(class_names)}"


def _columns(objects):
    """The lists of arrays that a `DetectionSplit` has."""
    boxes = [np.array([box for box, _ in some], "float64").reshape(-1, 4) for some in objects]
    sides = [each[:, 2:] - each[:, :2] for each in boxes]
    return {
        "boxes": boxes,
        "labels": [np.array([label for _, label in some], "int32") for some in objects],
        "crowds": [np.zeros(len(some), bool) for some in objects],
        "areas": [each.prod(1) for each in sides],
    }
