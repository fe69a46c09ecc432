"""Callbacks that set the learning rate: every step, alone, and into the History."""

import math

import keras
import numpy as np
import pytest

from recipes import callbacks
from recipes import schedules

IMAGES, TARGETS = np.ones((12, 1), "float32"), np.ones((12, 1), "float32")


def linear_model(learning_rate=0.1, **compile_arguments):
    """A model whose only weight moves by exactly the learning rate in each step."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(learning_rate), lambda y_true, y_pred: y_pred, **compile_arguments)
    return model


class Weights(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.values = [self.model.get_weights()[0].item()]

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(self.model.get_weights()[0].item())


def fit(model, *extra, epochs=2):
    return model.fit(IMAGES, TARGETS, batch_size=3, epochs=epochs, shuffle=False, verbose=0, callbacks=list(extra))


@pytest.mark.parametrize(
    ("callback", "function"),
    [
        (callbacks.CyclicLR(0.1, 0.4, 3, "triangular2"), schedules.CyclicLR(0.1, 0.4, 3, "triangular2")),
        (callbacks.OneCycle(0.5, 8), schedules.OneCycle(0.5, 8)),
        (callbacks.StepDecay(0.5, 1, 0.5, steps_per_epoch=4), schedules.StepDecay(0.5, 4, 0.5)),
        (callbacks.Warmup(lambda step: 0.4 / math.exp(step), 4), lambda step: min(step / 4, math.exp(4 - step)) * 0.4),
        (callbacks.PiecewiseLinear([0, 2, 8], [0.0, 0.4, 0.0]), schedules.PiecewiseLinear([0, 2, 8], [0.0, 0.4, 0.0])),
    ],
)
def test_each_step_has_its_learning_rate(callback, function):
    weights = Weights()
    history = fit(linear_model(), callback, weights)
    expected = [function(step) for step in range(8)]
    np.testing.assert_allclose(-np.diff(weights.values), expected, atol=1e-6)
    np.testing.assert_allclose(callback.history["learning_rate"], expected, rtol=1e-6)
    assert callback.history["step"] == list(range(8))
    np.testing.assert_allclose(history.history["learning_rate"], [expected[3], expected[7]], rtol=1e-6)


def test_a_subclass_decides_and_goes_on_in_a_second_fit():
    class Decay(callbacks.LearningRateCallback):
        def value(self, step):
            return 0.1 / (1 + step)

    model, decay = linear_model(), Decay()
    fit(model, decay, epochs=1)
    fit(model, decay, epochs=1)
    np.testing.assert_allclose(decay.history["learning_rate"], [0.1 / (1 + step) for step in range(8)])


def test_cyclic_takes_any_python_function_and_starts_again():
    callback = callbacks.CyclicLR(0.0, 1.0, 2, scale_fn=lambda cycle: 0.5 * (1 + math.sin(cycle * math.pi / 2.5)))
    fit(linear_model(), callback, epochs=1)
    assert callback.history["learning_rate"][2] == pytest.approx(0.5 * (1 + math.sin(math.pi / 2.5)))
    callback.reset(max_lr=2.0)
    assert callback.step == 0
    assert callback.value(2) == pytest.approx(1 + math.sin(math.pi / 2.5))


@pytest.mark.parametrize("mode", ["triangle", None, "cosine"])
def test_unknown_modes_are_refused_at_once(mode):
    with pytest.raises(ValueError, match="`mode`") if mode else pytest.raises(ValueError, match="`step_size`"):
        callbacks.CyclicLR(mode=mode) if mode else callbacks.CyclicLR(step_size=-1)


def test_a_schedule_and_a_callback_are_refused():
    with pytest.raises(ValueError, match="already has a schedule.*OneCycle"):
        fit(linear_model(schedules.OneCycle(0.5, 8)), callbacks.OneCycle(0.5, 8))


def test_two_callbacks_are_refused():
    with pytest.raises(ValueError, match="OneCycle already sets.*CyclicLR"):
        fit(linear_model(), callbacks.OneCycle(0.5, 8), callbacks.CyclicLR())


def test_keras_callbacks_that_change_the_rate_are_refused():
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.3)
    with pytest.raises(ValueError, match="something else sets it"):
        fit(linear_model(), callbacks.OneCycle(0.5, 8), scheduler)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=0, min_delta=1e9)
    with pytest.raises(ValueError, match="something else sets it"):
        fit(linear_model(), callbacks.OneCycle(0.5, 12), plateau, epochs=3)


def test_several_steps_at_once_are_refused(backend):
    if backend == "torch":
        pytest.skip("Keras runs one step at a time on torch")
    with pytest.raises(ValueError, match="steps_per_execution=2"):
        fit(linear_model(steps_per_execution=2), callbacks.OneCycle(0.5, 8))


def test_a_callback_may_follow_another_run():
    model = linear_model()
    fit(model, callbacks.OneCycle(0.5, 8))
    fit(model, callbacks.CyclicLR())


def test_the_rate_of_a_schedule_is_in_the_history():
    schedule = schedules.PiecewiseLinear([0, 8], [0.8, 0.0])
    history = fit(linear_model(schedule), callbacks.LearningRateLogger())
    np.testing.assert_allclose(history.history["learning_rate"], [schedule(4), schedule(8)], atol=1e-7)


def test_the_callback_reaches_an_optimizer_under_loss_scaling(mixed_float16):
    model = linear_model()
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    history = fit(model, callbacks.PiecewiseLinear([0, 8], [0.8, 0.0]))
    np.testing.assert_allclose(history.history["learning_rate"], [0.5, 0.1], rtol=1e-5)
