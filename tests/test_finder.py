"""The range test: what it measures, where it stops, what it suggests, and that it leaves no trace."""

import keras
import numpy as np
import pytest

from recipes import optimizers
from recipes import schedules
from recipes.finder import RangeTest
from recipes.finder import find_lr

CURVATURE = 8.0
ONES = np.ones((12, 1), "float32")


def quadratic(optimizer, start=1.0, **compile_arguments):
    """A model whose loss is `CURVATURE / 2 * w ** 2`: plain descent diverges above the rate 2 / CURVATURE."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, dtype="float32")])
    model.set_weights([np.full((1, 1), start, "float32")])
    model.compile(optimizer, lambda y_true, y_pred: CURVATURE / 2 * y_pred**2, **compile_arguments)
    return model


def losses_by_numpy(rates):
    weight, losses = 1.0, []
    for rate in rates:
        losses.append(CURVATURE / 2 * weight**2)
        weight -= rate * CURVATURE * weight
    return np.array(losses)


def smooth_by_numpy(losses, part):
    """The debiased average, as a weighted mean over everything so far."""
    weights = part ** np.arange(len(losses))[::-1]
    return np.array([np.average(losses[: end + 1], weights=weights[-end - 1 :]) for end in range(len(losses))])


def state_of(model):
    """Every number of a model, by path."""
    flat = {}

    def walk(path, tree):
        for name, value in tree.items():
            if isinstance(value, dict):
                walk(f"{path}/{name}", value)
            else:
                flat[f"{path}/{name}"] = np.array(keras.ops.convert_to_numpy(value))

    walk("", model.get_state_tree())
    return flat


def assert_same_state(model, before):
    after = state_of(model)
    assert after.keys() == before.keys()
    for path, value in before.items():
        np.testing.assert_array_equal(after[path], value, err_msg=path)


@pytest.mark.parametrize("spacing", schedules.SPACINGS)
def test_losses_and_divergence_are_those_of_the_quadratic(spacing):
    arguments = {"min_lr": 1e-3, "max_lr": 2.0, "steps": 60, "spacing": spacing, "smoothing": 0.5}
    test = find_lr(quadratic(keras.optimizers.SGD(0.1)), ONES, ONES, batch_size=3, **arguments)
    every = {"log": np.geomspace, "linear": np.linspace}[spacing](1e-3, 2.0, 60)
    count = len(test.rates)
    np.testing.assert_allclose(test.rates, every[:count], rtol=1e-6)
    np.testing.assert_allclose(test.losses, losses_by_numpy(test.rates), rtol=1e-3, atol=1e-30)
    np.testing.assert_allclose(test.smoothed, smooth_by_numpy(test.losses, 0.5), rtol=1e-5)
    assert test.diverged
    diverged = test.smoothed > 4 * np.minimum.accumulate(test.smoothed)
    assert diverged.tolist() == [False] * (count - 1) + [True]
    # The loss begins to rise with the first rate above 2 / CURVATURE, and not before.
    rises = np.diff(test.losses) > 0
    assert rises.tolist() == (test.rates[:-1] > 2 / CURVATURE).tolist()


def test_suggestions_on_a_curve_that_is_known():
    rates = np.geomspace(1e-5, 10.0, 101)
    losses = np.concatenate([np.full(40, 2.0), np.linspace(2.0, 1.0, 31)[1:], np.linspace(1.0, 9.0, 32)[1:]])
    losses[55:] -= 0.3  # the fall from 54 to 55 is the steepest
    suggestions = RangeTest(rates, losses, losses, 101, True).suggestions
    assert suggestions["steepest"] == pytest.approx(rates[54])
    assert suggestions["minimum / 10"] == pytest.approx(rates[69] / 10)
    assert suggestions["valley"] == pytest.approx(rates[54])  # the fall goes from 39 to 69


def test_the_first_tenth_and_the_last_five_points_are_left_out():
    rates = np.geomspace(1e-5, 10.0, 50)
    losses = np.linspace(2.0, 1.9, 50)
    losses[:5] = [0.1, 9.0, 0.1, 9.0, 0.1]
    losses[45:] = 0.0
    test = RangeTest(rates, losses, losses, 50, True)
    assert test.suggestions["minimum / 10"] == pytest.approx(rates[44] / 10)
    assert test.suggestions["valley"] == pytest.approx(rates[24])
    assert RangeTest(rates[:12], losses[:12], losses[:12], 50, True).suggestions == {}


def network(optimizer):
    layers = keras.layers
    inputs = keras.Input((8,))
    hidden = layers.Dropout(0.2)(layers.BatchNormalization()(layers.Dense(16, activation="relu")(inputs)))
    model = keras.Model(inputs, layers.Dense(1, dtype="float32")(hidden))
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(
            schedules.OneCycle(0.1, 100), schedules.OneCycleMomentum(100), gradient_accumulation_steps=2
        ),
        lambda: keras.optimizers.Adam(0.01, use_ema=True),
    ],
    ids=["ours", "adam"],
)
def test_everything_is_as_it_was(make, policy, request):
    if policy == "mixed_float16":
        request.getfixturevalue("mixed_float16")
    x = np.random.default_rng(0).normal(size=(48, 8)).astype("float32")
    model = network(make())
    model.fit(x, x[:, :1], batch_size=16, epochs=2, verbose=0)
    before, optimizer, step, history = state_of(model), model.optimizer, model.train_function, model.history
    assert any("seed" in path for path in before)
    test = find_lr(model, x, x[:, :1], batch_size=16, steps=12, divergence=1e9)
    assert len(test.losses) == 12
    assert_same_state(model, before)
    with pytest.raises(KeyboardInterrupt):
        find_lr(model, x, x[:, :1], batch_size=16, steps=12, callbacks=[Interrupt()])
    assert_same_state(model, before)
    assert (model.optimizer, model.train_function, model.history) == (optimizer, step, history)
    model.fit(x, x[:, :1], batch_size=16, verbose=0)
    assert np.isfinite(model.evaluate(x, x[:, :1], verbose=0)).all()


def test_a_model_that_has_never_trained_is_as_new():
    x = np.random.default_rng(0).normal(size=(48, 8)).astype("float32")
    model = network("sgd")
    weights = model.get_weights()
    find_lr(model, x, x[:, :1], batch_size=16, steps=5)
    for weight, before in zip(model.get_weights(), weights):
        np.testing.assert_array_equal(weight, before)
    assert not model.optimizer.built
    assert all(not np.any(keras.ops.convert_to_numpy(variable)) for variable in model.metrics_variables)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return ONES[:3], ONES[:3]


@pytest.mark.parametrize("kind", ["arrays", "generator", "pipeline", "endless pipeline"])
def test_data_of_any_kind_go_round(kind, backend):
    data = {"arrays": (ONES[:6], ONES[:6]), "generator": (Batches(),)}.get(kind)
    if data is None:
        tf = pytest.importorskip("tensorflow")
        pipeline = tf.data.Dataset.from_tensor_slices((ONES[:6], ONES[:6])).batch(3)
        data = (pipeline.repeat() if kind == "endless pipeline" else pipeline,)
    arguments = {"batch_size": 3} if kind == "arrays" else {}
    test = find_lr(quadratic("sgd"), *data, min_lr=1e-3, max_lr=0.2, steps=9, **arguments)
    np.testing.assert_allclose(test.losses, losses_by_numpy(np.geomspace(1e-3, 0.2, 9)), rtol=1e-3)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("make", [keras.optimizers.SGD, optimizers.SGD])
def test_under_accumulation_each_update_has_one_rate(make, policy, request):
    if policy == "mixed_float16":
        request.getfixturevalue("mixed_float16")
    model = quadratic(make(0.1, gradient_accumulation_steps=3))
    test = find_lr(model, ONES, ONES, min_lr=1e-3, max_lr=0.2, steps=9, batch_size=1)
    np.testing.assert_allclose(test.losses, losses_by_numpy(np.geomspace(1e-3, 0.2, 9)), rtol=2e-3)


def test_several_steps_per_execution_are_put_aside(backend):
    if backend == "torch":
        return  # Keras itself refuses them there
    model = quadratic("sgd", steps_per_execution=4)
    test = find_lr(model, ONES, ONES, min_lr=1e-3, max_lr=0.2, steps=9, batch_size=1)
    np.testing.assert_allclose(test.losses, losses_by_numpy(np.geomspace(1e-3, 0.2, 9)), rtol=1e-3)
    assert model.steps_per_execution == 4


def test_a_model_of_ones_own_keeps_its_loss():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1, use_bias=False)

        def call(self, x):
            return self.dense(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(CURVATURE / 2 * y_pred**2)

    model = Own()
    model.compile("sgd")
    with pytest.raises(ValueError, match="must be built"):
        find_lr(model, ONES, ONES)
    model(ONES)
    model.set_weights([np.ones((1, 1))])
    test = find_lr(model, ONES, ONES, min_lr=1e-3, max_lr=0.2, steps=9, batch_size=3)
    np.testing.assert_allclose(test.losses, losses_by_numpy(np.geomspace(1e-3, 0.2, 9)), rtol=1e-3)


def test_it_stops_at_a_loss_that_is_no_number(tmp_path):
    for start in (np.nan, np.inf):
        test = find_lr(quadratic("sgd", start), ONES, ONES, steps=20, batch_size=3)
        assert test.diverged
        assert (len(test.rates), len(test.losses), len(test.smoothed)) == (0, 0, 0)
        assert test.suggestions == {}
        assert test.plot().axes[0].get_xlabel() == "learning rate"


def test_steps_that_overflow_have_no_rate(mixed_float16):
    """A scaled gradient overflows until the scale has been halved often enough; the rates begin there."""
    model = quadratic("sgd")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=2.0**126)
    model.compile(optimizer, lambda y_true, y_pred: CURVATURE / 2 * y_pred**2)
    test = find_lr(model, ONES, ONES, min_lr=1e-3, max_lr=0.2, steps=9, batch_size=3)
    np.testing.assert_allclose(test.losses, losses_by_numpy(np.geomspace(1e-3, 0.2, 9)), rtol=1e-3)


def test_the_table_and_the_picture_show_what_was_measured(tmp_path):
    test = find_lr(quadratic("sgd"), ONES, ONES, min_lr=1e-3, max_lr=2.0, steps=40, batch_size=3)
    test.to_csv(tmp_path / "range.csv")
    table = np.genfromtxt(tmp_path / "range.csv", delimiter=",", names=True)
    for column, values in (("learning_rate", test.rates), ("loss", test.losses), ("smoothed", test.smoothed)):
        np.testing.assert_array_equal(table[column], values)
    axes = test.plot().axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_data(), [test.rates, test.losses])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["loss", "smoothed", *(f"{name}: {rate:.2g}" for name, rate in test.suggestions.items())]
    with pytest.raises(ValueError, match="nowhere"):
        test.to_csv(tmp_path / "nowhere" / "range.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_lr": 0.0}, "`min_lr`.*0.0"),
        ({"min_lr": 1.0, "max_lr": 0.1}, "min_lr=1.0, max_lr=0.1"),
        ({"steps": 1}, "`steps`.*1"),
        ({"steps": 2.5}, "`steps`.*2.5"),
        ({"spacing": "cubic"}, "`spacing`.*'cubic'"),
        ({"smoothing": 1.0}, "`smoothing`.*1.0"),
        ({"divergence": 1.0}, "`divergence`.*1.0"),
        ({"epochs": 3}, "Leave out: epochs"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        find_lr(quadratic("sgd"), ONES, ONES, **arguments)
    with pytest.raises(ValueError, match="must be compiled"):
        find_lr(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), ONES, ONES)
