"""A detection data set of what annotation files say: checked against the images, and split."""

import dataclasses
import pathlib

import numpy as np

from augment import draws
from recipes.data import decoding
from recipes.data import splits
from recipes.data.decoding import shorten
from recipes.data.detection import DetectionDataset


def assemble(name, found, class_names, category_ids, *, validation_fraction=0.2, seed=0, check=True, skip_bad=False):
    """Make a data set of annotated images.

    Args:
        name: str.
        found: dict from "train" and, where they are there, "validation" and "test" to a `DetectionSplit`.
            Its `sizes` are 0 where the annotations do not say them.
        class_names: list of str.
        category_ids: list of int.
        validation_fraction: float, of the images, where no validation is there. Defaults to 0.2.
        seed: int, of that split. Defaults to 0.
        check: bool. Whether to decode every file once, JPEGs at an eighth of their size, so that no damaged
            one ends a training; else only that they are there is seen to, and sizes are believed.
            Defaults to True.
        skip_bad: bool. Whether to leave out files that are missing or cannot be read, rather than to
            refuse them. Defaults to False.

    Returns:
        A `DetectionDataset`.

    Raises:
        ValueError: that lists the files that cannot be read or have another size, the boxes that lie
            outside their image, the images that are in two splits; if a split has no image or the training
            no object.

    Example:

    >>> assemble("none", {}, [], [])
    Traceback (most recent call last):
    ValueError: none has no images for training.
    """
    found, skipped = dict(found), []
    for part, split in list(found.items()):
        sizes, problems = _measured(split, check)
        if not skip_bad:
            decoding.refuse(problems)
        skipped += problems.values()
        kept = [row for row in range(len(split)) if row not in problems]
        found[part] = dataclasses.replace(split, sizes=sizes).take(kept)
    for part in {"train": None} | found:
        if not len(found.get(part, ())):
            raise ValueError(f"{name} has no images for {_PURPOSES[part]}.")
    _check_boxes(found)
    if "validation" not in found:
        found["train"], found["validation"] = _halves(found["train"], validation_fraction, seed)
    _check_apart(found)
    if not any(len(found["train"].objects(row)[1]) for row in range(len(found["train"]))):
        raise ValueError(f"{name} has no object to train on. Annotate some.")
    return DetectionDataset(name, **found, class_names=class_names, category_ids=category_ids, skipped=tuple(skipped))


_PURPOSES = {"train": "training", "validation": "validation", "test": "test"}


def _measured(split, check):
    """The sizes of images, and what is wrong with their files."""
    unknown = (split.sizes < 1).any(1)
    if not check and not unknown.any():
        missing = (row for row, path in enumerate(split.paths) if not pathlib.Path(path).is_file())
        return split.sizes, {row: f"{split.paths[row]}: no such file" for row in missing}
    sizes, problems = decoding.read_sizes(split.paths)
    others = np.flatnonzero((sizes != split.sizes).any(1) & ~unknown)
    for row in others:
        own, said = (f"{width}x{height}" for height, width in (sizes[row], split.sizes[row]))
        problems.setdefault(
            int(row), f"{split.paths[row]}: {own} pixels, turned as its header says, where the annotations say {said}"
        )
    return sizes, (decoding.check_images(split.paths) | problems) if check else problems


def _check_boxes(found):
    """Refuse boxes that show nothing of their image: they belong to another, or have another form."""
    problems = []
    for split in found.values():
        for row in range(len(split) if split.annotated else 0):
            height, width = split.sizes[row]
            left, top, right, bottom = split.boxes[row].T
            sides = (right < left) | (bottom < top)
            outside = (left >= width) | (top >= height) | (right <= 0) | (bottom <= 0)
            for box in split.boxes[row][sides | outside]:
                problems.append(f"({', '.join(f'{side:g}' for side in box)}) in {split.paths[row]}, {width}x{height}")
    if problems:
        raise ValueError(
            f"Boxes (left, top, right, bottom) lie outside of their image: {shorten(problems)}. Mend or remove them."
        )


def _halves(split, fraction, seed):
    """The rest, and what is taken for validation."""
    splits.check_fraction("validation_fraction", fraction)
    order = draws.permutation(seed, 0, np.arange(len(split), dtype="int32"))
    count = round(fraction * len(split))
    if not 0 < count < len(split):
        raise ValueError(
            f"{fraction} of {len(split)} images leaves none on a side. Choose another fraction, or give the splits."
        )
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))


def _check_apart(found):
    seen = {}
    for name, split in found.items():
        for path in split.paths:
            seen.setdefault(pathlib.Path(path).absolute(), []).append(name)
    shared = [f"{path} in {' and '.join(names)}" for path, names in seen.items() if len(names) > 1]
    if shared:
        raise ValueError(f"Images are named more than once: {shorten(shared)}. Leave each in one split, once.")
