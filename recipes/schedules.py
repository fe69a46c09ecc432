"""Learning rates and momentums as functions of the step: plain functions, and Keras schedules.

A function takes a number and returns a float, or takes a tensor and returns a tensor, so that it
also runs inside a compiled step. The classes hold the arguments and go into an optimizer (for the
momentum: one of `recipes.optimizers`); for callbacks see `recipes.callbacks`.

A step is what the optimizer counts: with `gradient_accumulation_steps`, Keras's optimizers count
micro-steps (see `PerUpdate`; those of `recipes.optimizers` count updates); a step that
`LossScaleOptimizer` skips, because a float16 gradient overflowed, is not counted.
"""

import itertools
import math

import keras
import numpy as np

MODES = ("triangular", "triangular2", "exp_range")
SCALE_MODES = ("cycle", "iterations")
ANNEALINGS = ("cosine", "linear")
SPACINGS = ("log", "linear")


def cyclic_lr(
    step,
    base_lr=0.001,
    max_lr=0.006,
    step_size=2000,
    mode="triangular",
    gamma=1.0,
    scale_fn=None,
    scale_mode="cycle",
    step_size_down=None,
):
    """Cyclical learning rate: up in `step_size` steps, down in as many, again and again.

    Step for step that of `torch.optim.lr_scheduler.CyclicLR`. Its momentum, which cycles the other
    way, is the same function with `base_lr=max_momentum, max_lr=base_momentum`.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        base_lr: float. The lowest value. Defaults to 0.001.
        max_lr: float. The highest. Defaults to 0.006.
        step_size: float. Steps in half a cycle. Defaults to 2000.
        mode: one of "triangular"; "triangular2", whose height halves with each cycle; "exp_range",
            whose height is multiplied by `gamma` with each step. Defaults to "triangular".
        gamma: float. Of "exp_range". Defaults to 1.
        scale_fn: function from cycle (1, 2, ...) or step to a factor of the height, which takes the
            place of `mode`; or None. Defaults to None.
        scale_mode: one of "cycle", "iterations": what `scale_fn` is given. Defaults to "cycle".
        step_size_down: float. Steps in the half that goes down, or None for as many as up. Defaults to None.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for an unknown mode, or a `step_size` that is not positive.

    Example:

    >>> [round(cyclic_lr(step, 0.0, 0.4, step_size=2, mode="triangular2"), 2) for step in range(7)]
    [0.0, 0.2, 0.4, 0.2, 0.0, 0.1, 0.2]

    Reference:
        Smith, 2015. https://arxiv.org/abs/1506.01186
        https://github.com/bckenstler/CLR
    """
    _check_choice("mode", mode, MODES)
    _check_choice("scale_mode", scale_mode, SCALE_MODES)
    _check_positive("step_size", step_size)
    down = step_size if step_size_down is None else step_size_down
    _check_positive("step_size_down", down)
    xp, step = _arithmetic(step)
    cycle = xp.floor(step / (step_size + down)) + 1
    position = step - (step_size + down) * (cycle - 1)
    height = xp.maximum(0.0, xp.minimum(position / step_size, (step_size + down - position) / down))
    if scale_fn is not None:
        height = height * scale_fn(cycle if scale_mode == "cycle" else step)
    elif mode == "triangular2":
        height = height * 0.5 ** (cycle - 1)
    elif mode == "exp_range":
        height = height * gamma**step
    return _result(base_lr + (max_lr - base_lr) * height)


def one_cycle(
    step,
    peak_lr,
    total_steps,
    warmup_fraction=0.3,
    annealing="cosine",
    initial_divisor=25.0,
    final_divisor=1e4,
    three_phase=False,
):
    """One-cycle learning rate: up to the peak, then down to almost nothing.

    Step for step the learning rate of `torch.optim.lr_scheduler.OneCycleLR`.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        peak_lr: float. The highest value.
        total_steps: int. Length of the training; later steps keep the last value.
        warmup_fraction: float in (0, 1). Part of the training that goes up. Defaults to 0.3.
        annealing: one of "cosine", "linear". Defaults to "cosine".
        initial_divisor: float. The first value is `peak_lr / initial_divisor`. Defaults to 25.
        final_divisor: float. The last value is the first one divided by it. Defaults to 1e4.
        three_phase: bool. Whether to come down to the first value as fast as it went up, and only
            then to the last. Defaults to False.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for an unknown annealing, a fraction outside (0, 1), or too few steps.

    Example:

    >>> [round(one_cycle(step, 0.4, 11, annealing="linear"), 3) for step in (0, 2.3, 10)]
    [0.016, 0.4, 0.0]

    Reference:
        Smith and Topin, 2017. https://arxiv.org/abs/1708.07120
    """
    first = peak_lr / initial_divisor
    return _phases(step, (first, peak_lr, first / final_divisor), total_steps, warmup_fraction, annealing, three_phase)


def one_cycle_momentum(
    step,
    total_steps,
    base_momentum=0.85,
    max_momentum=0.95,
    warmup_fraction=0.3,
    annealing="cosine",
    three_phase=False,
):
    """The momentum that belongs to `one_cycle`: down while the learning rate goes up, then up again.

    Step for step the momentum of `torch.optim.lr_scheduler.OneCycleLR`.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        total_steps: int. Length of the training; later steps keep the last value.
        base_momentum: float. The lowest value, at the peak of the learning rate. Defaults to 0.85.
        max_momentum: float. The first and last value. Defaults to 0.95.
        warmup_fraction: float in (0, 1). Part of the training in which it goes down. Defaults to 0.3.
        annealing: one of "cosine", "linear". Defaults to "cosine".
        three_phase: bool. Whether it is back as fast as it went down, and stays. Defaults to False.

    Returns:
        The momentum: float for a number, tensor for a tensor.

    Raises:
        ValueError: for an unknown annealing, a fraction outside (0, 1), too few steps, or a
            momentum outside [0, 1].

    Example:

    >>> [round(one_cycle_momentum(step, 11, annealing="linear"), 3) for step in (0, 2.3, 10)]
    [0.95, 0.85, 0.95]

    Reference:
        Smith and Topin, 2017. https://arxiv.org/abs/1708.07120
    """
    if not 0 <= base_momentum <= max_momentum <= 1:
        raise ValueError(
            "Momentums must lie between 0 and 1, the base below the maximum. "
            f"Received: base_momentum={base_momentum!r}, max_momentum={max_momentum!r}"
        )
    values = (max_momentum, base_momentum, max_momentum)
    return _phases(step, values, total_steps, warmup_fraction, annealing, three_phase)


def step_decay(step, initial_lr, step_size, gamma=0.1, steps_per_epoch=1):
    """Learning rate that is multiplied by `gamma` every `step_size` steps, or epochs.

    Step for step that of `torch.optim.lr_scheduler.StepLR`.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        initial_lr: float. The first value.
        step_size: number. Steps between two drops; epochs, where `steps_per_epoch` is given.
        gamma: float. Factor of each drop. Defaults to 0.1.
        steps_per_epoch: int. Steps in the unit of `step_size`. Defaults to 1.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for a `step_size`, `gamma` or `steps_per_epoch` that is not positive.

    Example:

    >>> [step_decay(step, 1.0, step_size=2, gamma=0.5, steps_per_epoch=10) for step in (0, 19, 20, 40)]
    [1.0, 1.0, 0.5, 0.25]
    """
    _check_positive("step_size", step_size)
    _check_positive("gamma", gamma)
    _check_positive("steps_per_epoch", steps_per_epoch)
    xp, step = _arithmetic(step)
    return _result(initial_lr * gamma ** xp.floor(step / (step_size * steps_per_epoch)))


def warmup(step, after, warmup_steps, start_factor=0.0):
    """Straight up to the first value of any learning rate, and then that learning rate.

    Step for step `torch.optim.lr_scheduler.SequentialLR` of `LinearLR` and what follows.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        after: float, schedule, or another function of the step, which begins at step 0 when the
            warm-up is over.
        warmup_steps: int. Length of the warm-up.
        start_factor: float in [0, 1]. The first value, as a part of what it goes up to. Defaults to 0.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for a `warmup_steps` that is not positive, or a factor outside [0, 1].

    Example:

    >>> [warmup(step, lambda step: 0.4 / (1 + step), warmup_steps=4) for step in (0, 1, 4, 7)]
    [0.0, 0.1, 0.4, 0.1]

    Reference:
        Goyal et al., 2017. https://arxiv.org/abs/1706.02677
    """
    _check_positive("warmup_steps", warmup_steps)
    if not 0 <= start_factor <= 1:
        raise ValueError(f"`start_factor` must lie between 0 and 1. Received: start_factor={start_factor!r}")
    xp, step = _arithmetic(step)
    factor = start_factor + (1 - start_factor) * xp.minimum(step / warmup_steps, 1.0)
    value = after(xp.maximum(step - warmup_steps, 0.0)) if callable(after) else after
    if xp is np and keras.ops.is_tensor(value):  # Keras's schedules return tensors for numbers too
        value = keras.ops.convert_to_numpy(value)
    return _result(factor * value)


def piecewise_linear(step, knots, values):
    """Learning rate on straight lines between knots.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        knots: list of numbers, increasing. Steps.
        values: list of floats, as many. Learning rates at the knots; constant before and after.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: if there are not as many knots as values, or the knots do not increase.

    Example:

    >>> [round(piecewise_linear(step, [0, 5, 24], [0, 0.4, 0]), 2) for step in (0, 2.5, 5, 24, 30)]
    [0.0, 0.2, 0.4, 0.0, 0.0]

    Reference:
        https://github.com/davidcpage/cifar10-fast
    """
    if len(knots) != len(values) or len(knots) < 1:
        raise ValueError(f"`knots` and `values` must be as many. Received: knots={knots!r}, values={values!r}")
    if any(not later > knot for knot, later in itertools.pairwise(knots)):
        raise ValueError(f"`knots` must increase. Received: knots={knots!r}")
    xp, step = _arithmetic(step)
    value = values[0] + 0.0 * step
    for start, end, low, high in zip(knots, knots[1:], values, values[1:]):
        value = value + (high - low) * xp.minimum(xp.maximum((step - start) / (end - start), 0.0), 1.0)
    return _result(value)


def ramp(step, min_lr, max_lr, steps, spacing="log"):
    """Learning rate that rises from the lowest to the highest: that of a range test.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        min_lr: float above 0. The first value.
        max_lr: float. The last value.
        steps: int, at least 2. From the first value to the last; later steps keep the last.
        spacing: one of "log", by the same factor each step; "linear", by the same amount. Defaults to "log".

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for rates out of order, too few steps, or an unknown spacing.

    Example:

    >>> [round(ramp(step, 0.001, 1.0, steps=4), 3) for step in range(5)]
    [0.001, 0.01, 0.1, 1.0, 1.0]

    Reference:
        Smith, 2015. https://arxiv.org/abs/1506.01186
    """
    _check_choice("spacing", spacing, SPACINGS)
    if not 0 < min_lr < max_lr:
        raise ValueError(f"`min_lr` must be above 0 and below `max_lr`. Received: min_lr={min_lr}, max_lr={max_lr}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"`steps` must be a whole number, at least 2. Received: steps={steps!r}")
    xp, step = _arithmetic(step)
    progress = xp.minimum(step / (steps - 1), 1.0)
    if spacing == "linear":
        return _result(min_lr + (max_lr - min_lr) * progress)
    return _result(min_lr * xp.exp(math.log(max_lr / min_lr) * progress))


def per_update(schedule, gradient_accumulation_steps):
    """A schedule of updates, for an optimizer that counts micro-steps.

    Args:
        schedule: a schedule, or another function of the updates made.
        gradient_accumulation_steps: int, that of the optimizer.

    Returns:
        A `PerUpdate`; `schedule` itself, if it is one already.

    Raises:
        ValueError: if it is one already, for another number of micro-steps.

    Example:

    >>> [per_update(OneCycle(0.4, total_steps=100), 4)(step) == one_cycle(step // 4, 0.4, 100) for step in (3, 4)]
    [True, True]
    """
    if not isinstance(schedule, PerUpdate):
        return PerUpdate(schedule, gradient_accumulation_steps)
    own = schedule.arguments["gradient_accumulation_steps"]
    if own != gradient_accumulation_steps:
        raise ValueError(
            f"The schedule is made for {own} micro-steps in an update, the optimizer for "
            f"{gradient_accumulation_steps}. Give both the same, or a plain schedule to an optimizer of "
            "recipes.optimizers."
        )
    return schedule


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A function of the step together with its arguments, for the `learning_rate` of an optimizer."""

    function = None

    def __init__(self, **arguments):
        self.arguments = arguments
        self(0)  # refuses bad arguments at once

    def __call__(self, step):
        return type(self).function(step, **self.arguments)

    def get_config(self):
        return dict(self.arguments)


@keras.saving.register_keras_serializable(package="recipes")
class CyclicLR(_Schedule):
    """`cyclic_lr` as a Keras schedule, exact with several steps per execution.

    Args:
        base_lr: float. Defaults to 0.001.
        max_lr: float. Defaults to 0.006.
        step_size: float. Steps in half a cycle. Defaults to 2000.
        mode: one of "triangular", "triangular2", "exp_range". Defaults to "triangular".
        gamma: float. Of "exp_range". Defaults to 1.
        scale_fn: function written with `keras.ops`, as it runs inside the compiled step; or None.
            Defaults to None.
        scale_mode: one of "cycle", "iterations". Defaults to "cycle".
        step_size_down: float or None. Defaults to None.

    Raises:
        ValueError: as `cyclic_lr`, or for a `scale_fn` that takes no tensors.

    Example:

    >>> optimizer = keras.optimizers.SGD(CyclicLR(0.0, 0.4, step_size=100))
    >>> round(float(optimizer.learning_rate), 3)
    0.0
    """

    function = staticmethod(cyclic_lr)

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
    ):
        if scale_fn is not None:
            _check_takes_tensors("scale_fn", scale_fn)
        super().__init__(
            base_lr=base_lr,
            max_lr=max_lr,
            step_size=step_size,
            mode=mode,
            gamma=gamma,
            scale_fn=scale_fn,
            scale_mode=scale_mode,
            step_size_down=step_size_down,
        )

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "scale_fn": keras.saving.deserialize_keras_object(config["scale_fn"])})


@keras.saving.register_keras_serializable(package="recipes")
class OneCycle(_Schedule):
    """`one_cycle` as a Keras schedule, exact with several steps per execution.

    Args:
        peak_lr: float. The highest value.
        total_steps: int. Length of the training.
        warmup_fraction: float in (0, 1). Part of the training that goes up. Defaults to 0.3.
        annealing: one of "cosine", "linear". Defaults to "cosine".
        initial_divisor: float. Defaults to 25.
        final_divisor: float. Defaults to 1e4.
        three_phase: bool. Defaults to False.

    Raises:
        ValueError: as `one_cycle`.

    Example:

    >>> round(OneCycle(0.4, total_steps=100)(29), 3)
    0.4
    """

    function = staticmethod(one_cycle)

    def __init__(
        self,
        peak_lr,
        total_steps,
        warmup_fraction=0.3,
        annealing="cosine",
        initial_divisor=25.0,
        final_divisor=1e4,
        three_phase=False,
    ):
        super().__init__(
            peak_lr=peak_lr,
            total_steps=total_steps,
            warmup_fraction=warmup_fraction,
            annealing=annealing,
            initial_divisor=initial_divisor,
            final_divisor=final_divisor,
            three_phase=three_phase,
        )


@keras.saving.register_keras_serializable(package="recipes")
class PiecewiseLinear(_Schedule):
    """`piecewise_linear` as a Keras schedule, exact with several steps per execution.

    Args:
        knots: list of numbers, increasing. Steps.
        values: list of floats, as many.

    Raises:
        ValueError: as `piecewise_linear`.

    Example:

    >>> PiecewiseLinear([0, 10], [0.0, 0.5])(5)
    0.25
    """

    function = staticmethod(piecewise_linear)

    def __init__(self, knots, values):
        super().__init__(knots=list(knots), values=list(values))


@keras.saving.register_keras_serializable(package="recipes")
class OneCycleMomentum(_Schedule):
    """`one_cycle_momentum` as a schedule, for the optimizers of `recipes.optimizers`.

    Args:
        total_steps: int. Length of the training.
        base_momentum: float. Defaults to 0.85.
        max_momentum: float. Defaults to 0.95.
        warmup_fraction: float in (0, 1). Defaults to 0.3.
        annealing: one of "cosine", "linear". Defaults to "cosine".
        three_phase: bool. Defaults to False.

    Raises:
        ValueError: as `one_cycle_momentum`.

    Example:

    >>> round(OneCycleMomentum(total_steps=100)(29), 3)
    0.85
    """

    function = staticmethod(one_cycle_momentum)

    def __init__(
        self,
        total_steps,
        base_momentum=0.85,
        max_momentum=0.95,
        warmup_fraction=0.3,
        annealing="cosine",
        three_phase=False,
    ):
        super().__init__(
            total_steps=total_steps,
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            warmup_fraction=warmup_fraction,
            annealing=annealing,
            three_phase=three_phase,
        )


@keras.saving.register_keras_serializable(package="recipes")
class StepDecay(_Schedule):
    """`step_decay` as a Keras schedule, exact with several steps per execution.

    Args:
        initial_lr: float. The first value.
        step_size: number. Steps between two drops; epochs, where `steps_per_epoch` is given.
        gamma: float. Factor of each drop. Defaults to 0.1.
        steps_per_epoch: int. Defaults to 1.

    Raises:
        ValueError: as `step_decay`.

    Example:

    >>> StepDecay(1.0, step_size=2, gamma=0.5)(5)
    0.25
    """

    function = staticmethod(step_decay)

    def __init__(self, initial_lr, step_size, gamma=0.1, steps_per_epoch=1):
        super().__init__(initial_lr=initial_lr, step_size=step_size, gamma=gamma, steps_per_epoch=steps_per_epoch)


@keras.saving.register_keras_serializable(package="recipes")
class Ramp(_Schedule):
    """`ramp` as a Keras schedule, exact with several steps per execution.

    Args:
        min_lr: float above 0. The first value.
        max_lr: float. The last value.
        steps: int, at least 2. From the first value to the last.
        spacing: one of "log", "linear". Defaults to "log".

    Raises:
        ValueError: as `ramp`.

    Example:

    >>> round(Ramp(0.1, 0.5, steps=5, spacing="linear")(2), 3)
    0.3
    """

    function = staticmethod(ramp)

    def __init__(self, min_lr, max_lr, steps, spacing="log"):
        super().__init__(min_lr=min_lr, max_lr=max_lr, steps=steps, spacing=spacing)


class _Composed(_Schedule):
    """A schedule made of another one."""

    inner = None

    def __init__(self, **arguments):
        inner = arguments[self.inner]
        if callable(inner) and not isinstance(inner, keras.optimizers.schedules.LearningRateSchedule):
            _check_takes_tensors(self.inner, inner)
        super().__init__(**arguments)

    def get_config(self):
        return {**self.arguments, self.inner: keras.saving.serialize_keras_object(self.arguments[self.inner])}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, cls.inner: keras.saving.deserialize_keras_object(config[cls.inner])})


@keras.saving.register_keras_serializable(package="recipes")
class Warmup(_Composed):
    """`warmup` as a Keras schedule, before any other one.

    Args:
        after: float, schedule (Keras's own too), or another function of the step, written with
            `keras.ops`.
        warmup_steps: int. Length of the warm-up.
        start_factor: float in [0, 1]. Defaults to 0.

    Raises:
        ValueError: as `warmup`, or for a function that takes no tensors.

    Example:

    >>> round(Warmup(keras.optimizers.schedules.CosineDecay(0.4, 100), warmup_steps=10)(5), 3)
    0.2
    """

    function = staticmethod(warmup)
    inner = "after"

    def __init__(self, after, warmup_steps, start_factor=0.0):
        super().__init__(after=after, warmup_steps=warmup_steps, start_factor=start_factor)


@keras.saving.register_keras_serializable(package="recipes")
class PerUpdate(_Composed):
    """A schedule of updates, for an optimizer of Keras with `gradient_accumulation_steps`.

    Keras gives schedules micro-steps. The optimizers of `recipes.optimizers` need it not: they put
    it around their schedules themselves.

    Args:
        schedule: a schedule, or another function of the updates made, written with `keras.ops`.
        gradient_accumulation_steps: int, that of the optimizer.

    Raises:
        ValueError: for a number of micro-steps that is not positive, or a function that takes no tensors.

    Example:

    >>> schedule = PerUpdate(PiecewiseLinear([0, 10], [0.0, 1.0]), gradient_accumulation_steps=4)
    >>> [schedule(step) for step in (0, 3, 4, 8)]
    [0.0, 0.0, 0.1, 0.2]
    """

    inner = "schedule"

    def __init__(self, schedule, gradient_accumulation_steps):
        _check_positive("gradient_accumulation_steps", gradient_accumulation_steps)
        super().__init__(schedule=schedule, gradient_accumulation_steps=gradient_accumulation_steps)

    def __call__(self, step):
        steps = self.arguments["gradient_accumulation_steps"]
        if isinstance(step, (int, float, np.number, np.ndarray)):
            return self.arguments["schedule"](step // steps)
        # Divided as whole numbers: a float32 has no odd ones above 2 ** 24.
        return self.arguments["schedule"](keras.ops.cast(keras.ops.floor_divide(step, steps), "float32"))


def _phases(step, values, total_steps, warmup_fraction, annealing, three_phase):
    """From the first value to the peak and on to the last; with three phases by way of the first."""
    _check_choice("annealing", annealing, ANNEALINGS)
    if not 0 < warmup_fraction < (0.5 if three_phase else 1):
        raise ValueError(
            "`warmup_fraction` must lie between 0 and 1, or 0.5 with three phases. "
            f"Received: warmup_fraction={warmup_fraction!r}, three_phase={three_phase}"
        )
    up = warmup_fraction * total_steps - 1
    if not up > 0:
        raise ValueError(
            "The warm-up must be longer than one step. "
            f"Received: total_steps={total_steps!r}, warmup_fraction={warmup_fraction!r}"
        )
    first, peak, last = values
    if three_phase:
        phases = [(0.0, up, first, peak), (up, 2 * up, peak, first), (2 * up, total_steps - 1, first, last)]
    else:
        phases = [(0.0, up, first, peak), (up, total_steps - 1, peak, last)]
    xp, step = _arithmetic(step)
    value = last
    for start, end, low, high in reversed(phases):
        progress = xp.minimum((step - start) / (end - start), 1.0)
        if annealing == "cosine":
            progress = (1 - xp.cos(math.pi * progress)) / 2
        value = xp.where(step <= end, low + (high - low) * progress, value)
    return _result(value)


def _arithmetic(step):
    """NumPy in float64 for numbers, Keras in float32 for tensors."""
    if isinstance(step, (int, float, np.number, np.ndarray)):
        return np, np.asarray(step, "float64")
    return keras.ops, keras.ops.cast(step, "float32")


def _result(value):
    return float(value) if isinstance(value, (float, np.number, np.ndarray)) and np.ndim(value) == 0 else value


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def _check_positive(name, value):
    if not value > 0:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")


def _check_takes_tensors(name, function):
    try:
        function(keras.KerasTensor((), "float32"))
    except Exception as error:
        raise ValueError(
            f"`{name}` of a schedule runs inside the compiled step: write it with keras.ops, or use a "
            f"callback of recipes.callbacks, which takes any function. Received: {name}={function!r}"
        ) from error
