"""Runs whose loss becomes no number go back to the last good state, and on at half the learning rate."""

import keras
import numpy as np
import pandas
import pytest

import augment
from recipes import schedules
from recipes.data.dataset import Dataset
from recipes.optimizers import SGD
from recipes.training.faults import NonFiniteLoss
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.resume import resume
from recipes.training.routes import Route
from recipes.training.state import States

SETTINGS = {"precision": "float32", "quiet": True, "tensorboard": False, "seed": 3}


class Breaks(keras.callbacks.Callback):
    """Spoils the weights before a step, unless the rate is low; or sets the rate there."""

    def __init__(self, step, limit=None, rate=None):
        super().__init__()
        self.step, self.limit, self.rate = step, limit, rate

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.epoch * 6 + batch != self.step:
            return
        optimizer, kernel = self.model.optimizer, self.model.trainable_variables[0]
        if self.rate is not None:
            optimizer.learning_rate = self.rate
        elif float(optimizer.learning_rate) > self.limit:
            kernel.assign(np.full(kernel.shape, np.inf))


breaks = []


@recipe({"demo": Experiment({})}, default="demo")
def steep(run, *, route: Route, rate: float = 4.0, scheduled: bool = False, bad: int = -1, batch_size: int = 4):
    """Fit lines, in two phases, at a rate that may be too high.

    Args:
        rate: float. Defaults to 4.
        scheduled: bool. Whether it falls while it trains. Defaults to False.
        bad: int. A sample whose pixels are not finite, or -1. Defaults to -1.
        batch_size: int. Defaults to 4.
    """
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(26, 3, 3, 1)).astype("float32"), rng.integers(2, size=26)
    images[bad] = np.inf if bad >= 0 else 0.5
    dataset = Dataset("lines", images, labels, images, labels, ["down", "up"])
    for begin, end in ((0, 6), (6, 8)):
        if not begin:
            model = keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
        learning_rate = schedules.PiecewiseLinear([0, 64], [rate, rate / 2]) if scheduled else rate
        model.compile(SGD(learning_rate), "mse", jit_compile=run.jit_compile)
        data = route.batches(
            dataset, [augment.HorizontalFlip()], batch_size=batch_size, seed=run.seed, initial_epoch=begin
        )
        history = run.fit(
            model, data, epochs=end, initial_epoch=begin, steps_per_epoch=6, shuffle=False, callbacks=breaks
        )
    samples = np.zeros((2, 3, 3, 3)), ["down", "up"]
    return run.finish(model, history, dataset, learning_rates=[rate] * 48, samples=samples)


@pytest.mark.parametrize(("pipeline", "scheduled"), [("numpy", False), ("memory", True), ("tf.data", True)])
def test_from_the_beginning_it_is_a_run_at_the_lower_rate(pipeline, scheduled, small_run, tmp_path, backend):
    """Bit for bit: halves are exact. The second phase keeps to the rate."""
    if pipeline == "tf.data" and backend != "tensorflow":
        return
    arguments = {**SETTINGS, "pipeline": pipeline, "scheduled": scheduled, "runs": str(tmp_path)}
    with pytest.warns(UserWarning, match=r"The loss became .*It goes back, and on at 0\.5 of its rate"):
        record = steep(**arguments, on_nan="resume")
    factor = record.metrics["learning_rate_factor"]
    assert factor in (0.5, 0.25, 0.125)
    expected = steep(**arguments, rate=4.0 * factor)
    assert record.history == expected.history and np.isfinite(record.history["loss"]).all()
    for weight, value in zip(record.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, value)
    tables = [(each.folder / "history.csv").read_text() for each in (record, expected)]
    assert tables[0] == tables[1]
    assert not (record.folder / "state").exists()


def test_it_goes_back_to_the_last_state_and_then_to_the_one_before(small_run, tmp_path, monkeypatch):
    """At step 20 of 36 the rate must be below 0.1: it goes back to step 18, at 0.1, and to step 12, at 0.05."""
    monkeypatch.setitem(globals(), "breaks", [Breaks(20, limit=0.06)])
    arguments = {**SETTINGS, "pipeline": "numpy", "runs": str(tmp_path), "save_steps": 6, "rate": 0.2}
    with pytest.raises(NonFiniteLoss) as caught:
        steep(**arguments)
    (folder,) = tmp_path.iterdir()
    assert (caught.value.epoch, caught.value.step) == (3, 2)
    assert caught.value.__notes__[0].endswith(f"zoo run --resume {folder} --on-nan resume")
    kept = States(folder / "state").newest()
    assert (kept["epoch"], kept["step"]) == (3, 0)
    with pytest.raises(NonFiniteLoss) as again:  # at the same rate it comes to the same end
        resume(folder, recipe=steep)
    assert str(again.value) == str(caught.value)
    with pytest.warns(UserWarning, match="It goes back"):
        record = resume(folder, recipe=steep, on_nan="resume")
    assert record.metrics["learning_rate_factor"] == 0.25 and len(record.history["loss"]) == 8
    assert pandas.read_csv(folder / "history.csv")["epoch"].tolist() == list(range(8))
    # The same, told to by a callback: the second phase is another one, which begins with its own rate.
    monkeypatch.setitem(globals(), "breaks", [Breaks(12, rate=float(np.float32(0.2)) / 4)])
    expected = steep(**arguments)
    assert record.history["loss"][:6] == expected.history["loss"][:6]


def test_it_does_not_try_for_ever(small_run, tmp_path):
    with pytest.warns(UserWarning) as warned, pytest.raises(NonFiniteLoss) as caught:
        steep(**SETTINGS, pipeline="numpy", rate=0.125, bad=5, on_nan="resume", runs=str(tmp_path))
    assert sum("It goes back" in str(each.message) for each in warned) == 5
    assert 5 in caught.value.samples and caught.value.learning_rate == 0.125 / 32
