"""What happens between the steps of a training: learning rates, the size of the batch, when to stop.

`LearningRateCallback`, meant for subclassing, and the usual policies made of it. `BatchGrowth`, a
larger effective batch from some epochs on. `EarlyStopping` and `ReduceLROnPlateau`, which look at the
ends of epochs, or, within `EvaluateEvery`, every so many steps. `MeasureEpochs`, for what Keras does not
measure; `AveragedWeights`, so that averaged weights are what is evaluated.

A schedule (`recipes.schedules`) is the better form of a learning rate where it serves: it runs
inside the compiled step and costs nothing. A callback can do what it likes between two steps.
"""

from recipes.callbacks.averaging import AveragedWeights
from recipes.callbacks.evaluation import EvaluateEvery
from recipes.callbacks.evaluation import MeasureEpochs
from recipes.callbacks.growth import BatchGrowth
from recipes.callbacks.learning_rate import CyclicLR
from recipes.callbacks.learning_rate import LearningRateCallback
from recipes.callbacks.learning_rate import LearningRateLogger
from recipes.callbacks.learning_rate import OneCycle
from recipes.callbacks.learning_rate import PiecewiseLinear
from recipes.callbacks.learning_rate import StepDecay
from recipes.callbacks.learning_rate import Warmup
from recipes.callbacks.monitors import EarlyStopping
from recipes.callbacks.monitors import Monitor
from recipes.callbacks.monitors import ReduceLROnPlateau

__all__ = [
    "AveragedWeights",
    "BatchGrowth",
    "CyclicLR",
    "EarlyStopping",
    "EvaluateEvery",
    "LearningRateCallback",
    "LearningRateLogger",
    "MeasureEpochs",
    "Monitor",
    "OneCycle",
    "PiecewiseLinear",
    "ReduceLROnPlateau",
    "StepDecay",
    "Warmup",
]
