"""Learning rates that fall with the depth."""

import re

from recipes.fine_tuning.stages import stages_of
from recipes.schedules.schedule import check_positive


def depth_rates(model, learning_rate, decay=0.1):
    """A learning rate for each stage that is trained: the further from the head, the lower.

    The head has `learning_rate`, the last stage `decay` times that, the one before it `decay` times that of the
    last, and so on; layers in front of the network, as of `rescale`, have the rate of the head.

    Args:
        model: a functional or sequential `keras.Model`; the one that was given to `freeze_below`, after it.
        learning_rate: float. Of the head.
        decay: float in (0, 1]. Factor from each stage to the one before it. Defaults to 0.1.

    Returns:
        list of pairs of a regular expression and a rate, the last stage first: groups for
        `recipes.optimizers.Grouped`, whose default has `learning_rate`. Stages without weights to train are left out.

    Raises:
        ValueError: for a rate or factor out of range, or two stages whose weights cannot be told apart.

    Example:

    >>> import zoo
    >>> from recipes.fine_tuning import freeze_below
    >>> from recipes.optimizers import SGD, Grouped
    >>> model = zoo.ResNet18(input_shape=(32, 32, 3))
    >>> parts = freeze_below(model, stages=2)
    >>> groups = depth_rates(model, 0.1, decay=0.5)
    >>> [rate for pattern, rate in groups]
    [0.05, 0.025]
    >>> optimizer = Grouped([(pattern, SGD(rate)) for pattern, rate in groups], default=SGD(0.1))
    >>> parts.model.compile(optimizer, "sparse_categorical_crossentropy")
    """
    check_positive("learning_rate", learning_rate)
    if not 0 < decay <= 1:
        raise ValueError(f"`decay` must be above 0, and at most 1. Received: decay={decay!r}")
    groups, known = [], set()
    for distance, stage in enumerate(reversed(stages_of(model)), 1):
        variables = [variable for layer in stage.layers for variable in layer.trainable_variables]
        places = list(dict.fromkeys(variable.path.rpartition("/")[0] for variable in variables))
        if known & set(places):
            raise ValueError(f"Weights of two stages have one path: {', '.join(sorted(known & set(places)))}")
        known |= set(places)
        if places:
            pattern = f"^({'|'.join(map(re.escape, places))})/[^/]*$"
            groups.append((pattern, learning_rate * decay**distance))
    return groups
