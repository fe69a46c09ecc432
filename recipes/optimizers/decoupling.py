"""Hyperparameters of SGD that hold for every batch size and momentum."""

import typing

from recipes.optimizers.scheduled import check_fraction
from recipes.schedules.schedule import check_positive


class Decoupled(typing.NamedTuple):
    """What `decoupled` returns.

    Args:
        learning_rate: float. For a loss that is the mean over the batch.
        l2: float. Times the weight, it is added to the gradient.

    Example:

    >>> Decoupled(learning_rate=1.5, l2=1.3e-3).l2
    0.0013
    """

    learning_rate: float
    l2: float


def decoupled(learning_rate, weight_decay, momentum, batch_size=1024):
    """Decoupled hyperparameters, turned into the learning rate and L2 penalty of `SGD`.

    A rate per 1024 examples and a decay per 1024 examples: neither has to be tuned again when the
    batch size, the momentum or the other one of the two changes. With momentum m and Nesterov, an
    example moves the weights by 1 + 1/(1 - m) times the learning rate, all steps taken together.

    Args:
        learning_rate: float. By how much 1024 examples move the weights, for a unit gradient each.
        weight_decay: float. The fraction of the weights that is lost in 1024 examples, at the peak.
        momentum: float in [0, 1). Of Nesterov's SGD.
        batch_size: int. Defaults to 1024.

    Returns:
        `Decoupled(learning_rate, l2)`, for a loss that is the mean over the batch. For weights with a
        rate k times as high and the same decay, such as the biases of batch normalization with 64:
        `decoupled(64 * learning_rate, weight_decay, momentum, batch_size)`.

    Raises:
        ValueError: for a learning rate or batch size that is not positive, a negative decay, or a
            momentum outside [0, 1).

    Example:

    >>> rate, l2 = decoupled(11.5, 0.0153, momentum=0.85)
    >>> round(rate, 3), round(l2, 6)
    (1.5, 0.00133)
    >>> from recipes.optimizers import SGD
    >>> optimizer = SGD(rate, momentum=0.85, nesterov=True, l2=l2)

    Reference:
        https://github.com/KellerJordan/cifar10-airbench, and David Page's "How to train your ResNet 5".
    """
    check_positive("learning_rate", learning_rate)
    check_positive("batch_size", batch_size)
    check_fraction("momentum", momentum)
    if momentum == 1 or weight_decay < 0:
        raise ValueError(
            "`momentum` must be below 1, and `weight_decay` not negative. "
            f"Received: momentum={momentum!r}, weight_decay={weight_decay!r}"
        )
    kilostep = 1024 * (1 + 1 / (1 - momentum))
    of_example = learning_rate / kilostep
    decay_of_example = weight_decay * 1024 / kilostep / of_example
    return Decoupled(of_example * batch_size, decay_of_example / batch_size)
