"""Runs as a web page: curves, metrics, confusion matrices, examples, and all that the records say."""

import pathlib

import numpy as np

from recipes.reporting import page
from recipes.reporting import plots
from recipes.reporting.evaluation import read_evaluation
from recipes.reporting.metrics import METHODS
from recipes.reporting.records import read_record
from recipes.reporting.tables import percent

_CELLS = 40  # classes up to which a matrix is also given as a table


def report(runs, title=""):
    """Make a page of runs.

    Args:
        runs: list of paths, the folders of finished runs.
        title: str; "" for the name of the run, or how many there are. Defaults to "".

    Returns:
        str. HTML that needs nothing else: the pictures are inside.

    Raises:
        ValueError: if one is no finished run, or a file of it is damaged.

    Example:

    >>> report(["nowhere"])
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    folders = list(dict.fromkeys(map(pathlib.Path, runs)))
    records = [read_record(folder) for folder in folders]
    names = _names(folders)
    histories = {name: history for name, folder in zip(names, folders) if (history := read_history(folder))}
    evaluations = [_evaluations(folder) for folder in folders]
    sections = [
        page.section(
            name,
            _figures(record, own),
            _curves(histories.get(name), folder),
            *(_evaluation(which, *each) for which, each in own.items()),
            _shown(folder),
            _settings(record),
            name=f"run-{number}",
        )
        for number, (name, folder, record, own) in enumerate(zip(names, folders, records, evaluations), 1)
    ]
    if len(folders) > 1:
        sections.insert(0, _comparison(names, records, evaluations, histories))
    return page.page(title or (names[0] if len(names) == 1 else f"{len(names)} runs"), *sections)


def read_history(folder):
    """Read the history of a run.

    Args:
        folder: path of its folder.

    Returns:
        dict of metric to a list with a value for each epoch; empty where there is none.

    Example:

    >>> read_history("nowhere")
    {}
    """
    import pandas

    path = pathlib.Path(folder) / "history.csv"
    return pandas.read_csv(path).to_dict("list") if path.is_file() else {}


def _names(folders):
    """Names of the runs, numbered where they are the same."""
    names = [folder.resolve().name for folder in folders]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def _evaluations(folder):
    """The evaluations of a run, with the folder of each: at its end, and by `zoo eval`."""
    found = {"Validation, at the end of the training": folder}
    found |= {f"Evaluation on {path.name.partition('-')[2]}": path for path in sorted(folder.glob("evaluation-*"))}
    return {name: (evaluation, path) for name, path in found.items() if (evaluation := read_evaluation(path))}


def _comparison(names, records, evaluations, histories):
    def row(number, name, record, own):
        known = [each for each, _ in own.values() if each.labels is not None]
        final = record.metrics.get("final", {})
        accuracy = known[0].aca if known else final.get("val_accuracy", np.nan)
        mca = known[0].mca if known else final.get("val_mca", np.nan)
        best = record.metrics.get("best", {}).get("val_accuracy", np.nan)
        figures = [(each, percent(each)) for each in (accuracy, mca, best)]
        return [name, record.experiment, *figures, record.epochs, record.parameters, record.seconds.get("total", 0.0)]

    headings = ("run", "experiment", "ACA", "MCA", "best epoch's accuracy", "epochs", "parameters", "seconds")
    rows = [row(*each) for each in zip(range(len(names)), names, records, evaluations)]
    links = "".join(f'<li><a href="#run-{number}">{page.text(name)}</a></li>' for number, name in enumerate(names, 1))
    alt = "Training and validation accuracy over the epochs, for " + ", ".join(histories)
    return page.section(
        "Comparison",
        f'<nav aria-label="Runs"><ul>{links}</ul></nav>',
        page.table("Validation of all runs", headings, rows),
        page.picture(plots.plot_comparison(histories), alt) if histories else "",
        name="comparison",
    )


def _figures(record, own):
    rows = [["experiment", f"{record.recipe}, {record.experiment}"]]
    if record.documented:
        rows.append(["documented", record.documented])
    for which, (evaluation, _) in own.items():
        if evaluation.labels is not None:
            figures, intervals = evaluation.metrics(), evaluation.intervals()
            for name in ("aca", "mca"):
                low, high = intervals[name]
                value = f"{percent(figures[name])} ({percent(low)} to {percent(high)})"
                rows.append([f"{name.upper()}: {which}", f"{value}, {len(evaluation):,} images"])
    if "best" in record.metrics:
        best = record.metrics["best"]
        rows.append(["best epoch", f"{best['epoch']}, validation accuracy {percent(best['val_accuracy'])}"])
    rows += [["data", ", ".join(f"{name} {value}" for name, value in record.data.items() if name != "sha256")]]
    rows += [["parameters", f"{record.parameters:,}"], ["epochs", f"{record.epochs:,}"], ["device", record.device]]
    rows += [["seconds", ", ".join(f"{name} {value:,.1f}" for name, value in record.seconds.items())]]
    return page.table("What it came to", ["name", "value"], [*rows, ["begun", record.date]])


def _curves(history, folder):
    if not history:
        return ""
    panels = {"loss": "Loss", "accuracy": "Accuracy", "classes": "Validation accuracy of each class"}
    if not plots.class_curves(history):
        del panels["classes"]
    pictures = [
        page.picture(plots.plot_history(history, panels=[panel]), f"{title} over the epochs. {_ends(history, panel)}")
        for panel, title in panels.items()
    ]
    rate = _file(folder / "learning_rate.png", "The learning rate over the epochs.")
    return page.section("Curves", '<div class="grid">', *pictures, rate, "</div>", level=3)


def _ends(history, panel):
    """The last values of the curves of a panel, for those who do not see them."""
    if panel == "classes":
        values = {name: values[-1] for name, values in plots.class_curves(history).items()}
    else:
        values = {name: history[name][-1] for name in (panel, f"val_{panel}") if name in history}
    return "At the end: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()) + "."


def _evaluation(which, evaluation, folder):
    examples = _file(folder / "examples.png", "Images, each with its predicted class and the confidence.", wide=True)
    if evaluation.labels is None:
        return page.section(which, f"<p>{len(evaluation):,} images without labels.</p>", examples, level=3)
    mistakes = _file(
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


def _shown(folder):
    alt = "Images of a training batch as the network was shown them, with their classes."
    return page.section("What the network was shown", _file(folder / "samples.png", alt, wide=True), level=3)


def _settings(record):
    arguments = [[name, "none" if value is None else str(value)] for name, value in record.arguments.items()]
    arguments += [["seed", str(record.seed)], ["precision", record.precision], ["jit_compile", str(record.jit_compile)]]
    final = [[name, f"{value:.6g}"] for name, value in record.metrics.get("final", {}).items()]
    versions = [[name, str(version)] for name, version in record.versions.items()]
    data = [[name, str(value)] for name, value in record.data.items()]
    tables = {"Arguments": arguments, "Final figures": final, "Versions": versions, "Data": data}
    shown = [page.details(name, page.table(name, ["name", "value"], rows)) for name, rows in tables.items() if rows]
    return page.section("Settings", *shown, level=3)


def _file(path, alt, wide=False):
    return page.picture(path.read_bytes(), alt, wide=wide) if path.is_file() else ""
