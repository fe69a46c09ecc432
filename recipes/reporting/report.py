"""Runs as a web page: curves, metrics, confusion matrices, examples, and all that the records say."""

import pathlib

from recipes.reporting import page
from recipes.reporting import plots
from recipes.reporting import report_classes
from recipes.reporting import report_detections
from recipes.reporting.explanation_commands import read_explanation
from recipes.reporting.records import read_record

_KINDS = (report_classes, report_detections)  # each reads what it finds of its own, and shows it
_TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "AP": "Average precision",
    "classes": "Validation accuracy of each class",
}
_BEST = {"val_accuracy": "validation accuracy {:.2%}", "val_AP": "validation AP {:.3f}"}


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
            *(kind.section(which, evaluation, place) for which, (kind, evaluation, place) in own.items()),
            _explained(folder),
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

    Raises:
        ValueError: if it is damaged.

    Example:

    >>> read_history("nowhere")
    {}
    """
    import pandas

    path = pathlib.Path(folder) / "history.csv"
    if not path.is_file():
        return {}
    try:
        return pandas.read_csv(path).to_dict("list")
    except (OSError, ValueError) as error:  # pandas's own errors are ValueErrors
        raise ValueError(f"{path} is no history of a run ({str(error).partition(chr(10))[0]}).") from error


def _names(folders):
    """Names of the runs, numbered where they are the same."""
    names = [folder.resolve().name for folder in folders]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names, 1)]


def _evaluations(folder):
    """The evaluations of a run, at its end and by `zoo eval`, with the kind and the folder of each."""
    found = {"Validation, at the end of the training": folder}
    found |= {f"Evaluation on {path.name.partition('-')[2]}": path for path in sorted(folder.glob("evaluation-*"))}
    return {
        name: (kind, evaluation, path)
        for name, path in found.items()
        for kind in _KINDS
        if (evaluation := kind.read(path)) is not None
    }


def _comparison(names, records, evaluations, histories):
    links = "".join(f'<li><a href="#run-{number}">{page.text(name)}</a></li>' for number, name in enumerate(names, 1))
    firsts = [next(iter(own.values()), (report_classes, None, None))[:2] for own in evaluations]
    shown = []
    for kind in _KINDS:
        of_kind = [(*each, first[1]) for *each, first in zip(names, records, firsts) if first[0] is kind]
        if of_kind:
            shown.append(_table(kind, of_kind))
            curves = {name: histories[name] for name, *_ in of_kind if name in histories}
            alt = f"{_TITLES[kind.METRIC]} over the epochs, for " + ", ".join(curves)
            shown.append(page.picture(plots.plot_comparison(curves, metric=kind.METRIC), alt) if curves else "")
    return page.section("Comparison", f'<nav aria-label="Runs"><ul>{links}</ul></nav>', *shown, name="comparison")


def _table(kind, runs):
    rows = [
        [name, record.experiment, *kind.figures(record, first)]
        + [record.epochs, record.parameters, record.seconds.get("total", 0.0)]
        for name, record, first in runs
    ]
    headings = ("run", "experiment", *kind.HEADINGS, "epochs", "parameters", "seconds")
    return page.table("Validation of all runs", headings, rows)


def _figures(record, own):
    rows = [["experiment", f"{record.recipe}, {record.experiment}"]]
    if record.documented:
        rows.append(["documented", record.documented])
    for which, (kind, evaluation, _) in own.items():
        rows += kind.rows(which, evaluation)
    best = record.metrics.get("best", {})
    known = [name for name in _BEST if name in best]
    rows += [["best epoch", f"{best['epoch']}, {_BEST[name].format(best[name])}"] for name in known]
    rows += [["data", ", ".join(f"{name} {value}" for name, value in record.data.items() if name != "sha256")]]
    rows += [["parameters", f"{record.parameters:,}"], ["epochs", f"{record.epochs:,}"], ["device", record.device]]
    rows += [["seconds", ", ".join(f"{name} {value:,.1f}" for name, value in record.seconds.items())]]
    return page.table("What it came to", ["name", "value"], [*rows, ["begun", record.date]])


def _curves(history, folder):
    if not history:
        return ""
    alts = {name: f"{_TITLES[name]} over the epochs. {_ends(history, name)}" for name in plots.history_panels(history)}
    pictures = [page.picture(plots.plot_history(history, panels=[name]), alt) for name, alt in alts.items()]
    rate = page.file(folder / "learning_rate.png", "The learning rate over the epochs.")
    return page.section("Curves", '<div class="grid">', *pictures, rate, "</div>", level=3)


def _ends(history, panel):
    """The last values of the curves of a panel, for those who do not see them."""
    if panel == "classes":
        values = {name: values[-1] for name, values in plots.class_curves(history).items()}
    else:
        values = {name: history[name][-1] for name in plots.panel_curves(panel) if name in history}
    return "At the end: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()) + "."


def _shown(folder):
    alt = "Images of a training batch as the network was shown them, with their classes."
    return page.section("What the network was shown", page.file(folder / "samples.png", alt, wide=True), level=3)


def _explained(folder):
    shown = read_explanation(folder).items()
    pictures = [page.file(path, text, wide=path.stem != "grad_cam") for path, text in shown]  # that one is narrow
    return page.section("What the network looks at", *pictures, level=3)


def _settings(record):
    arguments = [[name, "none" if value is None else str(value)] for name, value in record.arguments.items()]
    arguments += [["seed", str(record.seed)], ["precision", record.precision], ["jit_compile", str(record.jit_compile)]]
    final = [[name, f"{value:.6g}"] for name, value in record.metrics.get("final", {}).items()]
    versions = [[name, str(version)] for name, version in record.versions.items()]
    data = [[name, str(value)] for name, value in record.data.items()]
    tables = {"Arguments": arguments, "Final figures": final, "Versions": versions, "Data": data}
    shown = [page.details(name, page.table(name, ["name", "value"], rows)) for name, rows in tables.items() if rows]
    return page.section("Settings", *shown, level=3)
