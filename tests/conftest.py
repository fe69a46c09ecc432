"""Fixtures that several tests share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from recipes.data import digits


@pytest.fixture
def backend():
    """The name of the Keras backend."""
    return keras.backend.backend()


@pytest.fixture
def few_digits(monkeypatch):
    """The demo data cut to 160 training and 80 validation images, for tests of the recipe's code."""
    import recipes.cifar10_davidnet

    full = digits.load_digits()
    few = digits.Dataset(
        "digits",
        full.train_images[:160],
        full.train_labels[:160],
        full.validation_images[:80],
        full.validation_labels[:80],
        full.class_names,
    )
    monkeypatch.setattr(recipes.cifar10_davidnet, "load_digits", lambda: few)
    return few


@pytest.fixture
def mixed_float16():
    """A global dtype policy that casts what it can."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)
