"""Fixtures that several tests share."""

import inspect
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

import recipes.cifar10_davidnet
import recipes.training.run
import zoo
from recipes.data import digits


@pytest.fixture
def backend():
    """The name of the Keras backend."""
    return keras.backend.backend()


def few(image_size=32):
    """The demo data cut to 160 training and 80 validation images."""
    full = digits.load_digits(image_size)
    arrays = (
        full.train_images[:160],
        full.train_labels[:160],
        full.validation_images[:80],
        full.validation_labels[:80],
    )
    return digits.Dataset("digits", *arrays, full.class_names)


def _narrow(classes, dropout, **arguments):
    """What stands for DavidNet where the network is not the matter: it has its arguments, and trains in a second."""
    inspect.signature(zoo.DavidNet).bind(classes=classes, dropout=dropout, **arguments)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 4, strides=4),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(dropout),
            layers.GlobalMaxPooling2D(),
            layers.Dense(classes, kernel_initializer="zeros", dtype="float32"),
        ]
    )


@pytest.fixture
def few_digits(monkeypatch):
    """The demo data cut short, for tests of the recipe's code."""
    data = few()
    monkeypatch.setattr(recipes.cifar10_davidnet, "load_digits", lambda: data)
    return data


@pytest.fixture
def small_run(few_digits, monkeypatch):
    """A recipe that trains in a second or two: little data, a narrow network, no pictures of the run."""
    monkeypatch.setattr(zoo, "DavidNet", _narrow)
    monkeypatch.setattr(recipes.training.run.plots, "plot_history", lambda *arguments: _NoPicture())
    monkeypatch.setattr(recipes.training.run.plots, "plot_learning_rate", lambda *arguments: _NoPicture())
    monkeypatch.setattr(recipes.training.run.plots, "plot_images", lambda *arguments: _NoPicture())


class _NoPicture:
    def savefig(self, *arguments, **options):
        pass


@pytest.fixture(scope="session")
def davidnet_run(tmp_path_factory):
    """The record of one real run of DavidNet, for all tests that look at what a run leaves."""
    data, arguments = few(), {"data": "digits", "epochs": 2, "batch_size": 80, "warmup_epochs": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes.cifar10_davidnet, "load_digits", lambda: data)
        folder = str(tmp_path_factory.mktemp("runs"))
        return recipes.cifar10_davidnet.train("ours", **arguments, runs=folder, precision="float32", seed=5, quiet=True)


@pytest.fixture
def mixed_float16():
    """A global dtype policy that casts what it can."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)
