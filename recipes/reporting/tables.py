"""Tables on the terminal: models, recipes with their figures, one run."""

import concurrent.futures
import dataclasses
import statistics

import rich.console
import rich.table
import rich.text

from recipes.catalogue import list_recipes
from recipes.catalogue import load_recipe
from recipes.reporting.records import measured

_FIGURES = (  # name, title, factor, digits, unit
    ("val_accuracy", "", 100, 2, "%"),
    ("val_accuracy_tta", "by views ", 100, 2, "%"),
    ("val_AP", "AP ", 1, 3, ""),
    ("val_AP50", "AP50 ", 1, 3, ""),
)


def show_models(contains=""):
    """Print the models with their parameters.

    Args:
        contains: str. Only names that contain it. Defaults to "", all.

    Example:

    >>> show_models("no such name")
    """
    import zoo

    table = rich.table.Table("model", rich.table.Column("parameters", justify="right"), "input", title="Models")
    # In a thread of its own, as Keras keeps for the thread a list of the variables that have no values yet.
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
        names = zoo.list_models(contains)
        for name, (count, input_shape) in zip(names, thread.map(_describe, names)):
            table.add_row(name, f"{count:,}", " x ".join(map(str, input_shape)))
    if table.rows:
        _console().print(table)


def show_recipes(contains=""):
    """Print the recipes, their experiments, and the figures that were documented and measured.

    Args:
        contains: str. Only names of recipes that contain it. Defaults to "", all.

    Example:

    >>> show_recipes("no such name")
    """
    for recipe in list_recipes():
        if contains.lower() not in recipe.lower():
            continue
        table = rich.table.Table("experiment", "documented", "measured here", title=f"Recipe {recipe}", show_lines=True)
        for row in experiments(recipe):
            name = row.name + (" (default)" if row.default else "")
            table.add_row(name, "\n".join(row.documented), "\n".join(row.measured) or "-")
        _console().print(table)


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of an experiment.

    Args:
        name: str.
        default: bool. Whether it is the one that the recipe runs when none is named.
        documented: list of str. The figure of its source, and what we have to say about it.
        measured: list of str. A line for each group of runs that were recorded here.

    Example:

    >>> Row("final", False, ["94.1%"], []).name
    'final'
    """

    name: str
    default: bool
    documented: list
    measured: list


def experiments(recipe):
    """The experiments of a recipe, with the figures that were documented and measured.

    Args:
        recipe: str. A name of `list_recipes()`.

    Returns:
        A list of `Row`.

    Raises:
        ValueError: for an unknown recipe.

    Example:

    >>> [row.documented for row in experiments("cifar10_davidnet") if row.name == "final"][0][0]
    '94.1%, 20 epochs, 416 s'
    """
    train, records = load_recipe(recipe), measured()
    default = train.parameters["experiment"].default
    rows = []
    for name, experiment in train.experiments.items():
        own = [record for record in records if (record.recipe, record.experiment) == (recipe, name)]
        documented = list(filter(None, (experiment.documented or "-", experiment.note)))
        rows.append(Row(name, name == default, documented, summarize(own)))
    return rows


def summarize(records):
    """One line for each group of runs that differ in nothing but their seed.

    Args:
        records: list of `Record`, of one experiment.

    Returns:
        A list of str: mean and spread of the final validation accuracy, also by several views where they
        were taken, number of runs, epochs, data, seconds, device, date; and the arguments in which groups differ.

    Example:

    >>> summarize([])
    []
    """
    groups = {}
    for record in records:
        key = (record.data["name"], record.epochs, record.precision, record.device, record.versions["backend"])
        groups.setdefault((*key, str(record.arguments)), []).append(record)
    values = {}
    for record in records:
        for name, value in record.arguments.items():
            values.setdefault(name, set()).add(value)
    varying = [name for name, found in values.items() if len(found) > 1 and name not in ("epochs", "data", "data_dir")]
    return [
        ", ".join([_line(*key[:-1], group), *(f"{name}={group[0].arguments.get(name)}" for name in varying)])
        for key, group in groups.items()
    ]


def show_record(record):
    """Print what a run came to.

    Args:
        record: a `Record`.

    Example:

    >>> record = measured()[0]
    >>> show_record(record)  # doctest: +ELLIPSIS
    final: ...
    seconds: ...
    folder: ...
    """
    console = _console()
    final = "  ".join(f"{name} {value:.4g}" for name, value in record.metrics["final"].items())
    seconds = "  ".join(f"{name} {value:.1f}" for name, value in record.seconds.items())
    for line in (
        f"final:   {final}",
        f"seconds: {seconds}  ({record.images_per_second:.0f} images/s)",
        f"folder:  {record.folder}",
    ):
        console.print(line, soft_wrap=True, markup=False)  # names of classes may hold brackets


def show_evaluation(evaluation):
    """Print the figures of an evaluation, with their 95% intervals.

    Args:
        evaluation: an `Evaluation` with labels.

    Example:

    >>> from recipes.reporting.metrics import Evaluation
    >>> import numpy
    >>> show_evaluation(Evaluation([0, 1], numpy.eye(2), ["a", "b"]))  # doctest: +ELLIPSIS
    ACA (accuracy)                 100.00%  (34.24% to 100.00%)
    MCA (mean of classes' recalls) 100.00%  (34.24% to 100.00%)
    ...
    """
    console, figures, intervals = _console(), evaluation.metrics(), evaluation.intervals()
    for name, title in (("aca", "ACA (accuracy)"), ("mca", "MCA (mean of classes' recalls)")):
        low, high = intervals[name]
        console.print(f"{title:31}{figures[name]:.2%}  ({low:.2%} to {high:.2%})", soft_wrap=True)
    headings = ("recall", "95% interval", "precision", "F1", "images")
    table = rich.table.Table("class", *(rich.table.Column(each, justify="right") for each in headings))
    for name, row in evaluation.per_class().iterrows():
        interval = f"{percent(row.recall_low)} to {percent(row.recall_high)}" if row.support else "-"
        cells = (percent(row.recall), interval, percent(row.precision), percent(row.f1), f"{row.support:,.0f}")
        table.add_row(rich.text.Text(str(name)), *cells)
    console.print(table)


def show_detections(evaluation):
    """Print the twelve lines of an evaluation of a detector, and the figures of each class.

    Args:
        evaluation: a `DetectionEvaluation` with objects.

    Example:

    >>> from recipes.reporting.detection import DetectionEvaluation
    >>> found = {"boxes": [[0, 0, 9, 9]], "scores": [0.5], "labels": [0]}
    >>> show_detections(DetectionEvaluation([found], [found], ["cell"]))  # doctest: +ELLIPSIS
     Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000
    ...
    """
    console, rows = _console(), evaluation.per_class()
    console.print(evaluation.summary(), soft_wrap=True, markup=False)
    table = rich.table.Table("class", *(rich.table.Column(name, justify="right") for name in rows))
    for name, row in rows.iterrows():
        cells = [three_places(row[each]) for each in ("AP", "AP50", "AP75", "AR100")]
        counts = [f"{int(row[each]):,}" for each in ("objects", "detections")]
        table.add_row(rich.text.Text(str(name)), *cells, *counts)
    console.print(table)


def three_places(value):
    """An average precision as it is usually written, "-" for NaN and for COCO's -1.

    Args:
        value: float.

    Returns:
        str.

    Example:

    >>> three_places(0.4567), three_places(-1.0)
    ('0.457', '-')
    """
    return "-" if not value >= 0 else f"{value:.3f}"


def percent(value):
    """A fraction as a percentage, "-" for NaN.

    Args:
        value: float.

    Returns:
        str.

    Example:

    >>> percent(0.9876), percent(float("nan"))
    ('98.76%', '-')
    """
    return "-" if value != value else f"{value:.2%}"


def _describe(name):
    """Count the parameters of a model, and its input shape, without drawing its weights."""
    import keras

    import zoo

    with keras.StatelessScope(initialize_variables=False):
        model = getattr(zoo, name)()
        return model.count_params(), model.input_shape[1:]


def _line(data, epochs, precision, device, backend, group):
    figures = ", ".join(_mean(group, *each) for each in _FIGURES if each[0] in group[0].metrics["final"])
    seconds = statistics.mean(record.seconds["total"] for record in group)
    date = max(record.date for record in group)[:10]
    return (
        f"{figures} (n={len(group)}), {data}, {epochs} epochs, {seconds:.0f} s, "
        f"{precision}, {backend}, {device}, {date}"
    )


def _mean(group, name, title, factor, digits, unit):
    """The mean of a final figure over some runs, and its deviation."""
    values = [factor * record.metrics["final"][name] for record in group]
    spread = f" +- {statistics.stdev(values):.{digits}f}" if len(group) > 1 else ""
    return f"{title}{statistics.mean(values):.{digits}f}{unit}{spread}"


def _console():
    return rich.console.Console(highlight=False)
