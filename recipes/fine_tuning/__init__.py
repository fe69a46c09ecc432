"""Trained networks for other classes: another head, frozen parts, features computed once, rates by depth.

All of it takes any functional or sequential `keras.Model`: of `zoo`, of `keras.applications`, a backbone of KerasHub.

Example:

>>> import zoo
>>> from recipes.fine_tuning import freeze_below, replace_head
>>> model = replace_head(zoo.ResNet18(include_top=False, input_shape=(32, 32, 3)), classes=10)
>>> parts = freeze_below(model, stages=1)
>>> parts.below.output_shape, parts.above.output_shape
((None, 2, 2, 256), (None, 10))
"""

from recipes.fine_tuning.backbones import load_backbone
from recipes.fine_tuning.backbones import preprocessing
from recipes.fine_tuning.features import FeatureBatches
from recipes.fine_tuning.features import features
from recipes.fine_tuning.heads import replace_head
from recipes.fine_tuning.parts import freeze_below
from recipes.fine_tuning.rates import depth_rates
from recipes.fine_tuning.rescaling import rescale
from recipes.fine_tuning.stages import stages_of

__all__ = [
    "FeatureBatches",
    "depth_rates",
    "features",
    "freeze_below",
    "load_backbone",
    "preprocessing",
    "replace_head",
    "rescale",
    "stages_of",
]
