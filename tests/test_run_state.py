"""A training that goes on from a state is the one that was never interrupted, bit for bit."""

import keras
import numpy as np
import pytest

import augment
from recipes import callbacks
from recipes import schedules
from recipes.optimizers import SGD
from recipes.optimizers import Accumulated
from recipes.training.beginning import fit_from
from recipes.training.memory import InMemoryData
from recipes.training.selection import HardestSamples
from recipes.training.state import RunState
from recipes.training.state import States

SAMPLES, BATCH, STEPS = 24, 4, 6
IMAGES = np.random.default_rng(0).integers(0, 256, (SAMPLES, 6, 6, 3)).astype("uint8")
LABELS = np.eye(3, dtype="float32")[np.random.default_rng(1).integers(3, size=SAMPLES)]
OPERATIONS = [augment.PadCrop(1), augment.Normalize((127.0,) * 3, (64.0,) * 3)]
VALIDATION = (IMAGES[:8] / 255, LABELS[:8])


class Stopped(Exception):
    """What ends a training in the middle."""


class Stop(keras.callbacks.Callback):
    """Raise when so many steps have been made, before the state of the last one is saved; or at the end of an epoch."""

    by_dispatch = True

    def __init__(self, steps=None, epoch=None):
        super().__init__()
        self.steps, self.epoch, self.made, self.batches = steps, epoch, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.made += 1
        self.batches.append(batch)
        if self.made == self.steps:
            raise Stopped

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Stopped


def some_model(optimizer, metrics=("accuracy",)):
    """A little of everything that has a state: statistics, a seed, momentum, metrics."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3, dtype="float32"),
        ]
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=list(metrics), jit_compile=keras.backend.backend() == "jax")
    return model


def generator():
    return augment.ArrayGenerator(IMAGES, LABELS, OPERATIONS, batch_size=BATCH, seed=5)


def stream():
    return augment.pipeline(IMAGES, LABELS, OPERATIONS, batch_size=BATCH, seed=5)


def in_memory():
    return InMemoryData(IMAGES, LABELS, OPERATIONS, batch_size=BATCH, seed=5)


def rates():
    return schedules.PiecewiseLinear([0, 5, 18], [0.0, 0.1, 0.01])


def of_generator():
    """Keras's own callbacks, which begin anew with each `fit`."""
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True, min_delta=0.01)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", patience=0, factor=0.5, min_delta=0.3)
    return some_model(SGD(0.05, momentum=0.9)), generator(), [stopping, plateau], {"validation_data": VALIDATION}


def of_stream():
    """Averages; and epochs of `fit` that are not those of the data."""
    model = some_model(SGD(rates(), momentum=0.9, use_ema=True, ema_momentum=0.8))
    measured = callbacks.AveragedWeights()
    return model, stream(), [measured], {"validation_data": VALIDATION, "steps_per_epoch": STEPS - 1}


def of_memory():
    return some_model(SGD(rates(), momentum=0.9)), in_memory(), [], {"validation_data": VALIDATION}


def of_hardest_samples():
    data = in_memory()
    hardest = HardestSamples(data, [1.0, 0.5, 0.7], keras.losses.CategoricalCrossentropy(from_logits=True))
    return some_model(SGD(0.05, momentum=0.9), ["accuracy", hardest.metric]), data, [hardest], {}


def of_growth():
    """Gradients that wait for an update, evaluations between the steps, patience in these, and a learning rate."""
    growth = callbacks.BatchGrowth({1: 2}, epoch_end="keep")
    plateau = callbacks.ReduceLROnPlateau("val_loss", patience_epochs=0.5, threshold=1.0, threshold_mode="abs")
    every = callbacks.EvaluateEvery(2, VALIDATION, [callbacks.EarlyStopping("val_loss"), plateau], batch_size=8)
    model = some_model(Accumulated(SGD(0.05, momentum=0.9), 2))
    return model, generator(), [growth, every], {}


def of_loss_scale():
    """Under mixed_float16: the loss scale, and a learning rate that a callback sets."""
    optimizer = keras.optimizers.LossScaleOptimizer(SGD(0.1, momentum=0.9), initial_scale=4.0, dynamic_growth_steps=4)
    return some_model(optimizer), generator(), [callbacks.CyclicLR(0.01, 0.1, step_size=4)], {}


def train(case, folder, state=None, stop=None, epochs=3, **intervals):
    """Train a case from a state on, perhaps not to its end."""
    model, data, own, arguments = case()
    history, arguments = keras.callbacks.History(), dict(arguments)
    saving = RunState(folder, callbacks=[*own, history], state=state, **intervals)
    given = [callbacks.LearningRateLogger(), *own, history, *([stop] if stop else [])]
    if hasattr(data, "samples"):
        arguments["steps_per_epoch"] = None
        if isinstance(data, InMemoryData) and intervals and not isinstance(own[:1] and own[0], HardestSamples):
            arguments["steps_per_dispatch"] = 4
    if not isinstance(data, InMemoryData):
        arguments["shuffle"] = False
    fit_from(model, data, saving, epochs=epochs, callbacks=given, **arguments)
    variables = [*model.variables, *model.optimizer.variables]
    return history, [(each.path, keras.ops.convert_to_numpy(each)) for each in variables], own


def assert_same(result, expected):
    (history, variables, own), (known, values, others) = result, expected
    assert history.history == known.history and history.epoch == known.epoch
    assert len(variables) == len(values)
    for (path, array), (_, value) in zip(variables, values):
        np.testing.assert_array_equal(array, value, err_msg=path)
    for mine, other in zip(own, others):
        assert getattr(mine, "history", None) == getattr(other, "history", None)
        for name in ("wait", "best", "best_epoch", "step"):
            assert getattr(mine, name, None) == getattr(other, name, None)


@pytest.mark.parametrize(
    ("case", "stops"),
    [
        (of_generator, [Stop(9)]),
        (of_stream, [Stop(8), Stop(epoch=2)]),
        (of_memory, [Stop(4), Stop(epoch=2)]),
        (of_hardest_samples, [Stop(epoch=2)]),
        (of_growth, [Stop(10)]),
        (of_loss_scale, [Stop(STEPS + 1)]),  # what was saved last is the end of the first epoch
    ],
)
def test_a_training_goes_on_as_if_it_had_not_been_interrupted(case, stops, tmp_path, request):
    if case is of_stream:
        pytest.importorskip("tensorflow")
    if case is of_loss_scale:
        request.getfixturevalue("mixed_float16")
    expected = train(case, None)
    state = None
    for number, stop in enumerate(stops):
        with pytest.raises(Stopped):
            train(case, tmp_path, state, stop, save_steps=1 + number)
        state = States(tmp_path).newest()
        assert state["epoch"] or state["step"]
    heard = Stop()
    assert_same(train(case, tmp_path, state, heard), expected)
    if case in (of_generator, of_growth, of_memory) and state["step"]:  # nobody heard of what was made before
        assert heard.batches[0] == (STEPS - 1 if case is of_memory else state["step"])


def test_a_training_that_a_callback_had_ended_makes_no_further_epoch(tmp_path):
    """Though the process was killed before the phase had ended."""

    def stopping():
        stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0, restore_best_weights=True)
        return some_model(SGD(0.05, momentum=0.9)), in_memory(), [stop], {}

    expected = train(stopping, tmp_path, save_steps=1)
    state = States(tmp_path).newest()
    assert state["stopped"] and (state["epoch"], state["step"]) == (2, 0)
    assert_same(train(stopping, tmp_path, state), expected)


def test_a_state_of_another_training_is_refused(tmp_path):
    train(of_memory, tmp_path, save_steps=1, epochs=1)
    state = States(tmp_path).newest()
    model, data, _, _ = of_memory()
    with pytest.raises(ValueError, match=r"callbacks \['History'\]. Received: \[\]"):
        fit_from(model, data, RunState(tmp_path, state=state), epochs=2)
    path, dtype, kernel = state["variables"]["model"][0]
    state["variables"]["model"][0] = path, dtype, kernel[1:]
    with pytest.raises(ValueError, match=r"conv2d/kernel float32\[2, 3, 3, 4\] where this one has .*keras 3"):
        train(of_memory, tmp_path, state)
