"""Wrong calls of schedules, optimizers, callbacks, losses and trainers."""

import keras
import numpy as np

from recipes import callbacks
from recipes import catalogue
from recipes import losses
from recipes import optimizers
from recipes import schedules
from recipes.cifar10_davidnet import train
from recipes.optimizers.decoupling import decoupled
from recipes.training.class_accuracy import ClassAccuracy
from recipes.training.memory import InMemoryData
from recipes.training.memory import fit
from recipes.training.recipe import resolve
from recipes.training.selection import HardestSamples

NAN, INF = float("nan"), float("inf")
IMAGES, LABELS = np.zeros((4, 8, 8, 3), "uint8"), np.eye(4, dtype="float32")
MSE = keras.losses.MeanSquaredError()


def compiled(optimizer="sgd"):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4)])
    model.compile(optimizer, "mse")
    return model


def begin(callback, optimizer="sgd"):
    """What `fit` calls before its first step."""
    callback.set_params({"epochs": 1, "steps": 2})
    callback.set_model(compiled(optimizer))
    callback.on_train_begin()
    callback.on_epoch_begin(0)


CASES = [
    ("schedules.OneCycle(0, 10)", "`peak_lr` must be positive", "peak_lr=0"),
    ("schedules.OneCycle('0.1', 10)", "`peak_lr` must be positive", "'0.1'"),
    ("schedules.OneCycle(NAN, 10)", "`peak_lr` must be positive", "nan"),
    ("schedules.OneCycle(INF, 10)", "`peak_lr` must be positive", "inf"),
    ("schedules.OneCycle(0.1, 0)", "`total_steps` must be positive", "total_steps=0"),
    ("schedules.OneCycle(0.1, 10, warmup_fraction=1.5)", "`warmup_fraction` must lie between 0 and 1", "1.5"),
    ("schedules.OneCycle(0.1, 10, warmup_fraction='0.3')", "`warmup_fraction`", "'0.3'"),
    ("schedules.OneCycle(0.1, 2)", "The warm-up must be longer than one step", "total_steps=2"),
    ("schedules.OneCycle(0.1, 10, annealing='cos')", "`annealing` must be one of", "'cos'"),
    ("schedules.OneCycle(0.1, 10, annealing='cosin')", "`annealing` must be one of", "Did you mean 'cosine'?"),
    ("schedules.OneCycleMomentum(10, base_momentum=0.99)", "Momentums must lie between 0 and 1", "0.99"),
    ("schedules.PiecewiseLinear([0, 1], [0.1])", "`knots` and `values` must be as many"),
    ("schedules.PiecewiseLinear([], [])", "`knots`", "[]"),
    ("schedules.PiecewiseLinear([1, 0], [0.1, 0.2])", "`knots` must increase", "[1, 0]"),
    ("schedules.PiecewiseLinear([0, NAN], [0.1, 0.2])", "`knots` must be a finite number", "nan"),
    ("schedules.PiecewiseLinear([0, 1], [0.1, 'x'])", "`values`", "'x'"),
    ("schedules.StepDecay(0.1, 0)", "`step_size` must be positive", "step_size=0"),
    ("schedules.StepDecay(-0.1, 5)", "`initial_lr` must be positive", "-0.1"),
    ("schedules.Ramp(1.0, 0.1, 10)", "`min_lr` must be above 0 and below `max_lr`", "min_lr=1.0"),
    ("schedules.Ramp('0.1', 1.0, 10)", "`min_lr`", "0.1"),
    ("schedules.Ramp(0.1, 1.0, 10.5)", "`steps` must be a whole number, at least 2", "10.5"),
    ("schedules.Ramp(0.1, 1.0, 10, spacing='lin')", "`spacing` must be one of", "'lin'"),
    ("schedules.PowerRamp(1.0, -1)", "`total_steps` must be positive", "-1"),
    ("schedules.CyclicLR(step_size=-1)", "`step_size` must be positive", "-1"),
    ("schedules.CyclicLR(mode='triangular3')", "`mode` must be one of", "Did you mean 'triangular'?"),
    ("schedules.CyclicLR(scale_fn=lambda x: float(x))", "write it with keras.ops", "scale_fn"),
    ("schedules.CyclicLR(scale_fn=lambda x: x, scale_mode='epoch')", "`scale_mode` must be one of", "'epoch'"),
    ("schedules.Warmup(0.1, 0)", "`warmup_steps` must be positive", "0"),
    ("schedules.Warmup(0.1, 5, start_factor=2)", "`start_factor` must lie between 0 and 1", "2"),
    ("schedules.BiTHyperRule(0)", "`num_samples`", "0"),
    ("schedules.BiTHyperRule(100, batch_size=0)", "`batch_size`", "0"),
    ("optimizers.SGD(0.1, momentum=1.5)", "`momentum` must be a number from 0 to 1", "1.5"),
    ("optimizers.SGD(0.1, momentum='much')", "`momentum` must be a number from 0 to 1", "'much'"),
    ("optimizers.SGD(0.1, momentum=NAN)", "`momentum` must be a number from 0 to 1", "nan"),
    ("optimizers.SGD(NAN)", "`learning_rate`", "nan"),
    ("optimizers.SGD('fast')", "`learning_rate`", "'fast'"),
    ("optimizers.Adam(beta_1=-0.1)", "`beta_1` must be a number from 0 to 1", "-0.1"),
    ("optimizers.Muon(0.1, steps=0)", "`steps` must be a whole number, at least 1", "0"),
    ("optimizers.Muon(0.1, dtype='float64')", "`dtype` must be one of", "'float64'"),
    ("optimizers.Accumulated('sgd')", "takes optimizers, made", "'sgd'"),
    ("optimizers.Accumulated(optimizers.SGD(0.1), steps=0)", "`steps` must be a whole number of batches", "0"),
    ("optimizers.Lookahead(optimizers.SGD(0.1), period=2.5)", "`period` must be a whole number", "2.5"),
    ("optimizers.Lookahead(optimizers.SGD(0.1), decay=1.5)", "`decay` must be a number from 0 to 1", "1.5"),
    ("optimizers.Grouped(['bias$'], optimizers.SGD(0.1))", "`groups` must be a list of pairs", "bias$"),
    ("optimizers.Grouped([('(', optimizers.SGD(0.1))], optimizers.SGD(0.1))", "`groups` must be a list of pairs", "("),
    ("optimizers.Grouped([('x', optimizers.SGD(0.1))], optimizers.SGD(0.1)).build(compiled().variables)", "No weight"),
    ("decoupled(0, 0.01, momentum=0.9)", "`learning_rate` must be positive", "0"),
    ("decoupled(0.1, 0.01, momentum=1.0)", "`momentum` must be below 1", "1.0"),
    ("callbacks.EarlyStopping(patience_epochs=1, patience_steps=1)", "not both"),
    ("callbacks.EarlyStopping(patience_epochs=-1)", "`patience_epochs` must not be negative", "-1"),
    ("callbacks.EarlyStopping(patience_epochs='3')", "`patience_epochs`", "'3'"),
    ("callbacks.EarlyStopping(min_delta=-1)", "`min_delta` must not be negative", "-1"),
    ("callbacks.EarlyStopping(mode='maximum')", "`mode` must be one of", "'maximum'"),
    ("callbacks.EarlyStopping('figure')", "cannot be told by its name", "'figure'"),
    ("callbacks.ReduceLROnPlateau(factor=2)", "`factor` must be below 1", "factor=2"),
    ("callbacks.ReduceLROnPlateau(threshold_mode='relative')", "`threshold_mode` must be one of", "'relative'"),
    ("callbacks.EvaluateEvery(0, None)", "`steps` must be a whole number of batches", "0"),
    ("callbacks.EvaluateEvery(2, None, [keras.callbacks.EarlyStopping()])", "monitors of recipes.callbacks"),
    ("callbacks.MeasureEpochs(print, every=0)", "`every` must be a whole number of epochs", "0"),
    ("callbacks.BatchGrowth({20: 1.5})", "`factors` must be a dict", "1.5"),
    ("callbacks.BatchGrowth({20: 2}, learning_rate_factor='linearly')", "`learning_rate_factor`", "'linearly'"),
    ("begin(callbacks.BatchGrowth({1: 2}))", "Accumulated(optimizer)", "SGD"),
    ("begin(callbacks.AveragedWeights())", "use_ema=True"),
    ("begin(callbacks.StepDecay(0.1, 2), keras.optimizers.SGD(schedules.StepDecay(0.1, 2)))", "already has a schedule"),
    ("callbacks.OneCycle(0.1, 10, momentum=(0.9,))", "`momentum` must be (lowest, highest)", "(0.9,)"),
    ("losses.DetectionLoss(alpha=2)", "`alpha` must be a number", "2"),
    ("losses.DetectionLoss(gamma=NAN)", "`gamma` must be a number", "nan"),
    ("losses.DetectionLoss(normalization='images')", "`normalization` must be one of", "'images'"),
    ("InMemoryData(IMAGES[0], LABELS, batch_size=2)", "`images` must be an array", "(8, 8, 3)"),
    ("InMemoryData(IMAGES, LABELS[:2], batch_size=2)", "must be as many", "4 and 2"),
    ("InMemoryData(IMAGES, LABELS, batch_size=8, drop_remainder=True)", "4 images make no batch of 8"),
    ("fit(compiled(), (IMAGES, LABELS), epochs=1)", "`data` must be InMemoryData", "tuple"),
    ("fit(keras.Sequential(), InMemoryData(IMAGES, LABELS, batch_size=2), epochs=1)", "must be compiled"),
    ("HardestSamples(InMemoryData(IMAGES, LABELS, batch_size=2), [], MSE)", "`fractions`", "[]"),
    ("HardestSamples(InMemoryData(IMAGES, LABELS, batch_size=2), [0.1], MSE)", "must leave a batch", "0.1"),
    ("HardestSamples(InMemoryData(IMAGES, LABELS, batch_size=2), [NAN], MSE)", "`fractions`", "nan"),
    ("ClassAccuracy(['cat'])", "at least two names", "['cat']"),
    ("ClassAccuracy(['cat dog', 'cat_dog'])", "`class_names`", "cat_dog"),
    ("catalogue.load_recipe('cifar10_davidnt')", "Unknown recipe", "Did you mean 'cifar10_davidnet'?"),
    ("train('finale')", "Unknown experiment", "Did you mean 'final'?"),
    ("train(epoch=3)", "Unknown argument", "Did you mean 'epochs'?"),
    ("resolve(train, 'final', {'epochs': 2.5})", "`epochs` must be int", "2.5"),
    ("resolve(train, 'final', {'peak_lr': NAN})", "`peak_lr` must be a number", "nan"),
    ("resolve(train, 'final', {'precision': 'mixed_float'})", "`precision` must be", "Did you mean 'mixed_float16'?"),
    ("resolve(train, 'final', {'quiet': 1})", "`quiet` must be bool", "quiet=1"),
]
