"""The speed recipe: its published numbers, what it freezes, and a short training."""

import keras
import numpy as np
import pytest
from conftest import few

import recipes.cifar10_speedrun
import zoo
from recipes.cifar10_speedrun import EXPERIMENTS
from recipes.cifar10_speedrun import _muon
from recipes.cifar10_speedrun import _sgd
from recipes.cifar10_speedrun import _straight
from recipes.cifar10_speedrun import train
from recipes.optimizers import Lookahead
from recipes.training.recipe import resolve

SHORT = {"data": "digits", "epochs": 2, "batch_size": 40, "flip": "none", "quiet": True}


@pytest.fixture
def small(monkeypatch):
    """Few images, and a network of the same layers that trains in a second."""
    data = few()
    monkeypatch.setattr(recipes.cifar10_speedrun, "load_digits", lambda: data)
    monkeypatch.setattr(zoo.speednet, "SIZES", {size: {"widths": (24, 8, 8)} for size in (94, 95, 96)})
    return data


def values(schedule, steps):
    return [float(schedule(step)) for step in steps]


def test_the_published_rates_of_sgd():
    """airbench94: for a loss that is a mean, 1.5 and 96.0 at the peak, 23% up from a fifth, then down to 0.07."""
    groups = _sgd(11.5, 0.0153, 1024, _straight(0.23, 0.2, 0.07, 476), 3 * 48)
    kernels, whitening, biases = groups.wrapped
    np.testing.assert_allclose(values(kernels._learning_rate, (0, 109, 476)), np.array([0.2, 1, 0.07]) * 1.5, rtol=1e-3)
    np.testing.assert_allclose(values(biases._learning_rate, (109,)), 96.0, rtol=1e-3)
    np.testing.assert_allclose((kernels.l2, biases.l2), (1.33e-3, 2.08e-5), rtol=2e-3)
    rates = values(whitening._learning_rate, (109, 143, 144, 145, 400))
    np.testing.assert_allclose(rates, [1.5, values(kernels._learning_rate, (143,))[0], 0, 0, 0], rtol=1e-3)


def test_the_published_rates_of_muon():
    """airbench94_muon: rates for a summed loss over 2000 images, all falling to 0; the whitening's in 75 steps."""
    kernels, whitening, biases, head = _muon(0.24, 2e-6, 2000, _straight(0.0, 1.0, 0.0, 200), 75).wrapped
    np.testing.assert_allclose(values(kernels._learning_rate, (0, 100, 200)), [0.24, 0.12, 0], rtol=1e-6)
    for optimizer, rate in ((whitening, 0.053), (biases, 0.053), (head, 0.67)):
        np.testing.assert_allclose(values(optimizer._learning_rate, (0,)), 2000 * rate, rtol=1e-6)
        np.testing.assert_allclose(optimizer.l2 * 2000 * rate, 4e-3, rtol=1e-6)
    np.testing.assert_allclose(values(whitening._learning_rate, (75, 150)), 0)


@pytest.mark.parametrize("name", ["gpu95", "gpu96"])
def test_the_published_experiments_reach_their_peak_and_end_where_published(name):
    chosen = resolve(train, name, {})
    steps = 48 * chosen["epochs"]
    assert steps == {"gpu95": 720, "gpu96": 1776}[name]
    names = ("warmup_fraction", "first_fraction", "final_fraction")
    schedule = _straight(*(chosen[each] for each in names), steps)(1.0)
    peak = int({"gpu95": 0.23, "gpu96": 0.1}[name] * steps)
    expected = [0.2, 1.0, {"gpu95": 0.07, "gpu96": 0.0}[name]]
    np.testing.assert_allclose(values(schedule, (0, peak, steps)), expected, rtol=1e-6)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_train_and_leave_a_record(name, small, tmp_path):
    by_epoch = {"image_sides": "16,32", "kept_fractions": "1,0.5"} if name == "cpu94" else {}
    by_epoch = by_epoch or {"image_sides": "", "kept_fractions": ""}
    record = train(name, **SHORT, **by_epoch, whitening_bias_epochs=1, runs=str(tmp_path))
    assert len(record.history["loss"]) == 2
    assert np.isfinite(record.history["loss"]).all()
    assert {"val_accuracy", "val_accuracy_tta"} <= set(record.metrics["final"])
    assert (record.folder / "record.json").exists() and (record.folder / "samples.png").exists()
    assert isinstance(record.model.optimizer, Lookahead) == (name in ("gpu95", "gpu96"))
    kernel = keras.ops.convert_to_numpy(record.model.get_layer("whiten").kernel)
    np.testing.assert_allclose(kernel[..., :12], -kernel[..., 12:])


def test_the_same_seed_gives_the_same_run_and_another_seed_another(small, tmp_path):
    arguments = {**SHORT, "epochs": 1, "runs": str(tmp_path)}
    first, second, other = (train("gpu94", seed=seed, **arguments).history["loss"] for seed in (1, 1, 2))
    assert first == second != other


def test_freezing_the_bias_of_the_whitening_saves_work_and_changes_nothing(small, tmp_path, monkeypatch):
    arguments = {**SHORT, "epochs": 3, "image_sides": "16,16,32", "whitening_bias_epochs": 2, "seed": 3}
    frozen = train("gpu94", **arguments, runs=str(tmp_path))
    assert frozen.model.get_layer("whiten_bias").frozen
    monkeypatch.setattr(recipes.cifar10_speedrun._FreezeWhitening, "on_epoch_begin", lambda *arguments: None)
    trained = train("gpu94", **arguments, runs=str(tmp_path))
    np.testing.assert_allclose(frozen.history["loss"], trained.history["loss"], rtol=1e-6)
    for own, other in zip(frozen.model.get_weights(), trained.model.get_weights()):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)


def test_an_epoch_freezes_the_same_whether_the_run_began_with_it_or_not():
    model = zoo.SpeedNet()
    callback = recipes.cifar10_speedrun._FreezeWhitening(model, 1, [24, 24, 32])  # compiled in epochs 0 and 2
    frozen = []
    for epoch in (1, 2, 1):
        callback.on_epoch_begin(epoch)
        frozen.append(model.get_layer("whiten_bias").frozen)
    assert frozen == [False, True, False]


@pytest.mark.parametrize("option", ["brightness", "contrast", "cutout"])
def test_further_augmentation_changes_what_is_seen(option, small, tmp_path):
    arguments = {**SHORT, "epochs": 1, "runs": str(tmp_path)}
    plain, changed = (
        train("gpu94", **arguments, **more).history["loss"] for more in ({}, {option: 8 if option == "cutout" else 0.6})
    )
    assert plain != changed


def test_ghost_batches_train_the_model_that_is_kept(small, tmp_path):
    record = train("gpu94", **SHORT, ghost_batches=2, runs=str(tmp_path))
    assert np.isfinite(record.history["loss"]).all() and record.model.name == "speednet"
    assert not np.allclose(keras.ops.convert_to_numpy(record.model.get_layer("head").kernel), 0)
    np.testing.assert_allclose(record.model.get_layer("group1_1_bn").momentum, 0.6**0.5)
    images = small.validation_images / 255.0
    _, accuracy = record.model.evaluate(images, small.one_hot(small.validation_labels), verbose=0)
    assert 0 <= accuracy <= 1 and isinstance(record.model.optimizer, recipes.optimizers.Grouped)


def test_gray_images_are_learned_in_bfloat16(monkeypatch, tmp_path):
    """Between their equal channels nothing varies, and gradients of what never varies drowned all others."""
    monkeypatch.setattr(zoo.speednet, "SIZES", {94: {"widths": (32, 32, 32)}})
    arguments = {**SHORT, "batch_size": 100, "precision": "mixed_bfloat16", "image_sides": "16,16"}
    record = train("demo", **arguments, runs=str(tmp_path))
    assert record.history["accuracy"][-1] > 0.6


def test_the_bias_of_the_whitening_may_be_left_out(small, tmp_path):
    record = train("gpu94", **{**SHORT, "epochs": 1}, whitening_bias_epochs=0, runs=str(tmp_path))
    assert "whiten_bias" not in [layer.name for layer in record.model.layers]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"epochs": 0}, "`epochs`.*0"),
        ({"batch_size": 161}, "`batch_size`.*160.*161"),
        ({"warmup_fraction": 1.0}, "`warmup_fraction`.*1.0"),
        ({"image_sides": "16"}, "`image_sides`.*2 numbers.*'16'"),
        ({"image_sides": "16,0"}, "`image_sides`.*'16,0'"),
        ({"kept_fractions": "1,half"}, "`kept_fractions`.*2 numbers.*'1,half'"),
        ({"kept_fractions": "1,1.5"}, "`fractions`.*1.5"),
        ({"test_time_views": "3"}, "`test_time_views`.*'3'"),
        ({"test_time_views": "1,6:1.5"}, "`test_time_views`.*1.5"),
        ({"test_time_views": "1,6"}, "`test_time_views`.*'1,6'"),
        ({"test_time_views": "1:0.5"}, "`test_time_views`.*0.5"),
        ({"size": 93}, "`size`.*93"),
        ({"ghost_batches": 0}, "`ghost_batches`.*0"),
        ({"ghost_batches": 3}, "`ghost_batches`.*3, batch_size=40"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(wrong, message, small, tmp_path):
    with pytest.raises(ValueError, match=message):
        train("gpu94", **{**SHORT, **wrong}, runs=str(tmp_path))
    assert not list(tmp_path.iterdir())
