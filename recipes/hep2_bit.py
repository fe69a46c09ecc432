"""HEp-2 cells with BiT, fine-tuned by rule: the extension of experiment 000.

    zoo run hep2_bit --data-dir cells --weights imagenet21k

Source: the end of a course assignment of 2022 (see `recipes/hep2_alexnet.py`): BiT, a ResNet-50 with
group normalisation that was trained on ImageNet-21k, fine-tuned by the BiT-HyperRule, in batches of 512
and 500 steps up to a learning rate of 0.003, did as well as its best AlexNet in around two minutes on
its GPU. The rule (https://arxiv.org/abs/1912.11370) takes steps, learning rate, resolution and mixup
from the size of the data set and of its images, so that nothing is searched for.

Any images will do: a folder with one folder for each class, or a csv. Experiment `blood_cells` is for a
few hundred images of 96x96 and two CPU cores, from random weights, and `demo` the same code on
scikit-learn's digits.

What was measured here is kept beside this file, in `results/`, and shown by `zoo list`.
"""

import dataclasses
import re
from typing import Literal

import keras

import augment
import zoo
from recipes.data.image_source import ImageSource
from recipes.data.preparation import Preparation
from recipes.hyperrule import MEAN
from recipes.hyperrule import STD
from recipes.hyperrule import hyperrule
from recipes.optimizers import SGD
from recipes.optimizers import Accumulated
from recipes.training.class_accuracy import ClassAccuracy
from recipes.training.prediction import evaluate_split
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.routes import Route

_SMALL = {"resize_size": 72, "crop_size": 64, "batch_size": 32, "base_lr": 0.05, "evaluate_steps": 50}
_DIGITS = {"data": "digits", "resize_size": 40, "crop_size": 32, "flip": False, "depths": "1,1,1,1"}

EXPERIMENTS = {
    "hyperrule": Experiment(
        {"weights": "imagenet21k"},
        "as good as the best AlexNet (98%), in around 2 minutes",
        "R50x1, batch 512, 500 steps; the text gives no figure of its own",
    ),
    "scratch": Experiment({}, "", "the same from random weights, which the rule was not made for"),
    "blood_cells": Experiment(
        _SMALL | {"total_steps": 600}, "", "600 images of 96x96 in 3 classes, random weights, two CPU cores"
    ),
    "demo": Experiment(
        _SMALL | _DIGITS | {"total_steps": 100, "base_lr": 0.01},
        "",
        "scikit-learn's digits, random weights, no download",
    ),
}


@recipe(EXPERIMENTS, default="hyperrule")
def train(
    run,
    *,
    source: ImageSource,
    architecture: Literal["BiTResNet50", "BiTResNet101", "BiTResNet152"] = "BiTResNet50",
    width: int = 1,
    depths: str = "",
    weights: str | None = None,
    resize_size: int = 0,
    crop_size: int = 0,
    flip: bool = True,
    mixup: float | None = None,
    total_steps: int = 0,
    evaluate_steps: int = 50,
    batch_size: int = 512,
    accumulation_steps: int = 1,
    scale_to_batch: bool = False,
    base_lr: float = 0.003,
    pipeline: Literal["auto", "tf.data", "memory"] = "auto",
):
    """Fine-tune BiT by the BiT-HyperRule, or train it from random weights.

    Args:
        architecture: one of "BiTResNet50", "BiTResNet101", "BiTResNet152". Defaults to "BiTResNet50".
        width: int. Factor of the channels: 1 and 3 are published, of BiTResNet152 2 and 4. Defaults to 1.
        depths: str. Units of each block, such as "3,4,6,3"; "" for those of the architecture. Defaults to "".
        weights: str. Path of a published `.npz` file; "imagenet21k", "imagenet" or "imagenet21k_imagenet",
            which are downloaded; None for random weights. Defaults to None.
        resize_size: int. Height and width to which images are scaled, in pixels; 0 for the rule's: 160 for
            images of fewer than 96x96 pixels, else 512. Defaults to 0.
        crop_size: int. Height and width of the part that is trained on, and of an image to evaluate, in
            pixels; 0 for the rule's: 128, or 480. Defaults to 0.
        flip: bool. Whether to mirror half of the images. Defaults to True.
        mixup: float. Alpha of mixup, one weight for a batch; 0 for none; None for the rule's: 0.1 from
            20,000 images on. Defaults to None.
        total_steps: int. Updates; 0 for the rule's, which are at least 500. Its boundaries move with them.
            Defaults to 0.
        evaluate_steps: int. Updates from one evaluation to the next: what is an epoch here. Defaults to 50.
        batch_size: int. Images in a step. Defaults to 512.
        accumulation_steps: int. Steps whose gradients make an update, where 512 images need too much
            memory. Defaults to 1.
        scale_to_batch: bool. Whether the rule's learning rate and steps are scaled to the images of an
            update, where they are not 512. Defaults to False.
        base_lr: float. Highest learning rate. Defaults to 0.003.
        pipeline: one of "tf.data" (on TensorFlow), "memory" (images on the device), or "auto": tf.data on
            TensorFlow, else memory. Defaults to "auto".

    Returns:
        A `recipes.reporting.records.Record`, with `model` and `history`.

    Raises:
        ValueError: for arguments out of range, weights that do not fit, or images that are missing or
            cannot be read.

    Reference:
        https://arxiv.org/abs/1912.11370
        https://github.com/google-research/big_transfer
    """
    _check(total_steps=total_steps, resize_size=resize_size, crop_size=crop_size)
    _check(1, evaluate_steps=evaluate_steps, accumulation_steps=accumulation_steps, batch_size=batch_size)
    count, size = source.measure(run.seed)
    images_of_update = batch_size * accumulation_steps
    rule = hyperrule(count, size, images_of_update if scale_to_batch else None, base_lr, total_steps or None)
    resize_size, crop_size = resize_size or rule.resize_size, crop_size or rule.crop_size
    if crop_size > resize_size:
        raise ValueError(f"`crop_size` must be at most resize_size={resize_size}. Received: crop_size={crop_size}")
    mixup = rule.mixup_alpha if mixup is None else mixup
    dataset = source.load(resize_size, seed=run.seed)
    preparation = Preparation(crop_size, "stretch", MEAN, STD, dataset.class_names)
    # Images to evaluate are scaled once, to the size of the crop, as those of `zoo predict` will be.
    if source.data == "digits":
        validation_images = source.load(crop_size).validation_images
    else:
        validation_images = preparation.read(dataset.validation_files.paths)
    dataset = dataclasses.replace(dataset, validation_images=validation_images)
    dataset.steps(batch_size, 1)
    operations = [
        augment.PadCrop(0, size=crop_size),
        *([augment.HorizontalFlip()] if flip else []),
        normalize := augment.Normalize(MEAN, STD),
        *([augment.Mixup(mixup, per="batch")] if mixup else []),
    ]
    if pipeline == "auto":
        pipeline = "tf.data" if keras.backend.backend() == "tensorflow" else "memory"
    train_data = Route(pipeline).batches(dataset, operations, batch_size=batch_size, seed=run.seed)
    validation_data = dataset.validation_batches([normalize], batch_size)

    model = getattr(zoo, architecture)(
        weights=weights,
        classes=len(dataset.class_names),
        input_shape=(crop_size, crop_size, 3),
        classifier_activation=None,
        width=width,
        **({"depths": _depths(depths)} if depths else {}),
    )
    optimizer = SGD(rule.learning_rate, momentum=rule.momentum)
    if accumulation_steps > 1:
        optimizer = Accumulated(optimizer, accumulation_steps)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy", ClassAccuracy(dataset.class_names)],
        jit_compile=run.jit_compile,
    )
    epochs = -(-rule.steps // evaluate_steps)
    steps_per_epoch = evaluate_steps * accumulation_steps
    history = run.fit(
        model,
        train_data,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=validation_data,
        shuffle=False,
    )
    with run.clock.measure("evaluate"):
        evaluation = evaluate_split(model, dataset, preparation, data_dir=source.data_dir, batch_size=batch_size)
    return run.finish(
        model,
        history,
        dataset,
        learning_rates=[
            float(rule.learning_rate(step // accumulation_steps)) for step in range(epochs * steps_per_epoch)
        ],
        samples=dataset.shown(*next(iter(train_data)), preparation=preparation),
        evaluation=evaluation,
        preparation=preparation,
    )


def _depths(text):
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text):
        raise ValueError(f'`depths` must be such as "3,4,6,3", or "". Received: depths={text!r}')
    return tuple(map(int, text.split(",")))


def _check(least=0, **values):
    for name, value in values.items():
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}. Received: {name}={value}")
