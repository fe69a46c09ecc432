"""The recipe that fine-tunes BiT by rule: what the rule sees, what weights it takes, what it leaves."""

import numpy as np
import pytest
from PIL import Image

import recipes.hep2_bit
import zoo
from recipes.data.decoding import read_image
from recipes.data.preparation import read_preparation
from recipes.hep2_bit import EXPERIMENTS
from recipes.hep2_bit import train
from recipes.training.prediction import evaluate_run
from recipes.training.recipe import resolve
from zoo.bit_weights import to_npz_state

SHORT = {
    "depths": "1,1",
    "resize_size": 40,
    "crop_size": 32,
    "total_steps": 4,
    "evaluate_steps": 2,
    "batch_size": 4,
    "base_lr": 0.01,
    "precision": "float32",
    "quiet": True,
}


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Images of two colours in class folders, 50x60."""
    folder, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for name, color in (("red", (200, 60, 60)), ("green", (60, 200, 60))):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = np.clip(np.array(color) + rng.normal(0, 40, (50, 60, 3)), 0, 255).astype("uint8")
                Image.fromarray(image).save(folder / split / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_take_what_the_rule_says(name):
    chosen = resolve(train, name, {})
    if name in ("hyperrule", "scratch"):
        assert (chosen["batch_size"], chosen["base_lr"], chosen["total_steps"], chosen["crop_size"]) == (
            512,
            0.003,
            0,
            0,
        )
    assert (chosen["weights"] == "imagenet21k") == (name == "hyperrule")


def test_a_run_by_rule_leaves_what_evaluation_needs(cells, tmp_path):
    record = train("scratch", **SHORT, data_dir=str(cells), runs=str(tmp_path))
    assert record.epochs == 2  # evaluations
    assert record.documented == ""
    np.testing.assert_allclose(record.history["learning_rate"], [0.01, 0.01 / 1000], rtol=1e-5)
    assert {"val_aca", "val_mca", "val_accuracy/red", "val_accuracy/green"} <= set(record.history)
    assert read_preparation(record.folder).image_size == (32, 32)
    again, images = evaluate_run(record.folder, cells)
    np.testing.assert_array_equal(images[0], read_image(cells / "val" / "green" / "0.png", 32))
    assert again.aca == pytest.approx(record.metrics["final"]["val_aca"])


def test_published_weights_are_taken_and_their_classifier_is_not(cells, tmp_path):
    """A file in the published layout, of other classes: every kernel before the classifier moves little from it."""
    other = zoo.BiTResNet50(classes=7, depths=(1, 1), input_shape=(32, 32, 3))
    state = to_npz_state(other)
    np.savez(tmp_path / "published.npz", **state)
    still = SHORT | {"base_lr": 1e-9}
    weights = str(tmp_path / "published.npz")
    record = train("hyperrule", **still, weights=weights, data_dir=str(cells), runs=str(tmp_path / "runs"))
    name = "resnet/root_block/standardized_conv2d/kernel"
    np.testing.assert_allclose(to_npz_state(record.model)[name], state[name], atol=1e-5)
    assert record.arguments["weights"] == "published.npz"  # records travel: they keep no folders


def test_accumulated_batches_are_counted_as_one_update(cells, tmp_path):
    arguments = SHORT | {"batch_size": 2, "accumulation_steps": 2}
    record = train("scratch", **arguments, data_dir=str(cells), runs=str(tmp_path))
    assert record.model.optimizer.steps == 2
    assert int(record.model.optimizer.iterations) == 4
    np.testing.assert_allclose(record.history["learning_rate"], [0.01, 0.01 / 1000], rtol=1e-5)


def test_the_rule_sees_the_images_as_they_come(cells, tmp_path, monkeypatch):
    """50x60 are fewer pixels than 96x96: 160 and 128; and 12 images are fewer than 20,000: no mixup."""
    asked = []
    real = recipes.hep2_bit.hyperrule
    monkeypatch.setattr(recipes.hep2_bit, "hyperrule", lambda *given: asked.append(given) or real(*given))
    arguments = SHORT | {"resize_size": 0, "crop_size": 0, "total_steps": 1, "evaluate_steps": 1, "depths": "1"}
    record = train("scratch", **arguments, data_dir=str(cells), runs=str(tmp_path))
    assert asked[0][:2] == (12, (50, 60))
    assert record.model.input_shape == (None, 128, 128, 3)


def test_the_demo_needs_no_data(tmp_path, monkeypatch):
    record = train("demo", **SHORT, runs=str(tmp_path))
    assert record.data["train"] == 1437
    assert np.isfinite(record.history["loss"]).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"crop_size": 48}, "`crop_size` must be at most resize_size=40.*48"),
        ({"depths": "3,x"}, "`depths`.*'3,x'"),
        ({"total_steps": -1}, "`total_steps` must be at least 0.*-1"),
        ({"evaluate_steps": 0}, "`evaluate_steps` must be at least 1.*0"),
        ({"batch_size": 13}, "`batch_size`.*12.*13"),
        ({"weights": "nowhere.npz"}, "nowhere.npz"),
        ({"data_dir": "nowhere"}, "`data_dir`.*nowhere"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(wrong, message, cells, tmp_path):
    arguments = SHORT | {"data_dir": str(cells), "runs": str(tmp_path)} | wrong
    with pytest.raises(ValueError, match=message):
        train("scratch", **arguments)
    assert not list(tmp_path.iterdir())
