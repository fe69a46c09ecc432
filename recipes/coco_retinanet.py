"""Objects in images with RetinaNet on ResNets of 18 to 152 layers: experiment 002.

    zoo run coco_retinanet --data-dir coco --experiment model3

Source: a course assignment in PyTorch, on pytorch-retinanet (https://github.com/yhenon/pytorch-retinanet), and
on a data set of its own in COCO's form. Its models differ in depth, epochs, seed and learning rate; AP of the
validation is stated of three. What it does not say is as in pytorch-retinanet: ImageNet weights, with the
statistics of batch normalisation as they are; Adam, gradients clipped to a norm of 0.1 over all weights, a rate
ten times lower when the loss stands still for 3 epochs; sides of at least 608 pixels, at most 1024.

Where pytorch-retinanet is weak, this is not: padding is no background to learn, sides that are multiples of 32
are not padded at all, batches are of other images in each epoch, and none comes twice.

Any images with boxes will do. Experiment `bccd` is for a few hundred images and two CPU cores, from
random weights, and `demo` the same code on drawn shapes, in a few minutes. What was measured here is kept beside
this file, in `results/`, and shown by `zoo list`.
"""

import contextlib
import json
import re
import tempfile
from typing import Literal

import keras
import numpy as np

import augment
import zoo
from recipes import schedules
from recipes.callbacks import AveragedWeights
from recipes.callbacks import EarlyStopping
from recipes.callbacks import MeasureEpochs
from recipes.callbacks import ReduceLROnPlateau
from recipes.data.box_files import load_box_files
from recipes.data.coco import load_coco
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.shapes import draw_shapes
from recipes.losses import DetectionLoss
from recipes.optimizers import SGD
from recipes.optimizers import Adam
from recipes.optimizers import Grouped
from recipes.optimizers import Muon
from recipes.reporting.evaluation import write_text
from recipes.schedules.schedule import check_positive
from recipes.training.detection import DetectionModel
from recipes.training.detection import detection_batches
from recipes.training.detection import show_targets
from recipes.training.detector import evaluate
from recipes.training.detector import make_detector
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe

_SCHEDULES = ("plateau", "constant", "cosine", "one_cycle")
_BODY = r"^conv\d_.*kernel$"  # the convolutions of a ResNet
_PUBLISHED = {"backbone_weights": "imagenet"}
_SCRATCH = {
    "backbone": "resnet18",
    "frozen_statistics": False,
    "vertical_flip": True,
    "schedule": "one_cycle",
    "learning_rate": 1e-3,
    "normalization": "batch",
    "clip_norm": 1.0,
}

EXPERIMENTS = {
    "model1": Experiment(_PUBLISHED | {"epochs": 20}, "AP 0.224, AP50 0.413, AP75 0.223"),
    "model2": Experiment(_PUBLISHED | {"epochs": 40}, "AP 0.229, AP50 0.408, AP75 0.223"),
    "model3": Experiment(_PUBLISHED | {"backbone": "resnet18"}, "AP 0.304, AP50 0.478, AP75 0.319"),
    "model4": Experiment(_PUBLISHED | {"backbone": "resnet34"}, "AP 0.287, AP50 0.455, AP75 0.309"),
    "model5": Experiment(_PUBLISHED | {"backbone": "resnet101"}, "", "no figure in the text"),
    "model6": Experiment(_PUBLISHED | {"backbone": "resnet18", "seed": 3407}, "", "no figure in the text"),
    "model7": Experiment(
        _PUBLISHED | {"backbone": "resnet18", "seed": 3407, "learning_rate": 1e-3}, "", "no figure in the text"
    ),
    "model8": Experiment(
        _PUBLISHED | {"backbone": "resnet18", "seed": 3407, "learning_rate": 1e-5}, "", "no figure in the text"
    ),
    "bccd": Experiment(
        _SCRATCH
        | {
            "image_size": "384x512",
            "channels": 128,
            "head_depth": 2,
            "batch_size": 4,
            "optimizer": "muon",
            "scale_jitter": 0.25,
            "color_jitter": 0.2,
            "ema": 0.99,
            "evaluate_epochs": 10,
        },
        "",
        "205 images of 640x480 of blood cells in 3 classes, random weights, two CPU cores",
    ),
    "demo": Experiment(
        _SCRATCH
        | {
            "data": "shapes",
            "image_size": "96x96",
            "epochs": 15,
            "batch_size": 8,
            "channels": 64,
            "head_depth": 2,
            "evaluate_epochs": 5,
        },
        "",
        "drawn shapes, no download",
    ),
}


@recipe(EXPERIMENTS, default="model3")
def train(
    run,
    *,
    data: Literal["coco", "csv", "shapes"] = "coco",
    data_dir: str | None = None,
    train_annotations: str | None = None,
    validation_annotations: str | None = None,
    test_annotations: str | None = None,
    class_file: str | None = None,
    validation_fraction: float = 0.2,
    skip_bad: bool = False,
    image_size: str = "",
    min_side: int = 608,
    max_side: int = 1024,
    horizontal_flip: bool = True,
    vertical_flip: bool = False,
    scale_jitter: float = 0.0,
    color_jitter: float = 0.0,
    threads: int = 2,
    backbone: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet50",
    backbone_weights: str | None = None,
    frozen_statistics: bool = True,
    channels: int = 256,
    head_depth: int = 4,
    head_normalization: Literal["none", "group", "batch"] = "none",
    prior: float = 0.01,
    alpha: float = 0.25,
    gamma: float = 2.0,
    beta: float = 1 / 9,
    normalization: Literal["image", "batch"] = "image",
    best_match: bool = False,
    epochs: int = 50,
    batch_size: int = 2,
    drop_last: bool = False,
    optimizer: Literal["adam", "sgd", "muon"] = "adam",
    learning_rate: float = 1e-4,
    muon_rate: float = 0.02,
    weight_decay: float = 0.0,
    clip_norm: float = 0.1,
    schedule: Literal[_SCHEDULES] = "plateau",
    warmup_steps: int = 0,
    plateau_epochs: int = 3,
    ema: float = 0.0,
    evaluate_epochs: int = 1,
    keep_best: bool = True,
):
    """Train RetinaNet on images with boxes, and evaluate it as COCO does.

    Args:
        data: one of "coco" (in `data_dir`), "csv" (lines of path, x1, y1, x2, y2, class), "shapes" (drawn).
            Defaults to "coco".
        data_dir: str. Folder with images and annotations in COCO's form, or such a json; of "csv" where the
            paths begin, if not at the csv. Defaults to None.
        train_annotations: str. The json or csv of the training, or None to look for a json. Defaults to None.
        validation_annotations: str. That of the validation, likewise. Defaults to None.
        test_annotations: str. That of the test, likewise, or a folder of images that are not annotated.
            Defaults to None.
        class_file: str. Csv of the names and numbers of classes, of "csv". Defaults to None.
        validation_fraction: float. Split off the training where no validation is given. Defaults to 0.2.
        skip_bad: bool. Whether to leave out what cannot be read. Defaults to False.
        image_size: str. Height and width to which all images are stretched, such as "384x512": they are
            kept in memory then, and the steps of an epoch are one dispatch. "" goes by `min_side` and
            `max_side`. Defaults to "".
        min_side: int. The shorter side, in pixels. Defaults to 608.
        max_side: int. What the longer side has at most, whatever the shorter has then. Defaults to 1024.
        horizontal_flip: bool. Whether to mirror half of the images left and right. Defaults to True.
        vertical_flip: bool. Whether to mirror half of them top and bottom. Defaults to False.
        scale_jitter: float. Objects are shown larger or smaller by up to this fraction. Defaults to 0.
        color_jitter: float. Brightness, contrast and saturation change by up to this fraction. Defaults to 0.
        threads: int. Threads that make batches ahead, where images are not in memory. Defaults to 2.
        backbone: one of "resnet18", "resnet34", "resnet50", "resnet101", "resnet152". Defaults to "resnet50".
        backbone_weights: str. "imagenet", which are downloaded, the path of a checkpoint, or None for random
            weights. Defaults to None.
        frozen_statistics: bool. Whether batch normalisation keeps to the statistics that the backbone has.
            Not for random weights. Defaults to True.
        channels: int. Filters of pyramid and heads. Defaults to 256.
        head_depth: int. Convolutions of a head before its last. Defaults to 4.
        head_normalization: one of "none", "group", "batch": in the heads. Defaults to "none".
        prior: float. The probability that the untrained network gives each class. Defaults to 0.01.
        alpha: float. Of the focal loss, the weight of what is there. Defaults to 0.25.
        gamma: float. Of the focal loss. Defaults to 2.0.
        beta: float. Where the loss of boxes becomes straight: 1 / 9. Defaults to 0.1111111111111111.
        normalization: one of "image", losses divided by the objects of each image, as published; "batch", by
            those of the batch. Defaults to "image".
        best_match: bool. Whether each object has the anchor that fits it best, however badly. Defaults to False.
        epochs: int. Defaults to 50.
        batch_size: int. Images in a step. Defaults to 2.
        drop_last: bool. Whether to leave out a smaller last batch. Defaults to False.
        optimizer: one of "adam", "sgd" (of momentum 0.9), "muon" (of the backbone's convolutions; Adam for
            the rest), which is not for frozen statistics. Defaults to "adam".
        learning_rate: float. The highest. Defaults to 0.0001.
        muon_rate: float. The highest of Muon's weights. Defaults to 0.02.
        weight_decay: float. Beside the gradient, as in AdamW; of kernels alone. Defaults to 0.
        clip_norm: float. Of the gradients of all weights, together; with "muon" of each group. 0 for
            none. Defaults to 0.1.
        schedule: one of "plateau" (by the loss), "constant", "cosine", "one_cycle". Defaults to "plateau".
        warmup_steps: int. Straight up to the first rate of the schedule; not of "plateau". Defaults to 0.
        plateau_epochs: int. Epochs without progress that are borne, of "plateau". Defaults to 3.
        ema: float. Momentum of an average of the weights, which is then what is evaluated and kept; 0 for
            none. Defaults to 0.
        evaluate_epochs: int. Epochs from one evaluation of AP to the next. Defaults to 1.
        keep_best: bool. Whether the weights of the best AP are kept, rather than the last. Defaults to True.

    Returns:
        A `recipes.reporting.records.Record`, with `model` and `history`.

    Raises:
        ValueError: for arguments out of range, or images or annotations that are missing or cannot be read.

    Reference:
        https://arxiv.org/abs/1708.02002
    """
    size = _size(image_size)
    rates = _learning_rates(schedule, warmup_steps, learning_rate, muon_rate)
    with _folder(data, data_dir) as folder:
        dataset = _load(
            data,
            folder,
            [train_annotations, validation_annotations, test_annotations],
            class_file,
            validation_fraction=validation_fraction,
            seed=run.seed,
            skip_bad=skip_bad,
        )
        preparation = DetectionPreparation(
            class_names=dataset.class_names,
            category_ids=dataset.category_ids,
            min_side=min_side,
            max_side=max_side,
            image_size=size,
        )
        operations = [
            *([augment.HorizontalFlip()] if horizontal_flip else []),
            *([augment.VerticalFlip()] if vertical_flip else []),
            *([_scale_jitter(scale_jitter, preparation.mean)] if scale_jitter else []),
            *([augment.ColorJitter(color_jitter, color_jitter, color_jitter)] if color_jitter else []),
        ]
        train_data = detection_batches(
            dataset.train,
            preparation,
            operations,
            batch_size=batch_size,
            seed=run.seed,
            drop_last=drop_last,
            threads=threads,
        )
        steps = len(train_data)

        network = zoo.RetinaNet(
            backbone,
            backbone_weights=backbone_weights,
            classes=len(dataset.class_names),
            prior=prior,
            frozen_statistics=frozen_statistics,
            channels=channels,
            head_depth=head_depth,
            head_normalization=None if head_normalization == "none" else head_normalization,
        )
        loss = DetectionLoss(alpha, gamma, beta, normalization=normalization, best=best_match)
        model = DetectionModel(network, loss)
        detector = make_detector(network)
        rate, of_muon = rates(steps * epochs)
        model.compile(
            optimizer=_optimizer(optimizer, rate, of_muon, weight_decay, clip_norm, ema, frozen_statistics),
            jit_compile=run.jit_compile,
        )

        def measure():
            with run.clock.measure("evaluate"):
                figures = evaluate(detector, dataset.validation, preparation).metrics()
            return {name: figures[name] for name in ("AP", "AP50")}

        best = EarlyStopping("val_AP")
        history = run.fit(
            model,
            train_data,
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=False,
            callbacks=[
                *([AveragedWeights()] if ema else []),
                MeasureEpochs(measure, every=evaluate_epochs),
                *([ReduceLROnPlateau("loss", patience_epochs=plateau_epochs)] if schedule == "plateau" else []),
                *([best] if keep_best else []),
            ],
        )
        with run.clock.measure("evaluate"):
            evaluation = evaluate(detector, dataset.validation, preparation)
            if dataset.test is not None:
                predicted = evaluate(detector, dataset.test, preparation)
                write_text(json.dumps(predicted.results()) + "\n", run.folder / "predictions_test.json")
        return run.finish(
            model,
            history,
            dataset,
            learning_rates=_made(rate, history.history["learning_rate"], steps),
            samples=show_targets(*train_data[0], preparation),
            evaluation=evaluation,
            preparation=preparation,
        )


@contextlib.contextmanager
def _folder(data, data_dir):
    """The folder of the images: a temporary one, where they are drawn."""
    if data != "shapes":
        yield data_dir
        return
    with tempfile.TemporaryDirectory() as folder:
        yield draw_shapes(folder)


def _load(data, folder, annotations, class_file, **settings):
    if data != "csv":
        return load_coco(folder, *annotations, **settings)
    if annotations[0] is None:
        raise ValueError("Csv annotations need `train_annotations`, the csv of the training. Received: None")
    return load_box_files(*annotations, classes=class_file, image_dir=folder, **settings)


def _size(image_size):
    """Height and width, or None for none given."""
    if not image_size:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", image_size)
    if not found:
        raise ValueError(f'`image_size` must be height and width, such as "384x512", or "". Received: {image_size!r}')
    return tuple(int(side) for side in found.groups())


def _scale_jitter(fraction, mean):
    if not 0 < fraction < 1:
        raise ValueError(f"`scale_jitter` must be from 0 to less than 1. Received: scale_jitter={fraction}")
    return augment.ScaleJitter((1 - fraction, 1 + fraction), fill=round(sum(mean) / 3))


def _learning_rates(schedule, warmup_steps, *peaks):
    """A function from the steps of the training to the rate of each peak: a number, or a schedule."""
    for name, peak in zip(("learning_rate", "muon_rate"), peaks):
        check_positive(name, peak)
    if warmup_steps < 0 or (warmup_steps and schedule == "plateau"):
        raise ValueError(
            "`warmup_steps` must not be negative, and goes with a `schedule` of constant, cosine or one_cycle. "
            f"Received: warmup_steps={warmup_steps}, schedule={schedule!r}"
        )

    def rates(total_steps):
        left = total_steps - warmup_steps
        if left < 1:
            raise ValueError(f"`warmup_steps` must be less than all, {total_steps}. Received: {warmup_steps}")
        return [_schedule(schedule, peak, warmup_steps, left) for peak in peaks]

    return rates


def _schedule(schedule, peak, warmup_steps, steps):
    if schedule == "cosine":
        after = keras.optimizers.schedules.CosineDecay(peak, steps)
    else:
        after = schedules.OneCycle(peak, total_steps=steps) if schedule == "one_cycle" else peak
    return schedules.Warmup(after, warmup_steps) if warmup_steps else after


def _optimizer(name, rate, muon_rate, weight_decay, clip_norm, ema, frozen_statistics):
    if name == "muon" and frozen_statistics:
        raise ValueError(
            "Muon scales kernels, which only batch normalisation by the batch makes up for: give "
            "frozen_statistics=False, or another optimizer."
        )
    if min(clip_norm, weight_decay) < 0 or not 0 <= ema < 1:
        raise ValueError(
            "`clip_norm` and `weight_decay` must not be negative, `ema` be from 0 to less than 1. "
            f"Received: clip_norm={clip_norm}, weight_decay={weight_decay}, ema={ema}"
        )
    shared = {"global_clipnorm": clip_norm or None, "use_ema": ema > 0, "ema_momentum": ema}
    decayed = {**shared, "weight_decay": weight_decay or None}
    optimizer = SGD(rate, 0.9, **decayed) if name == "sgd" else Adam(rate, epsilon=1e-8, **decayed)
    if weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    return Grouped([(_BODY, Muon(muon_rate, **shared))], default=optimizer) if name == "muon" else optimizer


def _made(rate, of_epochs, steps):
    """The learning rate of every step that was made."""
    if not callable(rate):  # a plateau may have changed it
        return np.repeat(of_epochs, steps).tolist()
    return [float(rate(step)) for step in range(steps * len(of_epochs))]
