"""Image files into class folders for training, validation and test: `zoo data arrange`."""

import collections
import hashlib
import json
import pathlib
import shutil

import numpy as np

from recipes.data import decoding
from recipes.data import files
from recipes.data import layouts
from recipes.data import splits
from recipes.data.csv_files import read_csv

MODES = ("copy", "link", "symlink")
SPLITS = ("train", "validation", "test")
SUMMARY = "arranged.csv"
_PART = ".part"


def arrange(
    images,
    output,
    *,
    csv=None,
    path_column=None,
    label_column=None,
    group_column=None,
    validation_fraction=0.2,
    test_fraction=0.0,
    seed=0,
    mode="copy",
    skip_bad=False,
):
    """Put images into `output/train/CLASS`, `output/validation/CLASS` and `output/test/CLASS`.

    Where `images` has folders for training, validation and test, those are the splits. Else they are made by
    class, and by group where a column says which patient an image is of. Nothing is written before
    everything was found in order, and nothing is ever overwritten. An interrupted arrangement is noticed
    by whoever reads the folder; the same call goes on with it. `output/arranged.csv` says what came from
    where.

    Args:
        images: path of a folder of images, flat or with folders for splits; or, without a csv, of class
            folders.
        output: path of a folder that is not there yet, or empty.
        csv: path of a csv of image ids, with or without extension, or paths, and classes. None for the
            names of class folders. Defaults to None.
        path_column: str, of the ids, or None to look for it. Defaults to None.
        label_column: str, of the classes, or None to look for it. Defaults to None.
        group_column: str, of the patients, or None. Defaults to None.
        validation_fraction: float, of all images; 0 for none. Defaults to 0.2.
        test_fraction: float, of all images; 0 for none. Defaults to 0.
        seed: int. Defaults to 0.
        mode: "copy"; "link", for hard links; "symlink". Defaults to "copy".
        skip_bad: bool. Whether to leave out rows without an image, images without a row and what cannot be
            read, rather than to refuse them. Defaults to False.

    Returns:
        `(counts, skipped)`: a dict from split to a dict from class to a number; a list of str.

    Raises:
        ValueError: that lists all that is wrong, before anything is written.

    Example:

    >>> arrange("nowhere", "arranged")
    Traceback (most recent call last):
    ValueError: `images` must be a folder. Received: 'nowhere'
    """
    images, output = pathlib.Path(images), pathlib.Path(output)
    _check(images, mode, validation_fraction, test_fraction)
    columns = {"path_column": path_column, "label_column": label_column, "group_column": group_column}
    found, folders, unlisted = _list(images, output, csv, columns)
    bad = decoding.check_images(found.paths)
    problems = [*bad.values(), *unlisted]
    if problems and not skip_bad:
        raise ValueError(
            f"Nothing was written. Problems: {decoding.shorten(problems)}. Mend them, or pass skip_bad (--skip-bad)."
        )
    found = found.take([row for row in range(len(found)) if row not in bad])
    if not len(found):
        raise ValueError(f"{images} holds no image to arrange.")
    split = _given(found, folders) if folders else _drawn(found, validation_fraction, test_fraction, seed)
    plan = [
        (str(pathlib.Path(path).absolute()), f"{name}/{found.class_names[label]}/{pathlib.Path(path).name}")
        for path, label, name in zip(found.paths, found.labels, split)
    ]
    _check_plan(plan, output, mode)
    _write(plan, output, mode)
    counts = {name: dict.fromkeys(found.class_names, 0) for name in SPLITS if name in split}
    for label, name in zip(found.labels, split):
        counts[name][found.class_names[label]] += 1
    return counts, problems


def show_counts(counts):
    """Print how many images of each class each split has.

    Args:
        counts: dict from split to a dict from class to a number.

    Example:

    >>> show_counts({})
    """
    import rich.console
    import rich.table

    if not counts:
        return
    right = [rich.table.Column(name, justify="right") for name in [*counts, "all"]]
    table = rich.table.Table("class", *right)
    rows = {name: [each[name] for each in counts.values()] for name in next(iter(counts.values()))}
    rows["all"] = list(np.sum(list(rows.values()), axis=0))
    for name, numbers in rows.items():
        table.add_row(name, *(f"{number:,}" for number in [*numbers, sum(numbers)]))
    rich.console.Console().print(table)


def _check(images, mode, validation_fraction, test_fraction):
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(MODES)}. Received: {mode!r}")
    if not images.is_dir():
        raise ValueError(f"`images` must be a folder. Received: {str(images)!r}")
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, value in fractions.items():
        if value != 0:
            splits.check_fraction(name, value)
    if sum(fractions.values()) >= 1:
        raise ValueError(f"Validation and test must leave something for training. Received: {fractions}")


def _list(images, output, csv, columns):
    """The labelled files, the folders of splits that were given, and what is in no row of the csv."""
    entries = [each for each in files.class_folders(images) if each.absolute() != output.absolute()]
    folders = layouts.split_entries(entries)
    looked_in = list(folders.values()) or [images]
    inside = [folder for folder in looked_in if output.absolute().is_relative_to(folder.absolute())]
    if inside:
        raise ValueError(f"`output` must lie outside of {inside[0]}, where images are read. Received: {output}")
    if csv is None:
        if any(columns.values()):
            raise ValueError("Columns are those of a csv: pass csv (--csv) as well.")
        if folders:
            raise ValueError(f"{images} has folders for splits already. Pass a csv (--csv) that says the classes.")
        return files.list_images(images, check=False), {}, []
    found = read_csv(csv, **columns, folders=looked_in)
    return found, folders, [f"{path}: in no row of {csv}" for path in _unlisted(looked_in, found.paths)]


def _unlisted(folders, listed):
    known = {pathlib.Path(path).absolute() for path in listed}
    found = (path for folder in folders for path in files.files_below(folder, decoding.SUFFIXES))
    return (path for path in found if path.absolute() not in known)


def _given(found, folders):
    """The split of each file by the folder that it is in."""
    split = []
    for path in map(pathlib.Path, found.paths):
        name = next((name for name, folder in folders.items() if path.is_relative_to(folder)), None)
        if name is None:
            raise ValueError(f"{path} is in none of {', '.join(map(str, folders.values()))}. Nothing was written.")
        split.append(name)
    layouts.check_apart(
        {name: found.take(np.flatnonzero(np.array(split) == name)) for name in SPLITS if name in folders}
    )
    return split


def _drawn(found, validation_fraction, test_fraction, seed):
    """The split of each file, by class and by group."""
    split, rest = np.full(len(found), "train", "<U10"), np.arange(len(found))
    for name, fraction in (("test", test_fraction), ("validation", validation_fraction)):
        if fraction:
            part = found.take(rest)
            share = fraction * len(found) / len(rest)
            kept, taken = splits.split(part.labels, share, seed, part.groups, part.class_names)
            split[rest[taken]], rest = name, rest[kept]
    return split.tolist()


def _check_plan(plan, output, mode):
    """Refuse what could not be carried out to its end, or would overwrite something."""
    sources = collections.defaultdict(list)
    for source, target in plan:
        sources[target.lower()].append(source)  # which some file systems do not tell apart
    problems = [f"{' and '.join(same)} would both be {target}" for target, same in sources.items() if len(same) > 1]
    names = {target.split("/", 1)[1].rpartition("/")[0] for _, target in plan}
    problems += [f"class {name!r} is no name of a folder" for name in names if name[:1] in ("", ".") or "/" in name]
    if output.exists() and not output.is_dir():
        problems.append(f"{output} is a file")
    elif output.is_dir() and any(output.iterdir()) and _unfinished(output) != _digest(plan, mode):
        kind = "an unfinished arrangement of other images or settings" if _unfinished(output) else "files already"
        problems.append(f"{output} holds {kind}: name another folder, or delete it yourself")
    parent = next(each for each in output.absolute().parents if each.is_dir())
    if mode == "link" and any(pathlib.Path(source).stat().st_dev != parent.stat().st_dev for source, _ in plan):
        problems.append("hard links cannot lead to another disk: use the mode copy or symlink")
    if mode == "copy":
        needed, free = sum(_size(source) for source, _ in plan), shutil.disk_usage(parent).free
        if needed > free:
            problems.append(f"copies take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
    if problems:
        raise ValueError(f"Nothing was written: {decoding.shorten(problems)}.")


def _unfinished(output):
    """The digest of the plan that was begun, or None."""
    path = output / files.UNFINISHED
    return path.read_text() if path.is_file() else None


def _digest(plan, mode):
    states = [(source, target, _size(source)) for source, target in plan]
    return hashlib.sha256(json.dumps([mode, states]).encode()).hexdigest()


def _size(path):
    return pathlib.Path(path).stat().st_size


def _write(plan, output, mode):
    """Each file appears complete or not at all; the mark of what is unfinished goes last."""
    output.mkdir(parents=True, exist_ok=True)
    mark = output / files.UNFINISHED
    mark.write_text(_digest(plan, mode))
    for source, target in plan:
        path = output / target
        if path.exists():
            continue  # by the call that was interrupted
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}{_PART}")
        part.unlink(missing_ok=True)
        if mode == "copy":
            shutil.copy2(source, part)
        elif mode == "link":
            part.hardlink_to(source)
        else:
            part.symlink_to(pathlib.Path(source).absolute())
        part.replace(path)
    _write_summary(plan, output)
    mark.unlink()


def _write_summary(plan, output):
    import pandas

    rows = [(target, target.split("/")[1], target.split("/")[0], source) for source, target in plan]
    pandas.DataFrame(rows, columns=["path", "label", "split", "source"]).to_csv(output / SUMMARY, index=False)
