"""Learning rates as callbacks, meant for subclassing, and a logger of the learning rate.

A schedule (`recipes.schedules`) is the better form where it serves: it runs inside the compiled
step and costs nothing. A callback can do what it likes between two steps.
"""

import functools

import keras

from recipes import schedules


class LearningRateCallback(keras.callbacks.Callback):
    """Set the learning rate before every step, from any function of the step.

    To subclass, override `value`; `step`, `model` and `history` are there to use. It refuses to
    share the learning rate: with a schedule in the optimizer, a second callback of this kind, or
    anything else that changes the rate while it runs.

    Args:
        function: step (int, from 0) to learning rate, or None if `value` is overridden. Defaults to None.

    Raises:
        ValueError: from `fit`, if the learning rate has another owner, or several steps run at once.

    Example:

    >>> class Decay(LearningRateCallback):
    ...     def value(self, step):
    ...         return 0.1 / (1 + step)
    >>> Decay().value(4)
    0.02
    """

    def __init__(self, function=None):
        super().__init__()
        self.function = function
        self.step = 0
        self.history = {"step": [], "learning_rate": []}
        self._last = None

    def value(self, step):
        """The learning rate of a step.

        Args:
            step: int, from 0.

        Returns:
            float.
        """
        return self.function(step)

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        try:
            optimizer.learning_rate = float(self.value(self.step))
        except TypeError as error:
            raise ValueError(
                f"The optimizer already has a schedule, so {type(self).__name__} cannot set the learning rate. "
                "Give the optimizer a number, or drop the callback."
            ) from error
        owner = getattr(optimizer, "learning_rate_owner", None)
        if owner is not None and owner is not self:
            raise ValueError(
                f"{type(owner).__name__} already sets the learning rate of this optimizer, so "
                f"{type(self).__name__} cannot. Keep one of the two callbacks."
            )
        if self.model.steps_per_execution != 1:
            raise ValueError(
                f"With steps_per_execution={self.model.steps_per_execution} a callback misses steps. "
                "Use a schedule of recipes.schedules, or steps_per_execution=1."
            )
        optimizer.learning_rate_owner = self
        self._last = None

    def on_train_batch_begin(self, batch, logs=None):
        optimizer = self.model.optimizer
        # Reading the rate waits for the device, so it is read once an epoch: enough to find the
        # callbacks that change it between epochs.
        if batch == 0 and self._last is not None and abs(float(optimizer.learning_rate) / self._last - 1) > 1e-5:
            raise ValueError(
                f"The learning rate was set to {self._last:g} by {type(self).__name__}, and is now "
                f"{float(optimizer.learning_rate):g}: something else sets it too. Keep one of the two."
            )
        rate = float(self.value(self.step))
        optimizer.learning_rate = rate
        self.history["step"].append(self.step)
        self.history["learning_rate"].append(rate)
        self._last = rate or None

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and self._last is not None:
            logs["learning_rate"] = self._last

    def on_train_end(self, logs=None):
        self.model.optimizer.learning_rate_owner = None


class CyclicLR(LearningRateCallback):
    """Cyclical learning rate as a callback, with the arguments of the original one.

    Args:
        base_lr: float. The lowest value. Defaults to 0.001.
        max_lr: float. The highest. Defaults to 0.006.
        step_size: float. Steps in half a cycle; two to eight epochs of steps serve. Defaults to 2000.
        mode: one of "triangular", "triangular2", "exp_range". Defaults to "triangular".
        gamma: float. Of "exp_range". Defaults to 1.
        scale_fn: any Python function from cycle (1, 2, ...) or step to a factor of the height,
            which takes the place of `mode`; or None. Defaults to None.
        scale_mode: one of "cycle", "iterations": what `scale_fn` is given. Defaults to "cycle".

    Raises:
        ValueError: for an unknown mode, or a `step_size` that is not positive.

    Example:

    >>> import math
    >>> callback = CyclicLR(0.0, 0.4, step_size=2, scale_fn=lambda cycle: 0.5 * (1 + math.sin(cycle * math.pi / 2.5)))
    >>> round(callback.value(2), 3)
    0.39

    Reference:
        Smith, 2015. https://arxiv.org/abs/1506.01186
        https://github.com/bckenstler/CLR
    """

    def __init__(
        self,
        base_lr=0.001,
        max_lr=0.006,
        step_size=2000,
        mode="triangular",
        gamma=1.0,
        scale_fn=None,
        scale_mode="cycle",
    ):
        super().__init__()
        self.scale_fn = scale_fn
        self.reset(base_lr, max_lr, step_size, mode, gamma, scale_mode)

    def reset(self, base_lr=None, max_lr=None, step_size=None, mode=None, gamma=None, scale_mode=None):
        """Begin again at step 0, with new values where they are given.

        Args:
            base_lr: float or None. Defaults to None.
            max_lr: float or None. Defaults to None.
            step_size: float or None. Defaults to None.
            mode: str or None. Defaults to None.
            gamma: float or None. Defaults to None.
            scale_mode: str or None. Defaults to None.
        """
        given = {
            "base_lr": base_lr,
            "max_lr": max_lr,
            "step_size": step_size,
            "mode": mode,
            "gamma": gamma,
            "scale_mode": scale_mode,
        }
        kept = self.function.keywords if self.function else {"scale_fn": self.scale_fn}
        arguments = {**kept, **{name: value for name, value in given.items() if value is not None}}
        self.function = functools.partial(schedules.cyclic_lr, **arguments)
        self.step = 0
        self.value(0)  # refuses bad arguments at once


class OneCycle(LearningRateCallback):
    """One-cycle learning rate as a callback.

    Args:
        peak_lr: float. The highest value.
        total_steps: int. Length of the training.
        **arguments: of `recipes.schedules.one_cycle`.

    Raises:
        ValueError: as `recipes.schedules.one_cycle`.

    Example:

    >>> round(OneCycle(0.4, total_steps=100).value(29), 3)
    0.4
    """

    def __init__(self, peak_lr, total_steps, **arguments):
        super().__init__(schedules.OneCycle(peak_lr, total_steps, **arguments))


class PiecewiseLinear(LearningRateCallback):
    """Learning rate on straight lines between knots, as a callback.

    Args:
        knots: list of numbers, increasing. Steps.
        values: list of floats, as many.

    Raises:
        ValueError: as `recipes.schedules.piecewise_linear`.

    Example:

    >>> PiecewiseLinear([0, 10], [0.0, 0.5]).value(5)
    0.25
    """

    def __init__(self, knots, values):
        super().__init__(schedules.PiecewiseLinear(knots, values))


class LearningRateLogger(keras.callbacks.Callback):
    """Put the learning rate, as it stands after each epoch, into the History.

    Needed with schedules; the callbacks of this module log theirs themselves.

    Example:

    >>> callbacks = [LearningRateLogger()]
    """

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
