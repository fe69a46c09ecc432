"""Networks as published: each builder returns a `keras.Model`."""

from zoo.davidnet import DavidNet
from zoo.davidnet import ResNet9
from zoo.normalization import BatchNormalization

__version__ = "0.1.0"

_BUILDERS = {"DavidNet": DavidNet, "ResNet9": ResNet9}


def list_models(contains=""):
    """List the names of the builders.

    Args:
        contains: str. Only names that contain it, in any case. Defaults to "", all.

    Returns:
        A sorted list of names, each a function of this package.

    Example:

    >>> list_models("david")
    ['DavidNet']
    """
    return sorted(name for name in _BUILDERS if contains.lower() in name.lower())


__all__ = ["BatchNormalization", "DavidNet", "ResNet9", "list_models"]
