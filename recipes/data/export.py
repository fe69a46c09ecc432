"""Data sets that are arrays, written out as class folders of PNG files: `zoo data export`."""

import pathlib
import shutil
import tempfile

import numpy as np

from recipes.catalogue import check_name
from recipes.data import splits
from recipes.data.cifar10 import load_cifar10
from recipes.data.digits import load_digits

DATASETS = ("cifar10", "digits")


def export_dataset(name, output, *, count=None, validation_count=None, data_dir=None, seed=0):
    """Write a data set as `output/train/CLASS/*.png` and `output/val/CLASS/*.png`.

    Of fewer images than there are, every class keeps its share. The folder appears complete or not at all.

    Args:
        name: one of "cifar10", "digits" (32x32 pixels).
        output: path of a folder that is not there yet, or empty.
        count: int. Images for training, or None for all. Defaults to None.
        validation_count: int. Images for validation, or None for the same share of them as of those for
            training. Defaults to None.
        data_dir: path of CIFAR-10, as `recipes.data.cifar10.load_cifar10` takes it. Defaults to None.
        seed: int, of the choice of images. Defaults to 0.

    Returns:
        dict from split to a dict from class to a number of images.

    Raises:
        ValueError: for an unknown name, more images than there are or too few for all classes, data that are
            missing, or a folder that holds something.

    Example:

    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> export_dataset("digits", folder / "digits", count=10, validation_count=20)["val"]["7"]
    2
    >>> sorted(path.name for path in (folder / "digits").iterdir())
    ['train', 'val']
    """
    check_name("data set", name, DATASETS)
    output = pathlib.Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(f"{output} holds files already: name another folder, or delete it yourself.")
    dataset = load_cifar10(data_dir) if name == "cifar10" else load_digits()
    chosen = {"train": _choose("count", count, dataset.train_labels, seed)}
    if validation_count is None:
        validation_count = round(len(chosen["train"]) / len(dataset.train_labels) * len(dataset.validation_labels))
    chosen["val"] = _choose("validation_count", validation_count, dataset.validation_labels, seed)
    images = {"train": dataset.train_images, "val": dataset.validation_images}
    labels = {"train": dataset.train_labels, "val": dataset.validation_labels}
    _write(output, {split: (images[split], labels[split], rows) for split, rows in chosen.items()}, dataset.class_names)
    return {
        split: {each: int((labels[split][rows] == label).sum()) for label, each in enumerate(dataset.class_names)}
        for split, rows in chosen.items()
    }


def _choose(argument, count, labels, seed):
    """Positions of so many images, every class with its share."""
    classes, most = len(np.unique(labels)), len(labels)
    if count is None or count == most:
        return np.arange(most)
    if isinstance(count, bool) or not isinstance(count, int) or not classes <= count <= most - classes:
        raise ValueError(
            f"`{argument}` must be from {classes} to {most - classes}, or {most}, all images. "
            f"Received: {argument}={count!r}"
        )
    return splits.split(labels, count / most, seed)[1]


def _write(output, parts, class_names):
    """All files into a folder beside, which then takes the name."""
    from PIL import Image

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        work = pathlib.Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
    except OSError as error:
        raise ValueError(f"Cannot write {output}: {error.strerror}. Name another folder.") from error
    try:
        for split, (images, labels, rows) in parts.items():
            for name in class_names:
                (work / "new" / split / name).mkdir(parents=True)
            for row in rows:
                path = work / "new" / split / class_names[labels[row]] / f"{row:05d}.png"
                Image.fromarray(images[row]).save(path)
        if output.is_dir():
            output.rmdir()
        (work / "new").rename(output)
    finally:
        shutil.rmtree(work, ignore_errors=True)
