"""`zoo explain`: what the network of a run looks at in images, as pictures in a folder."""

import json
import pathlib

import numpy as np

from recipes.catalogue import check_name
from recipes.data.texts import read_json
from recipes.reporting import explanation_plots
from recipes.reporting import plots
from recipes.reporting.evaluation import check_outputs
from recipes.reporting.evaluation import whole_folder
from recipes.reporting.evaluation import write_text
from recipes.reporting.metrics import Evaluation
from recipes.reporting.records import read_record
from recipes.reporting.tiles import words

FOLDER, FILE = "explanation", "explanation.json"
_MAPPED = 4  # images whose feature maps are shown


def explain(options):
    """Show what the network of a run looks at: `zoo explain`.

    Args:
        options: argparse.Namespace, of the command.

    Raises:
        ValueError: if there is no finished run, no such image, layer or class; if something else is where the
            pictures shall go.

    Example:

    >>> import argparse
    >>> explain(argparse.Namespace(run="nowhere"))
    Traceback (most recent call last):
    ValueError: nowhere does not exist. Give the folder of a finished run.
    """
    from recipes.training.prediction import load_trained
    from recipes.training.prediction import on_device
    from recipes.training.prediction import predict

    run = pathlib.Path(options.run)
    read_record(run)
    folder = run / FOLDER if options.output is None else pathlib.Path(options.output)
    check_outputs(folder)
    if folder.exists() and not (folder / FILE).is_file():
        raise ValueError(f"{folder} is there already, and not from this command. Give another folder (--output).")
    if options.count < 1:
        raise ValueError(f"--count must be at least 1. Received: {options.count}")
    images, labels, paths, preparation = (_from_files if options.images else _from_split)(options)
    if options.class_name is not None:
        check_name("class", options.class_name, preparation.class_names)
    with on_device(options.device):
        model = load_trained(run)
        probabilities = predict(model, images, preparation.normalize, batch_size=len(images))
        evaluation = Evaluation(labels, probabilities, preparation.class_names, paths)
        with whole_folder(folder) as new:
            inputs = preparation.normalize(images)
            write_explanation(new, model, images, inputs, evaluation, options.layer, options.class_name)
    print(f"{len(images):,} images explained: {folder}")


def write_explanation(folder, model, images, inputs, evaluation, layer=None, class_name=None):
    """Write pictures of what a network makes of images, and what they show as `explanation.json`.

    These are `grad_cam.png`; `feature_maps.png`, of the first images; and, if there is a 2D convolution, `filters.png`.

    Args:
        folder: path of a folder that exists.
        model: a `keras.Model` of classes.
        images: uint8 `(images, height, width, 3)`.
        inputs: the same as the model takes them.
        evaluation: an `Evaluation` of them.
        layer: str, the layer of Grad-CAM and of the feature maps; None for the last that is fit for it, and the
            first convolution. Defaults to None.
        class_name: str, the class of Grad-CAM. None for the predicted class, and beside it the true one where the
            prediction is wrong, else the second. Defaults to None.

    Raises:
        ValueError: as `recipes.reporting.explanation.find_layer`.

    Example:

    >>> import tempfile
    >>> import keras
    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()])
    >>> images = np.zeros((1, 8, 8, 3), "uint8")
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_explanation(folder, model, images, images / 255, Evaluation(None, [[0.25, 0.75]], ["cat", "dog"]))
    >>> sorted(path.name for path in folder.iterdir())
    ['explanation.json', 'feature_maps.png', 'filters.png', 'grad_cam.png']
    """
    from recipes.reporting import explanation

    folder = pathlib.Path(folder)
    found = _first_filters(model, layer)
    places = explanation.find_layer(model, inputs, layer)
    mapped = places if layer is not None or found is None else explanation.find_layer(model, inputs, found[0])
    shown = {}

    def keep(name, figure, text):
        plots.save(figure, folder / f"{name}.png")
        shown[name] = text

    columns = _classes(evaluation, class_name)
    maps = [explanation.grad_cam(model, inputs, classes, places) for classes in columns]
    text = f"Grad-CAM of the layer {places}: what in an image speaks for a class"
    titles = [_titles(evaluation, position, classes) for position, classes in enumerate(zip(*columns))]
    keep("grad_cam", explanation_plots.plot_grad_cam(images, list(zip(*maps)), titles, _names(evaluation), text), text)
    text = f"Feature maps of the layer {mapped}, of the channels that vary most"
    maps = explanation.feature_maps(model, inputs[:_MAPPED], mapped)
    keep("feature_maps", explanation_plots.plot_feature_maps(images[:_MAPPED], maps, title=text), text)
    if found is not None:
        name, kernel = found
        text = f"Filters of the convolution {name}"
        keep("filters", explanation_plots.plot_filters(kernel, title=text), text)
    write_text(json.dumps({"images": len(images), "pictures": shown}, indent=2) + "\n", folder / FILE)


def read_explanation(folder):
    """Read what the pictures of an explanation show.

    Args:
        folder: path of a run.

    Returns:
        dict from the path of each picture to a text; empty where there are none.

    Raises:
        ValueError: if `explanation.json` is damaged.

    Example:

    >>> read_explanation("nowhere")
    {}
    """
    path = pathlib.Path(folder) / FOLDER / FILE
    if not path.is_file():
        return {}
    try:
        shown = read_json(path)["pictures"]
        return {
            path.with_name(f"{name}.png"): shown[name]
            for name in ("grad_cam", "feature_maps", "filters")
            if name in shown
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Run zoo explain again.") from error


def _from_files(options):
    """Some of the images that were named; labels where all lie in folders of the classes."""
    from recipes.data import decoding
    from recipes.data.preparation import read_preparation
    from recipes.training.prediction import find_images

    preparation = read_preparation(options.run)
    paths = list(find_images(options.images, options.path_column))
    if options.skip_bad:
        problems = decoding.check_images(paths)
        for text in problems.values():
            print(f"left out: {text}")
        paths = [path for position, path in enumerate(paths) if position not in problems]
        if not paths:
            raise ValueError("None of the images can be read.")
    paths = [paths[position] for position in _spread(len(paths), options.count)]
    folders = [pathlib.Path(path).resolve().parent.name for path in paths]
    known = all(name in preparation.class_names for name in folders)
    labels = [preparation.class_names.index(name) for name in folders] if known else None
    return preparation.read(paths), labels, paths, preparation


def _from_split(options):
    """Some images of the data that the run was trained on."""
    from recipes.training.prediction import load_split

    images, labels, paths, preparation = load_split(options.run, options.data_dir, options.split, options.image_dir)
    chosen = _spread(len(images), options.count)
    images = preparation.crop(np.concatenate([images[position : position + 1] for position in chosen]))
    paths = [f"{options.split} {position}" if paths is None else paths[position] for position in chosen]
    return images, None if labels is None else np.asarray(labels)[chosen], paths, preparation


def _spread(count, most):
    """Positions from all over a set."""
    return [int(each) for each in np.unique(np.linspace(0, count - 1, most).round())]


def _first_filters(model, layer):
    """Name and kernel of a convolution: of the layer that was named if it is one, else of the first; None without."""
    from recipes.reporting.explanation import filters

    for name in (layer, None):
        try:
            return filters(model, name)
        except ValueError:
            continue
    return None


def _classes(evaluation, class_name):
    """The classes to explain: a list of arrays, each with a class for every image."""
    if class_name is not None:
        return [np.full(len(evaluation), evaluation.class_names.index(class_name))]
    first = evaluation.predicted
    if len(evaluation.class_names) == 1:
        return [first]
    second = np.argsort(-evaluation.probabilities, axis=-1, kind="stable")[:, 1]
    if evaluation.labels is not None:
        second = np.where(evaluation.labels == first, second, evaluation.labels)
    return [first, second]


def _titles(evaluation, position, classes):
    """What stands above an image and its maps."""
    names, shares = evaluation.class_names, evaluation.probabilities[position]
    truth = "image" if evaluation.labels is None else f"is {words(names[evaluation.labels[position]])}"
    return [truth, *(words(names[each], shares[each]) for each in classes)]


def _names(evaluation):
    return [words(pathlib.PurePath(path).name, length=60) for path in evaluation.paths] if evaluation.paths else None
