"""Learning rates of whole optimizers, whatever these are made of."""

import keras

from recipes.schedules.composition import Multiplied
from recipes.schedules.composition import PerUpdate

_LEAST = 1e-8  # as in torch, what is less is no change


def scale_learning_rate(optimizer, factor, lowest=0.0):
    """Multiply the learning rate of an optimizer: of `Grouped`, those of all groups.

    Args:
        optimizer: any `keras.optimizers.Optimizer`, with whatever wrappers around it.
        factor: float above 0.
        lowest: float. No rate is brought below it. Defaults to 0.

    Returns:
        bool. Whether any rate changed.

    Raises:
        ValueError: for a learning rate that follows a schedule; then none is changed.

    Example:

    >>> from recipes.optimizers import SGD, Grouped
    >>> optimizer = Grouped([("bias$", SGD(6.4))], default=SGD(0.1))
    >>> scale_learning_rate(optimizer, 0.5)
    True
    >>> [round(float(each.learning_rate), 3) for each in optimizer.wrapped]
    [0.05, 3.2]
    """
    optimizers = list(innermost(optimizer))
    for each in optimizers:
        if callable(each._learning_rate):
            raise ValueError(
                f"The learning rate of {each.name!r} follows a schedule, so it cannot be multiplied. Give the "
                "optimizer a number, or put the change into the schedule."
            )
    changed = False
    for each in optimizers:
        before = float(keras.ops.convert_to_numpy(each.learning_rate))
        after = before * factor if factor > 1 else min(before, max(before * factor, lowest))
        if abs(after - before) > _LEAST:
            each.learning_rate = after
            changed = True
    return changed


def multiply_learning_rate(optimizer, factor, schedules=True):
    """Multiply the learning rate of an optimizer, also where it follows a schedule: of `Grouped`, those of all groups.

    What follows a schedule is compiled into the step: do it before a training, or compile the model again.

    Args:
        optimizer: any `keras.optimizers.Optimizer`, with whatever wrappers around it.
        factor: float above 0.
        schedules: bool. Whether those that follow a schedule are multiplied too. Defaults to True.

    Example:

    >>> from recipes import schedules
    >>> from recipes.optimizers import SGD
    >>> optimizer = SGD(schedules.OneCycle(0.4, total_steps=100))
    >>> before = float(optimizer.learning_rate)
    >>> multiply_learning_rate(optimizer, 0.5)
    >>> float(optimizer.learning_rate) == before / 2
    True
    """
    for each in innermost(optimizer):
        if not callable(each._learning_rate):
            each.learning_rate = float(keras.ops.convert_to_numpy(each.learning_rate)) * factor
        elif schedules:
            each._learning_rate = _times(each._learning_rate, factor)


def innermost(optimizer):
    """The optimizers that have a learning rate of their own.

    Args:
        optimizer: any `keras.optimizers.Optimizer`, with whatever wrappers around it.

    Returns:
        A generator of optimizers.

    Example:

    >>> from recipes.optimizers import SGD, Grouped
    >>> len(list(innermost(Grouped([("bias$", SGD(6.4))], default=SGD(0.1)))))
    2
    """
    for name in ("inner_optimizer", "wrapped", "optimizers"):  # LossScaleOptimizer, ours, MultiOptimizer
        inner = getattr(optimizer, name, None)
        if inner is not None:
            for each in inner if isinstance(inner, (list, tuple)) else [inner]:
                yield from innermost(each)
            return
    yield optimizer


def _times(rate, factor):
    """A schedule, or a function without arguments, times a factor."""
    if isinstance(rate, PerUpdate):  # which stays outside: an optimizer that is loaded again looks for it there
        return PerUpdate(**{**rate.arguments, "schedule": Multiplied(rate.arguments["schedule"], factor)})
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return Multiplied(rate, factor)
    return lambda: rate() * factor
