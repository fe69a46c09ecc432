"""Runs that are interrupted, by signals and by errors, and go on: as recipes, in processes, on the command line."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import small_recipe

import recipes
from recipes.__main__ import main
from recipes.atomic import leftovers
from recipes.training.clock import Clock
from recipes.training.resume import resume
from recipes.training.state import Interrupted
from recipes.training.state import States

SETTINGS = {"precision": "float32", "quiet": True, "save_steps": 2}


@pytest.fixture
def end_at(monkeypatch):
    """Tells the small recipe to send itself a signal at some step."""
    monkeypatch.setattr(small_recipe, "end", {})
    return lambda **when: (small_recipe.end.clear(), small_recipe.end.update(when))


def assert_same(record, expected):
    assert record.history == expected.history
    for weight, value in zip(record.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, value)
    assert (record.folder / "history.csv").read_text() == (expected.folder / "history.csv").read_text()
    sizes = [(each.folder / "history.tfevents").stat().st_size for each in (record, expected)]
    assert sizes[0] == sizes[1]
    assert sorted(path.name for path in record.folder.iterdir()) == sorted(
        path.name for path in expected.folder.iterdir()
    )


ROUTES = {"numpy": 15, "memory": 8, **({"tf.data": 20} if keras.backend.backend() == "tensorflow" else {})}


@pytest.mark.parametrize(("route", "step"), ROUTES.items())
def test_a_run_goes_on_in_its_second_phase(small_run, end_at, tmp_path, route, step):
    expected = small_recipe.train(**SETTINGS, pipeline=route, runs=str(tmp_path / "through"))
    end_at(step=step, signal=signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"interrupted at epoch \d, step \d; go on with: zoo run") as interruption:
        small_recipe.train(**SETTINGS, pipeline=route, runs=str(tmp_path / "left"))
    assert interruption.value.status == 143 and signal.getsignal(signal.SIGTERM) is before
    (folder,) = (tmp_path / "left").iterdir()
    assert States(folder / "state").end(0) is not None and States(folder / "state").end(1) is None
    seconds = States(folder / "state").newest()["callbacks"][0][1]["total"]
    end_at()
    record = resume(folder, recipe=small_recipe.train)
    assert_same(record, expected)
    assert record.folder == folder and record.seconds["total"] > seconds
    with pytest.raises(ValueError, match="has finished"):
        resume(folder, recipe=small_recipe.train)


def test_a_run_goes_on_whose_process_was_killed(small_run, tmp_path):
    script = f"import small_recipe; small_recipe.be_killed({str(tmp_path / 'left')!r}, 9, 'numpy')"
    command = [sys.executable, "-c", script]
    paths = pathlib.Path(recipes.__file__).parents[1], pathlib.Path(small_recipe.__file__).parent
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    killed = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (folder,) = (tmp_path / "left").iterdir()
    newest = States(folder / "state").paths()[-1]
    newest.write_bytes(newest.read_bytes()[:-1])  # as if it had been killed while it wrote, on a bad disk
    (folder / ".model-0123abcd.part.keras").touch()  # or while it wrote the model, whatever the disk
    with pytest.warns(UserWarning, match="is damaged: its checksum"):
        record = resume(folder, recipe=small_recipe.train)
    assert_same(record, small_recipe.train(**SETTINGS, pipeline="numpy", runs=str(tmp_path / "through")))
    assert not leftovers(folder)


def test_the_command_line_goes_on(small_run, monkeypatch, capsys, tmp_path):
    options = ["--demo", "--epochs", "2", "--batch-size", "80", "--precision", "float32", "--quiet"]
    assert main(["run", "cifar10_davidnet", *options, "--runs", str(tmp_path / "through")]) == 0
    steps, ends = [], Clock.on_train_batch_end

    def interrupt(self, batch, logs=None):
        ends(self, batch, logs)
        steps.append(batch)
        if len(steps) == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Clock, "on_train_batch_end", interrupt)
        capsys.readouterr()
        assert main(["run", "cifar10_davidnet", *options, "--runs", str(tmp_path / "left")]) == 130
    (folder,) = (tmp_path / "left").iterdir()
    said = f"zoo: interrupted at epoch 2, step 1; go on with: zoo run --resume {folder}\n"
    assert capsys.readouterr().err == said
    assert main(["run", "--resume", str(folder), "--epochs", "3"]) == 2
    assert "leave out --epochs" in capsys.readouterr().err
    assert main(["run", "--resume", str(folder), "--quiet", "--save-seconds", "9"]) == 0
    (through,) = (tmp_path / "through").iterdir()
    records = [json.loads((each / "record.json").read_text()) for each in (folder, through)]
    assert records[0]["metrics"] == records[1]["metrics"] and records[0]["arguments"] == records[1]["arguments"]
    models = [keras.saving.load_model(each / "model.keras").get_weights() for each in (folder, through)]
    for weight, value in zip(*models, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_what_cannot_go_on_is_refused(small_run, end_at, tmp_path, capsys):
    end_at(step=5, signal=signal.SIGINT)
    with pytest.raises(Interrupted):
        small_recipe.train(**SETTINGS, pipeline="numpy", runs=str(tmp_path))
    (folder,) = tmp_path.iterdir()
    with pytest.raises(ValueError, match="only be given for quiet, save_seconds, save_steps, on_nan, devices"):
        recipes.resume(folder, epochs=3)
    with pytest.raises(ValueError, match="Unknown recipe: 'small_recipe'"):
        recipes.resume(folder)
    path = folder / "state" / "run.json"
    request = json.loads(path.read_text())
    path.write_text(json.dumps({**request, "backend": "theano"}))
    assert main(["run", "--resume", str(folder)]) == 2
    assert "set KERAS_BACKEND=theano" in capsys.readouterr().err
    path.write_text(json.dumps(request)[:-9])
    assert main(["run", "--resume", str(folder)]) == 2
    assert "run.json is damaged" in capsys.readouterr().err
    path.write_text(json.dumps(request))
    for each in States(folder / "state").paths():
        each.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ValueError, match="None of the states"):
        resume(folder, recipe=small_recipe.train)
