"""The learning-rate range test: train a little at rising rates, look at the loss, undo it all."""

import contextlib
import csv
import dataclasses
import pathlib

import keras
import numpy as np

from recipes import schedules
from recipes.optimizers import accumulation_steps

# Batches whose float16 gradients overflow: each halves the scale of the loss, which begins at 2 ** 15.
_MOST_SKIPPED = 50


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Args:
        rates: float array `(updates,)`. Learning rates, rising.
        losses: float array `(updates,)`. The training loss beside each rate: that of the batch whose
            gradient the rate was applied to, before the update.
        smoothed: float array `(updates,)`. Exponential moving average of the losses, corrected for
            its start.
        steps: int. Updates that were asked for; fewer were made if the loss diverged.
        diverged: bool.

    Example:

    >>> rates = np.geomspace(1e-4, 1.0, 41)
    >>> losses = (np.log10(rates) + 1) ** 2
    >>> test = RangeTest(rates, losses, losses, steps=41, diverged=False)
    >>> round(test.suggestions["minimum / 10"], 4)
    0.01
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    steps: int
    diverged: bool

    @property
    def suggestions(self):
        """dict of name to learning rate: "valley", "steepest", "minimum / 10", as fastai has them.

        Of the smoothed losses, without the first tenth of the steps and the last five. The valley
        is the middle of the longest fall, steepest where the loss falls fastest over the logarithm
        of the rate. Empty if fewer than three points are left.
        """
        kept = slice(self.steps // 10, -5)
        rates, losses = self.rates[kept], self.smoothed[kept]
        if len(rates) < 3:
            return {}
        return {
            "valley": float(rates[_valley(losses)]),
            "steepest": float(rates[np.argmin(np.diff(losses) / np.diff(np.log(rates)))]),
            "minimum / 10": float(rates[np.argmin(losses)] / 10),
        }

    def plot(self):
        """Draw the losses over the rates, and the suggestions.

        Returns:
            A `matplotlib.figure.Figure`.
        """
        from recipes.reporting.plots import plot_range_test

        return plot_range_test(self.rates, self.losses, self.smoothed, self.suggestions)

    def to_csv(self, path):
        """Write rates, losses and smoothed losses.

        Args:
            path: of the file.

        Raises:
            ValueError: if the file cannot be written.
        """
        try:
            with pathlib.Path(path).open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["learning_rate", "loss", "smoothed"])
                writer.writerows(zip(self.rates.tolist(), self.losses.tolist(), self.smoothed.tolist()))
        except OSError as error:
            raise ValueError(f"Cannot write {path}: {error.strerror}.") from error


class LRFinder:
    """Train a compiled model at rising learning rates, and put everything back.

    Each update has the next rate. It is the model that is trained: its loss, its own `train_step`,
    precision, loss scaling, gradient accumulation; with a fresh optimizer of the same settings,
    whose learning rate is a schedule inside the compiled step.

    Args:
        model: a compiled and built `keras.Model`.
        min_lr: float. The first rate. Defaults to 1e-7.
        max_lr: float. The last rate. Defaults to 10.
        steps: int, at least 2. Updates from the first rate to the last. Defaults to 100.
        spacing: one of "log", "linear". Defaults to "log".
        smoothing: float in [0, 1). Part of the old value in the moving average of the loss. Defaults to 0.8.
        divergence: float above 1. It stops when the smoothed loss is more than this times its least
            value, or is no number. Defaults to 4.

    Raises:
        ValueError: for arguments out of range, or a model that is not compiled or built.

    Example:

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(), "mse")
    >>> finder = LRFinder(model, min_lr=1e-3, steps=60)
    >>> test = finder.find(np.ones((64, 1)), np.zeros((64, 1)), batch_size=8)
    >>> test.diverged, sorted(test.suggestions)
    (True, ['minimum / 10', 'steepest', 'valley'])

    Reference:
        Smith, 2015. https://arxiv.org/abs/1506.01186
        https://docs.fast.ai/callback.schedule.html
    """

    def __init__(self, model, min_lr=1e-7, max_lr=10.0, steps=100, spacing="log", smoothing=0.8, divergence=4.0):
        _check(model, smoothing, divergence)
        self.model = model
        self.ramp = schedules.Ramp(min_lr, max_lr, steps, spacing)
        self.steps = steps
        self.smoothing = smoothing
        self.divergence = divergence

    def find(self, x, y=None, **fit_arguments):
        """Run the test.

        Afterwards, and after an exception, weights, statistics, seeds and metrics are as they were,
        and the model has its own optimizer and compiled step again. Data that end too early are gone
        through again.

        Args:
            x: training data: array, `tf.data.Dataset`, `keras.utils.PyDataset`, or what else `fit` takes.
            y: targets, or None if `x` has them. Defaults to None.
            **fit_arguments: of `keras.Model.fit`, such as `batch_size` or `class_weight`.

        Returns:
            A `RangeTest`.

        Raises:
            ValueError: for arguments that make no sense here, or a training step that reports no loss.
        """
        own = {"epochs", "initial_epoch", "verbose", "validation_data", "validation_split"} & set(fit_arguments)
        if own:
            raise ValueError(f"A range test has no epochs and validates nothing. Leave out: {', '.join(sorted(own))}")
        recorder = _Recorder(self.steps, self.smoothing, self.divergence)
        extra = fit_arguments.pop("callbacks", None) or []
        extra = list(extra) if isinstance(extra, (list, tuple)) else [extra]
        with _borrowed(self.model) as model:
            optimizer = _fresh(model.optimizer, self.ramp)
            # `compile` would renew the loss and the metrics too; and plain assignment would make the
            # optimizer a part of the model for good.
            vars(model).update(optimizer=optimizer, train_function=None, steps_per_execution=1)
            recorder.most_batches = self.steps * accumulation_steps(optimizer) + _MOST_SKIPPED
            model.fit(x, y, epochs=recorder.most_batches, verbose=0, callbacks=[recorder, *extra], **fit_arguments)
        rates = np.array([self.ramp(step) for step in range(len(recorder.losses))])
        losses, smoothed = np.array(recorder.losses), np.array(recorder.smoothed)
        return RangeTest(rates, losses, smoothed, self.steps, recorder.diverged)


class _Recorder(keras.callbacks.Callback):
    """The loss of each update; stops when it diverges, or when there are enough."""

    def __init__(self, steps, smoothing, divergence):
        super().__init__()
        self.steps, self.smoothing, self.divergence = steps, smoothing, divergence
        self.losses, self.smoothed = [], []
        self.average = 0.0
        self.batches = 0
        self.diverged = False

    def on_train_batch_begin(self, batch, logs=None):
        model = self.model
        if int(model.optimizer.iterations) == len(self.losses) and self.begun != len(self.losses):
            self.begun = len(self.losses)
            model.reset_metrics()  # or the loss would be the mean since the beginning of the epoch

    def on_train_begin(self, logs=None):
        self.begun = -1

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        if "loss" not in (logs or {}):
            raise ValueError(f"The training step of {self.model.name} reports no loss. Received: logs={logs!r}")
        loss = float(logs["loss"])
        updated = int(self.model.optimizer.iterations) > len(self.losses)
        if updated or not np.isfinite(loss):
            self.record(loss)
        if self.diverged or len(self.losses) >= self.steps or self.batches >= self.most_batches:
            self.model.stop_training = True

    def record(self, loss):
        if not np.isfinite(loss):
            self.diverged = True
            return
        self.losses.append(loss)
        self.average = self.smoothing * self.average + (1 - self.smoothing) * loss
        self.smoothed.append(self.average / (1 - self.smoothing ** len(self.losses)))
        least = min(self.smoothed)  # may be negative
        self.diverged = self.smoothed[-1] > least + (self.divergence - 1) * abs(least)


@contextlib.contextmanager
def _borrowed(model):
    """The model to do anything with; afterwards it is as it was."""
    names = ("optimizer", "train_function", "steps_per_execution", "stop_training", "history")
    kept = {name: vars(model)[name] for name in names if name in vars(model)}
    # On JAX an average of the weights can share their memory, which the step gives away.
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    values = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    known = set(map(id, variables))
    try:
        yield model
    finally:
        for name in names:
            vars(model).pop(name, None)
        vars(model).update(kept)
        for metric in model.metrics:  # those that the first step built
            if not known.issuperset(map(id, metric.variables)):
                metric.reset_state()
        for variable, value in zip(variables, values):
            variable.assign(value)


def _fresh(optimizer, schedule):
    """An optimizer of the same settings, at step 0, with this schedule of updates."""
    if hasattr(optimizer, "inner_optimizer"):
        return keras.optimizers.LossScaleOptimizer(
            _fresh(optimizer.inner_optimizer, schedule),
            initial_scale=optimizer.initial_scale,
            dynamic_growth_steps=optimizer.dynamic_growth_steps,
        )
    config = optimizer.get_config()
    if optimizer.gradient_accumulation_steps:
        schedule = schedules.per_update(schedule, optimizer.gradient_accumulation_steps)
    fresh = type(optimizer).from_config({**config, "learning_rate": schedule})
    excluded = {name: value for name, value in vars(optimizer).items() if name.startswith("_exclude_from_weight_decay")}
    vars(fresh).update(excluded)  # Keras leaves this one setting out of the config
    return fresh


def _valley(losses):
    """Index of the middle of the longest fall: the longest decreasing subsequence."""
    lengths = np.ones(len(losses), int)
    for index in range(1, len(losses)):
        lengths[index] += max(lengths[:index][losses[:index] > losses[index]], default=0)
    end = int(lengths.argmax())
    return end - int(lengths[end]) // 2


def _check(model, smoothing, divergence):
    if not getattr(model, "compiled", False) or model.optimizer is None:
        raise ValueError(f"The model must be compiled with an optimizer: call `compile`. Received: {model!r}")
    if not model.built:
        raise ValueError(f"The model must be built: call it on a batch, or give it an Input. Received: {model!r}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"`smoothing` must be from 0 to below 1. Received: smoothing={smoothing!r}")
    if not divergence > 1:
        raise ValueError(f"`divergence` must be above 1. Received: divergence={divergence!r}")
