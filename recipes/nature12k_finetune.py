"""Photographs of nature with ResNets that were trained on others: experiment 003, part B.

    zoo run nature12k_finetune --data-dir nature_12K --experiment head

Source: a course assignment in PyTorch: nature_12K, ten classes of iNaturalist, by ResNet-50 with the weights of
ImageNet and another head: a dense layer of 2,048, ReLU, dropout 0.3, and the classes. Only the head was trained, at
three learning rates, of which 1e-5 was the best, with 79 to 80% after ten epochs; the best network of its own, from
random weights, had 43.4%. It proposes two more ways, without a figure, which are here too: the head, then the last
stages at a rate that is the lower the deeper they lie; and everything. And for images of 512 pixels a small
network in front that learns how to scale them.

The text does not name the other two rates (1e-3 and 1e-4 are assumed), nor optimizer and batch size (Adam and 64,
those of part A). Images are stretched to 224 pixels, which it says suffices, and nothing is random; so
what the frozen network makes of them is computed once, not in every epoch.

Its code freezes weights alone: in training, batch normalisation would go by the batch, and its running statistics
drift, in a backbone that is called frozen. Here both are frozen.

Its validation is a fifth of the training images, by class and by seed, and its test the folder `val`:
`validation_as_test`.

Any photographs will do, in a folder with one folder for each class, or by a csv; and other weights: the path of a
checkpoint of torchvision or timm, or `runs/.../model.keras` of a run. So will other networks, such as
`--architecture keras.applications:MobileNetV3Small`. Experiment `nature_mini` is for a hundred photographs and two
CPU cores, and `demo` the same code on scikit-learn's digits. What was measured here is kept beside this file, in
`results/`, and shown by `zoo list`.
"""

import functools
import pathlib
from typing import Literal

import keras

import augment
import zoo
from recipes import fine_tuning
from recipes import schedules
from recipes.callbacks import EarlyStopping
from recipes.data.decoding import FITS
from recipes.data.framing import IMAGENET_MEAN
from recipes.data.framing import IMAGENET_STD
from recipes.data.image_source import ImageSource
from recipes.data.preparation import FILE
from recipes.data.preparation import Preparation
from recipes.data.preparation import read_preparation
from recipes.fine_tuning.backbones import find_builder
from recipes.optimizers import Grouped
from recipes.optimizers import torch_optimizer
from recipes.schedules.schedule import check_positive
from recipes.training.class_accuracy import ClassAccuracy
from recipes.training.prediction import evaluate_split
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.routes import Route

STRATEGIES = ("head", "stages", "all")
CACHES = ("auto", "on", "off")
SEARCH_SPACE = {"learning_rate": [1e-3, 1e-4, 1e-5]}
_MOST_FEATURES = 2**31  # bytes, of "auto"
_PUBLISHED = {"weights": "imagenet", "validation_as_test": True}
_GENTLE = {"epochs": 15, "learning_rate": 1e-4, "head_epochs": 5}
_SMALL = {
    "architecture": "ResNet18",
    "batch_size": 16,
    "learning_rate": 1e-3,
    "head_units": 256,
    "schedule": "one_cycle",
}

EXPERIMENTS = {
    "head": Experiment(
        _PUBLISHED, "79-80% of the test images", "the best of three rates; batch size and optimizer are assumed"
    ),
    "head_1e-4": Experiment(_PUBLISHED | {"learning_rate": 1e-4}, "over 70%", "the rate is assumed"),
    "head_1e-3": Experiment(_PUBLISHED | {"learning_rate": 1e-3}, "over 70%", "the rate is assumed"),
    "stages": Experiment(
        _PUBLISHED | _GENTLE | {"strategy": "stages", "stages": 2}, "", "proposed; no figure in the text"
    ),
    "all": Experiment(
        _PUBLISHED | _GENTLE | {"strategy": "all", "rate_decay": 0.3}, "", "proposed; no figure in the text"
    ),
    "rescale_512": Experiment(
        _PUBLISHED | _GENTLE | {"strategy": "all", "rate_decay": 0.3, "rescale": 512, "batch_size": 32},
        "",
        "proposed: a learned scaling in front, trained with the head, then everything; no figure in the text",
    ),
    "nature_mini": Experiment(
        _SMALL | {"image_size": 64, "strategy": "stages", "epochs": 15, "head_epochs": 5, "rate_decay": 0.3},
        "",
        "a hundred photographs in 10 classes, two CPU cores; give --weights: without them it is random features",
    ),
    "demo": Experiment(
        _SMALL
        | {"data": "digits", "image_size": 32, "strategy": "all", "epochs": 4, "head_epochs": 1, "rate_decay": 1.0},
        "",
        "scikit-learn's digits, from random weights, no download",
    ),
}


@recipe(EXPERIMENTS, default="head")
def train(
    run,
    *,
    source: ImageSource,
    image_size: int = 224,
    rescale: int = 0,
    fit: Literal[FITS] = "stretch",
    normalization: Literal["auto", "imagenet", "data"] = "auto",
    resize_size: int = 0,
    rotation: float = 0.0,
    horizontal_flip: bool = False,
    color_jitter: float = 0.0,
    route: Route,
    architecture: str = "ResNet50",
    stem: Literal[zoo.resnet.STEMS] = "imagenet",
    weights: str | None = None,
    head_units: int = 2048,
    dropout: float = 0.3,
    strategy: Literal[STRATEGIES] = "head",
    head_epochs: int = 3,
    stages: int = 1,
    frozen_statistics: bool = True,
    cache_features: Literal[CACHES] = "auto",
    feature_views: int = 0,
    epochs: int = 10,
    batch_size: int = 64,
    optimizer: Literal["adam", "sgd"] = "adam",
    learning_rate: float = 1e-5,
    rate_decay: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant",
    monitor: Literal["val_accuracy", "val_mca", "val_loss"] = "val_accuracy",
):
    """Train a new head on a trained network, and as much of the network as is wanted.

    What is not trained computes as in prediction, and nothing of it changes. The weights that are kept are those of
    the best epoch, which makes its figures somewhat better than those of images that were never looked at: of a
    labelled test, if there is one, the accuracy is among the final figures, as `test_accuracy`.

    Args:
        image_size: int. Height and width that the network is shown, in pixels. Defaults to 224.
        rescale: int. Height and width of the images, where a learned scaling makes them `image_size`; 0 for none.
            It is trained with the head. Defaults to 0.
        fit: one of "stretch", "crop", "pad", "center_crop": what becomes of other sizes. Defaults to "stretch".
        normalization: one of "imagenet"; "data", by the mean and deviation of the training images; "auto", what the
            weights were trained with: of a run, its own; of keras.applications, theirs; of none, "data"; else
            "imagenet". Defaults to "auto".
        resize_size: int. Height and width that images are scaled to before they are cropped, at random, and in the
            middle to evaluate; 0 for no crop. Defaults to 0.
        rotation: float. Largest angle, in degrees. Defaults to 0.
        horizontal_flip: bool. Whether to mirror half of the images left and right. Defaults to False.
        color_jitter: float. Brightness, contrast and saturation change by up to this fraction. Defaults to 0.
        architecture: str. "ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152", or "MODULE:NAME" of a
            builder, such as "keras.applications:MobileNetV3Small". Defaults to "ResNet50".
        stem: one of "imagenet", which makes images four times smaller; "cifar", for small ones. Defaults
            to "imagenet".
        weights: str. "imagenet", which are downloaded; path of a checkpoint of torchvision or timm, or of the
            `model.keras` of a run; None for random weights. Defaults to None.
        head_units: int. Of the dense layer before the last; 0 for none. Defaults to 2048.
        dropout: float. Before the last layer. Defaults to 0.3.
        strategy: one of "head", which alone is trained; "stages": the head, then the last stages too; "all": the
            head, then everything. Defaults to "head".
        head_epochs: int. How many epochs come first in which the head alone is trained, of "stages" and
            "all". Defaults to 3.
        stages: int. How many are trained, of "stages": a ResNet has five, the stem one of them. Defaults to 1.
        frozen_statistics: bool. Whether batch normalisation keeps to its running statistics in what is trained, too;
            not of random weights, which have none. Defaults to True.
        cache_features: one of "on", what the frozen part makes of the images is computed once; "off"; "auto": on
            where nothing is random or `feature_views` are given, for up to two gigabytes. Defaults to "auto".
        feature_views: int. How many augmented copies of each image are computed once, which epochs take in turn,
            where images are augmented. Defaults to 0.
        epochs: int. All of them. Defaults to 10.
        batch_size: int. Images in a step; a smaller last batch is left out. Defaults to 64.
        optimizer: one of "adam", "sgd", as torch's. Defaults to "adam".
        learning_rate: float. Of the head; of other schedules than "constant" the highest. Defaults to 0.00001.
        rate_decay: float. Factor of the learning rate from each stage to the one below, beginning with that of the
            head. Defaults to 0.1.
        momentum: float. Of SGD. Defaults to 0.9.
        weight_decay: float. L2 in the gradient. Defaults to 0.
        schedule: one of "constant", "cosine", "one_cycle", anew when more than the head is trained. Defaults
            to "constant".
        monitor: one of "val_accuracy", "val_mca", "val_loss": what the best epoch is best in. Defaults
            to "val_accuracy".

    Returns:
        A `recipes.reporting.records.Record`, with `model` and `history`.

    Raises:
        ValueError: for arguments out of range, weights that do not fit, or images that are missing or cannot be read.

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    check_positive("learning_rate", learning_rate)
    side = rescale or image_size
    random = bool(rotation or horizontal_flip or color_jitter or resize_size > side)
    _check_sizes(image_size, rescale, resize_size, feature_views)
    _check_stem(architecture, stem)
    _check_cache(cache_features, feature_views, random, rescale)
    dataset = source.load(resize_size or side, fit=fit, seed=run.seed)
    steps = dataset.steps(batch_size, epochs)
    mean, std, flipped = _statistics(normalization, architecture, weights, dataset)
    crop_size = side if resize_size > side else None
    preparation = Preparation(resize_size or side, fit, mean, std, dataset.class_names, crop_size)
    normalize = augment.Normalize(mean, std)
    shown = [augment.CenterCrop(side), normalize]
    operations = [
        *([augment.Rotation(rotation)] if rotation else []),
        *([augment.PadCrop(0, size=side)] if crop_size else []),
        *([augment.HorizontalFlip()] if horizontal_flip else []),
        *([augment.ColorJitter(color_jitter, color_jitter, color_jitter)] if color_jitter else []),
        normalize,
    ]
    labels = dataset.one_hot(dataset.train_labels), dataset.one_hot(dataset.validation_labels)
    batches = {"batch_size": batch_size, "seed": run.seed}

    backbone = fine_tuning.load_backbone(
        architecture,
        weights,
        (image_size, image_size, 3),
        _front(side, image_size if rescale else 0, flipped),
        **({} if ":" in architecture else {"stem": stem}),
    )
    model = fine_tuning.replace_head(backbone, len(dataset.class_names), units=head_units, dropout=dropout)
    phases = _phases(strategy, head_epochs, epochs, stages, len(fine_tuning.stages_of(model)))
    kept, learning_rates = None, []
    for begin, end, trained in phases:
        parts = fine_tuning.freeze_below(model, trained, frozen_statistics=frozen_statistics and weights is not None)
        if _caches(cache_features, feature_views, random, parts.below, len(dataset.train_images)):
            network = parts.above
            views = [
                fine_tuning.features(parts.below, dataset.train_images, operations, **batches, epoch=view)
                for view in range(feature_views if random else 1)
            ]
            train_data = fine_tuning.FeatureBatches(views, labels[0], **batches, drop_remainder=True)
            view = fine_tuning.features(
                parts.below, dataset.validation_images, shown, batch_size=batch_size, training=False
            )
            validation_data = fine_tuning.FeatureBatches([view], labels[1], batch_size=batch_size, shuffle=False)
        else:
            network = parts.model
            train_data = route.batches(dataset, operations, **batches, initial_epoch=begin)
            validation_data = dataset.validation_batches(shown, batch_size)

        rate = _scheduled(schedule, learning_rate, steps * (end - begin))
        groups = fine_tuning.depth_rates(model, learning_rate, rate_decay)
        groups = [(pattern, _scheduled(schedule, each, steps * (end - begin))) for pattern, each in groups]
        make = functools.partial(torch_optimizer, optimizer, momentum=momentum, weight_decay=weight_decay)
        network.compile(
            optimizer=Grouped([(pattern, make(each)) for pattern, each in groups], default=make(rate)),
            loss=keras.losses.CategoricalCrossentropy(from_logits=True),
            metrics=["accuracy", ClassAccuracy(dataset.class_names)],
            jit_compile=run.jit_compile,
        )
        best = EarlyStopping(monitor)
        history = run.fit(
            network,
            train_data,
            epochs=end,
            initial_epoch=begin,
            steps_per_epoch=steps,
            validation_data=validation_data,
            shuffle=False,
            callbacks=[best],
        )
        learning_rates += [float(rate(step)) if callable(rate) else rate for step in range(steps * (end - begin))]
        if kept is None or kept[0].is_better(best.best):
            kept = best, model.get_weights()
    best, best_weights = kept
    model.set_weights(best_weights)
    measured = {name: float(value) for name, value in (best.best_logs or {}).items() if name.startswith("val_")}
    of_data = {"data_dir": source.data_dir, "batch_size": batch_size}
    with run.clock.measure("evaluate"):
        evaluation = evaluate_split(model, dataset, preparation, **of_data)
        if dataset.test_labels is not None:
            measured["test_accuracy"] = evaluate_split(model, dataset, preparation, "test", **of_data).aca
    samples = augment.ArrayGenerator(dataset.train_images, labels[0], operations, **batches, workers=0)[0]
    return run.finish(
        model,
        history,
        dataset,
        learning_rates=learning_rates,
        samples=dataset.shown(*samples, preparation=preparation),
        metrics=measured,
        evaluation=evaluation,
        preparation=preparation,
    )


def _check_sizes(image_size, rescale, resize_size, feature_views):
    if rescale and rescale < image_size:
        raise ValueError(f"`rescale` must be 0, or at least image_size={image_size}. Received: rescale={rescale}")
    side = rescale or image_size
    if resize_size and resize_size < side:
        raise ValueError(f"`resize_size` must be 0, or at least {side}. Received: resize_size={resize_size}")
    if feature_views < 0:
        raise ValueError(f"`feature_views` must not be negative. Received: feature_views={feature_views}")


def _check_stem(architecture, stem):
    if ":" in architecture and stem != "imagenet":
        raise ValueError(f"`stem` is for the ResNets of zoo. Received: stem={stem!r}, architecture={architecture!r}")


def _check_cache(cache_features, feature_views, random, rescale):
    if cache_features == "on" and rescale:
        raise ValueError(
            "What is learned stands before the network, so nothing of it can be kept: leave out `rescale`."
        )
    if cache_features == "on" and random and not feature_views:
        raise ValueError(
            "Images are augmented, in each epoch in another way: give `feature_views`, the number of copies to keep, "
            'or leave out cache_features="on".'
        )


def _caches(cache_features, feature_views, random, below, samples):
    """Whether the features of the frozen part are kept."""
    if below is None or cache_features == "off" or (random and not feature_views):
        return False
    values = keras.tree.flatten(below.output_shape[1:])
    size = 4 * samples * (feature_views if random else 1)
    for value in values:
        size *= value
    return cache_features == "on" or size <= _MOST_FEATURES


def _phases(strategy, head_epochs, epochs, stages, known):
    """First epoch, end, and how many stages are trained, of each phase."""
    if strategy == "head":
        return [(0, epochs, 0)]
    if not 0 <= head_epochs < epochs:
        raise ValueError(f"`head_epochs` must be from 0 to less than epochs={epochs}. Received: {head_epochs}")
    if strategy == "stages" and not 1 <= stages <= known:
        raise ValueError(f"`stages` must be from 1 to {known}, those of the network. Received: stages={stages}")
    then = (head_epochs, epochs, known if strategy == "all" else stages)
    return [(0, head_epochs, 0), then] if head_epochs else [then]


def _statistics(normalization, architecture, weights, dataset):
    """Mean and deviation of the pixels, and whether blue comes first."""
    published = fine_tuning.preprocessing(find_builder(architecture))
    of_run = weights is not None and pathlib.Path(weights).parent / FILE
    if normalization == "auto" and published:
        return published
    if normalization == "auto" and of_run and of_run.is_file():
        preparation = read_preparation(of_run.parent)
        return preparation.mean, preparation.std, False
    if normalization == "data" or (normalization == "auto" and weights is None):
        return dataset.mean, dataset.std, False
    return IMAGENET_MEAN, IMAGENET_STD, False


def _front(side, scaled, flipped):
    """The images as the network takes them, or None where nothing is done to them."""
    if not (scaled or flipped):
        return None
    images = keras.Input((side, side, 3), name="images")
    images = fine_tuning.rescale(images, scaled) if scaled else images
    return keras.ops.flip(images, axis=-1) if flipped else images


def _scheduled(schedule, rate, steps):
    if schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    return schedules.OneCycle(rate, total_steps=steps) if schedule == "one_cycle" else rate
