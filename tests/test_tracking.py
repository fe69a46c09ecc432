"""What follows a training: TensorBoard's files by TensorFlow's reader, wandb by a stand-in and offline."""

import sys
import time
import types

import numpy as np
import pytest

from recipes.cifar10_davidnet import train
from recipes.training.event_file import append_scalars

SHORT = {"data": "digits", "epochs": 2, "batch_size": 80, "warmup_epochs": 1.0, "quiet": True, "pipeline": "numpy"}


def read_events(path):
    """By TensorFlow, which compares the checksums."""
    tf = pytest.importorskip("tensorflow")
    records = [tf.compat.v1.Event.FromString(each.numpy()) for each in tf.data.TFRecordDataset(str(path))]
    assert records[0].file_version == "brain.Event:2"
    return [(each.step, {one.tag: one.simple_value for one in each.summary.value}) for each in records[1:]]


def test_tensorflow_reads_what_is_written(tmp_path):
    path = tmp_path / "any.tfevents"
    written = [(1, {"loss": 0.5, "val_recall/Flügel": 1.0}), (70_000, {"loss": 1e40}), (2**40, {"a" * 300: -0.25})]
    for step, values in written:
        append_scalars(path, step, values)
    written[1][1]["loss"] = np.inf  # too large for a float32
    assert read_events(path) == written


def test_a_run_leaves_its_history_for_tensorboard(small_run, tmp_path):
    record = train("demo", **SHORT, runs=str(tmp_path))
    events = read_events(record.folder / "history.tfevents")
    assert [step for step, _ in events] == [1, 2]
    for name, values in record.history.items():
        np.testing.assert_allclose([figures[name] for _, figures in events], values, rtol=1e-6)
    again = train("demo", **SHORT, runs=str(tmp_path), tensorboard=False)
    assert not (again.folder / "history.tfevents").exists()


class StandIn(types.ModuleType):
    """What we use of wandb, which notes what is done with it."""

    def __init__(self):
        super().__init__("wandb")
        self.errors, self.Settings = types.SimpleNamespace(Error=ConnectionError), dict
        self.begun, self.logged, self.summary, self.ended = [], [], {}, []

    def init(self, **arguments):
        self.begun.append(arguments)
        return self

    def log(self, figures, step):
        self.logged.append((step, figures))

    def finish(self, exit_code):
        self.ended.append(exit_code)


@pytest.fixture
def wandb(monkeypatch):
    module = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_is_told_of_every_epoch(small_run, wandb, tmp_path):
    record = train("demo", **SHORT, runs=str(tmp_path), wandb="someone/digits", seed=3)
    (begun,) = wandb.begun
    assert (begun["entity"], begun["project"], begun["name"]) == ("someone", "digits", record.folder.name)
    assert begun["dir"] == str(record.folder)
    assert (begun["config"]["epochs"], begun["config"]["seed"], begun["config"]["experiment"]) == (2, 3, "demo")
    assert [step for step, _ in wandb.logged] == [1, 2]
    for name, values in record.history.items():
        np.testing.assert_allclose([figures[name] for _, figures in wandb.logged], values)
    assert wandb.summary == record.metrics["final"]
    assert wandb.ended == [0]


def test_wandb_is_told_of_a_failure(small_run, wandb, tmp_path, monkeypatch):
    monkeypatch.setattr("recipes.training.run.plots.save", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("demo", **SHORT, runs=str(tmp_path), wandb="digits")
    assert wandb.begun[0]["entity"] is None
    assert wandb.ended == [1]


def test_nothing_is_left_where_wandb_cannot_begin(small_run, wandb, tmp_path, monkeypatch):
    def refuse(**arguments):
        raise ConnectionError("No API key configured.")

    wandb.init = refuse
    with pytest.raises(ValueError, match="No API key.*wandb login.*WANDB_MODE=offline"):
        train("demo", **SHORT, runs=str(tmp_path / "runs"), wandb="digits")
    assert list((tmp_path / "runs").iterdir()) == []
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="pip install wandb"):
        train("demo", **SHORT, runs=str(tmp_path / "other"), wandb="digits")
    with pytest.raises(ValueError, match="`wandb` must be.*'a/b/c'"):
        train("demo", **SHORT, runs=str(tmp_path / "other"), wandb="a/b/c")
    assert not (tmp_path / "other").exists()


def test_wandb_itself_needs_no_network_offline(small_run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_RUN_GROUP", "a sweep of digits")
    record = train("demo", **SHORT, runs=str(tmp_path), wandb="digits")
    (kept,) = (record.folder / "wandb").glob("offline-run-*/*.wandb")
    words = [b"digits", b"a sweep of digits", b"val_accuracy", record.folder.name.encode()]
    end = time.monotonic() + 60  # a process of its own writes it
    while not all(word in kept.read_bytes() for word in words):
        assert time.monotonic() < end, kept.read_bytes()
        time.sleep(0.1)
