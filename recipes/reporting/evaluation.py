"""What an evaluation leaves in a folder: tables and pictures."""

import contextlib
import json
import pathlib
import shutil
import tempfile

import numpy as np

from recipes import atomic
from recipes.reporting import explanation_plots
from recipes.reporting import plots
from recipes.reporting.metrics import METHODS
from recipes.reporting.metrics import Evaluation

PREDICTIONS = "predictions.csv"
_PROBABILITY = "probability/"
_EXAMPLES = 32


def write_evaluation(folder, evaluation, images=None, title=""):
    """Write the tables and pictures of an evaluation.

    These are `predictions.csv`, `per_class.csv`, `confusion_matrix.png` and
    `confusion_matrix_normalized.png`; with images also `examples.png`, some of them with what was
    predicted, `classes.png`, ten of each of three classes, and `mistakes.png`, the mistakes that the model was
    surest of. Without labels there are predictions, examples and classes only.

    Args:
        folder: path of a folder that exists.
        evaluation: an `Evaluation`.
        images: uint8 `(images, height, width, 3)`, or what gives one where it is sliced; None for no
            pictures of them. Defaults to None.
        title: str, above the matrices. Defaults to "".

    Example:

    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_evaluation(folder, Evaluation(None, np.array([[0.25, 0.75]]), ["a", "b"], ["1.png"]))
    >>> read_evaluation(folder).probabilities
    array([[0.25, 0.75]])
    """
    folder = pathlib.Path(folder)
    write_table(evaluation.predictions(), folder / PREDICTIONS)
    if images is not None:
        plots.save(plot_predictions(evaluation, images), folder / "examples.png")
        plots.save(explanation_plots.plot_classes(evaluation, images), folder / "classes.png")
    if evaluation.labels is None:
        return
    write_table(evaluation.per_class().reset_index(), folder / "per_class.csv")
    for name, normalize in (("confusion_matrix", False), ("confusion_matrix_normalized", True)):
        matrix = evaluation.confusion_matrix(normalize)
        figure = plots.plot_confusion_matrix(matrix, evaluation.class_names, title)
        plots.save(figure, folder / f"{name}.png")
    mistakes = evaluation.mistakes(_EXAMPLES)
    if images is not None and len(mistakes):
        plots.save(plot_predictions(evaluation, images, mistakes), folder / "mistakes.png")


def write_folder(folder, evaluation, images=None, title=""):
    """Write `write_evaluation`'s files, and `metrics.json`, into a folder that appears when all are there.

    Args:
        folder: path. What stands there is replaced.
        evaluation: an `Evaluation`.
        images: as in `write_evaluation`. Defaults to None.
        title: str. Defaults to "".

    Example:

    >>> folder = pathlib.Path(tempfile.mkdtemp(), "evaluation-test")
    >>> write_folder(folder, Evaluation([1], np.array([[0.25, 0.75]]), ["a", "b"]))
    >>> json.loads((folder / "metrics.json").read_text())["metrics"]["aca"]
    1.0
    """
    with whole_folder(pathlib.Path(folder)) as new:
        write_evaluation(new, evaluation, images, title)
        if evaluation.labels is not None:
            figures = {"images": len(evaluation), "metrics": evaluation.metrics()}
            figures |= {"intervals": evaluation.intervals(), "methods": METHODS}
            write_text(json.dumps(figures, indent=2) + "\n", new / "metrics.json")


def read_evaluation(folder):
    """Read what `write_evaluation` wrote.

    Args:
        folder: path of the folder.

    Returns:
        An `Evaluation`, or None where there is none.

    Raises:
        ValueError: if `predictions.csv` is damaged.

    Example:

    >>> read_evaluation("nowhere") is None
    True
    """
    import pandas

    path = pathlib.Path(folder) / PREDICTIONS
    if not path.is_file():
        return None
    texts = dict.fromkeys(("path", "label", "predicted"), str)
    try:
        table = pandas.read_csv(path, dtype=texts, keep_default_na=False, encoding_errors="surrogateescape")
        columns = [name for name in table if name.startswith(_PROBABILITY)]
        names = [name.removeprefix(_PROBABILITY) for name in columns]
        labels = np.array([names.index(label) for label in table["label"]]) if "label" in table else None
        return Evaluation(labels, table[columns].to_numpy(float), names, list(table["path"]))
    except (OSError, ValueError, KeyError) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"{path} is no table of predictions ({str(error).partition(chr(10))[0]}).") from error


def write_submission(path, evaluation, id_column="Path", label_column="label", label_as="number", ids=None):
    """Write the predictions as Kaggle wants them: an id and a label for each image.

    Args:
        path: of the csv.
        evaluation: an `Evaluation`.
        id_column: str. Heading of the ids. Defaults to "Path".
        label_column: str. Heading of the labels. Defaults to "label".
        label_as: "number" of the class, or its "name". Defaults to "number".
        ids: list of str, or None for the paths. Defaults to None.

    Raises:
        ValueError: if the file cannot be written, there are no ids, or two images have the same.

    Example:

    >>> path = pathlib.Path(tempfile.mkdtemp(), "submission.csv")
    >>> evaluation = Evaluation(None, np.array([[0.25, 0.75]]), ["a", "b"], ["cells/1.png"])
    >>> write_submission(path, evaluation, id_column="id", ids=["1"])
    >>> path.read_text()
    'id,label\\n1,1\\n'
    """
    import pandas

    if label_as not in ("number", "name"):
        raise ValueError(f"`label_as` must be 'number' or 'name'. Received: {label_as!r}")
    ids = evaluation.paths if ids is None else ids
    if ids is None:
        raise ValueError("A submission needs images that are files: these come from arrays.")
    if len(set(ids)) < len(ids):
        twice = next(each for position, each in enumerate(ids) if each in ids[:position])
        raise ValueError(f"Several images have the id {twice!r}. Name them by their paths.")
    names = np.array(evaluation.class_names, object)
    labels = evaluation.predicted if label_as == "number" else names[evaluation.predicted]
    write_table(pandas.DataFrame({id_column: ids, label_column: labels}), path)


def plot_predictions(evaluation, images, positions=None):
    """Show images with what was predicted of them, how surely, and where it is wrong what they are.

    Args:
        evaluation: an `Evaluation`.
        images: uint8 `(images, height, width, 3)`, or what gives one where it is sliced.
        positions: list of int, the images to show; None for 32 from all over the set. Defaults to None.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> evaluation = Evaluation([0], np.array([[0.25, 0.75]]), ["a", "b"])
    >>> plot_predictions(evaluation, np.zeros((1, 8, 8, 3), "uint8")).axes[0].get_title()
    'b 75%\\nis a'
    """
    if positions is None:
        positions = np.unique(np.linspace(0, len(evaluation) - 1, _EXAMPLES).round().astype(int))
    shown, titles = [], []
    for position in map(int, positions):
        shown.append(np.asarray(images[position : position + 1])[0])
        titles.append(_title(evaluation, position))
    return plots.plot_images(shown, titles, columns=min(8, len(shown)))


def write_table(table, path):
    """Write a csv, whole or not at all.

    Args:
        table: a `pandas.DataFrame`.
        path: of the file.

    Raises:
        ValueError: if it cannot be written.

    Example:

    >>> import pandas
    >>> path = pathlib.Path(tempfile.mkdtemp(), "table.csv")
    >>> write_table(pandas.DataFrame({"class": ["a"]}), path)
    >>> path.read_text()
    'class\\na\\n'
    """
    write_text(table.to_csv(index=False, lineterminator="\n"), path)


def write_text(text, path):
    """Write a text, whole or not at all.

    Args:
        text: str.
        path: of the file.

    Raises:
        ValueError: if it cannot be written.

    Example:

    >>> path = pathlib.Path(tempfile.mkdtemp(), "page.html")
    >>> write_text("<p>", path)
    >>> path.read_text()
    '<p>'
    """
    try:
        atomic.write_text(path, text)
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from error


@contextlib.contextmanager
def whole_folder(folder):
    """A context that gives a new folder, which takes the place of another if nothing goes wrong, and is gone otherwise.

    Args:
        folder: pathlib.Path. What stands there is replaced.

    Raises:
        ValueError: if it cannot be written.

    Example:

    >>> folder = pathlib.Path(tempfile.mkdtemp(), "tables")
    >>> with whole_folder(folder) as new:
    ...     write_text("a", new / "a.txt")
    >>> (folder / "a.txt").is_file()
    True
    """
    try:
        work = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise ValueError(f"Cannot write {folder}: {error.strerror}.") from error
    try:
        new = work / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(work / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_outputs(*paths):
    """Refuse what cannot be written before the work, not after it.

    Args:
        *paths: of files, or None.

    Raises:
        ValueError: if there is no folder for one of them.

    Example:

    >>> check_outputs("nowhere/table.csv")
    Traceback (most recent call last):
    ValueError: Cannot write nowhere/table.csv: there is no folder nowhere.
    """
    for path in filter(None, paths):
        if not pathlib.Path(path).parent.is_dir():
            raise ValueError(f"Cannot write {path}: there is no folder {pathlib.Path(path).parent}.")


def _title(evaluation, position):
    names, predicted = evaluation.class_names, evaluation.predicted[position]
    title = f"{plots.shorten(names[predicted], 12)} {evaluation.confidence[position]:.0%}"
    if evaluation.labels is None or evaluation.labels[position] == predicted:
        return title
    return f"{title}\nis {plots.shorten(names[evaluation.labels[position]], 12)}"
