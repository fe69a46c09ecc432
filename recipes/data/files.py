"""Lists of image files with their classes: those of class folders."""

import dataclasses
import math
import pathlib

import numpy as np

from recipes.data import decoding

STREAMED = tuple(each for each in decoding.FORMATS if each != "TIFF")  # what TensorFlow decodes
UNFINISHED = ".arranging.json"  # in a folder that `recipes.data.arrange` has not finished


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Paths of images, with their classes.

    Args:
        paths: list of str.
        labels: int32 `(files,)`, or None where the classes are not known.
        class_names: list of str.
        groups: list of str, of which patient each is, or None. Defaults to None.

    Example:

    >>> len(ImageFiles(["cat/1.jpg", "dog/1.jpg"], np.array([0, 1]), ["cat", "dog"]))
    2
    """

    paths: list
    labels: np.ndarray
    class_names: list
    groups: list = None

    def __len__(self):
        return len(self.paths)

    def take(self, index):
        """Some of the files.

        Args:
            index: int `(some,)`. Their positions.

        Returns:
            An `ImageFiles`.
        """
        return ImageFiles(
            [self.paths[position] for position in index],
            None if self.labels is None else self.labels[index],
            self.class_names,
            None if self.groups is None else [self.groups[position] for position in index],
        )


def list_images(directory, check=True, class_names=None):
    """List the images of `directory/CLASS/`, at any depth, in the order of their names.

    Files and folders whose name begins with a dot are passed over.

    Args:
        directory: path of the folder that holds one folder for each class.
        check: bool. Whether to decode every file once, JPEGs at an eighth of their size, so that no
            damaged one ends a training. Defaults to True.
        class_names: list of str, where the classes are those of other images; None for the names of the
            folders. Defaults to None.

    Returns:
        An `ImageFiles`. Classes are numbered in the order of their names; where all of these are
        numbers, of their values.

    Raises:
        ValueError: if there is no such folder, a class without files, one that is not in
            `class_names`, or a file that is damaged or neither JPEG, PNG, BMP nor GIF. It names the files.

    Example:

    >>> list_images("nowhere")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...
    """
    directory = pathlib.Path(directory)
    check_finished(directory)
    folders = {folder.name: folder for folder in class_folders(directory)}
    if not folders:
        raise ValueError(f"`directory` must hold one folder for each class. Received: {str(directory)!r}")
    names = in_class_order(folders)
    unknown = [name for name in names if class_names and name not in class_names]
    if unknown:
        raise ValueError(f"{directory} holds {', '.join(unknown)}. The classes of the training are {class_names}.")
    files = {name: files_below(folders[name]) for name in names}
    for name, found in files.items():
        if not found:
            raise ValueError(f"{folders[name]} holds no images. Add some, or delete it: each folder is a class.")
    paths = [str(path) for found in files.values() for path in found]
    if check:
        _refuse_damaged(paths)
    class_names = class_names or names
    numbers = [class_names.index(name) for name in names]
    labels = np.repeat(np.array(numbers, "int32"), [len(found) for found in files.values()])
    return ImageFiles(paths, labels, class_names)


def class_folders(directory):
    """The folders in a folder, but for hidden ones.

    Args:
        directory: path.

    Returns:
        list of `pathlib.Path`, sorted.

    Example:

    >>> class_folders("nowhere")
    []
    """
    found = pathlib.Path(directory).glob("*")
    return sorted(path for path in found if path.is_dir() and not path.name.startswith("."))


def files_below(folder, suffixes=None):
    """All files in a folder, at any depth, but for hidden ones.

    Args:
        folder: path.
        suffixes: tuple of str in lower case, such as ".png", or None for any. Defaults to None.

    Returns:
        list of `pathlib.Path`, sorted.

    Example:

    >>> files_below("nowhere")
    []
    """
    folder = pathlib.Path(folder)
    found = (path for path in folder.rglob("*") if path.is_file())
    found = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in found if suffixes is None or path.suffix.lower() in suffixes)


def in_class_order(names):
    """Names of classes in the order of their numbers.

    Args:
        names: iterable of str.

    Returns:
        list of str, sorted; where all are numbers, by their values.

    Example:

    >>> in_class_order(["10", "9"]), in_class_order(["b", "a", "10"])
    (['9', '10'], ['10', 'a', 'b'])
    """
    names = sorted(names)
    return names if None in map(number, names) else sorted(names, key=number)


def check_finished(directory):
    """Refuse a folder that an interrupted `zoo data arrange` left.

    Args:
        directory: path.

    Raises:
        ValueError: if it is one.

    Example:

    >>> check_finished("nowhere")
    """
    for folder in (pathlib.Path(directory), pathlib.Path(directory).parent):
        if (folder / UNFINISHED).exists():
            raise ValueError(
                f"{folder} was not finished: run the same `zoo data arrange` again, which goes on with it."
            )


def number(text):
    """The value of a name that is a number.

    Args:
        text: str.

    Returns:
        float, or None for other names.

    Example:

    >>> number("1.0"), number("one")
    (1.0, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refuse_damaged(paths):
    problems = list(decoding.check_images(paths, STREAMED).values())
    if problems:
        raise ValueError(
            f"{decoding.shorten(problems)}: damaged, or neither JPEG, PNG, BMP nor GIF. "
            "Delete or replace what is no image."
        )
