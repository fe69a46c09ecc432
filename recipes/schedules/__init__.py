"""Learning rates and momentums as functions of the step: plain functions, and Keras schedules.

A function takes a number and returns a float, or takes a tensor and returns a tensor, so that it
also runs inside a compiled step. The classes hold the arguments and go into an optimizer (for the
momentum: one of `recipes.optimizers`); for callbacks see `recipes.callbacks`.

A step is what the optimizer counts: with `gradient_accumulation_steps`, Keras's optimizers count
micro-steps (see `PerUpdate`; those of `recipes.optimizers` count updates); a step that
`LossScaleOptimizer` skips, because a float16 gradient overflowed, is not counted.
"""

from recipes.schedules.composition import PerUpdate
from recipes.schedules.composition import Warmup
from recipes.schedules.composition import per_update
from recipes.schedules.composition import warmup
from recipes.schedules.cyclic import CyclicLR
from recipes.schedules.cyclic import cyclic_lr
from recipes.schedules.hyperrule import BiTHyperRule
from recipes.schedules.hyperrule import bit_hyperrule
from recipes.schedules.knots import PiecewiseLinear
from recipes.schedules.knots import PowerRamp
from recipes.schedules.knots import Ramp
from recipes.schedules.knots import StepDecay
from recipes.schedules.knots import piecewise_linear
from recipes.schedules.knots import power_ramp
from recipes.schedules.knots import ramp
from recipes.schedules.knots import step_decay
from recipes.schedules.superconvergence import OneCycle
from recipes.schedules.superconvergence import OneCycleMomentum
from recipes.schedules.superconvergence import one_cycle
from recipes.schedules.superconvergence import one_cycle_momentum

__all__ = [
    "BiTHyperRule",
    "CyclicLR",
    "OneCycle",
    "OneCycleMomentum",
    "PerUpdate",
    "PiecewiseLinear",
    "PowerRamp",
    "Ramp",
    "StepDecay",
    "Warmup",
    "bit_hyperrule",
    "cyclic_lr",
    "one_cycle",
    "one_cycle_momentum",
    "per_update",
    "piecewise_linear",
    "power_ramp",
    "ramp",
    "step_decay",
    "warmup",
]
