"""Schedules made of schedules: warm-up before any, one for each update, and a part of any."""

import keras
import numpy as np

from recipes.schedules.schedule import Schedule
from recipes.schedules.schedule import arithmetic
from recipes.schedules.schedule import check_number
from recipes.schedules.schedule import check_positive
from recipes.schedules.schedule import check_takes_tensors
from recipes.schedules.schedule import result


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
    check_positive("warmup_steps", warmup_steps)
    check_number("start_factor", start_factor, 0, 1)
    xp, step = arithmetic(step)
    factor = start_factor + (1 - start_factor) * xp.minimum(step / warmup_steps, 1.0)
    value = after(xp.maximum(step - warmup_steps, 0.0)) if callable(after) else after
    if xp is np and keras.ops.is_tensor(value):  # Keras's schedules return tensors for numbers too
        value = keras.ops.convert_to_numpy(value)
    return result(factor * value)


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

    >>> from recipes.schedules import OneCycle, one_cycle
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


class Composed(Schedule):
    """A schedule made of another one.

    Subclasses set `inner`, the name of the argument that holds it.

    Args:
        **arguments: of the function, beside the step.

    Example:

    >>> class Doubled(Composed):
    ...     function, inner = staticmethod(lambda step, schedule: 2 * schedule(step)), "schedule"
    >>> Doubled(schedule=keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)).inner
    'schedule'
    """

    inner = None

    def __init__(self, **arguments):
        inner = arguments[self.inner]
        if callable(inner) and not isinstance(inner, keras.optimizers.schedules.LearningRateSchedule):
            check_takes_tensors(self.inner, inner)
        super().__init__(**arguments)

    def get_config(self):
        return {**self.arguments, self.inner: keras.saving.serialize_keras_object(self.arguments[self.inner])}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, cls.inner: keras.saving.deserialize_keras_object(config[cls.inner])})


@keras.saving.register_keras_serializable(package="recipes")
class Warmup(Composed):
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
class PerUpdate(Composed):
    """A schedule of updates, for an optimizer of Keras with `gradient_accumulation_steps`.

    Keras gives schedules micro-steps. The optimizers of `recipes.optimizers` need it not: they put
    it around their schedules themselves.

    Args:
        schedule: a schedule, or another function of the updates made, written with `keras.ops`.
        gradient_accumulation_steps: int, that of the optimizer.

    Raises:
        ValueError: for a number of micro-steps that is not positive, or a function that takes no tensors.

    Example:

    >>> from recipes.schedules import PiecewiseLinear
    >>> schedule = PerUpdate(PiecewiseLinear([0, 10], [0.0, 1.0]), gradient_accumulation_steps=4)
    >>> [schedule(step) for step in (0, 3, 4, 8)]
    [0.0, 0.0, 0.1, 0.2]
    """

    inner = "schedule"

    def __init__(self, schedule, gradient_accumulation_steps):
        check_positive("gradient_accumulation_steps", gradient_accumulation_steps)
        super().__init__(schedule=schedule, gradient_accumulation_steps=gradient_accumulation_steps)

    def __call__(self, step):
        steps = self.arguments["gradient_accumulation_steps"]
        if isinstance(step, (int, float, np.number, np.ndarray)):
            return self.arguments["schedule"](step // steps)
        # Divided as whole numbers: a float32 has no odd ones above 2 ** 24.
        return self.arguments["schedule"](keras.ops.cast(keras.ops.floor_divide(step, steps), "float32"))


@keras.saving.register_keras_serializable(package="recipes")
class Multiplied(Composed):
    """A schedule of the same shape, lower or higher.

    Args:
        schedule: a schedule, or another function of the step, written with `keras.ops`.
        factor: float above 0.

    Raises:
        ValueError: for another factor, or a function that takes no tensors.

    Example:

    >>> from recipes.schedules import PiecewiseLinear
    >>> schedule = Multiplied(PiecewiseLinear([0, 10], [0.0, 1.0]), 0.5)
    >>> [schedule(step) for step in (0, 5, 10)]
    [0.0, 0.25, 0.5]
    """

    inner = "schedule"

    def __init__(self, schedule, factor):
        check_positive("factor", factor)
        super().__init__(schedule=schedule, factor=factor)

    def __call__(self, step):
        return self.arguments["schedule"](step) * self.arguments["factor"]
