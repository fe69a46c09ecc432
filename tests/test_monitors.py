"""Early stopping and plateaus: against Keras's and torch's, at the ends of epochs and every so many steps."""

import types

import keras
import numpy as np
import pytest

from recipes import callbacks
from recipes import optimizers
from recipes.training import memory

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(40, 2, 2, 1)).astype("float32")
LABELS = GENERATOR.integers(3, size=40)
VALIDATION = GENERATOR.normal(size=(30, 2, 2, 1)).astype("float32"), GENERATOR.integers(3, size=30)


def walks(count=15, length=30):
    """Values that rise and fall by tenths, with the same ones often, and some that are no numbers."""
    for seed in range(count):
        generator = np.random.default_rng(seed)
        values = np.round(0.5 + np.cumsum(generator.normal(0, 0.05, length)), 1)
        yield seed, np.where(generator.uniform(size=length) < 0.03, np.nan, values)


class Model:
    """What a monitor does to a model; its weights are the number of the epoch."""

    def __init__(self, optimizer=None):
        self.optimizer, self.stop_training, self.weights = optimizer, False, 0

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.weights = weights


def rate(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


SETTINGS = [
    {"mode": "max", "patience": 3, "factor": 0.5},
    {"mode": "min", "patience": 0, "factor": 0.7, "cooldown": 2, "min_lr": 0.03},
    {"mode": "max", "patience": 1, "factor": 0.1, "cooldown": 1, "threshold": 0.1, "threshold_mode": "abs"},
    {"mode": "min", "patience": 2, "factor": 0.5, "cooldown": 3, "threshold": 0.2, "threshold_mode": "rel"},
]


@pytest.mark.parametrize("in_steps", [False, True])
@pytest.mark.parametrize("settings", SETTINGS)
def test_plateaus_are_those_of_torch(settings, in_steps):
    """In steps, with an evaluation every seven of them."""
    torch = pytest.importorskip("torch")
    own = dict(settings)
    patience, cooldown = own.pop("patience"), own.pop("cooldown", 0)
    own |= {"patience_steps": 7 * patience, "cooldown": 7 * cooldown} if in_steps else {"patience_epochs": patience}
    own |= {} if in_steps else {"cooldown": cooldown}
    reductions = 0
    for _, values in walks():
        reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, **settings)
        model = Model(keras.optimizers.SGD(0.1))
        plateau = callbacks.ReduceLROnPlateau(**own)
        plateau.set_model(model)
        plateau.on_train_begin()
        for epoch, value in enumerate(values):
            scheduler.step(value)
            logs = {"val_accuracy": value}
            plateau.on_evaluation(7 * (epoch + 1), logs) if in_steps else plateau.on_epoch_end(epoch, logs)
            assert rate(model.optimizer) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-5)
        reductions += rate(model.optimizer) < 0.099
    assert reductions >= 5


@pytest.mark.parametrize("patience", [1, 3])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_stopping_in_epochs_is_that_of_keras(mode, patience):
    stopped = 0
    for _, values in walks():
        ends = []
        for callback in (
            callbacks.EarlyStopping("val_loss", patience_epochs=patience, mode=mode, min_delta=0.05),
            keras.callbacks.EarlyStopping("val_loss", 0.05, patience, mode=mode, restore_best_weights=True),
        ):
            model = Model()
            callback.set_model(model)
            callback.on_train_begin()
            for epoch, value in enumerate(np.nan_to_num(values)):
                model.weights = epoch
                callback.on_epoch_end(epoch, {"val_loss": value})
                if model.stop_training:
                    break
            callback.on_train_end()
            ends.append((epoch, model.weights))
        assert ends[0] == ends[1]
        stopped += ends[0][0] < len(values) - 1
    assert stopped > 7


def test_patience_in_epochs_follows_the_batch_and_in_steps_does_not():
    """Of 8,707 images, with batches that are full: 3 epochs are 408 and 204 steps at 64 and 128."""
    for batch_size, steps in ((64, 408), (128, 204)):
        for arguments, last in (({"patience_epochs": 3}, steps), ({"patience_steps": 100}, 100)):
            stopping = callbacks.EarlyStopping(**arguments)
            stopping.set_model(Model())
            stopping.set_params({"steps": 8707 // batch_size})
            stopping.on_train_begin()
            stopping.on_evaluation(1, {"val_accuracy": 0.5})
            stops = 1
            while not stopping.model.stop_training:
                stops += 1
                stopping.on_evaluation(stops, {"val_accuracy": 0.5})
            assert stops == 1 + last


def test_a_first_value_that_is_no_number_is_no_best():
    stopping = callbacks.EarlyStopping(patience_epochs=5)
    stopping.set_model(Model())
    for epoch, value in enumerate([np.nan, 0.1, 0.3, np.nan, 0.2]):
        stopping.model.weights = epoch
        stopping.on_epoch_end(epoch, {"val_accuracy": value, "val_mca": value / 2})
    stopping.on_train_end()
    assert (stopping.best, stopping.best_logs["val_mca"], stopping.model.weights) == (0.3, 0.15, 2)


def compiled():
    keras.utils.set_random_seed(2)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(4), layers.BatchNormalization(), layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=keras.backend.backend() == "jax")
    return model


def fit(model, extra, in_memory, epochs=3):
    arguments = {"epochs": epochs, "callbacks": extra}
    if in_memory:
        return memory.fit(model, memory.InMemoryData(IMAGES, LABELS, batch_size=5), **arguments).history
    return model.fit(IMAGES, LABELS, 5, shuffle=False, verbose=0, **arguments).history


class Weights(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.after = {}

    def on_train_batch_end(self, batch, logs=None):
        self.after[len(self.after) + 1] = self.model.get_weights()


@pytest.mark.parametrize("in_memory", [False, True])
def test_evaluations_between_steps_change_nothing_and_give_the_best_weights(in_memory):
    plain, model, weights = compiled(), compiled(), Weights()
    best = callbacks.EarlyStopping("val_loss")
    evaluations = callbacks.EvaluateEvery(5, VALIDATION, [best])
    expected = fit(plain, [], in_memory)
    history = fit(model, [weights, evaluations], in_memory)
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6)
    for weight, value in zip(weights.after[24], plain.get_weights(), strict=True):
        np.testing.assert_allclose(weight, value, atol=1e-6)
    assert evaluations.history["step"] == [5, 10, 15, 20, 24]
    losses = evaluations.history["val_loss"]
    assert history["val_loss"] == [losses[0], losses[2], losses[3]]
    step = evaluations.history["step"][int(np.argmin(losses))]
    for weight, value in zip(model.get_weights(), weights.after[step], strict=True):
        np.testing.assert_array_equal(weight, value)
    assert best.best == min(losses)
    assert model.evaluate(*VALIDATION, verbose=0)[0] == pytest.approx(min(losses), rel=1e-5)


def test_a_training_stops_in_the_middle_of_an_epoch():
    stopping = callbacks.EarlyStopping("val_accuracy", patience_steps=6, min_delta=1.0)
    evaluations = callbacks.EvaluateEvery(3, VALIDATION, [stopping])
    fit(compiled(), [evaluations], in_memory=False, epochs=9)
    assert evaluations.history["step"] == [3, 6, 9]


def test_a_plateau_reaches_every_group():
    """Also under accumulation and the scaling of the loss."""
    grouped = optimizers.Grouped([("bias", optimizers.SGD(0.2))], default=optimizers.SGD(0.1))
    optimizer = keras.optimizers.LossScaleOptimizer(optimizers.Accumulated(optimizers.Lookahead(grouped)))
    plateau = callbacks.ReduceLROnPlateau(factor=0.5, patience_epochs=0, min_lr=0.04)
    plateau.set_model(Model(optimizer))
    for epoch in range(3):
        plateau.on_epoch_end(epoch, {"val_accuracy": 0.5})
    assert [rate(each) for each in grouped.wrapped] == pytest.approx([0.04, 0.05])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.EarlyStopping("val_accuracy", 3, 100), "not both"),
        (lambda: callbacks.EarlyStopping("val_accuracy", -1), "patience_epochs=-1"),
        (lambda: callbacks.EarlyStopping("val_figure"), 'mode="min"'),
        (lambda: callbacks.EarlyStopping("val_figure", mode="more"), "`mode`"),
        (lambda: callbacks.EarlyStopping(min_delta=-1), "min_delta=-1"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), "factor=1.0"),
        (lambda: callbacks.ReduceLROnPlateau(threshold_mode="relative"), "`threshold_mode`"),
        (lambda: callbacks.EvaluateEvery(0, VALIDATION), "steps=0"),
        (lambda: callbacks.EvaluateEvery(5, VALIDATION, [keras.callbacks.EarlyStopping()]), "belong into those of"),
        (lambda: callbacks.EarlyStopping("val_mca").on_epoch_end(0, {"val_aca": 1}), "not measured.*val_aca"),
        (lambda: callbacks.EarlyStopping(patience_steps=9).on_epoch_end(0, {"val_accuracy": 1}), "steps_per_epoch"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_epochs_without_validation_are_left_out_and_a_training_without_any_is_told():
    stopping = callbacks.EarlyStopping(patience_epochs=1)
    stopping.set_model(types.SimpleNamespace())
    stopping.on_epoch_end(0, {"loss": 1.0})
    with pytest.warns(UserWarning, match="never seen 'val_accuracy'"):
        stopping.on_train_end()
