"""Annotations in the form of COCO: images, boxes and categories in a json."""

import collections
import pathlib
import re

import numpy as np

from recipes.data import files
from recipes.data.assembly import assemble
from recipes.data.decoding import SUFFIXES
from recipes.data.decoding import shorten
from recipes.data.detection import DetectionSplit
from recipes.data.layouts import SPLIT_NAMES
from recipes.data.texts import is_file
from recipes.data.texts import is_finite
from recipes.data.texts import read_json

ROBOFLOW = "_annotations.coco.json"
_NAME = re.compile(r"(?:instances_|image_info_)?((default|[a-z]+?)[-_]?(?:\d{4})?)", re.IGNORECASE)
_WHOLE = "default"  # what CVAT calls a data set that is not split
_EXPECTED = f"annotations/instances_train*.json, or train/{ROBOFLOW}"
_TRIED = 50  # file names, to find out which folder holds them


def load_coco(
    data_dir,
    train=None,
    validation=None,
    test=None,
    *,
    validation_fraction=0.2,
    seed=0,
    check=True,
    skip_bad=False,
):
    """Load images with objects that are annotated as those of COCO.

    Found are `annotations/instances_train*.json` with the folder `train*` (or `images/train*`, `images`)
    and the like for `val` (valid, validation) and `test`, or `train/_annotations.coco.json` inside of each
    split's folder, as Roboflow writes it; or what is given. A test set may have no objects, or no json at
    all, only a folder. Labels number the categories of the training in the order of their ids. Objects
    that are less than a pixel wide or high are not trained on.

    Args:
        data_dir: path of a folder, or of a json whose images are split.
        train: path of a json, a pair (json, folder of its images), or None to look for it. Defaults to None.
        validation: the same. Defaults to None.
        test: the same, or path of a folder of images that are not annotated. Defaults to None.
        validation_fraction: float, of the images, where no validation is there. Defaults to 0.2.
        seed: int, of that split. Defaults to 0.
        check: bool. Whether to decode every file once, so that no damaged one ends a training.
            Defaults to True.
        skip_bad: bool. Whether to leave out files that are missing or cannot be read, rather than to
            refuse them. `DetectionDataset.skipped` lists them. Defaults to False.

    Returns:
        A `DetectionDataset`.

    Raises:
        ValueError: if there is no training, or two files could be it; for a damaged json, images or boxes
            that are not as they must be, unknown categories; as `recipes.data.assembly.assemble`.

    Example:

    >>> load_coco("nowhere")
    Traceback (most recent call last):
    ValueError: `data_dir` must be a folder or a json. Received: 'nowhere'

    Reference:
        https://cocodataset.org/#format-data
    """
    path = pathlib.Path("" if data_dir is None else data_dir)
    if data_dir is None or not path.exists():
        raise ValueError(f"`data_dir` must be a folder or a json. Received: {data_dir and str(data_dir)!r}")
    sources = _sources(path, {"train": train, "validation": validation, "test": test})
    if "train" not in sources:
        raise ValueError(f"{path} holds none of these: {_EXPECTED}. Or give the json as `train`.")
    found, categories = {}, None
    for name, (annotations, folders) in sources.items():
        if annotations is None:
            found[name] = _unannotated(folders[0])
            continue
        found[name], categories = read_coco(annotations, folders, categories, need_objects=name != "test")
    settings = {"validation_fraction": validation_fraction, "seed": seed, "check": check, "skip_bad": skip_bad}
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return assemble(name, found, list(categories.values()), list(categories), **settings)


def read_coco(path, folders, categories=None, need_objects=True):
    """Read a json of COCO's form.

    Args:
        path: path of the json.
        folders: list of paths. The images are in the first that holds any of them.
        categories: dict from id to name, those of the training, in the order of the labels; None for those
            of this file. Defaults to None.
        need_objects: bool. False also takes a file without objects: a test set. Defaults to True.

    Returns:
        `(split, categories)`, a `DetectionSplit` whose sizes are 0 where the file does not say them.

    Raises:
        ValueError: that says what is wrong with the file.

    Example:

    >>> read_coco("nowhere.json", ["."])
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.json: No such file or directory
    """
    content = _content(path)
    images = _entries(path, content, "images", ("id", "file_name"))
    ids = [image["id"] if type(image["id"]) in (int, str) else None for image in images]
    if None in ids:
        raise ValueError(f"{path}: the id of an image must be an integer or a str: {images[ids.index(None)]!r:.200}")
    twice = [str(each) for each, count in collections.Counter(map(repr, ids)).items() if count > 1]
    if twice:
        raise ValueError(f"{path}: images have the same id: {shorten(twice)}.")
    names = [str(image["file_name"]).replace("\\", "/") for image in images]
    outside = [name for name in names if _leads_out(name)]
    if outside:
        raise ValueError(f"{path}: names of files that lead out of the folder of the images: {shorten(outside)}.")
    folder = _folder(names, [pathlib.Path(each) for each in folders])
    paths = [str(folder / name) for name in names]
    sizes = np.array([[_side(image, "height"), _side(image, "width")] for image in images], "int32").reshape(-1, 2)
    if not need_objects and not content.get("annotations"):
        return DetectionSplit(paths, sizes, ids), categories
    own = _categories(path, content)
    categories = own if categories is None else categories
    objects = _objects(path, content, ids, own, categories)
    return DetectionSplit(paths, sizes, ids, **_columns(objects, list(categories))), categories


def _content(path):
    content = read_json(path)
    if not isinstance(content, dict) or "images" not in content:
        raise ValueError(f"{path} is no json of COCO's form: it has no images.")
    return content


def _entries(path, content, key, needed):
    """One of the lists of the json; each entry has what is needed."""
    entries = content.get(key)
    if not isinstance(entries, list):
        raise ValueError(
            f"{path} is no json of COCO's form: {key!r} must be a list. Received: {type(entries).__name__}"
        )
    for place, entry in enumerate(entries):
        lacking = [name for name in needed if not isinstance(entry, dict) or name not in entry]
        if lacking:
            raise ValueError(f"{path}: entry {place} of {key!r} lacks {', '.join(lacking)}. Received: {entry!r:.200}")
    return entries


def _side(image, name):
    """Of an image as its entry says it; 0 where it does not."""
    side = image.get(name)
    return side if type(side) is int and 0 < side < 2**31 else 0


def _categories(path, content):
    """dict from id to name, in the order of the ids."""
    entries = _entries(path, content, "categories", ("id", "name"))
    categories = {entry["id"]: str(entry["name"]) for entry in entries if type(entry["id"]) is int}
    if not entries or len(categories) < len(entries) or len(set(categories.values())) < len(entries):
        received = [(entry["id"], entry["name"]) for entry in entries]
        raise ValueError(f"{path}: categories must have an integer and a name each of their own. Received: {received}")
    heading = _heading(entries)
    annotations = content.get("annotations") or ()
    used = {str(entry.get("category_id")) for entry in annotations if isinstance(entry, dict)}
    return {number: categories[number] for number in sorted(categories) if number != heading or str(number) in used}


def _heading(entries):
    """The id of the category that Roboflow adds for all others together, or None."""
    above = {str(entry.get("supercategory")) for entry in entries}
    heading = [entry["id"] for entry in entries if entry.get("supercategory") == "none"]
    names = {str(entry["name"]) for entry in entries if entry["id"] in heading}
    return heading[0] if len(heading) == 1 and len(entries) > 1 and above == names | {"none"} else None


def _objects(path, content, ids, own, categories):
    """For each image its objects: (box, category, crowd, area)."""
    entries = _entries(path, content, "annotations", ("image_id", "category_id", "bbox"))
    objects, problems = {each: [] for each in ids}, []
    for place, entry in enumerate(entries):
        problem = _problem(entry, objects, own, categories)
        if problem:
            problems.append(f"annotation {entry.get('id', f'at place {place}')}: {problem}")
            continue
        left, top, width, height = map(float, entry["bbox"])
        area = entry.get("area", width * height)
        crowd = bool(entry.get("iscrowd", 0))
        objects[entry["image_id"]].append(
            ((left, top, left + width, top + height), entry["category_id"], crowd, float(area))
        )
    if problems:
        raise ValueError(f"{path}: {shorten(problems)}. Mend or remove them.")
    return objects.values()


def _problem(entry, objects, own, categories):
    """What is wrong with an annotation, or None."""
    image, category, box, area = (entry.get(name) for name in ("image_id", "category_id", "bbox", "area"))
    if not isinstance(image, (int, str)) or image not in objects:
        return f"no image has the id {image!r}"
    if type(category) is not int or category not in own:
        return f"no category has the id {category!r}"
    if categories.get(category) != own[category]:
        known = categories.get(category, "unknown")
        return f"its category {category} is {own[category]!r} here, and {known!r} in the training"
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
        return f"its bbox must be four numbers, left, top, width, height. Received: {box!r:.100}"
    if box[2] < 0 or box[3] < 0:
        return f"its bbox has a negative width or height: {box}"
    return None if area is None or is_finite(area) else f"its area is no number: {area!r:.100}"


def _columns(objects, category_ids):
    """The lists of arrays that a `DetectionSplit` has."""
    labels = {number: label for label, number in enumerate(category_ids)}
    columns = [list(zip(*some)) or [()] * 4 for some in objects]
    return {
        "boxes": [np.array(boxes, "float64").reshape(-1, 4) for boxes, *_ in columns],
        "labels": [np.array([labels[number] for number in numbers], "int32") for _, numbers, *_ in columns],
        "crowds": [np.array(crowds, bool) for *_, crowds, _ in columns],
        "areas": [np.array(areas, "float64") for *_, areas in columns],
    }


def _sources(path, given):
    """For each split its json, or None, and the folders that its images may be in."""
    folder = path.parent if path.is_file() else path
    looked_for = {"train": path} if path.is_file() else _annotation_files(folder, given)
    sources = {}
    for name, wanted in given.items():
        wanted = looked_for.get(name) if wanted is None else wanted
        if wanted is None:
            images = _test_folder(folder) if name == "test" else None
            sources |= {name: (None, [images])} if images else {}
        elif isinstance(wanted, (tuple, list)):
            sources[name] = wanted[0], [wanted[1]]
        elif name == "test" and pathlib.Path(wanted).is_dir():
            sources[name] = None, [wanted]
        else:
            sources[name] = wanted, _folders_of(pathlib.Path(wanted), folder, name)
    return sources


def _annotation_files(folder, given):
    """The json of each split that is not given, as far as there is one."""
    found = {}
    inside = [each / ROBOFLOW for each in files.class_folders(folder)]
    named = [(each, SPLIT_NAMES.get(each.parent.name.lower())) for each in inside if each.is_file()]
    places = [place for place in (folder / "annotations", folder) if place.is_dir()]
    for each in sorted(each for place in places for each in place.glob("*.json")):
        match = _NAME.fullmatch(each.stem)
        kind = match and match[2].lower()
        named.append((each, "train" if kind == _WHOLE else SPLIT_NAMES.get(kind)))
    for each, name in named:
        if name in found and given[name] is None:
            raise ValueError(f"{found[name]} and {each} are both for {name}. Give one as `{name}`.")
        if name:
            found[name] = each
    return found


def _test_folder(folder):
    """A folder that is called test, test2017 or the like, or None."""
    for each in [*files.class_folders(folder), *files.class_folders(folder / "images")]:
        match = _NAME.fullmatch(each.name)
        if match and SPLIT_NAMES.get(match[2].lower()) == "test" and files.files_below(each, SUFFIXES):
            return each
    return None


def _folders_of(annotations, folder, name):
    match = _NAME.fullmatch(annotations.stem)
    inside = [annotations.parent] if annotations.name == ROBOFLOW else []
    return inside + _candidates(folder, match[1] if match else name, name) + [annotations.parent]


def _candidates(folder, stem, name):
    """Folders that the images of a split may be in."""
    words = [stem, *(word for word, split in SPLIT_NAMES.items() if split == name)]
    return [root / word for root in (folder, folder / "images") for word in words] + [folder / "images", folder]


def _folder(names, folders):
    """The first folder that holds some of the files."""
    tried = names[:: max(1, len(names) // _TRIED)]
    return next((folder for folder in folders if any(is_file(folder / name) for name in tried)), folders[0])


def _leads_out(name):
    return (
        ".." in name.split("/")
        or pathlib.PurePosixPath(name).is_absolute()
        or bool(pathlib.PureWindowsPath(name).drive)
    )


def _unannotated(folder):
    paths = [str(path) for path in files.files_below(folder, SUFFIXES)]
    if not paths:
        raise ValueError(f"{folder} holds no images. Add some, or leave the test out.")
    return DetectionSplit(paths, np.zeros((len(paths), 2), "int32"), list(range(1, len(paths) + 1)))
