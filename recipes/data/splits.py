"""Splits of labelled images: stratified by class, whole groups together."""

import fractions

import numpy as np

_MOST_FOLDS = 10
_ATTEMPTS = 20


def split(labels, fraction, seed=0, groups=None, class_names=None):
    """Take a part of some samples, with about the same share of every class.

    Args:
        labels: int `(samples,)`.
        fraction: float between 0 and 1. What is taken. By groups the next fraction of at most ten
            folds.
        seed: int. Defaults to 0.
        groups: list, of which patient each sample is: all of one are on the same side. None for no
            groups. Defaults to None.
        class_names: list of str for the errors, or None. Defaults to None.

    Returns:
        `(rest, taken)`, positions in increasing order.

    Raises:
        ValueError: if there is no such split: a class that has one sample, or is in one group alone; fewer
            samples than would give each class one on both sides.

    Example:

    >>> rest, taken = split(np.repeat([0, 1], 10), 0.2)
    >>> len(rest), np.repeat([0, 1], 10)[taken].tolist()
    (16, [0, 0, 1, 1])

    Reference:
        https://scikit-learn.org/stable/modules/cross_validation.html
    """
    labels = np.asarray(labels)
    check_fraction("fraction", fraction)
    groups = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    for label in np.unique(labels):
        members = (labels == label).sum() if groups is None else len(set(groups[labels == label]))
        if members < 2:
            name = class_names[label] if class_names else label
            kind = "image" if groups is None else "group"
            raise ValueError(
                f"Class {name} has one {kind}, which cannot be on both sides of a split. "
                f"Add {kind}s, leave the class out, or give the splits yourself."
            )
    rest, taken = _by_class(labels, fraction, seed) if groups is None else _by_group(labels, fraction, seed, groups)
    return np.sort(rest), np.sort(taken)


def check_fraction(name, value):
    """Refuse what is no part of a data set.

    Args:
        name: str. The argument.
        value: its value.

    Raises:
        ValueError: if it is not between 0 and 1.

    Example:

    >>> check_fraction("validation_fraction", 0.2)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={value!r}")


def _by_class(labels, fraction, seed):
    from sklearn.model_selection import StratifiedShuffleSplit

    classes, count = len(np.unique(labels)), int(np.ceil(round(fraction * len(labels), 6)))
    if min(count, len(labels) - count) < classes:
        raise ValueError(
            f"{fraction} of {len(labels)} images leaves fewer than one of each of {classes} classes on a side. "
            "Choose another fraction, or add images."
        )
    splitter = StratifiedShuffleSplit(n_splits=1, test_size=count, random_state=seed)
    return next(splitter.split(np.zeros(len(labels)), labels))


def _by_group(labels, fraction, seed, groups):
    """Some folds of several: the first seed from the given one on, whose both sides have every class."""
    from sklearn.model_selection import StratifiedGroupKFold

    most = min(_MOST_FOLDS, len(set(groups)), max(np.bincount(labels)))
    part = fractions.Fraction(fraction).limit_denominator(most)
    part = min(max(part, fractions.Fraction(1, most)), fractions.Fraction(most - 1, most))
    samples, classes = np.zeros(len(labels)), set(labels)
    for attempt in range(_ATTEMPTS):
        splitter = StratifiedGroupKFold(part.denominator, shuffle=True, random_state=seed + attempt)
        folds = [taken for _, taken in splitter.split(samples, labels, groups)]
        taken = np.concatenate(folds[: part.numerator])
        rest = np.setdiff1d(np.arange(len(labels)), taken)
        if set(labels[taken]) == set(labels[rest]) == classes:
            return rest, taken
    raise ValueError(
        f"No split of {len(set(groups))} groups near {fraction} has every class on both sides. "
        "Choose another fraction or seed, or give the splits yourself."
    )
