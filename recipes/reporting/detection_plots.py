"""Pictures of detections; each function returns a matplotlib Figure."""

import numpy as np

from recipes.reporting import plots
from recipes.reporting.detection import RECALLS

THRESHOLD = 0.3  # scores below it are not drawn, though average precision counts them
_DPI = 120  # that of `plots.save`
_LEAST_SIDE = 480  # pixels of a picture: smaller images are drawn larger, so that names can be read
_LEGEND = 20  # classes that a legend names
_LINES = ("-", "--", ":", "-.")


def plot_detections(images, detections, truth=None, class_names=None, threshold=THRESHOLD, titles=None, columns=2):
    """Show images with the boxes that were detected, their classes and scores, and what is there beside each.

    Args:
        images: list of uint8 `(height, width, 3)`, of any sizes.
        detections: list with a dict for each: "boxes" `(count, 4)` in pixels, "labels", of which -1 is
            none, and "scores".
        truth: list with a dict for each: "boxes", "labels", and "crowds", which are hatched, if there are
            any; or None. Defaults to None.
        class_names: list of str, or None for numbers. Defaults to None.
        threshold: float. Detections of lower scores are not drawn. Defaults to 0.3.
        titles: list of str, one for each image, or None. Defaults to None.
        columns: int. Images in a row. Defaults to 2.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there are not as many of all as images, or none.

    Example:

    >>> found = {"boxes": [[1, 1, 6, 6]], "labels": [0], "scores": [0.875]}
    >>> there = {"boxes": [[1, 1, 6, 6]], "labels": [0]}
    >>> figure = plot_detections([np.zeros((8, 8, 3), "uint8")], [found], [there], ["cell"])
    >>> [axes.texts[0].get_text() for axes in figure.axes]
    ['cell 88%', 'cell']
    """
    given = {"detections": detections, "truth": truth, "titles": titles}
    for name, values in given.items():
        if (values is not None and len(values) != len(images)) or not len(images):
            raise ValueError(f"`{name}` must be as many as `images`, one at least. Received: {len(values or ())}")
    beside = 1 if truth is None else 2
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = np.mean([np.shape(image)[:2] for image in images], axis=0)
    side = 3.4
    figure = plots.new_figure(side * columns * beside, rows * (side * height / width + 0.35))
    cells = np.reshape(figure.subplots(rows, columns * beside, squeeze=False), (-1, beside))
    for number, axes in enumerate(cells):
        for each in axes:
            each.axis("off")
        if number >= len(images):
            continue
        _draw(axes[0], images[number], _boxes(detections[number], class_names, threshold))
        axes[0].set_title("detected" if titles is None else titles[number], fontsize=8, parse_math=False)
        if truth is not None:
            _draw(axes[1], images[number], _boxes(truth[number], class_names))
            axes[1].set_title("what is there", fontsize=8)
    return figure


def plot_picture(image, detection, class_names=None, threshold=THRESHOLD):
    """Show one image in its own pixels, with the boxes that were detected, and nothing around it.

    Images of less than 480 pixels a side are enlarged.

    Args:
        image: uint8 `(height, width, 3)`.
        detection: dict, as of `plot_detections`.
        class_names: list of str, or None for numbers. Defaults to None.
        threshold: float. Detections of lower scores are not drawn. Defaults to 0.3.

    Returns:
        A `matplotlib.figure.Figure`, to be written by `recipes.reporting.plots.save`.

    Example:

    >>> figure = plot_picture(np.zeros((480, 600, 3), "uint8"), {"boxes": [], "labels": [], "scores": []})
    >>> figure.get_size_inches().tolist()
    [5.0, 4.0]
    """
    from matplotlib.figure import Figure

    height, width = np.shape(image)[:2]
    scale = max(1.0, _LEAST_SIDE / min(height, width)) / _DPI
    figure = Figure(figsize=(width * scale, height * scale))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    _draw(axes, image, _boxes(detection, class_names, threshold), fontsize=8)
    return figure


def plot_precision_recall(curves, class_names, title=""):
    """Plot precision over recall for each class, and their mean.

    Args:
        curves: float `(classes, 101)`, as `DetectionEvaluation.precision_recall` returns it.
        class_names: list of str.
        title: str. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure`. The legend has the area under each curve: the average precision.

    Example:

    >>> figure = plot_precision_recall(np.ones((1, 101)) / 2, ["cell"])
    >>> figure.axes[0].get_xlabel(), figure.axes[0].get_legend_handles_labels()[1]
    ('recall', ['cell: 0.500'])
    """
    curves = np.asarray(curves)
    known = [number for number in range(len(curves)) if not np.isnan(curves[number]).any()]
    figure = plots.new_figure(5.5, 4.4)
    axes = figure.subplots()
    for number in known:
        name = f"{plots.shorten(class_names[number])}: {curves[number].mean():.3f}"
        style = _LINES[number // 10 % len(_LINES)]
        name = f" {name}" if name.startswith("_") else name  # legends leave out what begins with _
        axes.plot(RECALLS, curves[number], label=name, color=f"C{number % 10}", linestyle=style)
    if len(known) > 1:
        mean = curves[known].mean(0)
        axes.plot(RECALLS, mean, label=f"mean of the classes: {mean.mean():.3f}", color="black", linewidth=2)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if known:
        handles, labels = axes.get_legend_handles_labels()
        shown = slice(None) if len(labels) <= _LEGEND else slice(-1, None)
        plots.add_legend(axes, handles[shown], labels[shown], fontsize=8)
    figure.suptitle(title, parse_math=False)
    return figure


def _boxes(found, class_names, threshold=0.0):
    """What is drawn of an image: boxes with label, text, whether they are crowds; the best last, above the others."""
    boxes, labels = np.reshape(found["boxes"], (-1, 4)), np.reshape(found["labels"], -1).astype(int)
    scores = np.reshape(found["scores"], -1) if "scores" in found else None
    crowds = found.get("crowds", np.zeros(len(labels), bool))
    drawn = []
    for position in np.arange(len(labels)) if scores is None else np.argsort(scores, kind="stable"):
        label = labels[position]
        if label < 0 or (scores is not None and scores[position] < threshold):
            continue
        text = str(label) if class_names is None else plots.shorten(class_names[label], 16)
        text += "" if scores is None else f" {scores[position]:.0%}"
        drawn.append((boxes[position], label, text, bool(crowds[position])))
    return drawn


def _draw(axes, image, drawn, fontsize=6):
    from matplotlib.patches import Rectangle

    image = np.asarray(image)
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="nearest", extent=(0, width, height, 0), aspect="auto")
    for (left, top, right, bottom), label, text, crowd in drawn:
        color = f"C{label % 10}"
        style = {"linewidth": 1.3, "linestyle": _LINES[label // 10 % len(_LINES)], "hatch": "///" if crowd else None}
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color, **style))
        aside = left > 0.85 * width
        axes.text(
            min(right, width) if aside else max(left, 0),
            max(top, 0),
            text,
            fontsize=fontsize,
            color="white",
            parse_math=False,
            verticalalignment="bottom" if top > 0.05 * height else "top",
            horizontalalignment="right" if aside else "left",
            bbox={"facecolor": color, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
