"""Networks as published: each builder returns a `keras.Model`."""

from zoo import bit_weights
from zoo import boxes
from zoo import keras_files
from zoo import weights
from zoo.activation import Activation
from zoo.alexnet import AlexNet
from zoo.bit import BiTResNet50
from zoo.bit import BiTResNet101
from zoo.bit import BiTResNet152
from zoo.block_cnn import BlockCNN
from zoo.convolution import Conv2D
from zoo.convolution import StandardizedConv2D
from zoo.davidnet import DavidNet
from zoo.davidnet import ResNet9
from zoo.ghost import ghost_batches
from zoo.group_normalization import GroupNormalization
from zoo.initializers import Dirac
from zoo.normalization import BatchNormalization
from zoo.pooling import AdaptiveAveragePooling2D
from zoo.resnet import ResNet18
from zoo.resnet import ResNet34
from zoo.resnet import ResNet50
from zoo.resnet import ResNet101
from zoo.resnet import ResNet152
from zoo.retinanet import RetinaNet
from zoo.speednet import SpeedNet
from zoo.whitening import whiten
from zoo.whitening import whitening_kernel

__version__ = "0.1.0"

_BUILDERS = {
    "AlexNet": AlexNet,
    "BiTResNet50": BiTResNet50,
    "BiTResNet101": BiTResNet101,
    "BiTResNet152": BiTResNet152,
    "BlockCNN": BlockCNN,
    "DavidNet": DavidNet,
    "ResNet9": ResNet9,
    "ResNet18": ResNet18,
    "ResNet34": ResNet34,
    "ResNet50": ResNet50,
    "ResNet101": ResNet101,
    "ResNet152": ResNet152,
    "RetinaNet": RetinaNet,
    "SpeedNet": SpeedNet,
}


def list_models(contains=""):
    """List the names of the builders.

    Args:
        contains: str. Only names that contain it, in any case. Defaults to "", all.

    Returns:
        A list of names, each a function of this package, families and sizes in order.

    Example:

    >>> list_models("david")
    ['DavidNet']
    """
    return [name for name in _BUILDERS if contains.lower() in name.lower()]


__all__ = [
    "Activation",
    "AdaptiveAveragePooling2D",
    "BatchNormalization",
    "Conv2D",
    "Dirac",
    "GroupNormalization",
    "StandardizedConv2D",
    *_BUILDERS,
    "bit_weights",
    "boxes",
    "ghost_batches",
    "keras_files",
    "list_models",
    "weights",
    "whiten",
    "whitening_kernel",
]
