"""`zoo eval`, `zoo predict` and `zoo export` for runs that detect objects; what they refuse."""

import json
import pathlib

import numpy as np

from recipes.reporting import detection_plots
from recipes.reporting import plots
from recipes.reporting import tables
from recipes.reporting.detection_files import file_images
from recipes.reporting.detection_files import plot_some
from recipes.reporting.detection_files import write_detections_folder
from recipes.reporting.evaluation import check_outputs
from recipes.reporting.evaluation import write_table
from recipes.reporting.evaluation import write_text

BATCH_SIZE = 8
REFUSED = {
    "submission": "is for runs that classify: this one detects objects. Leave it out.",
    "explain": "is for runs that classify: this one detects objects. zoo predict draws its boxes.",
}
_GRID = 8


def evaluate(options):
    """Evaluate the detector of a run: `zoo eval`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.training.detector_runs.evaluate_split`.

    Example:

    >>> import argparse
    >>> evaluate(argparse.Namespace(run="nowhere", data_dir=None, split="validation", annotations=None))
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    from recipes.training.detector_runs import evaluate_split
    from recipes.training.detector_runs import run_split

    run = pathlib.Path(options.run)
    name = pathlib.Path(options.annotations).stem if options.annotations else options.split
    folder = run / f"evaluation-{name}"
    with run_split(run, options.data_dir, options.split, options.annotations) as split:
        evaluation = evaluate_split(run, split, options.batch_size, options.device)
        images = file_images(evaluation.paths)
        write_detections_folder(folder, evaluation, images, f"{run.name}, {name}", _threshold(options))
    print(f"{len(evaluation):,} images of {name}" + (", not annotated" if evaluation.objects is None else ""))
    if evaluation.objects is not None:
        tables.show_detections(evaluation)
    print(folder)


def predict(options):
    """Detect objects in images: `zoo predict`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.training.file_prediction.predict_files`.

    Example:

    >>> import argparse
    >>> predict(argparse.Namespace(output="nowhere/predictions.csv", picture=None, pictures=None))
    Traceback (most recent call last):
    ValueError: Cannot write nowhere/predictions.csv: there is no folder nowhere.
    """
    from recipes.training.file_prediction import predict_files
    from recipes.training.prediction import find_images

    output = pathlib.Path(options.output)
    folder = output.with_suffix("") if options.pictures is None else pathlib.Path(options.pictures)
    check_outputs(output, options.picture, folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"Cannot write pictures into {folder}, a file. Give another folder (--pictures).")
    named = find_images(options.images, options.path_column)
    settings = {"skip_bad": options.skip_bad, "image_ids": list(named.values())}
    evaluation, problems = predict_files(options.run, list(named), options.batch_size, options.device, **settings)
    write_predictions(output, evaluation)
    _write_pictures(folder, evaluation, _threshold(options))
    if options.picture:
        figure = plot_some(evaluation, file_images(evaluation.paths), _GRID, _threshold(options))
        plots.save(figure, options.picture)
        print(options.picture)
    for problem in problems.values():
        print(f"left out: {problem}")
    count = sum(len(image["labels"]) for image in evaluation.detections)
    print(f"{output}: {count:,} detections in {len(evaluation):,} images; pictures in {folder}")


def export(options):
    """Write the detector of a run as a function from images to boxes: `zoo export`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: as `recipes.export.export_detector`.

    Example:

    >>> import argparse
    >>> export(argparse.Namespace(run="runs/1", format="onnx", output="nowhere/model.onnx", image_size=None))
    Traceback (most recent call last):
    ValueError: Cannot write nowhere/model.onnx: there is no folder nowhere.
    """
    from recipes.data.preparation import read_preparation
    from recipes.export import export_detector
    from recipes.training.prediction import load_trained

    names = {"saved_model": "saved_model", "onnx": "model.onnx"}
    output = pathlib.Path(options.output or pathlib.Path(options.run) / names[options.format])
    check_outputs(output)
    preparation, model = read_preparation(options.run), load_trained(options.run)
    print(export_detector(model, preparation, output, options.format, options.image_size))


def write_predictions(path, evaluation):
    """Write detections: as a csv with a row for each, or where the name ends in .json in COCO's results format.

    Args:
        path: of the file.
        evaluation: a `DetectionEvaluation`.

    Raises:
        ValueError: if it cannot be written.

    Example:

    >>> import tempfile
    >>> from recipes.reporting.detection import DetectionEvaluation
    >>> found = {"boxes": [[0, 1, 5, 9]], "scores": [0.5], "labels": [0]}
    >>> path = pathlib.Path(tempfile.mkdtemp(), "predictions.csv")
    >>> write_predictions(path, DetectionEvaluation([found], None, ["cell"], ["1.png"]))
    >>> path.read_text()
    'path,class,score,left,top,right,bottom\\n1.png,cell,0.5,0.0,1.0,5.0,9.0\\n'
    """
    import pandas

    if pathlib.Path(path).suffix.lower() == ".json":
        write_text(json.dumps(evaluation.results()) + "\n", path)
        return
    rows = [
        (name, evaluation.class_names[label], score, *np.round(box, 2).tolist())
        for name, image in zip(evaluation.image_ids, evaluation.detections)
        for box, score, label in zip(image["boxes"], np.round(image["scores"], 6).tolist(), image["labels"])
    ]
    columns = ["path", "class", "score", "left", "top", "right", "bottom"]
    write_table(pandas.DataFrame(rows, columns=columns), path)


def _write_pictures(folder, evaluation, threshold):
    """A picture of each image with its boxes, in a folder."""
    folder.mkdir(exist_ok=True)
    read = file_images(evaluation.paths)
    names = [pathlib.PurePath(path).stem for path in evaluation.paths]
    for position, name in enumerate(names):
        name += f"-{names[:position].count(name) + 1}" if names.count(name) > 1 else ""
        image, found = read([position])[0], evaluation.detections[position]
        figure = detection_plots.plot_picture(image, found, evaluation.class_names, threshold)
        plots.save(figure, folder / f"{name}.png")


def _threshold(options):
    return detection_plots.THRESHOLD if options.threshold is None else options.threshold
