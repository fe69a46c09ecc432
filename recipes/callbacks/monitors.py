"""Callbacks that look at a value of each evaluation: early stopping, with the best weights, and plateaus."""

import fractions
import math
import warnings

import keras

from recipes.optimizers import scale_learning_rate
from recipes.schedules.schedule import check_choice
from recipes.schedules.schedule import check_positive

_LOW = ("loss", "error")
_HIGH = ("accuracy", "acc", "aca", "mca", "auc", "recall", "precision", "f1", "ap", "ap50", "ap75")


class Monitor(keras.callbacks.Callback):
    """A base for callbacks that look at a value of each evaluation, and have patience.

    In the callbacks of `fit` they look at the end of each epoch; within `EvaluateEvery`, at each of
    its evaluations. Patience is counted in epochs or in steps in both places. A step is a batch, also
    where gradients are accumulated: growth of the batch changes nothing of the patience.

    Subclasses implement `judge`. `best` is the best value yet, `best_logs` what was measured with it.

    Args:
        monitor: str. The value to look at, as the history names it. Defaults to "val_accuracy".
        patience_epochs: int or float, or None. Defaults to None.
        patience_steps: int, or None. Defaults to None.
        mode: one of "min", "max", for what is better; or None to tell by the name. Defaults to None.

    Raises:
        ValueError: for two kinds of patience, patience below 0, or a name of which it cannot be told
            what is better; from `fit`, for a value that is not measured.

    Example:

    >>> class Reporter(Monitor):
    ...     def judge(self, value, position):
    ...         print(f"{value} after {position} epochs, {self.patience} of patience")
    >>> reporter = Reporter("val_loss", patience_epochs=3)
    >>> reporter.on_train_begin()
    >>> reporter.on_epoch_end(0, {"val_loss": 0.5})
    0.5 after 1 epochs, 3 of patience
    """

    def __init__(self, monitor="val_accuracy", patience_epochs=None, patience_steps=None, mode=None):
        super().__init__()
        if patience_epochs is not None and patience_steps is not None:
            raise ValueError(
                "Give `patience_epochs` or `patience_steps`, not both. "
                f"Received: patience_epochs={patience_epochs}, patience_steps={patience_steps}"
            )
        for name, value in (("patience_epochs", patience_epochs), ("patience_steps", patience_steps)):
            if value is not None and (isinstance(value, str) or not value >= 0):
                raise ValueError(f"`{name}` must not be negative. Received: {name}={value!r}")
        self.monitor = monitor
        self.patience = patience_steps if patience_epochs is None else patience_epochs
        self.in_epochs, self.in_steps = patience_epochs is not None, patience_steps is not None
        self.mode = _mode_of(monitor) if mode is None else mode
        check_choice("mode", self.mode, ("min", "max"))
        self._begin()

    def _begin(self):
        self.best = math.inf if self.mode == "min" else -math.inf
        self.best_logs = None
        self._seen = False

    def judge(self, value, position):
        """What to do about a value.

        Args:
            value: float.
            position: number. Epochs or steps made, in which patience is counted.
        """

    def is_better(self, value):
        """Whether a value is better than the best one.

        Args:
            value: float. What is no number is not.

        Returns:
            bool.
        """
        return value < self.best if self.mode == "min" else value > self.best

    def on_train_begin(self, logs=None):
        self._begin()

    def on_epoch_end(self, epoch, logs=None):
        self._look((epoch + 1) * (self._steps_per_epoch() if self.in_steps else 1), logs)

    def on_evaluation(self, step, logs):
        """As `on_epoch_end`, after some steps of a training. `EvaluateEvery` calls it.

        Args:
            step: int. Steps made.
            logs: dict of name to float.
        """
        self._look(fractions.Fraction(step, self._steps_per_epoch()) if self.in_epochs else step, logs)

    def _steps_per_epoch(self):
        steps = (self.params or {}).get("steps")
        if not steps:
            raise ValueError(
                "The data have no known length, by which patience in steps is told from that in epochs: give "
                "`steps_per_epoch` to `fit`."
            )
        return steps

    def _look(self, position, logs):
        if self.monitor not in (logs or {}):
            # With `validation_freq`, not every epoch is evaluated.
            if not self.monitor.startswith("val_") or any(name.startswith("val_") for name in logs or {}):
                raise ValueError(
                    f"{type(self).__name__} looks at {self.monitor!r}, which is not measured. There are: "
                    f"{', '.join(sorted(logs or {}))}"
                )
            return
        self._seen = True
        value = float(logs[self.monitor])
        better = self.is_better(value)
        self.judge(value, position)
        if better:
            self.best, self.best_logs = value, dict(logs)

    def on_train_end(self, logs=None):
        if not self._seen:
            warnings.warn(
                f"{type(self).__name__} has never seen {self.monitor!r}: give `validation_data` to `fit`.", stacklevel=2
            )


class EarlyStopping(Monitor):
    """Stop a training that has become no better for so many epochs or steps, and give back the best weights.

    In epochs it stops when Keras's does, which serves there as well; it also counts steps, and looks
    within `EvaluateEvery` every so many of them. Without any patience it only gives back the best
    weights, at the end: kept in memory, nothing is written.

    "No learning for 3 epochs" is 408 and 204 steps at batches of 64 and 128 of 8,707 images:
    `patience_epochs=3` is the same for all batches, `patience_steps=100` is not.

    Args:
        monitor: str. Defaults to "val_accuracy".
        patience_epochs: int or float: it stops when the best is so many epochs ago. Defaults to None.
        patience_steps: int: it stops when the best is so many steps ago. Defaults to None.
        mode: one of "min", "max", None. Defaults to None.
        min_delta: float. What it must be better by than the best. Defaults to 0.
        restore_best_weights: bool. Defaults to True.

    Raises:
        ValueError: as `Monitor`, or for a negative `min_delta`.

    Example:

    >>> callbacks = [EarlyStopping("val_mca", patience_epochs=10)]
    >>> every_tenth_step = EarlyStopping("val_accuracy", patience_steps=100)
    """

    def __init__(
        self,
        monitor="val_accuracy",
        patience_epochs=None,
        patience_steps=None,
        mode=None,
        min_delta=0.0,
        restore_best_weights=True,
    ):
        super().__init__(monitor, patience_epochs, patience_steps, mode)
        if not min_delta >= 0:
            raise ValueError(f"`min_delta` must not be negative. Received: min_delta={min_delta!r}")
        self.min_delta = min_delta
        self.restore_best_weights = restore_best_weights

    def _begin(self):
        super()._begin()
        self.best_position = 0
        self.best_weights = None

    def is_better(self, value):
        return super().is_better(value + self.min_delta if self.mode == "min" else value - self.min_delta)

    def judge(self, value, position):
        if self.is_better(value):
            self.best_position = position
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        elif self.patience is not None and position - self.best_position >= self.patience:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by a factor when there is no progress: as torch's of this name.

    Keras's callback of this name lowers the rate one epoch earlier at the same patience, and lets a
    cooldown end one epoch earlier; has absolute thresholds alone; of `Grouped` it sees the rate of the
    default alone. This one lowers those of all groups, by the same factor; within `EvaluateEvery` it
    looks every so many steps; and it counts as torch does, whose settings are the published ones:
    patience 5 lowers the rate at the sixth epoch that is no better.

    The optimizer has a number as its learning rate, no schedule.

    Args:
        monitor: str. Defaults to "val_accuracy".
        factor: float in (0, 1). Defaults to 0.1.
        patience_epochs: int or float. Epochs without progress that are borne; 10 if there is no
            patience in steps either. Defaults to None.
        patience_steps: int. The same in steps. Defaults to None.
        cooldown: int, in the unit of the patience. How long to wait after a reduction before patience
            counts again. Defaults to 0.
        threshold: float. What counts as progress. Defaults to 1e-4.
        threshold_mode: one of "rel", a part of the best value; "abs", an amount. Defaults to "rel".
        min_lr: float. No rate is brought below it. Defaults to 0.
        mode: one of "min", "max", None. Defaults to None.

    Raises:
        ValueError: as `Monitor`, or for a factor or threshold out of range; from `fit`, for a
            learning rate that follows a schedule.

    Example:

    >>> callbacks = [ReduceLROnPlateau("val_accuracy", factor=0.5, patience_epochs=5)]
    """

    def __init__(
        self,
        monitor="val_accuracy",
        factor=0.1,
        patience_epochs=None,
        patience_steps=None,
        cooldown=0,
        threshold=1e-4,
        threshold_mode="rel",
        min_lr=0.0,
        mode=None,
    ):
        if patience_epochs is None and patience_steps is None:
            patience_epochs = 10
        super().__init__(monitor, patience_epochs, patience_steps, mode)
        check_positive("factor", factor)
        check_choice("threshold_mode", threshold_mode, ("rel", "abs"))
        if factor >= 1 or min(threshold, cooldown, min_lr) < 0:
            raise ValueError(
                "`factor` must be below 1; `threshold`, `cooldown` and `min_lr` not negative. Received: "
                f"factor={factor!r}, threshold={threshold!r}, cooldown={cooldown!r}, min_lr={min_lr!r}"
            )
        self.factor, self.cooldown, self.min_lr = factor, cooldown, min_lr
        self.threshold, self.threshold_mode = threshold, threshold_mode

    def _begin(self):
        super()._begin()
        self._counted_from = 0

    def is_better(self, value):
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            least = self.best * (1 + sign * self.threshold)
        else:
            least = self.best + sign * self.threshold
        return sign * value > sign * least

    def judge(self, value, position):
        if self.is_better(value):
            self._counted_from = max(self._counted_from, position)
        elif position - self._counted_from > self.patience:
            scale_learning_rate(self.model.optimizer, self.factor, self.min_lr)
            self._counted_from = position + self.cooldown


def _mode_of(monitor):
    words = monitor.lower().replace("/", "_").split("_")
    if any(word in _LOW for word in words):
        return "min"
    if any(word in _HIGH for word in words):
        return "max"
    raise ValueError(
        f'Whether less or more of {monitor!r} is better cannot be told by its name: give `mode="min"` or `mode="max"`.'
    )
