"""Leukemia cells with ResNets of 18 to 152 layers: experiment 004.

    zoo run leukemia_resnet --data-dir cells --experiment resnet18

Source: a course assignment in PyTorch: normal cells and cells of acute lymphoblastic leukemia, named by csv
files (Path, label), as a Kaggle competition. ResNet18 was its best; the accuracies are pictures of
Kaggle's page, without a number in the text. Normal cells were the harder class: look at their recall.

Images are turned by up to 20 degrees and mirrored in both directions, in a random order; then their
middle of 350x350 pixels is cut out, which enlarges the cell. Pixels are from 0 to 1. Of the published
resize to 350x350 nothing is left to do after that cut, which pads what is smaller. Turned pixels are
bilinear, where torchvision takes the nearest.

Any images will do: a csv, or a folder with one folder for each class. Experiment `blood_cells` is for
a few hundred images of 96x96 and two CPU cores, and `demo` the same code on scikit-learn's digits, in
about a minute. What was measured here is kept beside this file, in `results/`, and shown by `zoo list`.
"""

import math
from typing import Literal

import keras

import augment
import zoo
from recipes import schedules
from recipes.callbacks import EarlyStopping
from recipes.data.decoding import FITS
from recipes.data.image_source import ImageSource
from recipes.data.preparation import Preparation
from recipes.optimizers import torch_optimizer
from recipes.schedules.schedule import check_positive
from recipes.training.class_accuracy import ClassAccuracy
from recipes.training.prediction import evaluate_split
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.routes import Route

ARCHITECTURES = ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152")
_SMALL = {"epochs": 30, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "one_cycle", "normalization": "data"}
_SMALL |= {"image_size": 64, "fit": "stretch"}

EXPERIMENTS = {
    "resnet18": Experiment({}, "its best, by a picture of Kaggle's page; no number in the text"),
    "resnet50": Experiment(
        {"architecture": "ResNet50"},
        "a picture of Kaggle's page; no number in the text",
        "settings of ResNet18 are assumed: the text gives these alone, and says that epochs differed, 40 at least",
    ),
    "resnet152": Experiment(
        {"architecture": "ResNet152", "epochs": 40},
        "40 epochs; a picture of Kaggle's page; no number in the text",
        "other settings of ResNet18 are assumed",
    ),
    "blood_cells": Experiment(
        _SMALL | {"rotation": 180.0}, "", "600 images of 96x96 in 3 classes, two CPU cores; turned by any angle"
    ),
    "demo": Experiment(
        _SMALL
        | {
            "data": "digits",
            "image_size": 32,
            "epochs": 4,
            "rotation": 10.0,
            "horizontal_flip": False,
            "vertical_flip": False,
        },
        "",
        "scikit-learn's digits, no download",
    ),
}


@recipe(EXPERIMENTS, default="resnet18")
def train(
    run,
    *,
    source: ImageSource,
    image_size: int = 350,
    fit: Literal[FITS] = "center_crop",
    normalization: Literal["unit", "data"] = "unit",
    rotation: float = 20.0,
    horizontal_flip: bool = True,
    vertical_flip: bool = True,
    route: Route,
    architecture: Literal[ARCHITECTURES] = "ResNet18",
    stem: Literal[zoo.resnet.STEMS] = "imagenet",
    epochs: int = 120,
    batch_size: int = 32,
    optimizer: Literal["sgd", "adam"] = "sgd",
    learning_rate: float = 0.001,
    momentum: float = 0.9,
    weight_decay: float = 1e-5,
    schedule: Literal["constant", "one_cycle"] = "constant",
    label_smoothing: float = 0.0,
    monitor: Literal["val_accuracy", "val_mca", "val_loss"] = "val_accuracy",
):
    """Train a ResNet on images of cells, or of anything else, from random weights.

    Each epoch is measured by ACA, MCA and the accuracy of every class. The weights that are kept are those
    of the best epoch, which makes its figures somewhat better than those of images that were never looked
    at: of a test, if there is one.

    Args:
        image_size: int. Height and width that the network is shown, in pixels, at least 32. Defaults to 350.
        fit: one of "stretch", "crop", "pad", "center_crop": what becomes of other sizes. Of "center_crop"
            the middle is cut out after images were turned. Defaults to "center_crop".
        normalization: one of "unit", pixels from 0 to 1; "data", by the mean and deviation of the training
            images. Defaults to "unit".
        rotation: float. Largest angle, in degrees. Defaults to 20.
        horizontal_flip: bool. Whether to mirror half of the images left and right. Defaults to True.
        vertical_flip: bool. Whether to mirror half of them top and bottom. Defaults to True.
        architecture: one of "ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152". Defaults to "ResNet18".
        stem: one of "imagenet", which makes images four times smaller; "cifar", for small ones. Defaults
            to "imagenet".
        epochs: int. Defaults to 120.
        batch_size: int. Images in a step; a smaller last batch is left out. Defaults to 32.
        optimizer: one of "sgd", "adam", as torch's. Defaults to "sgd".
        learning_rate: float. Of "one_cycle" the highest. Defaults to 0.001.
        momentum: float. Of SGD. Defaults to 0.9.
        weight_decay: float. L2 in the gradient. Defaults to 1e-5.
        schedule: one of "constant", "one_cycle". Defaults to "constant".
        label_smoothing: float. Defaults to 0.
        monitor: one of "val_accuracy", "val_mca", "val_loss": what the best epoch is best in. Defaults
            to "val_accuracy".

    Returns:
        A `recipes.reporting.records.Record`, with `model` and `history`.

    Raises:
        ValueError: for arguments out of range, or images that are missing or cannot be read.

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    check_positive("learning_rate", learning_rate)
    train_size = _turned_size(image_size, rotation) if fit == "center_crop" else None
    dataset = source.load(image_size, fit=fit, seed=run.seed, train_size=train_size)
    steps = dataset.steps(batch_size, epochs)
    mean, std = (dataset.mean, dataset.std) if normalization == "data" else ((0.0,) * 3, (255.0,) * 3)
    preparation = Preparation(image_size, fit, mean, std, dataset.class_names)
    normalize = augment.Normalize(mean, std)
    turns = [
        *([augment.Rotation(rotation)] if rotation else []),
        *([augment.HorizontalFlip()] if horizontal_flip else []),
        *([augment.VerticalFlip()] if vertical_flip else []),
    ]
    operations = [
        *([augment.RandomOrder(turns)] if turns else []),
        *([augment.CenterCrop(image_size)] if dataset.train_images.shape[1] > image_size else []),
        normalize,
    ]
    train_data = route.batches(dataset, operations, batch_size=batch_size, seed=run.seed)
    validation_data = dataset.validation_batches([normalize], batch_size)

    model = getattr(zoo, architecture)(
        classes=len(dataset.class_names),
        input_shape=(image_size, image_size, 3),
        classifier_activation=None,
        stem=stem,
    )
    rate = schedules.OneCycle(learning_rate, total_steps=steps * epochs) if schedule == "one_cycle" else learning_rate
    optimizer = torch_optimizer(optimizer, rate, momentum, weight_decay)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing),
        metrics=["accuracy", ClassAccuracy(dataset.class_names)],
        jit_compile=run.jit_compile,
    )
    best = EarlyStopping(monitor)
    history = run.fit(
        model,
        train_data,
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=validation_data,
        shuffle=False,
        callbacks=[best],
    )
    with run.clock.measure("evaluate"):
        evaluation = evaluate_split(model, dataset, preparation, data_dir=source.data_dir, batch_size=batch_size)
    return run.finish(
        model,
        history,
        dataset,
        learning_rates=[float(rate(step)) if callable(rate) else rate for step in range(steps * epochs)],
        samples=dataset.shown(*next(iter(train_data)), preparation=preparation),
        metrics={name: float(value) for name, value in (best.best_logs or {}).items() if name.startswith("val_")},
        evaluation=evaluation,
        preparation=preparation,
    )


def _turned_size(image_size, rotation):
    """The side of a square that holds one of `image_size`, about the same centre, turned by up to `rotation`."""
    angle = math.radians(min(abs(rotation), 45.0))
    side = math.ceil(image_size * (math.cos(angle) + math.sin(angle)) - 1e-6)
    return side + (side - image_size) % 2
