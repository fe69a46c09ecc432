"""One cycle: up to the peak, and down to almost nothing; the momentum the other way round."""

import math

import keras

from recipes.schedules.schedule import Schedule
from recipes.schedules.schedule import arithmetic
from recipes.schedules.schedule import check_choice
from recipes.schedules.schedule import check_number
from recipes.schedules.schedule import check_positive
from recipes.schedules.schedule import result

ANNEALINGS = ("cosine", "linear")


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
    for name, value in (("peak_lr", peak_lr), ("initial_divisor", initial_divisor), ("final_divisor", final_divisor)):
        check_positive(name, value)
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
    check_number("base_momentum", base_momentum, 0, 1)
    check_number("max_momentum", max_momentum, 0, 1)
    if not base_momentum <= max_momentum:
        raise ValueError(
            "Momentums must lie between 0 and 1, the base below the maximum. "
            f"Received: base_momentum={base_momentum!r}, max_momentum={max_momentum!r}"
        )
    values = (max_momentum, base_momentum, max_momentum)
    return _phases(step, values, total_steps, warmup_fraction, annealing, three_phase)


@keras.saving.register_keras_serializable(package="recipes")
class OneCycle(Schedule):
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
class OneCycleMomentum(Schedule):
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


def _phases(step, values, total_steps, warmup_fraction, annealing, three_phase):
    """From the first value to the peak and on to the last; with three phases by way of the first."""
    check_choice("annealing", annealing, ANNEALINGS)
    check_positive("total_steps", total_steps)
    check_number("warmup_fraction", warmup_fraction, 0, 1)
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
    xp, step = arithmetic(step)
    value = last
    for start, end, low, high in reversed(phases):
        progress = xp.minimum((step - start) / (end - start), 1.0)
        if annealing == "cosine":
            progress = (1 - xp.cos(math.pi * progress)) / 2
        value = xp.where(step <= end, low + (high - low) * progress, value)
    return result(value)
