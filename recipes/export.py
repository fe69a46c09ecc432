"""Detectors as functions from images to detections that run without this library: SavedModel and ONNX."""

import contextlib
import importlib
import io
import json
import logging
import pathlib
import shutil
import tempfile
import warnings

import keras
import numpy as np

from recipes.data.preparation import FILE
from recipes.training.detector import Detections

FORMATS = ("saved_model", "onnx")
_SIDES = (96, 128)  # of the image on which a function of any size is tried
_TOLERANCE = 1e-3


def export_detector(model, preparation, path, format="saved_model", image_size=None, **options):
    """Write a detector as one function: images in, detections out, with normalisation and suppression inside.

    The function takes "images", float32 `(batch, height, width, 3)`, RGB from 0 to 255, scaled as
    `preparation.scaled` says, and gives "boxes" in their pixels, "scores" and "labels", as
    `zoo.boxes.detect`. The preparation goes with it: a SavedModel holds `preparation.json`, an ONNX file
    has it among its metadata. It is loaded back, and must give what the model gives, before it is in its place.

    Args:
        model: a `keras.Model` with the outputs of `zoo.RetinaNet`.
        preparation: a `recipes.data.detection_preparation.DetectionPreparation`.
        path: of the folder of the SavedModel, or of the ONNX file. What is there is replaced.
        format: "saved_model" or "onnx". Defaults to "saved_model".
        image_size: (height, width) of all images; None for the one of the preparation, and where it has none,
            for any, which only a SavedModel takes. Defaults to None.
        **options: of `zoo.boxes.detect`, such as `score_threshold`.

    Returns:
        pathlib.Path, the path.

    Raises:
        ValueError: for another format, ONNX without a size, another backend than TensorFlow, packages that are
            missing, or a path that cannot be written.

    Example:

    >>> export_detector(None, None, "detector", format="tflite")
    Traceback (most recent call last):
    ValueError: `format` must be one of saved_model, onnx. Received: 'tflite'
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {', '.join(FORMATS)}. Received: {format!r}")
    size = image_size or preparation.image_size
    _check(format, size)
    path = pathlib.Path(path)
    function = make_function(model, preparation, size, **options)
    images = np.random.default_rng(0).integers(0, 256, (2, *(size or _SIDES), 3)).astype("float32")
    expected = function.predict_on_batch(images)  # ONNX wants a model that was called
    try:
        work = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from error
    try:
        _WRITERS[format](function, preparation, work / "new")
        _compare(expected, load_function(work / "new")(images))
        if path.exists():
            path.rename(work / "old")
        (work / "new").rename(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def make_function(model, preparation, image_size=None, **options):
    """The function that is exported, as a Keras model.

    Args:
        model: as for `export_detector`.
        preparation: likewise.
        image_size: (height, width), or None for any. Defaults to None.
        **options: of `zoo.boxes.detect`.

    Returns:
        A `keras.Model`: images from 0 to 255 to a dict of boxes, scores and labels.

    Example:

    >>> import zoo
    >>> from recipes.data.detection_preparation import DetectionPreparation
    >>> network = zoo.RetinaNet("resnet18", classes=1, channels=8, head_depth=1)
    >>> preparation = DetectionPreparation(class_names=["cell"], category_ids=[1])
    >>> make_function(network, preparation, detections=20).output["boxes"].shape
    (None, 20, 4)
    """
    images = keras.Input((*(image_size or (None, None)), 3), dtype="float32", name="images")
    mean, std = np.float32(preparation.mean), np.float32(preparation.std)
    normalized = keras.ops.divide(keras.ops.subtract(images, mean), std)
    found = Detections(options, name="detections")(_in_float32(model)(normalized), normalized, None)
    return keras.Model(images, found, name="detector")


def _in_float32(model):
    """The same network without mixed precision: ONNX Runtime does not convolve in bfloat16."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    )
    copy.set_weights(model.get_weights())
    return copy


def load_function(path):
    """Load what `export_detector` wrote, as others would: with TensorFlow alone, or ONNX Runtime alone.

    Args:
        path: of the folder, or the file.

    Returns:
        function from images to a dict of NumPy arrays, "boxes", "scores" and "labels".

    Raises:
        ValueError: if there is none, or the package that runs it is missing.

    Example:

    >>> load_function("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere is neither the folder of a SavedModel nor an ONNX file.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        loaded = _package("tensorflow").saved_model.load(str(path))
        return lambda images: {name: values.numpy() for name, values in loaded.serve(np.float32(images)).items()}
    if not path.is_file():
        raise ValueError(f"{path} is neither the folder of a SavedModel nor an ONNX file.")
    session = _package("onnxruntime").InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {session.get_inputs()[0].name: np.float32(images)})))


def _write_saved_model(function, preparation, path):
    function.export(path, format="tf_saved_model", verbose=False)
    preparation.write(path)


def _write_onnx(function, preparation, path):
    onnx = _package("onnx")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        written = pathlib.Path(folder) / "model.onnx"
        function.export(written, format="onnx", verbose=False)
        model = onnx.load(written)
    entry = model.metadata_props.add()
    entry.key, entry.value = FILE, json.dumps(preparation.to_dict())
    onnx.save(model, path)


_WRITERS = {"saved_model": _write_saved_model, "onnx": _write_onnx}


def _check(format, image_size):
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "TensorFlow is what exports: set KERAS_BACKEND=tensorflow, and the same run can be exported. "
            f"Received: the backend {backend}"
        )
    if format == "saved_model":
        return
    if image_size is None:
        raise ValueError("ONNX needs an `image_size`, (height, width) (--image-size): Keras cannot export it for any.")
    for name in ("onnx", "tf2onnx", "onnxruntime"):
        _package(name)


def _package(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"This needs {name}: pip install 'keras-zoo[export]'.") from error


def _compare(expected, given):
    """Refuse an export that gives something else on noise, in which an untrained detector finds a lot."""
    worst = np.abs(np.sort(expected["scores"]) - np.sort(given["scores"])).max()
    if not worst < _TOLERANCE:
        raise ValueError(
            f"What was exported gives scores that differ by {worst:.2g}: other versions may export it well."
        )


@contextlib.contextmanager
def _quiet():
    """tf2onnx reports its progress as warnings, and has NumPy warn."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(disabled)
