"""What the evaluation of a detector leaves in a folder: tables, pictures, and detections in COCO's format."""

import json
import pathlib

import numpy as np

from recipes.data import decoding
from recipes.data.texts import read_json
from recipes.reporting import detection_plots
from recipes.reporting import plots
from recipes.reporting.detection import RECALLS
from recipes.reporting.evaluation import whole_folder
from recipes.reporting.evaluation import write_table
from recipes.reporting.evaluation import write_text

RESULTS = "predictions.json"
METRICS = "metrics.json"
SUMMARY = "summary.txt"
PER_CLASS = "per_class.csv"
CURVES = "precision_recall.csv"
PICTURES = "detections.png"
_SHOWN = 8


def write_detections(folder, evaluation, images=None, title="", threshold=detection_plots.THRESHOLD):
    """Write the tables and pictures of the evaluation of a detector.

    These are `predictions.json`, all detections in COCO's results format; `metrics.json`, the twelve
    figures, and `summary.txt`, the lines of pycocotools; `per_class.csv`; `precision_recall.csv` and
    `precision_recall.png`, at an overlap of 0.5; and with images `detections.png`, some of them beside what
    is there. Where it is not known what is there, the detections and their pictures only.

    Args:
        folder: path of a folder that exists.
        evaluation: a `DetectionEvaluation`.
        images: function from positions, a list of int, to a list of uint8 `(height, width, 3)`; None for no
            pictures of them. Defaults to None.
        title: str, above the curves. Defaults to "".
        threshold: float. Detections of lower scores are not drawn. Defaults to 0.3.

    Example:

    >>> import tempfile
    >>> from recipes.reporting.detection import DetectionEvaluation
    >>> found = {"boxes": [[0, 0, 9, 9]], "scores": [0.5], "labels": [0]}
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_detections(folder, DetectionEvaluation([found], [found], ["cell"]))
    >>> read_results(folder / "predictions.json", [1], [1])[0]["scores"]
    array([0.5])
    """
    folder = pathlib.Path(folder)
    write_text(json.dumps(evaluation.results()) + "\n", folder / RESULTS)
    if images is not None:
        plots.save(plot_some(evaluation, images, threshold=threshold), folder / PICTURES)
    if evaluation.objects is None:
        return
    curves = evaluation.precision_recall()
    known = {"images": len(evaluation), "metrics": evaluation.metrics()}
    write_text(json.dumps(known, indent=2) + "\n", folder / METRICS)
    write_text(evaluation.summary() + "\n", folder / SUMMARY)
    write_table(evaluation.per_class().reset_index(), folder / PER_CLASS)
    write_table(_table(curves, evaluation.class_names), folder / CURVES)
    figure = detection_plots.plot_precision_recall(curves, evaluation.class_names, title)
    plots.save(figure, folder / "precision_recall.png")


def write_detections_folder(folder, evaluation, images=None, title="", threshold=detection_plots.THRESHOLD):
    """Write `write_detections`'s files into a folder that appears when all are there.

    Args:
        folder: path. What stands there is replaced.
        evaluation: a `DetectionEvaluation`.
        images: as in `write_detections`. Defaults to None.
        title: str. Defaults to "".
        threshold: float, as in `write_detections`. Defaults to 0.3.

    Example:

    >>> import tempfile
    >>> from recipes.reporting.detection import DetectionEvaluation
    >>> folder = pathlib.Path(tempfile.mkdtemp(), "evaluation-test")
    >>> nothing = {"boxes": [], "scores": [], "labels": []}
    >>> write_detections_folder(folder, DetectionEvaluation([nothing], None, ["cell"]))
    >>> [path.name for path in folder.iterdir()]
    ['predictions.json']
    """
    with whole_folder(pathlib.Path(folder)) as new:
        write_detections(new, evaluation, images, title, threshold)


def read_results(path, image_ids, category_ids):
    """Read detections in COCO's results format, whoever wrote them.

    Args:
        path: path of the json.
        image_ids: list of int or str. The images, in the order that is wanted; those without a detection too.
        category_ids: list of int, by label.

    Returns:
        list with a dict for each image: "boxes" float64 `(count, 4)`, "scores" and "labels" `(count,)`, the
        best first.

    Raises:
        ValueError: if the file is none, or has images or categories that are not among these.

    Example:

    >>> read_results("nowhere.json", [1], [1])
    Traceback (most recent call last):
    ValueError: Cannot read nowhere.json: No such file or directory
    """
    rows = {image_id: [] for image_id in image_ids}
    labels = {number: label for label, number in enumerate(category_ids)}
    for result in _read_list(path):
        try:
            left, top, width, height = map(float, result["bbox"])
            row = (float(result["score"]), labels[result["category_id"]], left, top, left + width, top + height)
            rows[result["image_id"]].append(row)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}: a detection must have the image_id and category_id of one of these {len(rows)} images and "
                f"{len(labels)} categories, a bbox of four numbers, and a score. Received: {result!r:.200}"
            ) from error
    return [_arrays(found) for found in rows.values()]


def file_images(paths):
    """What gives the images of files in their own sizes, as `write_detections` takes it.

    Args:
        paths: list of paths.

    Returns:
        function from positions, a list of int, to a list of uint8 `(height, width, 3)`.

    Example:

    >>> file_images(["nowhere.png"])([])
    []
    """

    def read(positions):
        chosen = [paths[position] for position in positions]
        sizes, problems = decoding.read_sizes(chosen)
        decoding.refuse(problems)
        return decoding.read_sized(chosen, sizes)

    return read


def plot_some(evaluation, images, count=_SHOWN, threshold=detection_plots.THRESHOLD):
    """Show images from all over a set with what was detected, and beside them, where it is known, what is there.

    Args:
        evaluation: a `DetectionEvaluation`.
        images: as in `write_detections`.
        count: int. Defaults to 8.
        threshold: float. Detections of lower scores are not drawn. Defaults to 0.3.

    Returns:
        A `matplotlib.figure.Figure`.

    Example:

    >>> from recipes.reporting.detection import DetectionEvaluation
    >>> nothing = {"boxes": [], "scores": [], "labels": []}
    >>> evaluation = DetectionEvaluation([nothing], None, ["cell"], paths=["cells/1.png"])
    >>> plot_some(evaluation, lambda positions: [np.zeros((8, 8, 3), "uint8")]).axes[0].get_title()
    '1.png'
    """
    positions = np.unique(np.linspace(0, len(evaluation) - 1, count).round().astype(int)).tolist()
    truth = evaluation.objects and [evaluation.objects[position] for position in positions]
    return detection_plots.plot_detections(
        images(positions),
        [evaluation.detections[position] for position in positions],
        truth,
        evaluation.class_names,
        titles=evaluation.paths
        and [plots.shorten(pathlib.PurePath(evaluation.paths[at]).name, 40) for at in positions],
    )


def _read_list(path):
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path} must be a list of detections in COCO's results format.")
    return content


def _arrays(found):
    table = np.array(sorted(found, key=lambda row: -row[0]), "float64").reshape(-1, 6)
    return {"boxes": table[:, 2:], "scores": table[:, 0], "labels": table[:, 1].astype("int64")}


def _table(curves, class_names):
    import pandas

    rows = [(name, recall, value) for name, curve in zip(class_names, curves) for recall, value in zip(RECALLS, curve)]
    table = pandas.DataFrame(rows, columns=["class", "recall", "precision"])
    return table.assign(recall=table["recall"].round(2))
