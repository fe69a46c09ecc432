"""Lists of image files with their classes: those that a csv names."""

import pathlib
import warnings

import numpy as np

from recipes.data.decoding import SUFFIXES
from recipes.data.decoding import shorten
from recipes.data.files import ImageFiles
from recipes.data.files import files_below
from recipes.data.files import in_class_order
from recipes.data.files import number
from recipes.data.room import check_room
from recipes.data.texts import is_file

PATH_COLUMNS = (
    *("path", "imagepath", "filepath", "file", "filename", "image", "imagename", "imagefile", "img"),
    *("imageid", "id"),
)
LABEL_COLUMNS = (
    *("label", "labels", "class", "classname", "imageclass", "classlabel", "category", "target", "diagnosis"),
    "celltype",
)
_TIMES = 30  # that a table of texts takes of memory, as against the file
_DIGITS = 4000  # Python makes no integers of more


def read_csv(
    path, path_column=None, label_column=None, group_column=None, folders=None, class_names=None, need_labels=True
):
    """List the images that a csv names.

    Separated by commas, semicolons or tabs. Paths are absolute, or begin at one of some folders or at that
    of the csv; where there is no such file, they are taken as names, with or without extension, of images
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
    group_column = group_column and find_column(path, table, group_column, (), "group_column", need_labels)
    groups = None if group_column is None else list(table[group_column])
    for column, cells in (("path", list(names)), ("label", labels), ("group", groups)):
        empty = [str(row) for row, cell in enumerate(cells or [], 2) if not cell]
        if empty:
            raise ValueError(f"{given}of the {column}: no value in line {shorten(empty)}.")
    home = pathlib.Path(path).parent
    found, problems = find_files(names, [home] if folders is None else folders, home)
    ambiguous = [problem for position, problem in problems.items() if found[position] is None]
    if ambiguous:
        raise ValueError(f"{path}: {shorten(ambiguous)}. Give paths with their folders.")
    _refuse_twice(path, found)
    if labels is None:
        return ImageFiles(found, None, class_names, groups)
    known = class_names or in_class_order(set(labels))
    unknown = sorted(set(labels) - set(known))
    if unknown:
        raise ValueError(
            f"{given}{label_column!r} holds {shorten([', '.join(unknown)])}. The classes of the training are {known}."
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # of rows that are longer than the header
            check_room(path, _TIMES)
            table = pandas.read_csv(path, index_col=False, **settings)
            if len(table.columns) == 1:
                separator = next((each for each in ";\t" if each in table.columns[0]), ",")
                table = pandas.read_csv(path, index_col=False, sep=separator, **settings)
    except (OSError, ValueError, pandas.errors.ParserWarning) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"Cannot read {path}: {str(error).partition(chr(10))[0]}") from error
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
        if given in columns or not needed:
            return given if given in columns else None
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
        exact = next((folder / name for folder in begins if is_file(folder / name)), None)
        if exact is None and by_name is None:
            by_name = _by_name(folders)
        hits = [exact] if exact else sorted((by_name.get(name) or by_name.get(_integer(name)) or {}).values())
        if len(hits) > 1:
            problems[position] = f"{name!r} could be {' or '.join(map(str, hits[:3]))}"
            paths.append(None)
            continue
        if not hits:
            problems[position] = f"{folders[0] / name}: no such file"
        paths.append(str(hits[0] if hits else folders[0] / name))
    return paths, problems


def _by_name(folders):
    """Images by their path within the folder and their name, with and without extension, and as numbers."""
    found = {}
    for folder in folders:
        for path in files_below(folder, SUFFIXES):
            inner = path.relative_to(folder)
            keys = {inner.as_posix(), inner.with_suffix("").as_posix(), path.name, path.stem, _integer(path.stem)}
            for key in keys - {None}:
                found.setdefault(key, {})[path.absolute()] = path  # once, where folders overlap
    return found


def _integer(text):
    """An integer for digits alone: ids are written with and without leading zeros."""
    return int(text) if text.isdecimal() and len(text) < _DIGITS else None


def _plain(text):
    """Whole numbers are the same class with and without the zero that pandas writes behind them."""
    value = number(text)
    return str(int(value)) if value is not None and value.is_integer() and abs(value) < 2**53 else text


def _refuse_twice(path, paths):
    seen, twice = set(), []
    for each in paths:
        if each in seen:
            twice.append(each)
        seen.add(each)
    if twice:
        raise ValueError(f"{path} names a file more than once: {shorten(twice)}. Leave one row of each.")
