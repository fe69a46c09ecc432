"""Runs that have trained a detector: what they evaluate, and their model with suppression behind it."""

import contextlib
import inspect
import pathlib
import tempfile

from recipes.data.coco import load_coco
from recipes.data.coco import read_coco
from recipes.data.preparation import read_preparation
from recipes.data.shapes import draw_shapes
from recipes.reporting.records import read_record
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
