"""Learning rates of whole optimizers, whatever these are made of."""

import keras

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
