"""What a trained run makes of its data set, and the image files that a user names."""

import contextlib
import inspect
import pathlib

import keras
import numpy as np

from recipes.data import csv_files
from recipes.data import decoding
from recipes.data import files
from recipes.data.cifar10 import load_cifar10
from recipes.data.decoded import DecodedImages
from recipes.data.digits import load_digits
from recipes.data.layouts import find_splits
from recipes.data.preparation import FILE
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation
from recipes.replicas import even_batch
from recipes.reporting.metrics import Evaluation
from recipes.reporting.records import read_record
from recipes.training import session

SPLITS = ("validation", "test", "train")
DEVICES = ("auto", "cpu", "gpu")
_NAMED = ("digits", "cifar10")


def evaluate_run(run, data_dir=None, split="validation", batch_size=64, device="auto", image_dir=None):
    """Evaluate the model of a run on its data.

    Which data these are, the arguments of its record say. Of image files those of the split alone are read.

    Args:
        run: path of the folder of a run.
        data_dir: path of the data. Records keep no folders, so it is needed wherever the recipe needed
            it. Defaults to None.
        split: one of "validation", "test", "train" (as it is, with nothing random). Defaults to
            "validation".
        batch_size: int. Defaults to 64.
        device: one of "auto", "cpu", "gpu". Defaults to "auto".
        image_dir: path, as `recipes.data.layouts.find_splits` takes it, or None. Defaults to None.

    Returns:
        `(evaluation, images)`: an `Evaluation`, whose labels are None where the split has none, and its
        images, uint8 `(images, height, width, 3)`.

    Raises:
        ValueError: if there is no finished run, no such data, or they do not belong together.

    Example:

    >>> evaluate_run("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    images, labels, paths, preparation = load_split(run, data_dir, split, image_dir)
    with on_device(device):
        probabilities = predict(load_trained(run), images, preparation.normalize, batch_size)
    return Evaluation(labels, probabilities, list(preparation.class_names), paths), images


def load_split(run, data_dir=None, split="validation", image_dir=None):
    """Load the images that a run was trained on, or measured by.

    Args:
        run: path of the folder of a run.
        data_dir: path of the data, or None, as for `evaluate_run`. Defaults to None.
        split: one of "validation", "test", "train". Defaults to "validation".
        image_dir: path or None, as for `evaluate_run`. Defaults to None.

    Returns:
        `(images, labels, paths, preparation)`: uint8 `(images, height, width, 3)`, or what gives it where it is
        sliced; labels, None where the split has none; paths, None where the images are no files; and a
        `recipes.data.preparation.Preparation`.

    Raises:
        ValueError: as `evaluate_run`.

    Example:

    >>> load_split("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {', '.join(SPLITS)}. Received: {split!r}")
    record = read_record(run)
    for name, given in (("data_dir", data_dir), ("image_dir", image_dir)):
        if record.arguments.get(name) and given is None:
            flag, called = name.replace("_", "-"), record.arguments[name]
            raise ValueError(f"Records keep no folders. Give the one that was called {called!r}: --{flag}.")
    load = _from_arrays if record.arguments.get("data") in _NAMED else _from_files
    return load(record, pathlib.Path(run), data_dir, split, image_dir)


def evaluate_split(model, dataset, preparation, split="validation", data_dir=None, batch_size=64):
    """Evaluate a model on a data set: what a recipe passes to `run.finish`.

    Args:
        model: a `keras.Model` from prepared images to logits or to probabilities.
        dataset: a `recipes.data.dataset.Dataset`.
        preparation: a `recipes.data.preparation.Preparation`.
        split: one of "validation", "test", "train". Defaults to "validation".
        data_dir: path of the data, from which on the paths of images are kept, or None. Defaults to None.
        batch_size: int. Defaults to 64.

    Returns:
        An `Evaluation`; its labels are None where the split has none.

    Example:

    >>> from recipes.data.dataset import Dataset
    >>> images, labels = np.zeros((2, 1, 1, 3), "uint8"), np.array([0, 2])
    >>> dataset = Dataset("black", images, labels, images, labels, ["a", "b", "c"])
    >>> model = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten()])
    >>> evaluate_split(model, dataset, Preparation(1, "stretch", 0.0, 1.0, dataset.class_names)).aca
    0.5
    """
    images, labels, found = (getattr(dataset, f"{split}_{part}", None) for part in ("images", "labels", "files"))
    probabilities = predict(model, images, preparation.normalize, batch_size)
    paths = None if found is None else _inside(found.paths, data_dir) if data_dir else found.paths
    return Evaluation(labels, probabilities, list(dataset.class_names), paths)


def find_images(inputs, path_column=None):
    """The image files that files, folders and csv files name.

    Args:
        inputs: list of paths: of an image; of a folder, in which all images at any depth are meant; of a
            csv file, whose labels, if it has any, are not looked at.
        path_column: str. The column of the csv files that has the paths, or None for one with a usual
            name. Defaults to None.

    Returns:
        dict from each path to how it was named: in a csv, what stands there. Missing files are among them.

    Raises:
        ValueError: if there is no such file or folder, or no image in a folder.

    Example:

    >>> find_images(["nowhere"])
    Traceback (most recent call last):
    ValueError: nowhere is neither a file nor a folder. Give images, folders of images, or a csv with their paths.
    """
    found = {}
    for path in map(pathlib.Path, inputs):
        if path.is_dir():
            inside = list(map(str, files.files_below(path, decoding.SUFFIXES)))
            if not inside:
                raise ValueError(f"{path} holds no images: no file ends in {', '.join(decoding.SUFFIXES)}.")
            found.update(zip(inside, inside))
        elif not path.is_file():
            raise ValueError(
                f"{path} is neither a file nor a folder. Give images, folders of images, or a csv with their paths."
            )
        elif path.suffix.lower() == ".csv":
            listed = csv_files.read_csv(path, path_column, need_labels=False)
            table = csv_files.read_table(path)
            column = csv_files.find_column(path, table, path_column, csv_files.PATH_COLUMNS, "path_column")
            found.update(zip(listed.paths, table[column]))
        else:
            found[str(path)] = str(path)
    return found


def load_trained(run):
    """Load the model of a run, to predict with.

    Args:
        run: path of the folder of a run.

    Returns:
        A `keras.Model` that is not compiled.

    Raises:
        ValueError: if there is none, or it cannot be loaded.

    Example:

    >>> load_trained("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no model.keras. Give the folder of a finished run.
    """
    import zoo  # registers the layers that models are saved with, too

    path = pathlib.Path(run) / "model.keras"
    if not path.is_file():
        raise ValueError(f"{run} holds no {path.name}. Give the folder of a finished run.")
    return zoo.keras_files.load_model(path)


def predict(model, images, normalize=None, batch_size=64):
    """The probabilities that a model gives to the classes of images.

    Images are read, and normalised, a batch at a time, while the model computes on the one before.

    Args:
        model: a `keras.Model` from images to logits or to probabilities.
        images: array, or what gives one where it is sliced, `(images, height, width, channels)`.
        normalize: function of such an array, or None. Defaults to None.
        batch_size: int. Defaults to 64.

    Returns:
        float32 array `(images, classes)`. Logits go through softmax.

    Raises:
        ValueError: if `batch_size` is less than 1.

    Example:

    >>> model = keras.Sequential([keras.Input((1, 2, 1)), keras.layers.Flatten()])
    >>> predict(model, np.log([[[[1.0], [3.0]]]])).tolist()
    [[0.25, 0.75]]
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: batch_size={batch_size}")
    batches = _Batches(images, normalize or np.asarray, even_batch(min(batch_size, len(images))))
    outputs = np.asarray(model.predict(batches, verbose=0), "float64")[: len(images)]
    if (outputs >= 0).all() and np.allclose(outputs.sum(-1), 1, atol=1e-2):
        return (outputs / outputs.sum(-1, keepdims=True)).astype("float32")
    powers = np.exp(outputs - outputs.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype("float32")


@contextlib.contextmanager
def on_device(device):
    """Compute on a device, whatever the backend.

    Args:
        device: one of "auto" (what the backend chooses), "cpu", "gpu".

    Raises:
        ValueError: for another one, or where there is none.

    Example:

    >>> with on_device("cpu"):
    ...     float(keras.ops.sum(keras.ops.ones(3)))
    3.0
    """
    if device not in DEVICES:
        raise ValueError(f"`device` must be one of {', '.join(DEVICES)}. Received: {device!r}")
    if device == "gpu" and not session.on_accelerator():
        backend = keras.backend.backend()
        raise ValueError(f"{backend} finds no accelerator here. Received: device='gpu'. Give 'cpu' or 'auto'.")
    # To torch "cpu:0" is another device than "cpu", and Keras then cannot make the seeds of Dropout.
    name = device if device == "cpu" and keras.backend.backend() == "torch" else f"{device}:0"
    with contextlib.nullcontext() if device == "auto" else keras.device(name):
        yield


class _Batches(keras.utils.PyDataset):
    """Images in batches of one size: another one would be compiled again."""

    def __init__(self, images, normalize, batch_size):
        super().__init__(workers=2, max_queue_size=4)
        self.images, self.normalize, self.batch_size = images, normalize, batch_size

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def __getitem__(self, number):
        start = number * self.batch_size
        images = self.normalize(self.images[start : start + self.batch_size])
        missing = self.batch_size - len(images)
        return (np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))),)


def _from_arrays(record, run, data_dir, split, image_dir):
    """Images, labels and preparation where the record names the data set."""
    preparation = read_preparation(run) if (run / FILE).is_file() else None
    if record.arguments["data"] == "digits":
        dataset = load_digits(preparation.image_size[0] if preparation else 32)
    else:
        dataset = load_cifar10(data_dir)
    sha256 = dataset.describe()["sha256"]
    if sha256 != record.data.get("sha256"):
        raise ValueError(f"These are not the data of {run}: their fingerprint, {sha256[:12]}, is another.")
    if split == "test":
        raise ValueError(f"{dataset.name} has no third split: its test set is our validation. Give another split.")
    images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
    if preparation is None:
        size = images.shape[1:3]
        preparation = Preparation(size, "stretch", dataset.mean, dataset.std, dataset.class_names)
    return images, labels, None, preparation


def _from_files(record, run, data_dir, split, image_dir):
    """Images, labels, paths and preparation where a user's files were trained on."""
    if data_dir is None:
        raise ValueError(f"Records keep no folders. Give that of the data of {run} (--data-dir).")
    preparation = read_preparation(run)
    known = inspect.signature(find_splits).parameters
    arguments = {name: value for name, value in record.arguments.items() if name in known}
    found = find_splits(**{"seed": record.seed, **arguments, "data_dir": data_dir, "image_dir": image_dir})
    if split not in found:
        raise ValueError(f"{data_dir} holds {', '.join(found)}. Received: split={split!r}")
    chosen = found[split]
    if record.arguments.get("skip_bad"):
        bad = decoding.check_images(chosen.paths)
        chosen = chosen.take([position for position in range(len(chosen)) if position not in bad])
    images = DecodedImages(chosen.paths, preparation.image_size, preparation.fit)
    labels = chosen.labels
    if labels is not None:
        labels = _renumber(labels, chosen.class_names, preparation.class_names)
    return images, labels, _inside(chosen.paths, data_dir), preparation


def _renumber(labels, names, wanted):
    """Labels by the classes of the model: data may know less of them, in another order."""
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise ValueError(f"The data have classes that the model does not know: {', '.join(unknown)}.")
    return np.array([wanted.index(name) for name in names])[labels]


def _inside(paths, data_dir):
    """Paths from the folder of the data on, or that of their csv: what is written of them may travel."""
    paths, folder = [pathlib.Path(path) for path in paths], pathlib.Path(data_dir)
    folder = folder.parent if folder.is_file() else folder
    return [str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in paths]
