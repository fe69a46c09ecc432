"""Straight lines, steps, and the ramp of a range test."""

import itertools
import math

import keras

from recipes.schedules.schedule import Schedule
from recipes.schedules.schedule import arithmetic
from recipes.schedules.schedule import check_choice
from recipes.schedules.schedule import check_number
from recipes.schedules.schedule import check_positive
from recipes.schedules.schedule import result

SPACINGS = ("log", "linear")


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
    for name, numbers in (("knots", knots), ("values", values)):
        for number in numbers:
            check_number(name, number)
    if any(not later > knot for knot, later in itertools.pairwise(knots)):
        raise ValueError(f"`knots` must increase. Received: knots={knots!r}")
    xp, step = arithmetic(step)
    value = values[0] + 0.0 * step
    for start, end, low, high in zip(knots, knots[1:], values, values[1:]):
        value = value + (high - low) * xp.minimum(xp.maximum((step - start) / (end - start), 0.0), 1.0)
    return result(value)


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
    check_positive("initial_lr", initial_lr)
    check_positive("step_size", step_size)
    check_positive("gamma", gamma)
    check_positive("steps_per_epoch", steps_per_epoch)
    xp, step = arithmetic(step)
    return result(initial_lr * gamma ** xp.floor(step / (step_size * steps_per_epoch)))


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
    check_choice("spacing", spacing, SPACINGS)
    check_positive("min_lr", min_lr)
    check_positive("max_lr", max_lr)
    if not min_lr < max_lr:
        raise ValueError(f"`min_lr` must be above 0 and below `max_lr`. Received: min_lr={min_lr}, max_lr={max_lr}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"`steps` must be a whole number, at least 2. Received: steps={steps!r}")
    xp, step = arithmetic(step)
    progress = xp.minimum(step / (steps - 1), 1.0)
    if spacing == "linear":
        return result(min_lr + (max_lr - min_lr) * progress)
    return result(min_lr * xp.exp(math.log(max_lr / min_lr) * progress))


def power_ramp(step, final_value, total_steps, power=1.0):
    """A value that rises from 0 as a power of the step: the decay of airbench's slow weights.

    Args:
        step: number or tensor. Steps made so far.
        final_value: float. The value at the end and after it.
        total_steps: int. The step of the end.
        power: float. 1 is a straight line; the higher, the later it rises. Defaults to 1.

    Returns:
        The value: float for a number, tensor for a tensor.

    Raises:
        ValueError: for a `total_steps` or `power` that is not positive.

    Example:

    >>> [round(power_ramp(step, 0.8, total_steps=100, power=3), 3) for step in (0, 50, 100, 120)]
    [0.0, 0.1, 0.8, 0.8]

    Reference:
        https://github.com/KellerJordan/cifar10-airbench
    """
    check_positive("total_steps", total_steps)
    check_positive("power", power)
    xp, step = arithmetic(step)
    return result(final_value * xp.minimum(step / total_steps, 1.0) ** power)


@keras.saving.register_keras_serializable(package="recipes")
class PiecewiseLinear(Schedule):
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
class StepDecay(Schedule):
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
class Ramp(Schedule):
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


@keras.saving.register_keras_serializable(package="recipes")
class PowerRamp(Schedule):
    """`power_ramp` as a Keras schedule, exact with several steps per execution.

    Args:
        final_value: float. The value at the end and after it.
        total_steps: int. The step of the end.
        power: float. Defaults to 1.

    Raises:
        ValueError: as `power_ramp`.

    Example:

    >>> PowerRamp(0.8, total_steps=100, power=3)(50)
    0.1
    """

    function = staticmethod(power_ramp)

    def __init__(self, final_value, total_steps, power=1.0):
        super().__init__(final_value=final_value, total_steps=total_steps, power=power)
