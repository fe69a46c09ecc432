"""Sweeps: what is tried, that each trial is run once, whatever is killed, and what is told of them."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import optuna
import pandas
import pytest
import trial_function
import trial_recipe
from PIL import Image

from recipes.__main__ import main
from recipes.catalogue import load_recipe
from recipes.reporting.records import read_record
from recipes.trials import sweep
from recipes.trials.notation import read_space
from recipes.trials.notation import read_words
from recipes.trials.process import Outcome
from recipes.trials.settings import Settings
from recipes.trials.space import Choices
from recipes.trials.space import Range
from recipes.trials.storage import open_storage
from recipes.trials.study import Study

ROOT = pathlib.Path(__file__).parents[1]


def lines(log, kind):
    """What trials noted: (x, seed) of those that began, or that came to their end."""
    words = [line.split() for line in log.read_text().splitlines()] if log.is_file() else []
    return sorted((float(x), int(seed)) for what, _, x, seed in words if what == kind)


def start(folder, **arguments):
    """A process that runs a sweep, as the command does."""
    given = {"folder": str(folder), **arguments}
    script = f"from recipes.trials import sweep; sweep('trial_function:train', **{given!r})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background of a shell ignores interruptions, and so would this process.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = pathlib.Path(f"/proc/{process}/stat")
    return not (state.is_file() and state.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.parametrize(
    ("recipe", "word", "expected"),
    [
        ("davidnet", "peak_lr=0.1,0.2", Choices((0.1, 0.2))),
        ("davidnet", "peak-lr=1e-4..1e-1:log", Range(1e-4, 0.1, log=True)),
        ("davidnet", "epochs=5..10", Range(5, 10)),
        ("davidnet", "epochs=5..20:5", Range(5, 20, step=5)),
        ("davidnet", "flip=true,False", Choices((True, False))),
        ("davidnet", "momentum=1", Choices((1.0,))),
        ("davidnet", "schedule=sine,triangular", Choices(("sine", "triangular"))),
        ("davidnet", "kernel_initializer=none,he_normal", Choices((None, "he_normal"))),
        ("davidnet", "experiment=final,dawn", Choices(("final", "dawn"))),
        ("speedrun", "size=94,96", Choices((94, 96))),
        ("speedrun", 'image_sides=32,"24,32"', Choices(("32", "24,32"))),
    ],
)
def test_values_are_read_by_the_signature(recipe, word, expected):
    (space,) = read_space(read_words([word]), load_recipe(f"cifar10_{recipe}")).values()
    assert space == expected
    given = space.values if isinstance(space, Choices) else (space.low, space.high)
    wanted = expected.values if isinstance(space, Choices) else (expected.low, expected.high)
    assert [type(each) for each in given] == [type(each) for each in wanted]


DAVIDNET = ["sweep", "cifar10_davidnet", "--demo"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--grid"),
        (["--grid"], "nothing to try"),
        (["--grid", "peak_lrr=0.1"], "Did you mean 'peak_lr'?"),
        (["--grid", "peak_lr"], "NAME=VALUES"),
        (["--grid", "peak_lr=0.1", "peak_lr=0.2"], "given twice"),
        (["--grid", "peak_lr=0.1,0.1"], "twice"),
        (["--grid", "peak_lr=0.1,fast"], "`peak_lr` must be float. Received: peak_lr='fast'"),
        (["--grid", "epochs=1.5"], "`epochs` must be int. Received: epochs='1.5'"),
        (["--grid", "schedule=cosine"], "`schedule` must be 'piecewise' or"),
        (["--grid", "experiment=finale"], "Did you mean 'final'?"),
        (["--grid", "peak_lr=0.1..0.2"], "a range with a step"),
        (["--random", "peak_lr=0.2..0.1"], "from the lower to the higher"),
        (["--random", "peak_lr=0..0.1:log"], "begins above 0"),
        (["--random", "peak_lr=0.1..0.2:lot"], "`log`, or a step"),
        (["--grid", "seed=0,1"], "`repeats`"),
        (["--grid", "peak_lr=0.1", "--peak-lr", "0.2"], "both tried (0.1) and fixed (0.2)"),
        (["--grid", "peak_lr=0.1", "--trials", "5"], "as many trials as"),
        (["--grid", "peak_lr=0.1", "--repeats", "0"], "`repeats` must be an int of at least 1"),
        (["--grid", "peak_lr=0.1", "--workers", "0"], "`workers` must be an int of at least 1"),
        (["--grid", "peak_lr=0.1", "--storage", "trials.txt"], ".sqlite or .db"),
        (["--grid", "peak_lr=0.1", "--storage", "nowhere/trials.sqlite"], "no folder nowhere"),
        (["--grid", "peak_lr=0.1", "--pruner", "halving"], "invalid choice: 'halving'"),
    ],
)
def test_what_is_wrong_is_said_before_any_trial(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*DAVIDNET, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_functions_that_a_trial_cannot_call_are_refused(tmp_path):
    with pytest.raises(ValueError, match="top of a module"):
        sweep(lambda x: x, {"x": [1]}, folder=tmp_path)
    with pytest.raises(ValueError, match="Cannot import 'nowhere:train'"):
        sweep("nowhere:train", {"x": [1]}, folder=tmp_path)
    with pytest.raises(ValueError, match="`repeats` needs a function with an argument `seed`"):
        sweep(trial_function.no_seed, {"x": [1.0]}, repeats=2, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_tables_and_pictures_and_outlives_its_failures(tmp_path, capfd):
    """x = 7 raises an error, x = 8 is killed."""
    arguments = {"repeats": 2, "seed": 5, "workers": 2, "value": "best", "storage": tmp_path / "trials.journal"}
    result = sweep("trial_function:train", {"x": [2.0, 7.0, 4.0, 8.0]}, folder=tmp_path, **arguments)
    printed = capfd.readouterr().out
    assert len(printed.splitlines()) == 8
    assert "8/8" in printed
    assert result.best == {"x": 4.0}

    settings = pandas.read_csv(tmp_path / "settings.csv")
    expected = {x: [1.5 * (x / 10 + seed / 1000) for seed in (5, 6)] for x in (4.0, 2.0)}
    assert settings["x"].tolist() == [4.0, 2.0, 7.0, 8.0]
    for row, values in zip(settings.itertuples(), expected.values()):
        figures = [row.maximum, row.mean, row.spread, row.minimum]
        np.testing.assert_allclose(
            figures, [max(values), np.mean(values), np.std(values, ddof=1), min(values)], rtol=1e-12
        )
    assert settings[["n", "failed", "pruned", "open"]].values.tolist() == [[2, 0, 0, 0]] * 2 + [[0, 2, 0, 0]] * 2

    trials = pandas.read_csv(tmp_path / "trials.csv")
    assert len(trials) == 8
    assert set(trials["state"][trials["x"] < 5]) == {"complete"}
    raised, killed = (trials[trials["x"] == x]["error"].tolist() for x in (7.0, 8.0))
    assert raised == ["ValueError: seven is\nnot allowed"] * 2
    assert all("SIGKILL" in error and "no memory is left" in error for error in killed)
    assert "Traceback" in (tmp_path / trials[trials["x"] == 7.0]["folder"].iloc[0] / "log.txt").read_text()
    for name in ("hyperparameters", "parallel_coordinates", "history", "importances"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png")).std() > 0

    again = sweep("trial_function:train", {"x": [2.0, 7.0, 4.0, 8.0]}, folder=tmp_path, **arguments)
    pandas.testing.assert_frame_equal(again.trials, result.trials)
    with pytest.raises(ValueError, match=r"holds another sweep: space was .*repeats was 2, is 1"):
        sweep("trial_function:train", {"x": [2.0]}, folder=tmp_path, **arguments | {"repeats": 1})


def test_killed_in_the_middle_no_trial_is_lost_or_run_twice(tmp_path):
    """SIGKILL, then two processes at once on the same folder."""
    log = tmp_path / "log"
    asked = {"space": {"x": [1.0, 1.1, 1.2, 1.3, 2.0, 3.0]}, "repeats": 2, "log": str(log), "pause": 0.1}
    first = start(tmp_path / "sweep", **asked)
    wait_for(lambda: len(lines(log, "end")) >= 3 and len(lines(log, "begin")) > len(lines(log, "end")))
    first.kill()
    first.communicate()
    begun = {int(line.split()[1]) for line in log.read_text().splitlines()}
    wait_for(lambda: not any(map(is_alive, begun)))  # the trial that ran has ended too
    finished = set(lines(log, "end"))
    assert 3 <= len(finished) < 12

    second = start(tmp_path / "sweep", **asked)
    result = sweep("trial_function:train", folder=tmp_path / "sweep", quiet=True, **asked)
    assert second.wait() == 0
    cells = [(x, seed) for x in asked["space"]["x"] for seed in (0, 1)]
    assert lines(log, "end") == cells
    assert len(lines(log, "begin")) <= 13
    table = pandas.read_csv(tmp_path / "sweep" / "trials.csv")
    assert list(zip(table["x"], table["seed"])) == cells
    assert set(table["state"]) == {"complete"}
    np.testing.assert_allclose(table["val_accuracy"], [x / 10 + seed / 1000 for x, seed in cells])
    assert (pandas.read_csv(tmp_path / "sweep" / "settings.csv")["n"] == 2).all()
    assert result.best == {"x": 3.0}


def test_an_interruption_ends_the_trials(tmp_path):
    log = tmp_path / "log"
    process = start(tmp_path / "sweep", space={"x": [1.0]}, log=str(log), pause=60.0)
    wait_for(lambda: lines(log, "begin"))
    trial = int(log.read_text().split()[1])
    assert is_alive(trial)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert not is_alive(trial)
    assert lines(log, "leave") == [(1.0, 0)]  # asked to end, not only made to
    assert pandas.read_csv(tmp_path / "sweep" / "trials.csv").empty


def test_bad_trials_are_pruned(tmp_path):
    """The first five show what is good; the last would take four minutes."""
    log = tmp_path / "log"
    space = {"x": [3.0, 3.1, 3.2, 3.3, 3.4, 0.1]}
    arguments = {"pruner": "median", "log": str(log), "pause": 60.0, "quiet": True}
    result = sweep("trial_function:train", space, folder=tmp_path / "sweep", pruner_warmup=0, **arguments)
    last = result.trials.iloc[-1]
    assert (last["state"], last["ended_epochs"]) == ("pruned", 1)
    assert set(result.trials["state"][:-1]) == {"complete"}
    assert (0.1, 0) in lines(log, "leave")
    assert (0.1, 0) not in lines(log, "end")
    assert result.settings.set_index("x").loc[0.1, ["n", "pruned"]].tolist() == [0, 1]


def test_a_metric_that_there_is_not_ends_the_sweep_at_once(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(ValueError, match="Unknown metric: 'val_acuracy'. Did you mean 'val_accuracy'"):
        sweep(trial_function.train, metric="val_acuracy", folder=tmp_path / "sweep", log=str(log), quiet=True)
    assert lines(log, "begin") == [(1.0, 0)]


def settings_of(search, space, **changes):
    asked = {"trials": 12, "repeats": 1, "metric": "val_loss", "direction": "minimize", "value": "last", "seed": 0}
    asked |= {"pruner": "none", "pruner_warmup": 0, "seeded": True, "storage": "trials.journal", "backend": "numpy"}
    return Settings("trial_function:train", {}, space, search, **asked | changes)


def simulate(folder, settings, loss, count=None):
    """Run a search without processes; after `count` trials leave one that runs, as if killed."""
    folder.mkdir(exist_ok=True)
    tried = []
    with Study(folder, settings) as study:
        while (trial := study.take()) is not None:
            if count is not None and len(tried) == count:
                break
            tried.append((trial.params, study.seed(trial)))
            study.finish(trial, Outcome(loss(trial.params)))
    return tried


PLANE = {"x": Range(-3.0, 3.0), "rate": Range(1e-4, 1.0, log=True), "kind": Choices(("a", "b"))}


def bowl(params):
    return (params["x"] - 1) ** 2 + np.log10(params["rate"] / 0.01) ** 2 + (params["kind"] == "a")


@pytest.mark.parametrize("search", ["random", "bayesian"])
def test_proposals_follow_the_seed_through_interruptions(search, tmp_path):
    settings = settings_of(search, PLANE, trials=14)
    whole = simulate(tmp_path / "whole", settings, bowl)
    assert len(whole) == 14
    parts = simulate(tmp_path / "parts", settings, bowl, count=11)
    parts += simulate(tmp_path / "parts", settings, bowl)
    assert parts == whole
    assert simulate(tmp_path / "other", settings_of(search, PLANE, seed=1), bowl) != whole[:12]
    more = settings_of(search, PLANE, trials=15, repeats=2)
    assert sorted(seed for _, seed in simulate(tmp_path / "whole", more, bowl)) == [0] + [1] * 15


def test_bayesian_search_comes_nearer_than_random(tmp_path):
    searches = ("random", "bayesian")
    tried = {each: simulate(tmp_path / each, settings_of(each, PLANE, trials=40), bowl) for each in searches}
    late = {name: np.mean([bowl(params) for params, _ in each[20:]]) for name, each in tried.items()}
    assert late["bayesian"] < late["random"] / 2


@pytest.mark.parametrize("search", ["random", "bayesian"])
def test_a_search_tries_nothing_twice_and_ends_when_all_is_tried(search, tmp_path):
    space = {"x": Range(1, 3), "kind": Choices((True, False))}
    tried = simulate(tmp_path, settings_of(search, space, trials=50), lambda params: 0.0)
    assert sorted((params["x"], params["kind"]) for params, _ in tried) == [
        (x, kind) for x in (1, 2, 3) for kind in (False, True)
    ]


def test_results_that_came_after_the_end_of_a_sweep_count(tmp_path):
    """The sweep is killed when its trial has written its result, and before it has read it."""
    settings = settings_of("grid", {"x": Choices((1.0, 2.0))})
    with Study(tmp_path, settings) as study:
        trial = study.take()
        study.folder_of(trial).mkdir(parents=True)
        (study.folder_of(trial) / "result.json").write_text('{"metrics": {"val_loss": 0.25}}')
    assert simulate(tmp_path, settings, lambda params: 0.5) == [({"x": 2.0}, 0)]
    with Study(tmp_path, settings) as study:
        assert [trial.value for trial in study.trials] == [0.25, 0.5]


def test_failed_trials_are_run_again_where_that_is_asked(tmp_path):
    settings = settings_of("grid", {"x": Choices((1.0, 2.0))})
    with Study(tmp_path, settings) as study:
        study.finish(study.take(), Outcome(None, "no luck"))
    assert simulate(tmp_path, settings, lambda params: 0.5) == [({"x": 2.0}, 0)]
    with Study(tmp_path, settings) as study:
        study.retry_failed()
    assert simulate(tmp_path, settings, lambda params: 0.5) == [({"x": 1.0}, 0)]


def test_hyperband_prunes_the_worse_half(tmp_path):
    settings = settings_of("grid", {"x": Range(1, 12)}, pruner="hyperband")
    pruned = []
    with Study(tmp_path, settings) as study:
        while (trial := study.take()) is not None:
            if any(study.report(trial, epoch, trial.params["x"] / epoch) for epoch in range(1, 10)):
                study.prune(trial, seconds=0.0)
                pruned.append(trial.params["x"])
            else:
                study.finish(trial, Outcome(trial.params["x"] / 9))
    assert pruned
    assert min(pruned) > 1


def test_a_journal_with_a_torn_line_is_read(tmp_path):
    path = tmp_path / "trials.journal"
    optuna.create_study(storage=open_storage(path), study_name="one")
    with path.open("a") as file:
        file.write('{"op_code": 0, "wor')
    optuna.create_study(storage=open_storage(path), study_name="two")
    assert sorted(optuna.get_all_study_names(open_storage(path))) == ["one", "two"]


def test_the_command_sweeps_a_recipe(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("recipes.__main__.list_recipes", lambda: ["trial_recipe"])
    monkeypatch.setattr("recipes.__main__.load_recipe", lambda name: trial_recipe.train)
    folder = tmp_path / "sweep"
    # The number of epochs is searched, and counted too: two columns.
    command = ["sweep", "trial_recipe", "--demo", "--grid", "peak_lr=0.5", "epochs=3", "--folder", str(folder)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "1/1  peak_lr=0.5 epochs=3 seed=0: val_accuracy" in printed
    assert str(folder) in printed
    (run,) = (folder / "trials" / "0000").glob("trial_recipe-demo-seed0-*")
    record = read_record(run)
    assert record.arguments["peak_lr"] == 0.5
    trial = pandas.read_csv(folder / "trials.csv").iloc[0]
    assert trial["val_accuracy"] == pytest.approx(record.metrics["final"]["val_accuracy"])
    assert (trial["state"], trial["epochs"], trial["ended_epochs"]) == ("complete", 3, 3)


def test_a_folder_whose_storage_is_gone_is_refused(tmp_path):
    settings = settings_of("grid", {"x": Choices((1.0, 2.0))})
    simulate(tmp_path, settings, lambda params: 0.5)
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    (tmp_path / "trials.journal").unlink()
    with pytest.raises(ValueError, match="trials.journal knows none of them"):
        simulate(tmp_path, settings, lambda params: 0.5)
