"""Gradients of several batches for one update: against real large batches, in compiled training."""

import keras
import numpy as np
import pytest

from recipes import callbacks
from recipes import finder
from recipes import optimizers
from recipes import schedules
from recipes.optimizers import Accumulated
from recipes.training import memory

to_numpy = keras.ops.convert_to_numpy
BATCH, SAMPLES = 4, 28
GROWTH = {1: 2, 2: 3}  # batches of 4, 8 and 24, in epochs of 24 samples
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(SAMPLES, 2, 2, 3)).astype("float32")
LABELS = GENERATOR.integers(3, size=SAMPLES)


def compiled(optimizer, loss=None, **arguments):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((2, 2, 3)), layers.Flatten(), layers.Dense(5, "tanh", name="hidden"), layers.Dense(3, name="head")]
    )
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **{"jit_compile": keras.backend.backend() == "jax", **arguments})
    return model


def fit(model, epochs, samples=24, batch_size=BATCH, **arguments):
    images, labels = IMAGES[:samples], LABELS[:samples]
    return model.fit(images, labels, batch_size, epochs=epochs, shuffle=False, verbose=0, **arguments)


def fit_in_memory(model, epochs, **arguments):
    data = memory.InMemoryData(IMAGES[:24], LABELS[:24], batch_size=BATCH, shuffle=False)
    return memory.fit(model, data, epochs=epochs, **arguments)


def assert_same(model, other, tolerance=1e-5):
    for weight, value in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, value, atol=tolerance)


def rate():
    return schedules.PiecewiseLinear([0, 4, 14], [0.05, 0.2, 0.0])


def momentum():
    return optimizers.SGD(rate(), momentum=0.9, nesterov=True, l2=1e-3, clipnorm=1.0)


def adam():
    return keras.optimizers.Adam(schedules.PiecewiseLinear([0, 4, 14], [0.001, 0.01, 0.0]), weight_decay=1e-2)


def wrapped():
    groups = [("hidden/kernel", optimizers.Muon(rate(), dtype="float32")), ("bias", optimizers.SGD(0.1))]
    return optimizers.Lookahead(optimizers.Grouped(groups, default=momentum()), period=3)


@pytest.mark.parametrize(
    ("make", "train", "scaled"),
    [
        (momentum, fit, False),
        (momentum, fit_in_memory, True),
        (adam, fit, True),
        (adam, fit_in_memory, False),
        (wrapped, fit_in_memory, True),
    ],
)
def test_growth_equals_real_large_batches(make, train, scaled):
    """With a schedule of updates, and under the scaling of the loss, in powers of two that change."""
    optimizer, growth = Accumulated(make()), callbacks.BatchGrowth(GROWTH)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0, dynamic_growth_steps=5)
    model, expected = compiled(optimizer), compiled(make())
    history = train(model, 4, callbacks=[growth]).history
    for epoch, size in enumerate((4, 8, 24, 24)):
        fit(expected, epoch + 1, batch_size=size, initial_epoch=epoch)
    assert_same(model, expected)
    assert history["accumulation_steps"] == [1, 2, 6, 6]
    assert int(model.optimizer.iterations) == growth.updates(4, steps_per_epoch=6) == 6 + 3 + 1 + 1


@pytest.mark.parametrize("train", [fit, fit_in_memory])
def test_growth_compiles_nothing_anew(train, backend):
    """With XLA where the backend has it."""
    traces = []

    def loss(y_true, y_pred):
        traces.append(len(counts))
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    counts = []
    counter = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: counts.append(epoch))
    model = compiled(Accumulated(momentum()), loss, jit_compile=backend != "torch")
    train(model, 4, callbacks=[callbacks.BatchGrowth(GROWTH), counter])
    assert set(traces) == ({0, 1, 2, 3} if backend == "torch" else {0})
    expected = compiled(momentum())
    for epoch, size in enumerate((4, 8, 24, 24)):
        fit(expected, epoch + 1, batch_size=size, initial_epoch=epoch)
    assert_same(model, expected)


@pytest.mark.parametrize("factor", [0.75, "linear"])
def test_the_learning_rate_grows_with_the_batch(factor):
    """Those of all groups; and a training that begins later, or again, has the rate and steps of its epoch."""

    def make():
        return optimizers.Grouped([("bias", optimizers.SGD(0.2))], default=optimizers.SGD(0.1, momentum=0.9))

    growth = callbacks.BatchGrowth(GROWTH, learning_rate_factor=factor)
    model, expected = compiled(Accumulated(make())), compiled(make())
    fit(model, 3, callbacks=[growth])
    of_growth = [2, 3] if factor == "linear" else [0.75, 0.75]
    for epoch, (size, scale) in enumerate(zip((4, 8, 24), [1, *of_growth])):
        for each in expected.optimizer.wrapped:
            each.learning_rate = float(to_numpy(each.learning_rate)) * scale
        fit(expected, epoch + 1, batch_size=size, initial_epoch=epoch)
    assert_same(model, expected)
    rates = [float(to_numpy(each.learning_rate)) for each in expected.optimizer.wrapped]
    later = compiled(Accumulated(make()))
    fit(later, 3, initial_epoch=2, callbacks=[growth])
    for optimizer in (model.optimizer, later.optimizer):
        assert optimizer.steps == 6
        assert [float(to_numpy(each.learning_rate)) for each in optimizer.main.wrapped] == pytest.approx(rates)
    fit(model, 1, callbacks=[growth])
    assert model.optimizer.steps == 1
    assert float(to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.1)


@pytest.mark.parametrize(("epoch_end", "updates"), [("update", 8), ("drop", 6), ("keep", 7)])
def test_what_is_left_at_the_end_of_an_epoch(epoch_end, updates):
    """Seven batches, two for each update."""
    growth = callbacks.BatchGrowth({9: 2}, epoch_end=epoch_end)
    model, expected = compiled(Accumulated(momentum(), steps=2)), compiled(momentum())
    validation = {"validation_data": (IMAGES, LABELS), "validation_batch_size": SAMPLES}
    history = fit(model, 2, samples=28, callbacks=[growth], **validation).history
    if epoch_end == "keep":  # the last batch of the first epoch and the first of the second are one
        images, labels = np.concatenate([IMAGES, IMAGES]), np.concatenate([LABELS, LABELS])
        expected.fit(images, labels, 2 * BATCH, shuffle=False, verbose=0)
    else:
        samples = {"update": 28, "drop": 24}[epoch_end]
        other = fit(expected, 2, samples=samples, batch_size=2 * BATCH, **validation).history
        np.testing.assert_allclose(history["val_loss"], other["val_loss"], rtol=1e-5)
    assert_same(model, expected)
    assert int(model.optimizer.iterations) == growth.updates(2, 7, accumulation_steps=2) == updates
    assert model.optimizer.pending == 0


class StepsAtBatches(keras.callbacks.Callback):
    """Sets the steps before given batches, and looks at the only weight."""

    def __init__(self, steps):
        super().__init__()
        self.steps, self.weights = steps, []

    def on_train_batch_begin(self, batch, logs=None):
        if batch in self.steps:
            self.model.optimizer.steps = self.steps[batch]

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights()[0].item())


def linear_model(optimizer):
    """Whose gradient is its input."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer, lambda y_true, y_pred: y_pred, jit_compile=keras.backend.backend() == "jax")
    return model


def test_a_change_in_the_middle_loses_no_gradient():
    gradients = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "float32")[:, None]
    # Three of four, then two are enough; one of two, then three are wanted.
    callback = StepsAtBatches({3: 2, 7: 3})
    model = linear_model(Accumulated(keras.optimizers.SGD(1.0), steps=4))
    with pytest.warns(UserWarning, match="last 1 batches wait"):
        model.fit(gradients, gradients, 1, shuffle=False, verbose=0, callbacks=[callback])
    first, second, third = np.mean([1, 2, 3, 4]), np.mean([5, 6]), np.mean([7, 8, 9])
    expected = [0] * 3 + [first] * 2 + [first + second] * 3 + [first + second + third] * 2
    np.testing.assert_allclose(-np.array(callback.weights), expected, rtol=1e-6)
    assert model.optimizer.pending == 1
    model.optimizer.flush()
    assert -model.get_weights()[0].item() == pytest.approx(expected[-1] + 10)
    model.optimizer.flush()
    assert model.optimizer.pending == 0
    assert int(model.optimizer.iterations) == 4


def test_what_waits_is_saved_and_loaded(tmp_path):
    model, expected = compiled(Accumulated(momentum(), steps=1)), compiled(momentum())
    model.optimizer.steps = 4  # by hand; the fifth and sixth batch wait
    with pytest.warns(UserWarning, match="last 2 batches wait"):
        fit(model, 1)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.optimizer.steps, loaded.optimizer.pending, loaded.optimizer.initial_steps) == (4, 2, 1)
    fit(loaded, 1)
    images, labels = np.concatenate([IMAGES[:24]] * 2), np.concatenate([LABELS[:24]] * 2)
    expected.fit(images, labels, 4 * BATCH, shuffle=False, verbose=0)
    assert_same(loaded, expected)


def test_batches_that_overflow_are_left_out():
    scaled = keras.optimizers.LossScaleOptimizer(Accumulated(keras.optimizers.SGD(1.0), steps=2))
    gradients = np.array([1, np.inf, 3, np.nan, 5, 7], "float32")[:, None]
    model = linear_model(scaled)
    model.fit(gradients, gradients, 1, shuffle=False, verbose=0)
    assert -model.get_weights()[0].item() == pytest.approx(2 + 6)
    assert int(model.optimizer.iterations) == 2


def test_weights_without_a_gradient_are_left_alone():
    weights = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("one", "other")]
    optimizer = Accumulated(keras.optimizers.SGD(0.5, momentum=0.9, weight_decay=0.1), steps=2)
    optimizer.build(weights)
    for _ in range(3):
        optimizer.apply([keras.ops.ones(2), None], weights)
    optimizer.flush()
    assert (to_numpy(weights[0]) < 0.1).all()
    np.testing.assert_array_equal(to_numpy(weights[1]), 1.0)


def test_callbacks_and_range_tests_count_updates():
    model = linear_model(Accumulated(keras.optimizers.SGD(1.0), steps=2))
    policy = callbacks.StepDecay(1.0, step_size=1, gamma=0.5)
    ones = np.ones((8, 1), "float32")
    model.fit(ones, ones, 1, verbose=0, callbacks=[policy])
    assert policy.history["step"] == [0, 1, 2, 3]
    assert -model.get_weights()[0].item() == pytest.approx(1 + 0.5 + 0.25 + 0.125)
    result = finder.LRFinder(compiled(Accumulated(momentum(), steps=3)), 1e-4, 1e-2, steps=3).find(
        IMAGES, LABELS, batch_size=BATCH
    )
    np.testing.assert_allclose(result.rates, [1e-4, 1e-3, 1e-2], rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Accumulated(optimizers.SGD(0.1), steps=0), "`steps`.*steps=0"),
        (lambda: setattr(Accumulated(optimizers.SGD(0.1)), "steps", 2.0), "steps=2.0"),
        (lambda: Accumulated(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)), "accumulates gradients itself"),
        (lambda: Accumulated(keras.optimizers.LossScaleOptimizer(optimizers.SGD(0.1))), "inside a LossScaleOptimizer"),
        (lambda: optimizers.Lookahead(Accumulated(optimizers.SGD(0.1))), "Lookahead goes inside Accumulated"),
        (lambda: callbacks.BatchGrowth({0: 2}), "factors"),
        (lambda: callbacks.BatchGrowth({2: 0.5}), "factors"),
        (lambda: callbacks.BatchGrowth([(2, 2)]), "factors"),
        (lambda: callbacks.BatchGrowth({2: 2}, "quadratic"), "learning_rate_factor"),
        (lambda: callbacks.BatchGrowth({2: 2}, epoch_end="lose"), "epoch_end"),
        (lambda: fit(compiled(momentum()), 1, callbacks=[callbacks.BatchGrowth({2: 2})]), "Accumulated.*SGD"),
        (
            lambda: fit(compiled(Accumulated(momentum())), 2, callbacks=[callbacks.BatchGrowth({1: 2}, 0.75)]),
            "follows a schedule",
        ),
        (
            lambda: fit(compiled(Accumulated(optimizers.SGD(0.1), 6)), 1, callbacks=[Surprise({1: 2}, 0.75)]),
            "accumulates 5 batches",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Surprise(callbacks.BatchGrowth):
    def on_epoch_begin(self, epoch, logs=None):
        self.optimizer.steps = 5
        super().on_epoch_begin(epoch, logs)
