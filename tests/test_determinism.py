"""The same seed gives the same bits."""

import os
import sys

import numpy as np
import pytest

import recipes.__main__
from recipes.cifar10_davidnet import train
from recipes.training import session

SHORT = {"experiment": "demo", "epochs": 2, "batch_size": 80, "precision": "float32", "quiet": True}


@pytest.mark.parametrize("pipeline", ["tf.data", "numpy", "memory"])
def test_the_same_seed_gives_the_same_bits(pipeline, small_run, tmp_path, backend):
    if pipeline == "tf.data" and backend != "tensorflow":
        return  # its batches are those of numpy
    arguments = {**SHORT, "pipeline": pipeline, "dropout": 0.2, "runs": str(tmp_path), "deterministic": True}
    first, second = (train(**arguments, seed=5) for _ in range(2))
    assert first.history == second.history
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.metrics == second.metrics
    if pipeline == "numpy":
        other = train(**arguments, seed=6)
        assert other.history["loss"] != first.history["loss"]


def test_switches_are_put_back(backend, monkeypatch):
    before = os.environ.get("CUBLAS_WORKSPACE_CONFIG"), os.environ.get("XLA_FLAGS")
    with pytest.raises(KeyError), session.deterministic_kernels():
        assert is_deterministic(backend)
        raise KeyError
    assert not is_deterministic(backend) or backend == "jax"
    assert (os.environ.get("CUBLAS_WORKSPACE_CONFIG"), os.environ.get("XLA_FLAGS")) == before


def is_deterministic(backend):
    if backend == "tensorflow":
        from tensorflow.python.framework import config

        return config.is_op_determinism_enabled()
    if backend == "torch":
        import torch

        return torch.are_deterministic_algorithms_enabled()
    return True  # of JAX on a CPU nothing is asked


def test_the_switch_of_jax_is_set_before_it_begins(backend, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true")
    recipes.__main__._switch(["run", "cifar10_davidnet", "--deterministic"])
    assert "deterministic" not in os.environ["XLA_FLAGS"]  # too late
    monkeypatch.delitem(sys.modules, "keras")
    recipes.__main__._switch(["run", "cifar10_davidnet"])
    assert "deterministic" not in os.environ["XLA_FLAGS"]
    recipes.__main__._switch(["run", "cifar10_davidnet", "--deterministic"])
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_multi_thread_eigen=true {session.XLA_FLAG}=true"
    monkeypatch.setattr(session, "on_accelerator", lambda: True)
    with session._of_jax():
        monkeypatch.delenv("XLA_FLAGS")
    with pytest.raises(ValueError, match="XLA_FLAGS=--xla_gpu_deterministic_ops=true"), session._of_jax():
        pass
