"""Augmentation that draws per image, works on whole batches, and never depends on the weather.

The same operations run in tf.data (`pipeline`), as a Keras layer (`Augmentation`), and on NumPy
arrays (`ArrayGenerator`): the pixels of sample i in epoch e depend on (seed, e, i) alone.
"""

from augment.colors import Brightness
from augment.colors import ColorJitter
from augment.colors import Contrast
from augment.colors import Grayscale
from augment.colors import Hue
from augment.colors import Saturation
from augment.composition import OneOf
from augment.composition import RandomApply
from augment.composition import RandomOrder
from augment.crops import CenterCrop
from augment.crops import CropPad
from augment.crops import PadCrop
from augment.crops import RandomResizedCrop
from augment.crops import Resize
from augment.erasing import Cutout
from augment.erasing import RandomErasing
from augment.filters import GaussianBlur
from augment.filters import Normalize
from augment.generator import ArrayGenerator
from augment.generator import EpochGenerator
from augment.generator import MixupGenerator
from augment.generator import get_random_eraser
from augment.geometry import AlternatingFlip
from augment.geometry import HorizontalFlip
from augment.geometry import Rotation
from augment.geometry import ScaleJitter
from augment.geometry import Translation
from augment.geometry import VerticalFlip
from augment.layers import Augmentation
from augment.mixing import CutMix
from augment.mixing import Mixup
from augment.operation import Operation
from augment.operation import transform
from augment.pipeline import pipeline

__all__ = [
    "AlternatingFlip",
    "ArrayGenerator",
    "Augmentation",
    "Brightness",
    "CenterCrop",
    "ColorJitter",
    "Contrast",
    "CropPad",
    "CutMix",
    "Cutout",
    "EpochGenerator",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Hue",
    "Mixup",
    "MixupGenerator",
    "Normalize",
    "OneOf",
    "Operation",
    "PadCrop",
    "RandomApply",
    "RandomErasing",
    "RandomOrder",
    "RandomResizedCrop",
    "Resize",
    "Rotation",
    "Saturation",
    "ScaleJitter",
    "Translation",
    "VerticalFlip",
    "get_random_eraser",
    "pipeline",
    "transform",
]
