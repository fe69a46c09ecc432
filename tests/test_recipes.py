"""Recipes through their real code, on a little real data."""

import ast
import inspect
import json

import keras
import numpy as np
import pytest
from conftest import few

import zoo
from recipes.catalogue import list_recipes
from recipes.catalogue import load_recipe
from recipes.cifar10_davidnet import EXPERIMENTS
from recipes.cifar10_davidnet import _learning_rate
from recipes.cifar10_davidnet import train
from recipes.reporting.records import measured
from recipes.reporting.records import read_record
from recipes.reporting.records import results
from recipes.training import session
from recipes.training.evaluation import flip_accuracy
from recipes.training.evaluation import mean_of_views
from recipes.training.evaluation import predict_views
from recipes.training.recipe import resolve

SHORT = {"data": "digits", "epochs": 2, "batch_size": 80, "warmup_epochs": 1.0, "quiet": True}


def all_experiments():
    return [(recipe, name) for recipe in list_recipes() for name in load_recipe(recipe).experiments]


@pytest.mark.parametrize(("recipe", "name"), all_experiments())
def test_every_experiment_sets_arguments_that_exist_and_fit(recipe, name):
    train = load_recipe(recipe)
    arguments = resolve(train, name, {})
    assert set(train.experiments[name].arguments) <= set(arguments)
    for argument, parameter in train.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        documented = train.help[argument].rpartition("Defaults to ")[2].rstrip(".")
        assert argument == "experiment" or ast.literal_eval(documented) == parameter.default


def test_the_documented_final_run_is_stated():
    assert "94.1%" in EXPERIMENTS["final"].documented
    assert "416 s" in EXPERIMENTS["final"].documented
    arguments = resolve(train, "final", {})
    assert (arguments["epochs"], arguments["batch_size"]) == (20, 512)


def schedule_of(name, steps=97):
    arguments = resolve(train, name, {})
    names = list(inspect.signature(_learning_rate).parameters)[:-1]
    return _learning_rate(*(arguments[name] for name in names), steps), arguments


def test_dawn_has_the_published_learning_rates():
    schedule, _ = schedule_of("dawn")
    rates = [float(schedule(step)) for step in range(24 * 97)]
    expected = np.interp((np.arange(24 * 97) + 1) / 97, [0, 5, 24], [0, 0.4, 0])
    np.testing.assert_allclose(rates, expected, atol=1e-6)


def test_two_slopes_have_the_documented_slopes():
    schedule, _ = schedule_of("lr_two_slopes")
    rates = np.array([float(schedule(epoch * 97 - 1)) for epoch in range(21)])
    np.testing.assert_allclose(np.diff(rates)[:4], 0.1068, atol=1e-6)
    np.testing.assert_allclose(np.diff(rates)[4:], -0.01059, atol=1e-6)


def test_the_sine_trial_has_the_documented_function():
    schedule, arguments = schedule_of("lr_sine")
    half = 4 * 97
    for cycle in (1, 2):
        height = 0.5 * (1 + np.sin(cycle * np.pi / 2.5))
        expected = arguments["base_lr"] + (arguments["peak_lr"] - arguments["base_lr"]) * height
        assert float(schedule((2 * cycle - 1) * half)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "route"), [("final", "numpy"), ("mixup", "auto"), ("crop_before_pad", "numpy"), ("lr_decay", "auto")]
)
def test_experiments_run(small_run, tmp_path, name, route):
    record = train(name, **SHORT, runs=str(tmp_path), pipeline=route)
    assert len(record.history["val_accuracy"]) == 2
    assert np.isfinite(record.history["loss"]).all()
    assert record.experiment == name


def test_the_same_seed_gives_the_same_history_and_weights(small_run, tmp_path):
    arguments = {**SHORT, "mixup": 0.2, "dropout": 0.1, "erasing": 0.5, "pipeline": "numpy", "runs": str(tmp_path)}
    first, again = (train("demo", seed=3, **arguments) for _ in range(2))
    assert first.folder != again.folder
    assert first.history == again.history
    for weight, other in zip(first.model.get_weights(), again.model.get_weights()):
        np.testing.assert_array_equal(weight, other)
    assert train("demo", seed=4, **arguments).history != first.history


def test_a_run_leaves_a_folder_that_says_everything(davidnet_run, backend):
    record = davidnet_run
    files = {path.name for path in record.folder.iterdir()}
    assert files == {
        "record.json",
        "history.csv",
        "history.tfevents",
        "model.keras",
        "curves.png",
        "learning_rate.png",
        "samples.png",
        "preparation.json",
    }
    written = json.loads((record.folder / "record.json").read_text())
    assert written == read_record(record.folder).to_dict() == record.to_dict()
    assert (written["recipe"], written["experiment"], written["seed"]) == ("cifar10_davidnet", "ours", 5)
    assert written["precision"] == "float32"
    assert written["parameters"] == zoo.DavidNet().count_params()
    assert written["versions"]["backend"] == backend
    assert written["versions"]["keras"] == keras.__version__
    assert written["data"]["sha256"] == few().describe()["sha256"]
    assert set(written["arguments"]) == set(resolve(train, "ours", {})) - {
        *("seed", "precision", "jit_compile", "runs", "quiet", "tensorboard", "wandb"),
        *("save_seconds", "save_steps", "on_nan", "deterministic", "devices"),
    }
    parts = written["seconds"]
    assert set(parts) == {"setup", "compile", "train", "evaluate", "total"}
    assert 0 < sum(value for name, value in parts.items() if name != "total") <= parts["total"] + 0.1
    assert written["metrics"]["final"]["val_accuracy"] == record.history["val_accuracy"][-1]
    assert 0 <= written["metrics"]["final"]["val_accuracy_flip"] <= 1
    assert written["metrics"]["best"]["val_accuracy"] == max(record.history["val_accuracy"])
    assert np.isfinite(record.history["loss"]).all()
    assert len(record.history["learning_rate"]) == 2
    rows = (record.folder / "history.csv").read_text().splitlines()
    assert len(rows) == 3
    assert "learning_rate" in rows[0]


def test_the_saved_model_is_the_trained_one(davidnet_run):
    images = few().validation_images[:8].astype("float32")
    expected = keras.ops.convert_to_numpy(davidnet_run.model(images))
    loaded = keras.models.load_model(davidnet_run.folder / "model.keras")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loaded(images)), expected, atol=1e-5)
    assert loaded.optimizer.get_config() == davidnet_run.model.optimizer.get_config()


def test_routes_give_the_same_training(small_run, tmp_path, backend):
    """Pixels are the same on both routes, so the first loss is, too; rounding grows afterwards."""
    if backend != "tensorflow":
        pytest.importorskip("tensorflow")
    arguments = {**SHORT, "runs": str(tmp_path), "precision": "float32"}
    losses = [train("demo", **arguments, pipeline=route).history["loss"] for route in ("tf.data", "numpy")]
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experiment": "finale"}, "experiment: 'finale'. Did you mean 'final'"),
        ({"epoch": 3}, "argument: 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "`epochs`.*epochs=0"),
        ({"epochs": 2.5}, "`epochs` must be int.*2.5"),
        ({"epochs": True}, "`epochs` must be int.*True"),
        ({"batch_size": 0}, "`batch_size`.*0"),
        ({"batch_size": 10_000}, "`batch_size`.*160.*10000"),
        ({"peak_lr": "fast"}, "`peak_lr` must be float.*'fast'"),
        ({"peak_lr": float("nan")}, "`peak_lr`.*nan"),
        ({"schedule": "cosine"}, "`schedule` must be 'piecewise' or.*'cosine'"),
        ({"warmup_epochs": 9.0}, "`warmup_epochs`.*9"),
        ({"data": "mnist"}, "`data` must be 'cifar10' or 'digits'.*'mnist'"),
        ({"data": "cifar10", "data_dir": "nowhere"}, "`data_dir`.*nowhere"),
        ({"precision": "half"}, "`precision` must be.*'half'"),
        ({"cutout": 40}, "Cutout.*does not fit"),
        ({"mixup": -1.0}, "`alpha`.*-1"),
        ({"augmenter": "imgaug", "pipeline": "tf.data"}, "imgaug.*numpy"),
        ({"kernel_initializer": "gloriot"}, "`kernel_initializer`.*gloriot"),
        ({"seed": 2**70}, "`seed`.*64 bits"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(few_digits, tmp_path, arguments, message):
    arguments = {"experiment": "demo", **SHORT, "runs": str(tmp_path / "runs"), **arguments}
    with pytest.raises(ValueError, match=message):
        train(**arguments)
    assert not (tmp_path / "runs").exists()


def test_find_lr_tests_what_the_recipe_trains_and_leaves_nothing(small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = keras.config.dtype_policy().name
    arguments = {**SHORT, "precision": "mixed_float16", "mixup": 0.2}
    for route in ("numpy", "tf.data") if keras.backend.backend() == "tensorflow" else ("numpy",):
        test = train.find_lr("demo", min_lr=1e-4, max_lr=1.0, steps=12, **arguments, pipeline=route)
        np.testing.assert_allclose(test.rates, np.geomspace(1e-4, 1.0, 12)[: len(test.rates)])
        assert len(test.losses) == 12 or test.diverged
        assert test.losses[0] == pytest.approx(np.log(10), rel=1e-3)  # the narrow network begins with zeros
    assert keras.config.dtype_policy().name == before
    assert not list(tmp_path.iterdir())


def test_an_unwritable_folder_is_named(few_digits, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match="file"):
        train("demo", **SHORT, runs=str(tmp_path / "file"))


def test_session_restores_what_it_sets():
    before = keras.config.dtype_policy().name, np.random.get_state()[1].tolist()
    with pytest.raises(RuntimeError), session.session(7, "mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise RuntimeError
    assert (keras.config.dtype_policy().name, np.random.get_state()[1].tolist()) == before


def test_precision_is_chosen_by_device(monkeypatch):
    monkeypatch.setattr(session, "_accelerator", lambda: None)
    monkeypatch.setattr(session, "_cpu_flags", lambda: ["avx512_bf16"])
    assert session.choose_policy("auto") == "mixed_bfloat16"
    monkeypatch.setattr(session, "_cpu_flags", lambda: ["avx2"])
    assert session.choose_policy("auto") == "float32"
    assert session.choose_policy("mixed_float16") == "mixed_float16"
    monkeypatch.setattr(session, "_accelerator", lambda: "an old GPU")
    monkeypatch.setattr(session, "_has_bfloat16", lambda: False)
    assert session.choose_policy("auto") == "mixed_float16"


def test_compilation_is_chosen_by_device(monkeypatch, backend):
    monkeypatch.setattr(session, "_accelerator", lambda: None)
    assert session.choose_jit_compile(None) == (backend == "jax")
    assert session.choose_jit_compile(True) is True
    monkeypatch.setattr(session, "_accelerator", lambda: "a GPU")
    assert session.choose_jit_compile(None) == (backend != "torch")


def test_flip_accuracy_averages_two_views():
    """A model that is right on the mirror image only, and surer there, is right on average."""
    images = np.zeros((4, 2, 2, 1), "float32")
    images[:, :, 0] = 1.0
    inputs = keras.Input((2, 2, 1))
    left, right = inputs[:, 0, 0], inputs[:, 0, 1]
    model = keras.Model(inputs, keras.layers.Concatenate()([left, 3 * right]))
    assert flip_accuracy(model, images, np.ones(4, int)) == 1.0
    assert flip_accuracy(model, images, np.zeros(4, int)) == 0.0


@pytest.mark.parametrize("number", [1, 2, 6, 18])
def test_views_are_those_of_airbench_and_of_all_sides(number):
    """By a model whose one logit is a weighted sum of the pixels, squared; against torch's padding."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    images, kernel = rng.normal(size=(5, 6, 7, 2)).astype("float32"), rng.normal(size=(84, 1)).astype("float32")
    model = keras.Sequential([keras.Input((6, 7, 2)), keras.layers.Flatten(), keras.layers.Dense(1, keras.ops.square)])
    model.set_weights([kernel, np.zeros(1, "float32")])

    def logits(views):
        return (views.permute(0, 2, 3, 1).reshape(5, -1) @ torch.tensor(kernel)) ** 2

    def mirrored(views):
        return 0.5 * logits(views) + 0.5 * logits(views.flip(-1))

    views = torch.tensor(images.transpose(0, 3, 1, 2))
    padded = torch.nn.functional.pad(views, (1, 1, 1, 1), "reflect")
    moved = torch.stack([mirrored(padded[..., :6, :7]), mirrored(padded[..., 2:8, 2:9])]).mean(0)
    around = torch.stack([mirrored(padded[..., y : y + 6, x : x + 7]) for y in range(3) for x in range(3)]).mean(0)
    expected = {1: logits(views), 2: mirrored(views), 6: 0.5 * mirrored(views) + 0.5 * moved, 18: around}[number]
    shown = predict_views(model, images, number, batch_size=2)
    assert shown.shape == (number, 5, 1)
    np.testing.assert_allclose(shown[0], logits(views), rtol=1e-4)
    np.testing.assert_allclose(mean_of_views(shown), expected, rtol=1e-4)


@pytest.mark.parametrize("number", [3, -1, True, "flip"])
def test_unknown_numbers_of_views_are_refused(number):
    with pytest.raises(ValueError, match=f"`views`.*{number}"):
        predict_views(None, np.zeros((1, 2, 2, 1)), number)


def test_results_are_sound_records_of_known_experiments():
    for path, record in zip(results(), measured()):
        assert record.experiment in load_recipe(record.recipe).experiments, path
        assert record.device, path
        assert record.versions, path
        assert record.date, path
        assert max(record.metrics["final"].get(name, 0) for name in ("val_accuracy", "val_AP")) > 0, path
        assert "/" not in json.dumps(record.arguments), f"{path} names a folder of a machine"
