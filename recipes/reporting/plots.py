"""Pictures of runs and of images; each function returns a matplotlib Figure."""

import numpy as np

_TRAIN, _VALIDATION = "tab:blue", "tab:orange"


def plot_history(history, title=""):
    """Plot loss and accuracy over the epochs.

    Args:
        history: dict of metric to a list with a value for each epoch.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> figure = plot_history({"loss": [2, 1], "val_loss": [2, 1.5], "accuracy": [0.2, 0.6]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy']
    """
    figure = _figure(9, 3.6)
    for axes, metric in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for name, label, color in ((metric, "training", _TRAIN), (f"val_{metric}", "validation", _VALIDATION)):
            if name in history:
                _curve(axes, history[name], label, color)
        _finish(axes, metric)
    figure.suptitle(title)
    return figure


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
    figure = _figure(6, 3.6)
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
    figure = _figure(7, 4)
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
    figure = _figure(5 * len(metrics), 4)
    for axes, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics))), metrics):
        for number, (name, history) in enumerate(histories.items()):
            if metric in history:
                _curve(axes, history[metric], name, f"C{number}")
        _finish(axes, metric.replace("val_", "validation "), legend=False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center")
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
    figure = _figure(1.3 * columns, 1.5 * rows)
    for number, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).ravel()):
        axes.axis("off")
        if number < len(images):
            image = np.asarray(images[number])
            axes.imshow(image if image.dtype == np.uint8 else image.clip(0, 1), interpolation="nearest")
            if titles:
                axes.set_title(titles[number], fontsize=8)
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
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from error


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curve(axes, values, label, color):
    axes.plot(range(1, len(values) + 1), values, label=label, color=color, marker="." if len(values) < 30 else "")


def _finish(axes, label, legend=True):
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if legend and axes.lines:
        axes.legend()
