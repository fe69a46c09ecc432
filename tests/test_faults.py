"""A loss that is no number, a disk that is full, data that vanish, no memory: where the run ended, in one line."""

import errno
import resource
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from recipes import schedules
from recipes.__main__ import main
from recipes.atomic import leftovers
from recipes.data.preparation import Preparation
from recipes.optimizers import SGD
from recipes.optimizers import Accumulated
from recipes.optimizers import Grouped
from recipes.optimizers.rates import multiply_learning_rate
from recipes.training import memory
from recipes.training.beginning import epoch_callbacks
from recipes.training.clock import Clock
from recipes.training.faults import FiniteLoss
from recipes.training.faults import NonFiniteLoss
from recipes.training.faults import explain
from recipes.training.routes import training_batches

BATCH, SAMPLES, BEGIN = 4, 26, 2
STEPS, STEP = SAMPLES // BATCH, 3  # of an epoch; that fails, neither the first nor the last
IMAGES = np.random.default_rng(0).integers(0, 256, (SAMPLES, 3, 3, 1)).astype("uint8")
RATE = schedules.PiecewiseLinear([0, 20], [1e-6, 0.0])
RUN = ["run", "cifar10_davidnet", "--demo", "--epochs", "2", "--batch-size", "80", "--precision", "float32", "--quiet"]


def some_model(optimizer=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(optimizer or SGD(RATE, momentum=0.9), "mse", jit_compile=keras.backend.backend() == "jax")
    return model


def fit(route, model, data, callbacks, **arguments):
    arguments |= {"epochs": BEGIN + 2, "initial_epoch": BEGIN, "callbacks": [*callbacks, *epoch_callbacks(data)]}
    if route == "memory":
        return memory.fit(model, data, **arguments)
    steps = STEPS if route == "tf.data" else None
    return model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0, **arguments)


@pytest.mark.parametrize(
    ("route", "optimizer", "rate", "arguments"),
    [
        ("numpy", None, RATE(STEP), {}),
        ("tf.data", None, RATE(STEP), {}),
        ("memory", None, RATE(STEP), {}),
        ("memory", None, RATE(STEP), {"steps_per_dispatch": 2}),
        ("memory", lambda: SGD(1e-7), 1e-7, {}),
        ("memory", lambda: Accumulated(SGD(RATE), 2), RATE(STEP // 2), {}),
    ],
)
def test_the_step_its_rate_and_its_batch_are_known(route, optimizer, rate, arguments):
    if route == "tf.data":
        pytest.importorskip("tensorflow")
    order = training_batches("numpy", IMAGES, None, [], batch_size=BATCH, seed=3).order(BEGIN)
    batch = order[STEP * BATCH : (STEP + 1) * BATCH].tolist()
    labels = np.zeros((SAMPLES, 1), "float32")
    labels[batch[2]] = np.inf
    data = training_batches(route, IMAGES, labels, [], batch_size=BATCH, seed=3, initial_epoch=BEGIN)
    data.paths = [f"{number}.png" for number in range(SAMPLES)]
    with pytest.raises(NonFiniteLoss) as caught:
        fit(route, some_model(optimizer and optimizer()), data, [FiniteLoss(data, STEPS, BEGIN)], **arguments)
    error = caught.value
    assert (error.epoch, error.step, error.samples) == (BEGIN, STEP, batch)
    assert error.paths == [f"{number}.png" for number in batch]
    assert error.learning_rate == pytest.approx(rate, rel=1e-5)
    assert str(error) == explain(error)
    assert str(error).startswith(f"The loss became {error.loss} at epoch {BEGIN + 1}, step {STEP + 1}, at learning")
    assert f" {batch[2]} ({batch[2]}.png)" in str(error)


def test_a_stream_whose_epochs_are_not_those_of_fit():
    """Three steps of six are an epoch of `fit`."""
    data = training_batches("memory", IMAGES, np.zeros((SAMPLES, 1), "float32"), [], batch_size=BATCH, seed=3)
    left_out, order = data.order(0)[STEPS * BATCH :], data.order(1)[: STEPS * BATCH]
    bad = next(each for each in left_out.tolist() if each in order)
    made = STEPS + order.tolist().index(bad) // BATCH
    data.labels[bad] = np.inf
    with pytest.raises(NonFiniteLoss) as caught:
        memory.fit(some_model(), data, epochs=4, steps_per_epoch=3, callbacks=[FiniteLoss(data, 3)])
    assert (caught.value.epoch, caught.value.step) == (made // 3, made % 3)
    assert bad in caught.value.samples


def test_rates_of_all_kinds_are_multiplied():
    optimizer = Grouped([("bias$", SGD(RATE))], default=SGD(0.5, momentum=0.9))
    multiply_learning_rate(optimizer, 0.5)
    default, biases = optimizer.wrapped
    assert float(default.learning_rate) == 0.25
    assert float(biases.learning_rate) == pytest.approx(RATE(0) / 2)
    guard = FiniteLoss(factor=0.25)
    guard.set_model(some_model(optimizer))
    guard.set_state({"factor": 0.5})  # saved when the rate had been halved once; since then once more
    assert float(default.learning_rate) == 0.125
    assert float(biases.learning_rate) == pytest.approx(RATE(0) / 2)
    updates = SGD(RATE, gradient_accumulation_steps=4)
    multiply_learning_rate(updates, 0.5)
    again = SGD.from_config(updates.get_config())
    for step in (0, 3, 4, 40):
        assert float(again._learning_rate(step)) == pytest.approx(RATE(step // 4) / 2, abs=1e-12)


def lines(capsys):
    printed = capsys.readouterr().err
    assert printed.startswith("zoo: ") and printed.count("\n") == 1
    return printed


def test_a_loss_that_is_no_number_ends_the_command_with_a_line(small_run, tmp_path, capsys):
    assert main([*RUN, "--peak-lr", "3e38", "--runs", str(tmp_path)]) == 1
    (folder,) = tmp_path.iterdir()
    line = lines(capsys)
    assert "The loss became" in line and "in the batch of samples" in line and str(folder) in line
    assert not (folder / "record.json").exists() and not (folder / "model.keras").exists()


def test_a_full_disk_leaves_nothing_that_is_half_written(small_run, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        assert main([*RUN, "--no-tensorboard", "--runs", str(tmp_path)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (folder,) = tmp_path.iterdir()
    assert f"File too large: {folder / 'state' / 'phase-0.bin'}" in lines(capsys)
    assert {path.name for path in folder.rglob("*.*")} == {"history.csv", "run.json"} and not leftovers(
        folder / "state"
    )


def test_a_folder_that_vanishes(small_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Preparation, "write", lambda *arguments: shutil.rmtree(tmp_path / "runs"))
    assert main([*RUN, "--runs", str(tmp_path / "runs")]) in (1, 2)
    assert "No such file or directory" in lines(capsys)


@pytest.mark.parametrize("pipeline", ["tf.data", "numpy"])
def test_images_that_vanish_are_named(pipeline, tmp_path, capsys, monkeypatch):
    if pipeline == "tf.data":
        pytest.importorskip("tensorflow")
    for number in range(16):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (16 * number, 250 - 16 * number, 100 + 5 * number)).save(path)
    begin = Clock.on_train_begin

    def vanish(clock, logs=None):
        begin(clock, logs)
        for path in (tmp_path / "images").rglob("*.png"):
            path.unlink()

    monkeypatch.setattr(Clock, "on_train_begin", vanish)
    arguments = ["run", "nature12k_finetune", "--data-dir", str(tmp_path / "images"), "--cache", "none", "--quiet"]
    arguments += ["--experiment", "nature_mini", "--architecture", "tiny_networks:TinyNet", "--image-size", "16"]
    arguments += ["--strategy", "head", "--cache-features", "off", "--epochs", "9", "--batch-size", "4"]
    arguments += ["--pipeline", pipeline, "--runs", str(tmp_path / "runs")]
    assert main(arguments) in (1, 2)
    line = lines(capsys)
    assert "cannot be read" in line and ".png: no such file" in line and "What there is of the run is in" in line


def test_what_the_system_says_is_explained():
    full = OSError(errno.ENOSPC, "No space left on device", "runs/1/model.keras")
    assert explain(full) == "No space left on device: runs/1/model.keras. Make room on that disk."
    wrapped = RuntimeError("the thread failed")
    wrapped.__cause__ = PermissionError(errno.EACCES, "Permission denied", "data/1.png")
    assert explain(wrapped).startswith("Permission denied: data/1.png.")
    assert explain(MemoryError()) == "Out of memory. Give smaller batches (--batch-size) or images."
    assert explain(ZeroDivisionError("a bug")) is None and explain(RuntimeError("another one")) is None


def test_memory_that_is_not_there_is_explained():
    """What this backend really raises for more memory than there is."""
    with pytest.raises(Exception) as caught:
        keras.ops.sum(keras.ops.ones((2**23, 2**23)) + 1)
    assert explain(caught.value).startswith("Out of memory")
