"""Cyclical learning rates."""

import keras

from recipes.schedules.schedule import Schedule
from recipes.schedules.schedule import arithmetic
from recipes.schedules.schedule import check_choice
from recipes.schedules.schedule import check_positive
from recipes.schedules.schedule import check_takes_tensors
from recipes.schedules.schedule import result

MODES = ("triangular", "triangular2", "exp_range")
SCALE_MODES = ("cycle", "iterations")


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
    check_choice("mode", mode, MODES)
    check_choice("scale_mode", scale_mode, SCALE_MODES)
    check_positive("step_size", step_size)
    down = step_size if step_size_down is None else step_size_down
    check_positive("step_size_down", down)
    xp, step = arithmetic(step)
    cycle = xp.floor(step / (step_size + down)) + 1
    position = step - (step_size + down) * (cycle - 1)
    height = xp.maximum(0.0, xp.minimum(position / step_size, (step_size + down - position) / down))
    if scale_fn is not None:
        height = height * scale_fn(cycle if scale_mode == "cycle" else step)
    elif mode == "triangular2":
        height = height * 0.5 ** (cycle - 1)
    elif mode == "exp_range":
        height = height * gamma**step
    return result(base_lr + (max_lr - base_lr) * height)


@keras.saving.register_keras_serializable(package="recipes")
class CyclicLR(Schedule):
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
            check_takes_tensors("scale_fn", scale_fn)
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
