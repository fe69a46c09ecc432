"""What a trained run makes of any image files, whatever it was trained to do."""

from recipes.data import decoding
from recipes.data.decoded import DecodedImages
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation
from recipes.reporting.detection import DetectionEvaluation
from recipes.reporting.metrics import Evaluation
from recipes.reporting.records import read_record
from recipes.training.detector import detect_files
from recipes.training.detector_runs import load_detector
from recipes.training.prediction import load_trained
from recipes.training.prediction import on_device
from recipes.training.prediction import predict


def predict_files(run, paths, batch_size=8, device="auto", skip_bad=False, image_ids=None):
    """Predict the classes of image files, or detect objects in them, by the model of a run.

    The files are looked at before the model is loaded.

    Args:
        run: path of the folder of a run.
        paths: list of str.
        batch_size: int. Defaults to 8.
        device: one of "auto", "cpu", "gpu". Defaults to "auto".
        skip_bad: bool. Whether to leave out files that cannot be read. Defaults to False.
        image_ids: list of int or str, one for each path, or None for the paths; of detections. Defaults to None.

    Returns:
        `(evaluation, problems)`: an `Evaluation` without labels or a `DetectionEvaluation` without objects, and a
        dict from the position in `paths` of each file that was left out to what is wrong with it.

    Raises:
        ValueError: if there is no finished run with a preparation; for files that cannot be read, without
            `skip_bad`, one error that names them; if none is left.

    Example:

    >>> predict_files("nowhere", ["1.png"])
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    read_record(run)
    preparation = read_preparation(run)
    with on_device(device):
        problems = decoding.check_images(paths)
        if not skip_bad:
            decoding.refuse(problems)
        kept = [position for position in range(len(paths)) if position not in problems]
        if not kept:
            raise ValueError(f"None of the {len(paths)} images can be read: {decoding.shorten(problems.values())}")
        chosen, ids = ([each[position] for position in kept] for each in (paths, image_ids or paths))
        return _KINDS[type(preparation)](run, preparation, chosen, ids, batch_size), problems


def _classify(run, preparation, paths, ids, batch_size):
    images = DecodedImages(paths, preparation.image_size, preparation.fit)
    probabilities = predict(load_trained(run), images, preparation.normalize, batch_size)
    return Evaluation(None, probabilities, list(preparation.class_names), paths)


def _detect(run, preparation, paths, ids, batch_size):
    found = detect_files(load_detector(run), paths, preparation, batch_size)
    names, numbers = preparation.class_names, preparation.category_ids
    return DetectionEvaluation(found, None, names, ids, numbers, paths)


_KINDS = {Preparation: _classify, DetectionPreparation: _detect}
