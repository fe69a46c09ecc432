"""Runs that have trained a detector: what they evaluate, predict and export."""

import contextlib
import inspect
import pathlib
import tempfile

from recipes.data import decoding
from recipes.data.coco import load_coco
from recipes.data.coco import read_coco
from recipes.data.preparation import read_preparation
from recipes.data.shapes import draw_shapes
from recipes.reporting.detection import DetectionEvaluation
from recipes.reporting.records import read_record
from recipes.training.detector import detect_files
from recipes.training.detector import evaluate
from recipes.training.detector import make_detector
from recipes.training.prediction import load_trained
from recipes.training.prediction import on_device

_SPLITS = ("train", "validation", "test")


@contextlib.contextmanager
def run_split(run, data_dir=None, split="validation", annotations=None):
    """A context that gives images of a run's data: what its record says, or others with annotations.

    Args:
        run: path of the folder of a run.
        data_dir: path of the data; None for those that the recipe draws, which are there while the
            context lasts. Defaults to None.
        split: one of "train", "validation", "test". Defaults to "validation".
        annotations: path of a json of COCO's form, of images in `data_dir`; their classes go by the ids of
            the run's categories. None for the split. Defaults to None.

    Raises:
        ValueError: if there is no finished run, no such data, or they do not belong together.

    Example:

    >>> with run_split("nowhere") as split:
    ...     pass
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    record, preparation = read_record(run), read_preparation(run)
    with contextlib.ExitStack() as stack:
        if data_dir is None and record.arguments.get("data") == "shapes":
            data_dir = draw_shapes(stack.enter_context(tempfile.TemporaryDirectory()))
        if data_dir is None:
            raise ValueError(f"Records keep no folders. Give that of the data of {run} (--data-dir).")
        if annotations is not None:
            categories = dict(zip(preparation.category_ids, preparation.class_names))
            yield read_coco(annotations, [data_dir], categories, need_objects=False)[0]
        else:
            yield _split(record, preparation, data_dir, split)


def evaluate_split(run, split, batch_size=8, device="auto"):
    """Evaluate the detector of a run.

    Args:
        run: path of the folder of a run.
        split: a `recipes.data.detection.DetectionSplit`.
        batch_size: int. Defaults to 8.
        device: one of "auto", "cpu", "gpu". Defaults to "auto".

    Returns:
        A `recipes.reporting.detection.DetectionEvaluation`, whose `objects` are None where the images are
        not annotated.

    Raises:
        ValueError: if there is no finished run, or for images that cannot be read.

    Example:

    >>> evaluate_split("nowhere", None)
    Traceback (most recent call last):
    ValueError: nowhere holds no preparation.json. Give the folder of a run on images.
    """
    preparation = read_preparation(run)
    with on_device(device):
        return evaluate(load_detector(run), split, preparation, batch_size)


def predict_files(run, paths, batch_size=8, device="auto", skip_bad=False, image_ids=None):
    """Detect objects in image files by the model of a run.

    Args:
        run: path of the folder of a run.
        paths: list of str.
        batch_size: int. Defaults to 8.
        device: one of "auto", "cpu", "gpu". Defaults to "auto".
        skip_bad: bool. Whether to leave out files that cannot be read. Defaults to False.
        image_ids: list of int or str, one for each path, or None for the paths. Defaults to None.

    Returns:
        `(evaluation, problems)`: a `DetectionEvaluation` without objects, and a dict from the position in `paths`
        of each file that was left out to what is wrong with it.

    Raises:
        ValueError: if there is no finished run; for files that cannot be read, without `skip_bad`, one error
            that names them; if none is left.

    Example:

    >>> predict_files("nowhere", ["1.png"])
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    read_record(run)
    preparation = read_preparation(run)
    problems = decoding.check_images(paths) if skip_bad else {}
    kept = [position for position in range(len(paths)) if position not in problems]
    if not kept:
        raise ValueError(f"None of the {len(paths)} images can be read: {decoding.shorten(problems.values())}")
    chosen = [paths[position] for position in kept]
    with on_device(device):
        found = detect_files(load_detector(run), chosen, preparation, batch_size)
    ids = chosen if image_ids is None else [image_ids[position] for position in kept]
    names, numbers = preparation.class_names, preparation.category_ids
    return DetectionEvaluation(found, None, names, ids, numbers, chosen), problems


def load_detector(run, **options):
    """Load the model of a run, with suppression behind it.

    Args:
        run: path of the folder of a run.
        **options: of `zoo.boxes.detect`.

    Returns:
        A `keras.Model`, as `recipes.training.detector.make_detector` makes it.

    Raises:
        ValueError: if there is none, or it is no detector.

    Example:

    >>> load_detector("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no model.keras. Give the folder of a finished run.
    """
    network = load_trained(run)
    outputs = network.output
    if not isinstance(outputs, dict) or set(outputs) != {"boxes", "classes"}:
        raise ValueError(f"The model of {run} is no detector: it does not give boxes and classes.")
    return make_detector(network, **options)


def _split(record, preparation, data_dir, split):
    known = inspect.signature(load_coco).parameters
    arguments = {name: value for name, value in record.arguments.items() if name in known and name not in _SPLITS}
    arguments |= {name: record.arguments.get(f"{name}_annotations") for name in _SPLITS}
    arguments |= {"data_dir": data_dir, "check": bool(record.arguments.get("skip_bad"))}
    dataset = load_coco(**{"seed": record.seed, **arguments})
    if split not in dataset.splits:
        raise ValueError(f"{data_dir} holds {', '.join(dataset.splits)}. Received: split={split!r}")
    if (dataset.class_names, dataset.category_ids) != (preparation.class_names, preparation.category_ids):
        raise ValueError(
            f"{pathlib.Path(data_dir).name} has the classes {', '.join(dataset.class_names)}, the model "
            f"{', '.join(preparation.class_names)}: give the data that it was trained on, or annotations."
        )
    return dataset.splits[split]
