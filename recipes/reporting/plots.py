"""Pictures of runs and of images; each function returns a matplotlib Figure."""

import io
import pathlib

import numpy as np

from recipes.atomic import write_atomically

_TRAIN, _VALIDATION = "tab:blue", "tab:orange"
_LINES = ("-", "--", ":", "-.")
_LEGEND = 20  # classes that a legend names
_PANELS = {  # of a history: the curves of each, with labels and colours
    "loss": {
        "loss": ("training", _TRAIN),
        "val_loss": ("validation", _VALIDATION),
        "class_loss": ("training, of the classes", "tab:green"),
        "box_loss": ("training, of the boxes", "tab:red"),
    },
    "accuracy": {
        "accuracy": ("training", _TRAIN),
        "val_accuracy": ("validation", _VALIDATION),
        "val_mca": ("validation, mean of the classes", "tab:green"),
    },
    "AP": {"val_AP": ("validation, AP", _VALIDATION), "val_AP50": ("validation, AP50", "tab:green")},
}
_NUMBERED = 30  # classes whose numbers fit into the cells of a matrix


def plot_history(history, title="", panels=None):
    """Plot loss, accuracy, and where it is known the accuracy of each class, or average precision, over the epochs.

    Args:
        history: dict of metric to a list with a value for each epoch.
        title: str. Defaults to "".
        panels: list of "loss", "accuracy", "AP", "classes"; None for those of `history_panels`. Defaults to None.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_history({"loss": [2, 1], "val_loss": [2, 1.5], "val_recall/cat": [0.2, 0.6]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy', 'validation accuracy of each class']
    """
    classes = class_curves(history)
    panels = panels or history_panels(history)
    figure = new_figure(4.5 * len(panels) if len(panels) > 1 else 5.5, 3.6)
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels):
        if panel == "classes":
            for number, (name, values) in enumerate(classes.items()):
                _curve(axes, values, name, f"C{number % 10}", linestyle=_LINES[number // 10 % len(_LINES)])
            _finish(axes, "validation accuracy of each class", legend=len(classes) <= _LEGEND)
            continue
        for name, (label, color) in _PANELS[panel].items():
            if name in history:
                _curve(axes, history[name], label, color)
        _finish(axes, panel)
    figure.suptitle(title, parse_math=False)
    return figure


def history_panels(history):
    """The panels that a history fills.

    Args:
        history: dict of metric to a list with a value for each epoch.

    Returns:
        list of "loss", "accuracy" (of a detector "AP") and, if there are any, "classes".

    Example:

    >>> history_panels({"loss": [1], "val_AP": [0.5]})
    ['loss', 'AP']
    """
    return ["loss", "AP" if "val_AP" in history else "accuracy", *(["classes"] if class_curves(history) else [])]


def panel_curves(panel):
    """The metrics that a panel of `plot_history` shows.

    Args:
        panel: one of "loss", "accuracy", "AP".

    Returns:
        list of str.

    Example:

    >>> panel_curves("AP")
    ['val_AP', 'val_AP50']
    """
    return list(_PANELS[panel])


def class_curves(history):
    """The accuracy of each class over the epochs.

    Args:
        history: dict of metric to a list with a value for each epoch.

    Returns:
        dict of the name of a class to its list, of what the history has as `val_recall/CLASS` or
        `val_accuracy/CLASS`.

    Example:

    >>> class_curves({"val_loss": [1, 2], "val_recall/cat": [0.2, 0.6]})
    {'cat': [0.2, 0.6]}
    """
    parts = {name: name.partition("/") for name in history}
    return {
        label: history[name]
        for name, (metric, slash, label) in parts.items()
        if slash and metric in ("val_recall", "val_accuracy")
    }


def plot_learning_rate(learning_rates, epochs):
    """Plot the learning rate over the steps.

    Args:
        learning_rates: list of floats, one for each step.
        epochs: int. How many the steps make.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> plot_learning_rate([0.1, 0.2, 0.1], epochs=1).axes[0].get_xlabel()
    'epoch'
    """
    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    axes.plot(np.linspace(0, epochs, len(learning_rates), endpoint=False), learning_rates, color=_TRAIN)
    _finish(axes, "learning rate", legend=False)
    return figure


def plot_range_test(rates, losses, smoothed, suggestions):
    """Plot the losses of a learning-rate range test over the rates.

    Args:
        rates: list of floats, rising.
        losses: list of floats, as many.
        smoothed: list of floats, as many.
        suggestions: dict of name to learning rate, drawn as upright lines.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_range_test([0.01, 0.1, 1.0], [2, 1, 3], [2, 1.2, 2.5], {"valley": 0.05})
    >>> figure.axes[0].get_xscale(), figure.axes[0].get_xlabel()
    ('log', 'learning rate')
    """
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(rates, losses, color=_TRAIN, alpha=0.3, label="loss")
    axes.plot(rates, smoothed, color=_TRAIN, label="smoothed")
    for number, (name, rate) in enumerate(suggestions.items(), start=1):
        axes.axvline(rate, color=f"C{number}", linestyle="--", label=f"{name}: {rate:.2g}")
    if len(losses):  # a last loss in the thousands would flatten the rest
        low, high = min(losses), max(smoothed)
        axes.set_ylim(low - 0.1 * (high - low or 1), high + 0.1 * (high - low or 1))
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def plot_runs(histories, metrics=("val_loss", "val_accuracy")):
    """Plot the curves of several runs side by side.

    Args:
        histories: dict of name to history, a dict of metric to a list with a value for each epoch.
        metrics: the metrics to plot, one panel each. Defaults to validation loss and accuracy.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_runs({"a": {"val_loss": [1, 0.5]}, "b": {"val_loss": [1, 0.7]}}, metrics=["val_loss"])
    >>> len(figure.axes[0].lines)
    2
    """
    figure = new_figure(5 * len(metrics), 4)
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics))), metrics):
        for number, (name, history) in enumerate(histories.items()):
            if metric in history:
                _curve(axes, history[metric], name, f"C{number}")
        _finish(axes, metric.replace("val_", "validation "), legend=False)
    add_legend(figure, *figure.axes[0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def plot_comparison(histories, last=None, metric="accuracy"):
    """Plot the accuracies of several runs in one panel: validation as a line, training dashed.

    Args:
        histories: dict of name to history, a dict of metric to a list with a value for each epoch.
        last: int. Only so many epochs, the last ones of each run, counted from the first that is shown; None
            for all. Defaults to None.
        metric: str. Another figure than the accuracy, such as "AP". Defaults to "accuracy".

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if `last` is less than 1.

    Example:

    >>> figure = plot_comparison({"a": {"val_accuracy": [0.5, 0.7], "accuracy": [0.6, 0.8]}}, last=1)
    >>> [line.get_ydata().tolist() for line in figure.axes[0].lines]
    [[0.7], [0.8]]
    """
    if last is not None and last < 1:
        raise ValueError(f"`last` must be at least 1 epoch. Received: last={last}")
    figure = new_figure(7, 4 + 0.25 * len(histories))
    axes = figure.subplots()
    for number, (name, history) in enumerate(histories.items()):
        for which, label, style in ((f"val_{metric}", name, "-"), (metric, None, "--")):
            if which in history:
                values = history[which][-last:] if last else history[which]
                _curve(axes, values, label, f"C{number}", linestyle=style)
    _finish(axes, f"{metric}: validation, training dashed", legend=False)
    if last:
        axes.set_xlabel(f"epoch, of the last {last}")
    add_legend(figure, *axes.get_legend_handles_labels(), loc="outside lower center")
    return figure


def plot_confusion_matrix(matrix, class_names, title=""):
    """Plot what the images of each class, a row, were taken for, a column.

    Args:
        matrix: int or float `(classes, classes)`. Floats are shown as percentages of their row.
        class_names: list of str.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_confusion_matrix(np.array([[3, 1], [0, 2]]), ["a", "b"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3', '1', '0', '2']
    """
    count, percent = len(class_names), matrix.dtype.kind == "f"
    side = 2.5 + 0.55 * min(count, 24)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    values = 100 * matrix if percent else matrix
    top = 100 if percent else max(values.max(), 1)
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=top)
    names = [shorten(name) for name in class_names]
    size = min(10, 240 / max(count, 1))
    rotation = 90 if max(map(len, names)) > 4 else 0
    axes.set_xticks(range(count), names, parse_math=False, fontsize=size, rotation=rotation)
    axes.set_yticks(range(count), names, parse_math=False, fontsize=size)
    texts = [f"{value:.1f}" if percent else f"{value:,}" for value in values.ravel()]
    size = min(size, 36 / max(map(len, texts)))
    for (row, column), text in zip(np.ndindex(matrix.shape), texts if count <= _NUMBERED else ()):
        color = "white" if values[row, column] > 0.55 * top else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true class")
    figure.colorbar(image, ax=axes, label="% of the class" if percent else "images", shrink=0.8)
    figure.suptitle(title, parse_math=False)
    return figure


def plot_images(images, titles=None, columns=8):
    """Show images in a grid.

    Args:
        images: array `(count, height, width, channels)` or list of such images; uint8, or floats
            from 0 to 1.
        titles: list of str, or None. Defaults to None.
        columns: int. Images in a row. Defaults to 8.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> len(plot_images(np.zeros((3, 8, 8, 3)), columns=2).axes)
    4
    """
    rows = -(-len(images) // columns)
    figure = new_figure(1.3 * columns, 1.5 * rows)
    for number, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).ravel()):
        axes.axis("off")
        if number < len(images):
            image = np.asarray(images[number])
            axes.imshow(image if image.dtype == np.uint8 else image.clip(0, 1), interpolation="nearest")
            if titles:
                axes.set_title(titles[number], fontsize=8, parse_math=False)
    return figure


def save(figure, path):
    """Write a figure as a picture.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: of the file; its ending says the format.

    Raises:
        ValueError: if the file cannot be written, or the format is unknown.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "loss.png")
    >>> save(plot_history({"loss": [2, 1]}), path)
    >>> path.stat().st_size > 0
    True
    """
    path = pathlib.Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format=path.suffix[1:].lower())
    try:
        with write_atomically(path) as part:
            part.write_bytes(picture.getvalue())
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from error


def shorten(name, length=24):
    """A name as it fits into a picture: in one line, and cut where it is long.

    Args:
        name: str.
        length: int. Defaults to 24.

    Returns:
        str.

    Example:

    >>> shorten("a rather long name of a class", length=10)
    'a rather …'
    """
    line = "".join(character if character.isprintable() else " " for character in str(name))
    return line if len(line) <= length else f"{line[: length - 1]}…"


def new_figure(width, height):
    """A figure whose parts make room for each other.

    Args:
        width: float. Inches.
        height: float. Inches.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> new_figure(6, 4).axes
    []
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def add_legend(place, handles, labels, **options):
    """Add a legend that takes names as they are, and no $ for the beginning of a formula.

    Args:
        place: matplotlib's axes or figure.
        handles: list of what is named, as `get_legend_handles_labels` returns it.
        labels: list of str.
        **options: of matplotlib's `legend`.

    Example:

    >>> axes = new_figure(6, 4).subplots()
    >>> add_legend(axes, axes.plot([1, 2]), ["a $"])
    """
    legend = place.legend(handles, [shorten(label, 60) for label in labels], **options)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _curve(axes, values, label, color, **style):
    label = f" {label}" if str(label).startswith("_") else label  # legends leave out what begins with _
    marker = "." if len(values) < 30 else ""
    axes.plot(range(1, len(values) + 1), values, label=label, color=color, marker=marker, **style)


def _finish(axes, label, legend=True):
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if legend and axes.lines:
        add_legend(axes, *axes.get_legend_handles_labels())
