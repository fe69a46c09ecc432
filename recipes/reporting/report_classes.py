"""What a report says of an evaluation of classes."""

import numpy as np

from recipes.reporting import page
from recipes.reporting import plots
from recipes.reporting.evaluation import read_evaluation
from recipes.reporting.metrics import METHODS
from recipes.reporting.tables import percent

METRIC = "accuracy"
HEADINGS = ("ACA", "MCA", "best epoch's accuracy")
_CELLS = 40  # classes up to which a matrix is also given as a table


def read(folder):
    """Read what an evaluation left.

    Args:
        folder: path.

    Returns:
        An `Evaluation`, or None where there is none.

    Raises:
        ValueError: if it is damaged.

    Example:

    >>> read("nowhere") is None
    True
    """
    return read_evaluation(folder)


def rows(which, evaluation):
    """The figures of an evaluation.

    Args:
        which: str. What was evaluated.
        evaluation: an `Evaluation`.

    Returns:
        list of (name, value); empty where there are no labels.

    Example:

    >>> from recipes.reporting.metrics import Evaluation
    >>> rows("test", Evaluation([0], [[1.0]], ["cell"]))[0]
    ['ACA: test', '100.00% (20.65% to 100.00%), 1 images']
    """
    if evaluation.labels is None:
        return []
    figures, intervals = evaluation.metrics(), evaluation.intervals()
    found = []
    for name in ("aca", "mca"):
        low, high = intervals[name]
        value = f"{percent(figures[name])} ({percent(low)} to {percent(high)})"
        found.append([f"{name.upper()}: {which}", f"{value}, {len(evaluation):,} images"])
    return found


def figures(record, evaluation):
    """What runs are compared by.

    Args:
        record: a `Record`.
        evaluation: an `Evaluation`, or None.

    Returns:
        list of `(value, text)`, one for each of `HEADINGS`.

    Example:

    >>> from recipes.reporting.records import Record
    >>> figures(Record("a", "b", metrics={"final": {"val_accuracy": 0.5}}), None)[0]
    (0.5, '50.00%')
    """
    final, best = (record.metrics.get(which, {}) for which in ("final", "best"))
    known = evaluation is not None and evaluation.labels is not None
    accuracy = evaluation.aca if known else final.get("val_accuracy", np.nan)
    mca = evaluation.mca if known else final.get("val_mca", np.nan)
    return [(each, percent(each)) for each in (accuracy, mca, best.get("val_accuracy", np.nan))]


def section(which, evaluation, folder):
    """A part of the page for an evaluation: tables and pictures.

    Args:
        which: str. Its heading.
        evaluation: an `Evaluation`.
        folder: pathlib.Path, that of the pictures.

    Returns:
        str. HTML.

    Example:

    >>> import pathlib
    >>> from recipes.reporting.metrics import Evaluation
    >>> "1 images without labels" in section("test", Evaluation(None, [[1.0]], ["cell"]), pathlib.Path())
    True
    """
    examples = page.file(
        folder / "examples.png", "Images, each with its predicted class and the confidence.", wide=True
    )
    classes = page.file(
        folder / "classes.png",
        "Ten images of each of three classes, with what was predicted and how surely.",
        wide=True,
    )
    if evaluation.labels is None:
        return page.section(which, f"<p>{len(evaluation):,} images without labels.</p>", examples, classes, level=3)
    mistakes = page.file(
        folder / "mistakes.png", "The mistakes of which the model was surest, with the true class.", wide=True
    )
    counts = evaluation.confusion_matrix()
    pictures = [
        page.picture(plots.plot_confusion_matrix(matrix, evaluation.class_names), alt, caption)
        for matrix, alt, caption in (
            (counts, f"Confusion matrix, counts. {_summary(counts, evaluation.class_names)}", "Counts"),
            (evaluation.confusion_matrix(True), "The same, each row divided by its sum.", "Percent of each class"),
        )
    ]
    return page.section(
        which,
        _per_class(evaluation),
        page.section(
            "Confusion matrices", '<div class="grid">', *pictures, "</div>", _cells(counts, evaluation), level=4
        ),
        page.section("Examples", examples, level=4),
        page.section("Three classes: the best, the middle one, the worst", classes, level=4),
        page.section("Most confident mistakes", mistakes, level=4),
        level=3,
    )


def _per_class(evaluation):
    rows = []
    for name, row in evaluation.per_class().iterrows():
        interval = f"{percent(row.recall_low)} to {percent(row.recall_high)}" if row.support else "-"
        figures = [(each, percent(each)) for each in (row.recall, row.precision, row.f1)]
        rows.append([name, figures[0], (0, interval), *figures[1:], int(row.support)])
    headings = ("class", "recall", "95% interval", "precision", "F1", "images")
    methods = "; ".join(f"{name.upper() if name != 'recall' else name}: {method}" for name, method in METHODS.items())
    return page.table("Each class", headings, rows) + f"\n<p>Intervals. {page.text(methods)}.</p>"


def _summary(counts, names):
    """What a confusion matrix shows, in words."""
    text = f"{counts.trace():,} of {counts.sum():,} images are on the diagonal."
    wrong = counts - np.diag(counts.diagonal())
    if not wrong.any():
        return text
    true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"{text} The most frequent mistake: {names[true]} taken for {names[predicted]}, {wrong.max():,} times."


def _cells(counts, evaluation):
    if len(counts) > _CELLS:
        return ""
    names = evaluation.class_names
    rows = [[name, *map(int, row)] for name, row in zip(names, counts)]
    return page.details("Counts as a table", page.table("True class in rows, predicted in columns", ["", *names], rows))
