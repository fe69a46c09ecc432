"""Learning rates and momentums as callbacks, meant for subclassing, and a logger of the learning rate.

A schedule (`recipes.schedules`) is the better form where it serves: it runs inside the compiled
step and costs nothing. A callback can do what it likes between two steps.
"""

import functools

import keras

from recipes import schedules
from recipes.optimizers import Accumulated
from recipes.optimizers import set_momentum


class LearningRateCallback(keras.callbacks.Callback):
    """Set the learning rate before every step, from any function of the step.

    To subclass, override `value`, and `momentum` to set that too; `step`, `model` and `history` are
    there to use. It refuses to share the learning rate: with a schedule in the optimizer, a second
    callback of this kind, or anything else that changes the rate while it runs.

    A step is an update of the weights. Where gradients are accumulated, and under
    `LossScaleOptimizer`, which skips what overflowed, it is read from the optimizer, which waits
    for the device; a schedule does not.

    Args:
        function: step (int, from 0) to learning rate, or None if `value` is overridden. Defaults to None.

    Raises:
        ValueError: from `fit`, if the learning rate has another owner, if several steps run at
            once, or if the optimizer cannot change its momentum.

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

    def momentum(self, step):
        """The momentum of a step.

        Args:
            step: int, from 0.

        Returns:
            float, or None to leave it alone.
        """

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
        if self.momentum(self.step) is not None:
            set_momentum(optimizer, self.momentum(self.step))
        optimizer.learning_rate_owner = self
        self._last = None
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        accumulates = isinstance(inner, Accumulated) or bool(inner.gradient_accumulation_steps)
        self._skips = inner is not optimizer or accumulates
        self._updates = int(optimizer.iterations)

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
        momentum = self.momentum(self.step)
        if momentum is not None:
            set_momentum(optimizer, momentum)
        self._last = rate or None
        self._record(learning_rate=rate, **({} if momentum is None else {"momentum": momentum}))

    def on_train_batch_end(self, batch, logs=None):
        updates = int(self.model.optimizer.iterations) if self._skips else self._updates + 1
        self.step += updates - self._updates
        self._updates = updates

    def _record(self, **values):
        """One entry for each update, not for each batch."""
        if self.history["step"][-1:] != [self.step]:
            for name, value in {"step": self.step, **values}.items():
                self.history.setdefault(name, []).append(value)

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
        step_size_down: float. Steps in the half that goes down, or None for as many as up. Defaults to None.
        momentum: `(lowest, highest)`, such as (0.8, 0.9), to cycle the momentum the other way, with
            an optimizer of `recipes.optimizers`; or None. Defaults to None.

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
        step_size_down=None,
        momentum=None,
    ):
        super().__init__()
        self.scale_fn = scale_fn
        self.momentums = _checked_momentums(momentum)
        self.reset(base_lr, max_lr, step_size, mode, gamma, scale_mode, step_size_down)

    def momentum(self, step):
        if self.momentums is None:
            return None
        lowest, highest = self.momentums
        return self.function(step, base_lr=highest, max_lr=lowest)

    def reset(
        self,
        base_lr=None,
        max_lr=None,
        step_size=None,
        mode=None,
        gamma=None,
        scale_mode=None,
        step_size_down=None,
    ):
        """Begin again at step 0, with new values where they are given.

        Args:
            base_lr: float or None. Defaults to None.
            max_lr: float or None. Defaults to None.
            step_size: float or None. Defaults to None.
            mode: str or None. Defaults to None.
            gamma: float or None. Defaults to None.
            scale_mode: str or None. Defaults to None.
            step_size_down: float or None. Defaults to None.
        """
        given = {
            "base_lr": base_lr,
            "max_lr": max_lr,
            "step_size": step_size,
            "mode": mode,
            "gamma": gamma,
            "scale_mode": scale_mode,
            "step_size_down": step_size_down,
        }
        kept = self.function.keywords if self.function else {"scale_fn": self.scale_fn}
        arguments = {**kept, **{name: value for name, value in given.items() if value is not None}}
        self.function = functools.partial(schedules.cyclic_lr, **arguments)
        self.step = 0
        self.value(0)  # refuses bad arguments at once


class OneCycle(LearningRateCallback):
    """One-cycle learning rate, and momentum, as a callback.

    Args:
        peak_lr: float. The highest value.
        total_steps: int. Length of the training, in updates.
        momentum: `(lowest, highest)`, such as (0.85, 0.95), to cycle the momentum too, with an
            optimizer of `recipes.optimizers`; or None. Defaults to None.
        **arguments: of `recipes.schedules.one_cycle`.

    Raises:
        ValueError: as `recipes.schedules.one_cycle` and `one_cycle_momentum`.

    Example:

    >>> callback = OneCycle(0.4, total_steps=100, momentum=(0.85, 0.95))
    >>> round(callback.value(29), 3), round(callback.momentum(29), 3)
    (0.4, 0.85)
    """

    def __init__(self, peak_lr, total_steps, momentum=None, **arguments):
        super().__init__(schedules.OneCycle(peak_lr, total_steps, **arguments))
        self.cycle = None
        if _checked_momentums(momentum):
            shared = {name: value for name, value in arguments.items() if not name.endswith("_divisor")}
            self.cycle = schedules.OneCycleMomentum(total_steps, *momentum, **shared)

    def momentum(self, step):
        return self.cycle(step) if self.cycle else None


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


class StepDecay(LearningRateCallback):
    """Learning rate that drops every `step_size` steps or epochs, as a callback.

    Args:
        initial_lr: float. The first value.
        step_size: number. Steps between two drops; epochs, where `steps_per_epoch` is given.
        gamma: float. Factor of each drop. Defaults to 0.1.
        steps_per_epoch: int. Defaults to 1.

    Raises:
        ValueError: as `recipes.schedules.step_decay`.

    Example:

    >>> StepDecay(1.0, step_size=2, gamma=0.5).value(5)
    0.25
    """

    def __init__(self, initial_lr, step_size, gamma=0.1, steps_per_epoch=1):
        super().__init__(schedules.StepDecay(initial_lr, step_size, gamma, steps_per_epoch))


class Warmup(LearningRateCallback):
    """Straight up to the first value of any learning rate, and then that learning rate, as a callback.

    Args:
        after: float, schedule, or any Python function of the step.
        warmup_steps: int. Length of the warm-up.
        start_factor: float in [0, 1]. Defaults to 0.

    Raises:
        ValueError: as `recipes.schedules.warmup`.

    Example:

    >>> Warmup(lambda step: 0.4 * 0.9 ** step, warmup_steps=10).value(5)
    0.2
    """

    def __init__(self, after, warmup_steps, start_factor=0.0):
        arguments = {"after": after, "warmup_steps": warmup_steps, "start_factor": start_factor}
        super().__init__(functools.partial(schedules.warmup, **arguments))
        self.value(0)  # refuses bad arguments at once


class LearningRateLogger(keras.callbacks.Callback):
    """Put the learning rate, as it stands after each epoch, into the History.

    Needed with schedules; the callbacks of this module log theirs themselves.

    Example:

    >>> callbacks = [LearningRateLogger()]
    """

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


def _checked_momentums(momentum):
    if momentum is None:
        return None
    try:
        lowest, highest = momentum
        fits = 0 <= lowest <= highest <= 1
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"`momentum` must be (lowest, highest), two numbers from 0 to 1, or None. Received: momentum={momentum!r}"
        )
    return lowest, highest
