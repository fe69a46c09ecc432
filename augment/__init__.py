"""Augmentation that draws per image, works on whole batches, and never depends on the weather.

The same operations run in tf.data (`pipeline`), as a Keras layer (`Augmentation`), and on NumPy
arrays (`ArrayGenerator`): the pixels of sample i in epoch e depend on (seed, e, i) alone.
"""

from augment.erasing import Cutout
from augment.erasing import RandomErasing
from augment.filters import GaussianBlur
from augment.filters import Normalize
from augment.generator import ArrayGenerator
from augment.generator import EpochGenerator
from augment.generator import MixupGenerator
from augment.generator import get_random_eraser
from augment.geometry import CropPad
from augment.geometry import HorizontalFlip
from augment.geometry import PadCrop
from augment.geometry import Rotation
from augment.geometry import VerticalFlip
from augment.layers import Augmentation
from augment.mixing import Mixup
from augment.operation import Operation
from augment.operation import transform
from augment.pipeline import pipeline

__all__ = [
    "ArrayGenerator",
    "Augmentation",
    "CropPad",
    "Cutout",
    "EpochGenerator",
    "GaussianBlur",
    "HorizontalFlip",
    "Mixup",
    "MixupGenerator",
    "Normalize",
    "Operation",
    "PadCrop",
    "RandomErasing",
    "Rotation",
    "VerticalFlip",
    "get_random_eraser",
    "pipeline",
    "transform",
]
