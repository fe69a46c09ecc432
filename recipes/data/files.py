"""Lists of image files with their classes: of class folders, and of csv files."""

import dataclasses
import math
import pathlib

import numpy as np

from recipes.data import decoding

STREAMED = tuple(each for each in decoding.FORMATS if each != "TIFF")  # what TensorFlow decodes
UNFINISHED = ".arranging.json"  # in a folder that `recipes.data.arrange` has not finished
PATH_COLUMNS = (
    *("path", "imagepath", "filepath", "file", "filename", "image", "imagename", "imagefile", "img"),
    *("imageid", "id"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "classname", "imageclass", "classlabel", "category", "target", "diagnosis"),
    "celltype",
)


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


def read_csv(
    path, path_column=None, label_column=None, group_column=None, folders=None, class_names=None, need_labels=True
):
    """List the images that a csv names.

    Separated by commas, semicolons or tabs. Paths are absolute, or begin at one of some folders or at that
    of the csv; where there is no such file, they are taken as names, with or without extension, of files
    anywhere below the folders, and numbers match with or without leading zeros.

    Args:
        path: path of the csv.
        path_column: str, or None for one that is called path, file, image, id or the like. Defaults to None.
        label_column: str, or None for one that is called label, class or the like. Defaults to None.
        group_column: str, of the patients, or None. Defaults to None.
        folders: list of paths, or None for the folder of the csv. Defaults to None.
        class_names: list of str, where the classes are those of other images; None for those in the
            csv. Defaults to None.
        need_labels: bool. False also takes a csv without labels: a test set. Defaults to True.

    Returns:
        An `ImageFiles`, in the order of the rows. Classes are in the order of their names, or of their
        values where all are numbers. Missing files are among the paths.

    Raises:
        ValueError: if the csv cannot be read, is empty, lacks a column or cells, has a class that is not in
            `class_names`, a file twice, or a name that could be one of several files.

    Example:

    >>> read_csv("nowhere.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...
    """
    table = read_table(path)
    given = f"{path}, column "
    names = table[find_column(path, table, path_column, PATH_COLUMNS, "path_column")]
    label_column = find_column(path, table, label_column, LABEL_COLUMNS, "label_column", need_labels)
    labels = None if label_column is None else [_plain(text) for text in table[label_column]]
    if not need_labels and labels is not None and not any(labels):
        labels = None
    groups = None if group_column is None else list(table[find_column(path, table, group_column, (), "group_column")])
    for column, cells in (("path", list(names)), ("label", labels), ("group", groups)):
        empty = [str(row) for row, cell in enumerate(cells or [], 2) if not cell]
        if empty:
            raise ValueError(f"{given}of the {column}: no value in line {decoding.shorten(empty)}.")
    home = pathlib.Path(path).parent
    found, problems = find_files(names, [home] if folders is None else folders, home)
    ambiguous = [problem for position, problem in problems.items() if found[position] is None]
    if ambiguous:
        raise ValueError(f"{path}: {decoding.shorten(ambiguous)}. Give paths with their folders.")
    _refuse_twice(path, found)
    if labels is None:
        return ImageFiles(found, None, class_names, groups)
    known = class_names or in_class_order(set(labels))
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise ValueError(
            f"{given}{label_column!r} holds {', '.join(unknown)}. The classes of the training are {known}."
        )
    return ImageFiles(found, np.array([known.index(label) for label in labels], "int32"), known, groups)


def read_table(path):
    """Read a csv as text: separated by commas, semicolons or tabs.

    Args:
        path: path of the csv.

    Returns:
        A `pandas.DataFrame` of str, stripped of spaces.

    Raises:
        ValueError: if there is none, or nothing in it.

    Example:

    >>> read_table("nowhere.csv")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.csv: ...
    """
    import pandas

    settings = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "skipinitialspace": True}
    try:
        table = pandas.read_csv(path, index_col=False, **settings)
        if len(table.columns) == 1:
            separator = next((each for each in ";\t" if each in table.columns[0]), ",")
            table = pandas.read_csv(path, index_col=False, sep=separator, **settings)
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"Cannot read {path}: {str(error).splitlines()[0]}") from error
    if table.empty:
        raise ValueError(f"{path} has no rows.")
    table.columns = [str(name).strip() for name in table.columns]
    return table.apply(lambda column: column.fillna("").str.strip())


def find_column(path, table, given, known, argument, needed=True):
    """The column that is given, or has one of the known names.

    Args:
        path: path of the csv, for the error.
        table: `pandas.DataFrame`.
        given: str, or None to look for one.
        known: tuple of str, in lower case without spaces and underscores, the best first.
        argument: str. The name of the argument that gives the column, for the error.
        needed: bool. Defaults to True.

    Returns:
        str, or None where none is needed and there is none.

    Raises:
        ValueError: if there is none.

    Example:

    >>> import pandas
    >>> table = pandas.DataFrame(columns=["Image ID", "Image class"])
    >>> find_column("some.csv", table, None, PATH_COLUMNS, "path_column")
    'Image ID'
    """
    columns = list(table.columns)
    if given is not None:
        if given in columns:
            return given
        raise ValueError(f"{path} has no column {given!r}. Its columns: {', '.join(columns)}.")
    plain = {"".join(letter for letter in name.lower() if letter.isalnum()): name for name in reversed(columns)}
    found = next((plain[name] for name in known if name in plain), None)
    if found is None and needed:
        flag = argument.replace("_", "-")
        raise ValueError(f"Columns of {path}: {', '.join(columns)}. Say which by `{argument}` (--{flag}).")
    return found


def find_files(names, folders, home=None):
    """Find files by path, or by name with or without extension.

    Args:
        names: iterable of str.
        folders: list of `pathlib.Path` to look in.
        home: `pathlib.Path` of one more folder that paths may begin at, but names are not looked for
            below it; None for none. Defaults to None.

    Returns:
        `(paths, problems)`: a list of str, None where several files could be meant; a dict from position to
        what is wrong, which for a missing file leaves its path where it would be.

    Example:

    >>> find_files(["1.png"], [pathlib.Path("nowhere")])
    (['nowhere/1.png'], {0: 'nowhere/1.png: no such file'})
    """
    paths, problems, by_name = [], {}, None
    for position, name in enumerate(names):
        name = name.replace("\\", "/")
        begins = folders if home is None else [*folders, home]
        exact = next((folder / name for folder in begins if (folder / name).is_file()), None)
        if exact is None and by_name is None:
            by_name = _by_name(folders)
        hits = [exact] if exact else sorted(by_name.get(name) or by_name.get(_number(name)) or [])
        if len(hits) > 1:
            problems[position] = f"{name!r} could be {' or '.join(map(str, hits[:3]))}"
            paths.append(None)
            continue
        if not hits:
            problems[position] = f"{folders[0] / name}: no such file"
        paths.append(str(hits[0] if hits else folders[0] / name))
    return paths, problems


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


def files_below(folder):
    """All files in a folder, at any depth, but for hidden ones.

    Args:
        folder: path.

    Returns:
        list of `pathlib.Path`, sorted.

    Example:

    >>> files_below("nowhere")
    []
    """
    folder = pathlib.Path(folder)
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


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
    numbers = [_value(name) for name in names]
    return names if None in numbers else sorted(names, key=_value)


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


def _by_name(folders):
    """Files by their path within the folder and their name, with and without extension, and as numbers."""
    found = {}
    for folder in folders:
        for path in files_below(folder):
            inner = path.relative_to(folder)
            keys = {inner.as_posix(), inner.with_suffix("").as_posix(), path.name, path.stem, _number(path.stem)}
            for key in keys - {None}:
                found.setdefault(key, set()).add(path)
    return found


def _number(text):
    """An integer for digits alone: ids are written with and without leading zeros."""
    return int(text) if text.isdecimal() else None


def _value(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(text):
    """Whole numbers are the same class with and without the zero that pandas writes behind them."""
    value = _value(text)
    return str(int(value)) if value is not None and value.is_integer() and abs(value) < 2**53 else text


def _refuse_twice(path, paths):
    seen, twice = set(), []
    for each in paths:
        if each in seen:
            twice.append(each)
        seen.add(each)
    if twice:
        raise ValueError(f"{path} names a file more than once: {decoding.shorten(twice)}. Leave one row of each.")


def _refuse_damaged(paths):
    problems = list(decoding.check_images(paths, STREAMED).values())
    if problems:
        raise ValueError(
            f"{decoding.shorten(problems)}: damaged, or neither JPEG, PNG, BMP nor GIF. "
            "Delete or replace what is no image."
        )
