"""A user's own images, as a data set: class folders or csv files in, arrays out."""

import pathlib

from recipes.data import cache as caches
from recipes.data import decoding
from recipes.data import layouts
from recipes.data.dataset import Dataset


def load_image_dataset(
    data_dir,
    image_size,
    *,
    fit="stretch",
    layout="auto",
    cache="auto",
    cache_dir=None,
    validation_fraction=0.2,
    seed=0,
    skip_bad=False,
    path_column=None,
    label_column=None,
    group_column=None,
    image_dir=None,
    train_size=None,
    validation_as_test=False,
):
    """Load images for training, validation and, where they are there, test.

    The layouts that `recipes.data.layouts.find_splits` lists; the formats and fits that
    `recipes.data.decoding.read_image` explains. Every file is decoded once, so that no damaged one ends a
    training.

    Args:
        data_dir: path of a folder, or of a csv.
        image_size: int or (height, width).
        fit: "stretch", "crop", "pad" or "center_crop". Defaults to "stretch".
        layout: "auto", "folders" or "csv". Defaults to "auto".
        cache: where decoded images are kept: "memory"; "disk", in a file that the next start finds; "none",
            where they are decoded whenever they are asked for; "auto" for the first of these that
            fits, as `recipes.data.cache.choose_cache` explains. Defaults to "auto".
        cache_dir: path of a folder for "disk", or None for the user's. Defaults to None.
        validation_fraction: float, where no validation is given. Defaults to 0.2.
        seed: int, of that split. Defaults to 0.
        skip_bad: bool. Whether to leave out files that are missing or cannot be read, rather than to
            refuse them. `Dataset.skipped` lists them. Defaults to False.
        path_column: str, or None to look for it. Defaults to None.
        label_column: str, or None to look for it. Defaults to None.
        group_column: str, of the patients, or None. Defaults to None.
        image_dir: path that a csv's paths begin at, besides its own folder, or None. Defaults to None.
        train_size: int or (height, width) of the training images, where these are cropped after they were
            turned and the like; None for `image_size`. Defaults to None.
        validation_as_test: bool. Whether a validation that is given is the test, and another one is split off
            the training. Defaults to False.

    Returns:
        A `Dataset`, whose images are array-likes: NumPy arrays, mapped files, or `DecodedImages`.

    Raises:
        ValueError: as `find_splits`; with the list of the files that cannot be read; if
            a class has no image for training left.

    Example:

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         pathlib.Path(folder, name).mkdir()
    ...         for number in range(5):
    ...             Image.new("RGB", (40, 30)).save(pathlib.Path(folder, name, f"{number}.png"))
    ...     data = load_image_dataset(folder, 16)
    >>> data.train_images.shape, data.validation_images.shape, data.class_names
    ((8, 16, 16, 3), (2, 16, 16, 3), ['cat', 'dog'])
    """
    size = decoding.check_size(image_size)
    train_size = size if train_size is None else decoding.check_size(train_size)
    decoding.check_fit(fit)
    columns = {"path_column": path_column, "label_column": label_column, "group_column": group_column}
    settings = {"layout": layout, "validation_fraction": validation_fraction, "seed": seed, "image_dir": image_dir}
    settings["validation_as_test"] = validation_as_test
    found = layouts.find_splits(data_dir, **settings, **columns)
    cache = caches.choose_cache(cache, sum(map(len, found.values())), max(size, train_size), cache_dir)
    images, problems = {}, {}
    for name, files in found.items():
        wanted = train_size if name == "train" else size
        images[name], bad = caches.load_images(files.paths, wanted, fit, cache, cache_dir)
        problems.update({(name, row): problem for row, problem in bad.items()})
        found[name] = files.take([row for row in range(len(files)) if row not in bad])
    if not skip_bad:
        decoding.refuse(problems)
    _check_what_is_left(found)
    parts = {}
    for name, files in found.items():
        parts.update({f"{name}_images": images[name], f"{name}_labels": files.labels, f"{name}_files": files})
    path, class_names = pathlib.Path(data_dir).resolve(), found["train"].class_names
    name = path.stem if path.is_file() else path.name
    return Dataset(name, **parts, class_names=class_names, skipped=tuple(problems.values()))


def _check_what_is_left(found):
    train = found["train"]
    empty = [name for name, files in found.items() if not len(files)]
    empty += [f"class {name}" for label, name in enumerate(train.class_names) if label not in train.labels]
    if empty:
        raise ValueError(f"No image can be read of {', '.join(empty)}.")
