"""The pictures of a sweep."""

import numpy as np

from recipes.reporting import plots

_COLUMNS, _FEW, _TICKS = 3, 12, 6


def draw(study, trials):
    """Draw a sweep into its folder, as far as there is something to show.

    These are `hyperparameters.png`, `parallel_coordinates.png`, `history.png` and `importances.png`.

    Args:
        study: a `recipes.trials.study.Study`.
        trials: a `pandas.DataFrame`, as `recipes.trials.tables.tabulate_trials` gives it.

    Example:

    >>> import pandas
    >>> draw(None, pandas.DataFrame({"state": ["waiting"]}))
    """
    complete = trials[trials["state"] == "complete"]
    if len(complete) < 2:
        return
    settings = study.settings
    names = [name for name in settings.space if complete[name].astype(str).nunique() > 1]
    log = [name for name in names if _spans_decades(complete[name])]
    ordered = complete.sort_values("trial")
    best = {"maximize": np.maximum, "minimize": np.minimum}[settings.direction].accumulate(ordered[settings.metric])
    figures = {"history": plot_search(ordered[settings.metric].tolist(), best.tolist(), settings.metric)}
    if names:
        table = {name: complete[name].tolist() for name in names}
        values = complete[settings.metric].tolist()
        figures["hyperparameters"] = plot_hyperparameters(table, values, settings.metric, log)
        figures["parallel_coordinates"] = plot_parallel_coordinates(
            table, values, settings.metric, log, settings.direction
        )
        importances = find_importances(study)
        if importances:
            figures["importances"] = plot_importances(importances, settings.metric)
    for name, figure in figures.items():
        plots.save(figure, study.folder / f"{name}.png")


def find_importances(study):
    """How much of the variance of the metric each hyperparameter explains, by a forest (fANOVA).

    Args:
        study: a `recipes.trials.study.Study`.

    Returns:
        dict of name to float, the largest first; empty if the trials do not differ.

    Example:

    >>> import pathlib, tempfile
    >>> from recipes.trials.settings import example
    >>> from recipes.trials.study import Study
    >>> with Study(pathlib.Path(tempfile.mkdtemp()), example()) as study:
    ...     find_importances(study)
    {}

    Reference:
        https://proceedings.mlr.press/v32/hutter14.html
    """
    import optuna

    trials = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    if len({trial.value for trial in trials}) < 2:
        return {}
    copy = optuna.create_study(direction=study.settings.direction)  # without those that were given up
    copy.add_trials(trials)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(copy, evaluator=evaluator))


def plot_hyperparameters(table, values, metric, log=()):
    """Plot a metric against each hyperparameter: every run, and the means where the values are few.

    Args:
        table: dict of name to a list of values, one for each run.
        values: list of floats. The metric of each run.
        metric: str.
        log: names whose axis is logarithmic. Defaults to none.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_hyperparameters({"rate": [0.1, 0.2], "flip": [True, False]}, [0.8, 0.9], "val_accuracy")
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['rate', 'flip']
    """
    columns = min(len(table), _COLUMNS)
    rows = -(-len(table) // columns)
    figure = _figure(1 + 4 * columns, 3.4 * rows)
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    for panel in panels[len(table) :]:
        panel.remove()
    for axes, (name, column) in zip(panels, table.items()):
        places, labels = _places(column)
        axes.plot(places, values, "o", color="tab:blue", alpha=0.5, markersize=5)
        at, means = _means(places, values)
        if len(at) < min(len(values), _FEW):
            line = "-" if labels is None else "none"  # names have no order
            axes.plot(at, means, linestyle=line, marker="_", markersize=14, color="tab:orange")
        axes.set_xlabel(name)
        axes.grid(alpha=0.3)
        if labels is not None:
            axes.set_xticks(range(len(labels)), labels, rotation=30 if max(map(len, labels)) > 8 else 0)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        elif name in log:
            axes.set_xscale("log")
        elif len(at) <= _TICKS:
            axes.set_xticks(at, [f"{place:.4g}" for place in at])
    for axes in panels[::columns]:
        axes.set_ylabel(metric)
    return figure


def plot_parallel_coordinates(table, values, metric, log=(), direction="maximize"):
    """Plot each run as a line through its hyperparameters to its metric, which colours it.

    Args:
        table: dict of name to a list of values, one for each run.
        values: list of floats. The metric of each run.
        metric: str.
        log: names whose axis is logarithmic. Defaults to none.
        direction: "maximize" or "minimize": what is better is brighter, and on top. Defaults to "maximize".

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_parallel_coordinates({"rate": [0.1, 0.2], "flip": [True, False]}, [0.8, 0.9], "val_accuracy")
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['rate', 'flip', 'val_accuracy']
    """
    import matplotlib

    columns = {**table, metric: values}
    figure = _figure(2 + 1.8 * len(columns), 4.5)
    axes = figure.subplots()
    heights = np.transpose([_heights(column, name in log) for name, column in columns.items()])
    better = np.asarray(values) * (1 if direction == "maximize" else -1)
    colors = matplotlib.colormaps["viridis"](_heights(better.tolist(), False))
    for number in np.argsort(better):
        axes.plot(heights[number], color=colors[number], alpha=0.7)
    for place, (name, column) in enumerate(columns.items()):
        axes.axvline(place, color="black", linewidth=0.8)
        for height, label in _ticks(column, name in log):
            axes.annotate(label, (place, height), (4, 0), "data", "offset points", fontsize=8, va="center", **_OUTLINE)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(columns) - 0.5)
    axes.spines[:].set_visible(False)
    return figure


def plot_search(values, best, metric):
    """Plot the metric of each run in the order in which they were planned, and the best so far.

    Args:
        values: list of floats.
        best: list of floats.
        metric: str.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> plot_search([0.8, 0.7, 0.9], [0.8, 0.8, 0.9], "val_accuracy").axes[0].get_xlabel()
    'trial'
    """
    from matplotlib.ticker import MaxNLocator

    figure = _figure(7, 4)
    axes = figure.subplots()
    numbers = range(1, len(values) + 1)
    axes.plot(numbers, values, "o", color="tab:blue", alpha=0.5, label="trial")
    axes.step(numbers, best, where="post", color="tab:orange", label="best so far")
    axes.set_xlabel("trial")
    axes.set_ylabel(metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def plot_importances(importances, metric):
    """Plot how much each hyperparameter matters.

    Args:
        importances: dict of name to float.
        metric: str.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_importances({"rate": 0.8, "flip": 0.2}, "val_accuracy")
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['rate', 'flip']
    """
    figure = _figure(7, 1.2 + 0.4 * len(importances))
    axes = figure.subplots()
    bars = axes.barh(list(importances), list(importances.values()), color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.1 * max(importances.values()))
    axes.set_xlabel(f"share of the variance of {metric}")
    axes.grid(axis="x", alpha=0.3)
    return figure


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


_OUTLINE = {"bbox": {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}}


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def _spans_decades(column):
    numbers = column.tolist()
    return all(_is_number(each) and each > 0 for each in numbers) and max(numbers) >= 20 * min(numbers)


def _places(column):
    """Where values stand on an axis; the labels of those that are no numbers."""
    if all(map(_is_number, column)):
        return column, None
    labels = sorted(set(map(str, column)))
    return [labels.index(str(value)) for value in column], labels


def _means(places, values):
    at = sorted(set(places))
    return at, [np.mean([value for place, value in zip(places, values) if place == each]) for each in at]


def _heights(column, log):
    places, _ = _places(column)
    places = np.log(places) if log else np.asarray(places, "float64")
    low, high = places.min(), places.max()
    return (places - low) / (high - low) if high > low else np.full(len(places), 0.5)


def _ticks(column, log):
    """Heights and labels on an axis: each value where there are few, else the ends and the middle."""
    heights, (places, labels) = _heights(column, log), _places(column)
    known = dict(zip(heights.tolist(), map(str, column) if labels else (f"{place:.4g}" for place in places)))
    if labels or len(known) <= _TICKS:
        return known.items()
    low, high = min(places), max(places)
    middle = np.sqrt(low * high) if log else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")]
