"""Optimizers in the forms that the published recipes have, for any `keras.Model`, on every backend.

`SGD` and `Adam`, whose momentum may follow a schedule; `torch_optimizer`, these two as torch has them;
`Muon`, for the kernels of convolutions too; `Grouped`, different optimizers for different weights; `Lookahead`,
slow weights around any optimizer; `Accumulated`, an update for several batches, of how many may change;
`decoupled`, hyperparameters that hold for every batch size.

Keras reads momentum once, when it compiles the step: what is assigned later does nothing. Here it
is a variable, or a schedule that is evaluated inside the compiled step from the count of updates,
so that it also holds under `LossScaleOptimizer` and with several steps per execution.

The schedule of airbench, from 0.2 of the peak up to it over 23% of the steps and then down to 0.07:

>>> from recipes import schedules
>>> steps, peak = 476, 1.5
>>> schedule = schedules.PiecewiseLinear([0, int(0.23 * steps), steps], [0.2 * peak, peak, 0.07 * peak])
>>> [round(schedule(step), 4) for step in (0, 109, 476)]
[0.3, 1.5, 0.105]
>>> optimizer = SGD(schedule, momentum=0.85, nesterov=True, learning_rate_in_velocity=False)
"""

from recipes.optimizers.accumulation import Accumulated
from recipes.optimizers.accumulation import accumulation_steps
from recipes.optimizers.decoupling import Decoupled
from recipes.optimizers.decoupling import decoupled
from recipes.optimizers.groups import Grouped
from recipes.optimizers.lookahead import Lookahead
from recipes.optimizers.momentum import SGD
from recipes.optimizers.momentum import Adam
from recipes.optimizers.momentum import set_momentum
from recipes.optimizers.momentum import torch_optimizer
from recipes.optimizers.muon import Muon
from recipes.optimizers.rates import scale_learning_rate

__all__ = [
    "SGD",
    "Accumulated",
    "Adam",
    "Decoupled",
    "Grouped",
    "Lookahead",
    "Muon",
    "accumulation_steps",
    "decoupled",
    "scale_learning_rate",
    "set_momentum",
    "torch_optimizer",
]
