"""CIFAR-10 as fast as it goes: to 94% in minutes on two CPU cores, in seconds on a GPU.

    zoo run cifar10_speedrun --data-dir cifar-10-batches-py --experiment cpu94

Source: airbench (https://arxiv.org/abs/2404.00498), PyTorch on one A100: 94% in 2.6 s, 95% in 10.4 s,
96% in 34.7 s. Experiments `gpu94`, `gpu95` and `gpu96` are its published settings in Keras. `cpu94`
is for two CPU cores, where arithmetic is the price: after two epochs it trains on the two thirds
of the images that are hardest, its first epochs see smaller ones, and its network is computed by `zoo.Conv2D`,
`zoo.BatchNormalization` and `zoo.Activation`.

What was measured here is kept beside this file, in `results/`, and shown by `zoo list`. Seconds are
those of everything: data, compilation, training, test-time augmentation.
"""

from typing import Literal

import keras
import numpy as np

import augment
import zoo
from recipes import schedules
from recipes.data.cifar10 import load_cifar10
from recipes.data.digits import load_digits
from recipes.data.preparation import Preparation
from recipes.optimizers import SGD
from recipes.optimizers import Grouped
from recipes.optimizers import Lookahead
from recipes.optimizers import Muon
from recipes.optimizers import decoupled
from recipes.training import session
from recipes.training.evaluation import WEIGHTS
from recipes.training.evaluation import accuracy
from recipes.training.evaluation import mean_of_views
from recipes.training.evaluation import predict_views
from recipes.training.evaluation import refine
from recipes.training.memory import InMemoryData
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.selection import HardestSamples

# Published as 1e-12, with which a channel that is the same everywhere, as on images with black borders,
# multiplies its gradient by a million, and all weights become NaN.
_EPSILON = 1e-5
_SGD = {
    "optimizer": "sgd",
    "batch_size": 1024,
    "logit_scale": 1 / 9,
    "warmup_fraction": 0.23,
    "first_fraction": 0.2,
    "final_fraction": 0.07,
    "lookahead": True,
}

EXPERIMENTS = {
    "cpu94": Experiment(
        {
            "epochs": 12,
            "batch_size": 1000,
            "image_sides": "24,24,24,24,24,24,24,32,32,32,32,32",
            "kept_fractions": "1,1" + 10 * ",0.65",
            "ghost_batches": 2,
            "whitening_bias_epochs": 0,
            "test_time_views": "1,6:0.25",
        },
        "",
        "airbench94_muon on the harder two thirds of the images, smaller ones first",
    ),
    "gpu94": Experiment({}, "94.01% (mean of 200), 2.59 s on an A100", "airbench94_muon"),
    "gpu95": Experiment(
        _SGD | {"size": 95, "epochs": 15, "learning_rate": 10.0, "weight_decay": 0.0153},
        "95.01% (mean of 200), 10.4 s on an A100",
        "airbench95; statistics of batch normalisation are not averaged",
    ),
    "gpu96": Experiment(
        _SGD
        | {
            "size": 96,
            "epochs": 37,
            "learning_rate": 9.0,
            "weight_decay": 0.012,
            "warmup_fraction": 0.1,
            "final_fraction": 0.0,
            "pad_crop": 4,
            "cutout": 12,
        },
        "96.03% (mean of 400), 34.7 s on an A100",
        "airbench96; statistics of batch normalisation are not averaged",
    ),
    "demo": Experiment(
        {"data": "digits", "epochs": 4, "batch_size": 100, "flip": "none", "image_sides": "24,24,32,32"},
        "",
        "scikit-learn's digits, no download",
    ),
}


@recipe(EXPERIMENTS, default="cpu94")
def train(
    run,
    *,
    data: Literal["cifar10", "digits"] = "cifar10",
    data_dir: str | None = None,
    size: Literal[94, 95, 96] = 94,
    activation: Literal["gelu", "silu", "relu"] = "gelu",
    epochs: int = 8,
    batch_size: int = 2000,
    image_sides: str = "",
    kept_fractions: str = "",
    ghost_batches: int = 1,
    optimizer: Literal["muon", "sgd"] = "muon",
    learning_rate: float = 0.24,
    weight_decay: float = 2e-6,
    warmup_fraction: float = 0.0,
    first_fraction: float = 1.0,
    final_fraction: float = 0.0,
    lookahead: bool = False,
    whitening_bias_epochs: int = 3,
    logit_scale: float = 0.00390625,
    label_smoothing: float = 0.2,
    flip: Literal["alternating", "random", "none"] = "alternating",
    pad_crop: int = 2,
    cutout: int = 0,
    brightness: float = 0.0,
    contrast: float = 0.0,
    test_time_views: str = "6",
):
    """Train SpeedNet on CIFAR-10.

    Args:
        data: one of "cifar10", "digits" (embedded). Defaults to "cifar10".
        data_dir: str. Folder with CIFAR-10 as published, or None to download it. Defaults to None.
        size: one of 94, 95, 96: the network that was published for this accuracy. Defaults to 94.
        activation: one of "gelu", "silu", "relu". Defaults to "gelu".
        epochs: int. Defaults to 8.
        batch_size: int. Images in a step; a smaller last batch is left out. Defaults to 2000.
        image_sides: str. Height and width to which images are scaled, in pixels, for each epoch, such as
            "24,24,32"; "" leaves them as they are. Defaults to "".
        kept_fractions: str. Of the images, those that are trained on in each epoch, such as "1,0.5,0.5":
            the hardest, by the loss that each had last; "" for all of them. Defaults to "".
        ghost_batches: int. Parts of a batch, each of which is normalised by its own statistics, and which
            TensorFlow computes side by side on a CPU. Defaults to 1.
        optimizer: one of "muon" (of the convolutions; SGD for the rest), "sgd". Defaults to "muon".
        learning_rate: float. Of the convolutions with "muon", with "sgd" decoupled: for 1024
            examples. Defaults to 0.24.
        weight_decay: float. With "muon" of all but the convolutions, for each example; with "sgd"
            decoupled: for 1024 examples. Defaults to 2e-6.
        warmup_fraction: float. Of the steps, up to the peak of all learning rates. Defaults to 0.
        first_fraction: float. First learning rate, as a fraction of the peak. Defaults to 1.
        final_fraction: float. Last learning rate, as a fraction of the peak. Defaults to 0.
        lookahead: bool. Whether slow weights follow the fast ones. Defaults to False.
        whitening_bias_epochs: int. For so many epochs, first, the whitening has a bias that is trained;
            0 for none. Defaults to 3.
        logit_scale: float. Factor of the logits: 1 / 256. Defaults to 0.00390625.
        label_smoothing: float. Defaults to 0.2.
        flip: one of "alternating" (each image every other epoch), "random", "none". Defaults to "alternating".
        pad_crop: int. Pixels of reflection before a random crop. Defaults to 2.
        cutout: int. Side of a square that is covered with the mean, in pixels. Defaults to 0.
        brightness: float. Pixels are multiplied by a factor within this of 1, one for each image. Defaults to 0.
        contrast: float. Likewise their distance from the mean of the image. Defaults to 0.
        test_time_views: str. Views of an image whose logits are averaged at the end: "1", "2" (and the
            mirror image), "6" (both, and shifted by a pixel to two sides) or "18" (both, and shifted to
            all sides). With "1,2:0.25,18:0.1" the quarter of which the model is least sure after one
            view is shown in two, and then the tenth of which it is least sure in 18. Defaults to "6".

    Returns:
        A `recipes.reporting.records.Record`, with `model` and `history`.

    Raises:
        ValueError: for arguments out of range, or data that is missing or damaged.

    Reference:
        https://arxiv.org/abs/2404.00498
    """
    _check_parts(ghost_batches, batch_size)
    session.side_by_side(ghost_batches)
    dataset = load_digits() if data == "digits" else load_cifar10(data_dir)
    dataset.steps(batch_size, epochs)  # refuses what leaves no batch or epoch
    normalize = augment.Normalize(dataset.mean, dataset.std)
    operations = [
        *({"alternating": [augment.AlternatingFlip()], "random": [augment.HorizontalFlip()], "none": []}[flip]),
        *([augment.PadCrop(pad_crop)] if pad_crop else []),
        *([augment.Brightness(brightness)] if brightness else []),
        *([augment.Contrast(contrast)] if contrast else []),
        normalize,
        *([augment.Cutout(cutout)] if cutout else []),
    ]
    sides = _of_epochs("image_sides", int, image_sides, epochs)
    sizes = [[augment.Resize(side)] if side else [] for side in sides]
    fractions = _of_epochs("kept_fractions", float, kept_fractions, epochs)
    views_of_all, views_of_unsure = _views(test_time_views)
    train_data = InMemoryData(
        dataset.train_images,
        dataset.one_hot(dataset.train_labels),
        lambda epoch: operations + sizes[epoch],
        batch_size=batch_size,
        seed=run.seed,
        drop_remainder=True,
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    hardest = HardestSamples(train_data, [fraction or 1.0 for fraction in fractions], loss)
    steps = hardest.steps

    muon = optimizer == "muon"
    momentum = zoo.speednet.SIZES[size].get("batch_normalization_momentum", 0.6)
    model = zoo.SpeedNet(
        input_shape=(None, None, 3),
        classes=len(dataset.class_names),
        classifier_activation=None,
        activation=activation,
        whitening_bias=whitening_bias_epochs > 0,
        whitening_bias_initializer=None if muon else "zeros",
        head_initializer=keras.initializers.RandomUniform(-(3**0.5), 3**0.5) if muon else None,
        logit_scale=logit_scale,
        epsilon=_EPSILON,
        **zoo.speednet.SIZES[size] | {"batch_normalization_momentum": momentum ** (1 / ghost_batches)},
    )
    zoo.whiten(model, normalize.evaluate(dataset.train_images[:5000]))
    schedule = _straight(warmup_fraction, first_fraction, final_fraction, sum(steps))
    groups = _muon if muon else _sgd
    optimizer = groups(learning_rate, weight_decay, batch_size, schedule, sum(steps[:whitening_bias_epochs]))
    if lookahead:
        optimizer = Lookahead(optimizer, decay=schedules.PowerRamp(0.95**5, total_steps=sum(steps), power=3))
    in_parts = zoo.ghost_batches(model, ghost_batches)
    settings = {"optimizer": optimizer, "loss": loss, "jit_compile": run.jit_compile}
    in_parts.compile(**settings, metrics=["accuracy", *([hardest.metric] if kept_fractions else [])])
    callbacks = [
        *([_FreezeWhitening(model, whitening_bias_epochs, sides)] if whitening_bias_epochs else []),
        *([hardest] if kept_fractions else []),
    ]
    history = run.fit(in_parts, train_data, epochs=epochs, steps_per_epoch=steps, callbacks=callbacks)
    with run.clock.measure("evaluate"):
        images, labels = normalize.evaluate(dataset.validation_images), dataset.validation_labels
        views = predict_views(in_parts, images, views_of_all)
        logits = mean_of_views(views)
        for count, fraction in views_of_unsure:
            logits = refine(in_parts, images, logits, fraction, count)
        metrics = {"val_accuracy": accuracy(views[0], labels), "val_accuracy_tta": accuracy(logits, labels)}
    model.compile(**settings, metrics=["accuracy"])  # to go on with: it is whole, and nothing of it was selected for
    return run.finish(
        model,
        history,
        dataset,
        learning_rates=[float(schedule(learning_rate)(step)) for step in range(sum(steps))],
        samples=dataset.shown(*train_data[0]),
        metrics=metrics,
        preparation=Preparation(
            dataset.train_images.shape[1:3], "stretch", dataset.mean, dataset.std, dataset.class_names
        ),
    )


def _check_parts(ghost_batches, batch_size):
    if ghost_batches < 1 or batch_size % ghost_batches:
        raise ValueError(
            "`ghost_batches` must be 1 or more, and divide the batch. "
            f"Received: ghost_batches={ghost_batches}, batch_size={batch_size}"
        )


def _of_epochs(name, kind, text, epochs):
    """A number for each epoch, from words between commas; for "" none for each."""
    if not text:
        return [None] * epochs
    try:
        values = [kind(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) != epochs or not all(value > 0 for value in values):
        example = ",".join(["24", "24", "32"] if kind is int else ["1", "1", "0.5"])
        raise ValueError(
            f'`{name}` must be {epochs} numbers above 0, one for each epoch, such as "{example}", or "". '
            f"Received: {name}={text!r}"
        )
    return values


def _views(text):
    """In how many views all images are shown; then pairs of views and the fraction of the images shown in them."""
    first, *rest = (word.partition(":") for word in text.split(","))
    try:
        stages = [(int(views), float(fraction)) for views, _, fraction in [(first[0], "", 1), *rest]]
    except ValueError:
        stages = []
    if not stages or first[1] or not all(views in WEIGHTS and 0 <= fraction <= 1 for views, fraction in stages):
        raise ValueError(
            f"`test_time_views` must be one of {', '.join(map(str, WEIGHTS))}; or that, and then views and the part "
            f'of the images that is shown in them, such as "1,2:0.25,18:0.1". Received: test_time_views={text!r}'
        )
    return stages[0][0], stages[1:]


class _FreezeWhitening(keras.callbacks.Callback):
    """From the epoch on in which its rate is 0, the bias of the whitening needs no gradient.

    What is compiled already goes on to compute it, so this is for image sizes that come after that: it saves
    time and alters no weight. It is the same for an epoch whether the run began with it or not.
    """

    def __init__(self, model, epochs, sides):
        super().__init__()
        self.bias, self.epochs, self.sides = model.get_layer("whiten_bias"), epochs, sides

    def on_epoch_begin(self, epoch, logs=None):
        compiled = self.sides.index(self.sides[epoch])  # in the first epoch of that size
        self.bias.frozen = compiled >= self.epochs


def _straight(warmup_fraction, first_fraction, final_fraction, steps):
    """What makes a schedule of a peak: straight up to it, and straight down; 0 from some step on."""
    if not 0 <= warmup_fraction < 1:
        raise ValueError(
            f"`warmup_fraction` must be from 0 to less than 1. Received: warmup_fraction={warmup_fraction}"
        )
    warmup = int(warmup_fraction * steps)
    places, factors = [0, warmup, steps], [first_fraction, 1.0, final_fraction]
    if not warmup:
        places, factors = places[1:], factors[1:]

    def schedule(peak, until=None):
        if until is None:
            return schedules.PiecewiseLinear(places, [peak * factor for factor in factors])
        knots = [place for place in places if place < until - 1] + [until - 1]
        return schedules.PiecewiseLinear([*knots, until], [*(peak * np.interp(knots, places, factors)), 0.0])

    return schedule


def _muon(learning_rate, weight_decay, batch_size, schedule, bias_steps):
    """airbench94_muon: Muon for the convolutions; the published rates of the rest are for a summed loss."""
    bias, head = 0.053 * batch_size, 0.67 * batch_size
    decay = weight_decay * batch_size
    falling = bias_steps and schedules.PiecewiseLinear([0, bias_steps], [bias, 0.0])
    return Grouped(
        [
            *([("whiten_bias", _torch_sgd(falling, decay / bias))] if bias_steps else []),
            ("_bn/beta", _torch_sgd(schedule(bias), decay / bias)),
            ("head", _torch_sgd(schedule(head), decay / head)),
        ],
        default=Muon(schedule(learning_rate)),
    )


def _sgd(learning_rate, weight_decay, batch_size, schedule, bias_steps):
    """airbench94 to 96: SGD, with 64 times the rate for the biases of batch normalisation."""
    rate, l2 = decoupled(learning_rate, weight_decay, 0.85, batch_size)
    bias_rate, bias_l2 = decoupled(64 * learning_rate, weight_decay, 0.85, batch_size)
    return Grouped(
        [
            *([("whiten_bias", _torch_sgd(schedule(rate, until=bias_steps), l2))] if bias_steps else []),
            ("_bn/beta", _torch_sgd(schedule(bias_rate), bias_l2)),
        ],
        default=_torch_sgd(schedule(rate), l2),
    )


def _torch_sgd(learning_rate, l2):
    return SGD(learning_rate, momentum=0.85, nesterov=True, l2=l2, learning_rate_in_velocity=False)
