"""The learning rate of the BiT-HyperRule: only the number of samples is to be known."""

import typing

import keras

from recipes.schedules.schedule import Schedule
from recipes.schedules.schedule import arithmetic
from recipes.schedules.schedule import check_positive
from recipes.schedules.schedule import result

BATCH_SIZE = 512


class Lengths(typing.NamedTuple):
    """How many steps the BiT-HyperRule trains, and where its learning rate changes.

    Args:
        steps: int. Length of the training.
        warmup_steps: int. Steps in which the learning rate rises.
        boundaries: tuple of ints. The last step before each division by 10.

    Example:

    >>> Lengths(500, 100, (200, 300, 400)).steps
    500
    """

    steps: int
    warmup_steps: int
    boundaries: tuple


# By the number of samples that a data set has fewer of.
_LENGTHS = (
    (20_000, Lengths(500, 100, (200, 300, 400))),
    (500_000, Lengths(10_000, 500, (3000, 6000, 9000))),
    (float("inf"), Lengths(20_000, 500, (6000, 12_000, 18_000))),
)


def hyperrule_lengths(num_samples, batch_size=None, total_steps=None):
    """How long the BiT-HyperRule trains on a data set.

    Args:
        num_samples: int. Training samples that the data set has.
        batch_size: int. With fewer than 512 samples in a batch there are as many more steps, rounded;
            None leaves the steps as published. Defaults to None.
        total_steps: int, to which the training is shortened or lengthened, whatever the batch; None for
            as many steps as the rule says. Defaults to None.

    Returns:
        `Lengths`.

    Raises:
        ValueError: for a number that is not positive.

    Example:

    >>> hyperrule_lengths(7000)
    Lengths(steps=500, warmup_steps=100, boundaries=(200, 300, 400))
    >>> hyperrule_lengths(7000, batch_size=128).steps
    2000

    Reference:
        https://arxiv.org/abs/1912.11370
    """
    check_positive("num_samples", num_samples)
    lengths = next(lengths for limit, lengths in _LENGTHS if num_samples < limit)
    factor = 1
    if batch_size is not None:
        check_positive("batch_size", batch_size)
        factor = BATCH_SIZE / batch_size
    if total_steps is not None:
        check_positive("total_steps", total_steps)
        factor = total_steps / lengths.steps
    steps, warmup_steps, *boundaries = (
        max(round(each * factor), 1) for each in (lengths.steps, lengths.warmup_steps, *lengths.boundaries)
    )
    return Lengths(steps, warmup_steps, tuple(boundaries))


def bit_hyperrule(step, num_samples, batch_size=None, base_lr=0.003, total_steps=None):
    """Learning rate of the BiT-HyperRule: a warm-up from 0, then three divisions by 10.

    Step for step that of big_transfer: each drop comes one step after its boundary.

    Args:
        step: number or tensor. Steps made so far; the first batch has 0.
        num_samples: int. Training samples that the data set has; see `hyperrule_lengths`.
        batch_size: int. The learning rate is scaled by `batch_size / 512`, the steps by its inverse.
            None scales neither: for batches of 512, and, with a `base_lr` of 0.001, of 128, where that
            does nearly as well. Defaults to None.
        base_lr: float. The highest value, for batches of 512. Defaults to 0.003.
        total_steps: int, or None for the rule's: see `hyperrule_lengths`. Defaults to None.

    Returns:
        The learning rate: float for a number, tensor for a tensor.

    Raises:
        ValueError: for a number that is not positive.

    Example:

    >>> [round(bit_hyperrule(step, num_samples=7000), 6) for step in (0, 50, 100, 200, 201, 499)]
    [0.0, 0.0015, 0.003, 0.003, 0.0003, 3e-06]

    Reference:
        https://arxiv.org/abs/1912.11370
        https://github.com/google-research/big_transfer
    """
    check_positive("base_lr", base_lr)
    _, warmup_steps, boundaries = hyperrule_lengths(num_samples, batch_size, total_steps)
    highest = base_lr * (1 if batch_size is None else batch_size / BATCH_SIZE)
    xp, step = arithmetic(step)
    value = highest * xp.minimum(step / warmup_steps, 1.0)
    for boundary in boundaries:
        value = xp.where(step > boundary, value / 10, value)
    return result(value)


@keras.saving.register_keras_serializable(package="recipes")
class BiTHyperRule(Schedule):
    """`bit_hyperrule` as a Keras schedule, exact with several steps per execution.

    Args:
        num_samples: int. Training samples that the data set has.
        batch_size: int, or None for the published rate and steps. Defaults to None.
        base_lr: float. The highest value, for batches of 512. Defaults to 0.003.
        total_steps: int, or None for the rule's. Defaults to None.

    Raises:
        ValueError: as `bit_hyperrule`.

    Example:

    >>> BiTHyperRule(7000)(200)
    0.003
    """

    function = staticmethod(bit_hyperrule)

    def __init__(self, num_samples, batch_size=None, base_lr=0.003, total_steps=None):
        super().__init__(num_samples=num_samples, batch_size=batch_size, base_lr=base_lr, total_steps=total_steps)
