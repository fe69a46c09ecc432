"""The command line: what each command shows and leaves, and one line for what is wrong."""

import copy
import importlib.metadata
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import rich.console
from PIL import Image

from recipes.__main__ import main
from recipes.catalogue import list_recipes
from recipes.cifar10_davidnet import EXPERIMENTS
from recipes.cifar10_davidnet import train
from recipes.reporting import tables
from recipes.reporting.records import measured
from recipes.training.progress import Progress

RUN = ["run", "cifar10_davidnet", "--epochs", "2", "--batch-size", "80"]


def test_run_trains_and_says_what_came_out(small_run, tmp_path, capsys):
    assert main([*RUN, "--demo", "--runs", str(tmp_path), "--no-flip", "--precision", "float32"]) == 0
    printed = capsys.readouterr().out
    assert "epoch 2/2" in printed
    assert "val_accuracy" in printed
    assert "\x1b" not in printed  # no bar, no colour where there is no terminal
    (folder,) = tmp_path.iterdir()
    assert str(folder) in printed.replace("\n", "")
    record = json.loads((folder / "record.json").read_text())
    assert record["experiment"] == "demo"
    assert record["precision"] == "float32"
    assert record["arguments"]["flip"] is False


def test_quiet_runs_print_nothing(small_run, tmp_path, capsys):
    assert main([*RUN, "--demo", "--runs", str(tmp_path), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_lr_find_prints_suggestions_and_leaves_a_picture_and_a_table(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--min-lr", "1e-3", "--max-lr", "0.1", "--steps", "12", "--batch-size", "16"]
    assert main(["lr-find", "cifar10_davidnet", "--demo", *options, "--output", "range.png"]) == 0
    printed = capsys.readouterr().out
    for name in ("valley:", "steepest:", "minimum / 10:", "range.png"):
        assert name in printed
    assert {path.name for path in tmp_path.iterdir()} == {"range.png", "range.csv"}
    assert np.asarray(Image.open("range.png")).std() > 0
    table = np.genfromtxt("range.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["learning_rate"], np.geomspace(1e-3, 0.1, 12))
    assert np.isfinite(table["loss"]).all()


def test_the_options_of_run_are_those_of_the_recipe(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["run", "cifar10_davidnet", "--help"])
    assert exit.value.code == 0
    text = capsys.readouterr().out
    for name in train.parameters:
        assert f"--{name.replace('_', '-')}" in text


def test_list_shows_models_recipes_and_figures(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "6,577,600" in printed
    for name, experiment in EXPERIMENTS.items():
        assert name in printed
        assert experiment.documented in printed
    assert main(["list", "resnext"]) == 0
    assert "DavidNet" not in capsys.readouterr().out


def test_summary_shows_the_layers(capsys):
    assert main(["summary", "DavidNet", "--classes", "7", "--input-shape", "64", "64", "1"]) == 0
    printed = capsys.readouterr().out
    assert "layer1_residual_add" in printed
    assert "64, 64, 1" in printed


def test_plot_draws_the_curves_of_runs(tmp_path, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.csv").write_text("epoch,val_accuracy,val_loss\n0,0.5,1.0\n1,0.7,0.5\n")
    output = tmp_path / "runs.png"
    assert main(["plot", str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(output)]) == 0
    assert np.asarray(Image.open(output)).std() > 0
    assert str(output) in capsys.readouterr().out


def test_preview_draws_given_images(tmp_path):
    Image.fromarray(np.full((40, 60), 200, "uint8")).save(tmp_path / "grey.png")
    output = tmp_path / "preview.png"
    assert main(["preview", str(tmp_path / "grey.png"), "--size", "32", "--output", str(output)]) == 0
    assert Image.open(output).width > 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["runn"], "invalid choice: 'runn'"),
        (["run"], "RECIPE"),
        (["run", "cifar10_davidnt"], "Did you mean 'cifar10_davidnet'"),
        ([*RUN, "--epochs", "two"], "invalid int value: 'two'"),
        ([*RUN, "--schedule", "cosine"], "invalid choice: 'cosine'"),
        ([*RUN, "--experiment", "finale"], "Did you mean 'final'"),
        ([*RUN, "--demo", "--experiment", "final"], "--demo"),
        ([*RUN, "--data-dir", "nowhere"], "nowhere"),
        (["lr-find"], "RECIPE"),
        (["lr-find", "cifar10_davidnet", "--demo", "--min-lr", "1", "--max-lr", "0.1"], "`min_lr`"),
        (["lr-find", "cifar10_davidnet", "--demo", "--steps", "1"], "`steps`"),
        (["lr-find", "cifar10_davidnet", "--demo", "--output", "nowhere/range.png"], "nowhere"),
        (["lr-find", "cifar10_davidnet", "--schedule", "cosine"], "invalid choice"),
        (["plot", "nowhere"], "nowhere"),
        (["preview", "nowhere.png"], "nowhere.png"),
        (["preview", "--size", "2"], "`size`"),
        (["summary", "DavidNett"], "Did you mean 'DavidNet'"),
        (["summary", "DavidNet", "--classes", "0"], "`classes`"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, message, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("zoo: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_pictures_that_are_none_and_outputs_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    assert main(["preview", str(tmp_path / "text.png")]) == 2
    assert main(["preview", "--output", str(tmp_path / "missing" / "preview.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_interruption_gives_the_usual_status(monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(tables, "show_models", interrupt)
    assert main(["list"]) == 130


def test_zoo_and_python_m_recipes_are_the_same():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="zoo")
    assert script.load() is main
    module = subprocess.run([sys.executable, "-m", "recipes", "summary", "Nothing"], capture_output=True, text=True)
    assert module.returncode == 2
    assert module.stderr.startswith("zoo: Unknown model: 'Nothing'")
    assert module.stderr.count("\n") == 1  # TensorFlow's greeting is left out


def test_a_terminal_gets_a_bar_with_the_time_left(monkeypatch):
    progress = Progress(epochs=2, steps=6)
    progress.console = rich.console.Console(force_terminal=True, width=120, record=True)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((3, 1)), np.ones((3, 1)), batch_size=1, epochs=2, verbose=0, callbacks=[progress])
    printed = progress.console.export_text()
    assert "epoch 2/2" in printed
    assert "100%" in printed
    assert "left" in printed
    assert progress.bar is None


@pytest.mark.parametrize("command", ["run", "lr-find", "sweep"])
@pytest.mark.parametrize("recipe", list_recipes())
def test_no_option_of_a_recipe_is_one_of_its_commands(command, recipe, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, recipe, "--help"])
    assert "--experiment" in capsys.readouterr().out


def test_a_line_of_runs_states_the_accuracy_by_views_beside_that_of_the_images():
    kept = next(record for record in measured() if record.recipe == "cifar10_speedrun")
    record, other = copy.deepcopy(kept), copy.deepcopy(kept)
    record.metrics["final"] |= {"val_accuracy": 0.93, "val_accuracy_tta": 0.94}
    other.metrics["final"] |= {"val_accuracy": 0.91, "val_accuracy_tta": 0.94}
    (line,) = tables.summarize([record, other])
    assert line.startswith("92.00% +- 1.41, by views 94.00% +- 0.00 (n=2), cifar10, ")
