"""Learning rates as functions of the step: plain functions, and the same as Keras schedules.

A function takes a number and returns a float, or takes a tensor and returns a tensor, so that it
also runs inside a compiled step. The classes hold the arguments and go into an optimizer; for
callbacks see `recipes.callbacks`.
"""

import itertools
import math

import keras
import numpy as np

MODES = ("triangular", "triangular2", "exp_range")
SCALE_MODES = ("cycle", "iterations")
ANNEALINGS = ("cosine", "linear")


def cyclic_lr(
    step, base_lr=0.001, max_lr=0.006, step_size=2000, mode="triangular", gamma=1.0, scale_fn=None, scale_mode="cycle"
):
    """Cyclical learning rate: up in `step_size` steps, down in as many, again and again.

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
    xp, step = _arithmetic(step)
    cycle = xp.floor(1 + step / (2 * step_size))
    height = xp.maximum(0.0, 1 - xp.abs(step / step_size - 2 * cycle + 1))
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
    first = peak_lr / initial_divisor
    last = first / final_divisor
    if three_phase:
        phases = [(0.0, up, first, peak_lr), (up, 2 * up, peak_lr, first), (2 * up, total_steps - 1, first, last)]
    else:
        phases = [(0.0, up, first, peak_lr), (up, total_steps - 1, peak_lr, last)]
    xp, step = _arithmetic(step)
    value = last
    for start, end, low, high in reversed(phases):
        progress = xp.minimum((step - start) / (end - start), 1.0)
        if annealing == "cosine":
            progress = (1 - xp.cos(math.pi * progress)) / 2
        value = xp.where(step <= end, low + (high - low) * progress, value)
    return _result(value)


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
    ):
        if scale_fn is not None:
            _check_takes_tensors(scale_fn)
        super().__init__(
            base_lr=base_lr,
            max_lr=max_lr,
            step_size=step_size,
            mode=mode,
            gamma=gamma,
            scale_fn=scale_fn,
            scale_mode=scale_mode,
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


def _check_takes_tensors(scale_fn):
    try:
        scale_fn(keras.KerasTensor((), "float32"))
    except Exception as error:
        raise ValueError(
            "`scale_fn` of a schedule runs inside the compiled step: write it with keras.ops, or use "
            f"recipes.callbacks.CyclicLR, which takes any function. Received: {scale_fn!r}"
        ) from error
