"""The recipe that fine-tunes on photographs: its strategies, weights, cached features, and what its runs leave."""

import keras
import numpy as np
import pandas
import pytest
from conftest import few
from PIL import Image

import recipes.data.image_source
import recipes.training.prediction
import zoo
from recipes import fine_tuning
from recipes import nature12k_finetune
from recipes.data.preparation import read_preparation
from recipes.nature12k_finetune import EXPERIMENTS
from recipes.nature12k_finetune import train
from recipes.reporting import plots
from recipes.training.prediction import evaluate_run
from recipes.training.prediction import load_trained
from recipes.training.recipe import resolve

SHORT = {
    "architecture": "tiny_networks:TinyNet",
    "head_units": 8,
    "image_size": 16,
    "batch_size": 8,
    "epochs": 3,
    "head_epochs": 1,
    "precision": "float32",
    "quiet": True,
    "tensorboard": False,
    "validation_as_test": False,
}
COLORS = {"Amphibia": (200, 60, 60), "Aves": (60, 200, 60), "Plantae": (60, 60, 200)}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Three classes in the layout of nature_12K, of several sizes, one of them grey."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for name, color in COLORS.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.array(color) + rng.normal(0, 50, (40 + number, 44, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
                image = image.convert("L") if (name, number) == ("Aves", 0) else image
                image.save(folder / split / name / f"{number}.png")
    return folder


class NoPicture:
    def savefig(self, *arguments, **options):
        pass


@pytest.fixture
def small(monkeypatch):
    """Few digits, and no pictures."""
    for module in (recipes.data.image_source, recipes.training.prediction):
        monkeypatch.setattr(module, "load_digits", few)
    for name in ("plot_history", "plot_learning_rate", "plot_images", "plot_confusion_matrix"):
        monkeypatch.setattr(plots, name, lambda *arguments, **options: NoPicture())


def weights_of(model):
    return {each.path: keras.ops.convert_to_numpy(each) for each in model.weights}


@pytest.mark.parametrize("name", ["head", "stages", "rescale_512", "demo"])
def test_experiments_train_in_phases_and_keep_the_best(name, small, photographs, tmp_path):
    images = {"image_size": 16, "batch_size": 40} if name == "demo" else {"data_dir": str(photographs)}
    images |= {"validation_as_test": True} if name == "head" else {}
    images |= {"rescale": 24} if name == "rescale_512" else {}
    record = train(name, **{**SHORT, "learning_rate": 0.01, **images}, runs=str(tmp_path))
    assert len(record.history["loss"]) == record.epochs == 3
    assert np.isfinite(record.history["loss"]).all()
    table = pandas.read_csv(record.folder / "history.csv")
    assert list(table["epoch"]) == [0, 1, 2]
    np.testing.assert_allclose(table["val_accuracy"], record.history["val_accuracy"])
    assert record.metrics["final"]["val_accuracy"] == max(record.history["val_accuracy"])
    assert record.metrics["final"]["val_aca"] == pytest.approx(record.metrics["final"]["val_accuracy"])
    side = 24 if name == "rescale_512" else 16
    assert ("test_accuracy" in record.metrics["final"]) == (name == "head")
    assert read_preparation(record.folder).image_size == (side, side)
    again, _ = evaluate_run(record.folder, None if name == "demo" else photographs)
    assert again.aca == pytest.approx(record.metrics["final"]["val_aca"])
    parts = [record.seconds[name] for name in ("setup", "compile", "train", "evaluate")]
    assert min(parts) >= 0 and sum(parts) <= record.seconds["total"] + 0.1


def test_documented_settings():
    chosen = resolve(train, "head", {})
    names = ("architecture", "weights", "image_size", "head_units", "dropout", "strategy", "learning_rate", "epochs")
    assert [chosen[name] for name in names] == ["ResNet50", "imagenet", 224, 2048, 0.3, "head", 1e-5, 10]
    assert EXPERIMENTS["head"].documented == "79-80% of the test images"
    assert nature12k_finetune.SEARCH_SPACE == {"learning_rate": [1e-3, 1e-4, 1e-5]}
    assert resolve(train, "rescale_512", {})["rescale"] == 512


def test_what_is_trained_in_each_phase(small, photographs, tmp_path, monkeypatch):
    seen, real = [], fine_tuning.freeze_below

    def watched(model, stages, **options):
        seen.append((stages, options["frozen_statistics"], real(model, stages, **options)))
        return seen[-1][2]

    monkeypatch.setattr(fine_tuning, "freeze_below", watched)
    arguments = {**SHORT, "data_dir": str(photographs), "runs": str(tmp_path), "weights": "imagenet"}
    for strategy, expected in (("stages", [0, 2]), ("all", [0, 3])):
        seen.clear()
        record = train("head", **arguments, strategy=strategy, stages=2, rate_decay=0.5, learning_rate=0.04)
        assert [stages for stages, *_ in seen] == expected
        assert all(frozen for _, frozen, _ in seen)
        optimizers = (seen[-1][2].above or seen[-1][2].model, seen[-1][2].model)
        optimizer = next(each.optimizer for each in optimizers if each.compiled)
        rates = [float(keras.ops.convert_to_numpy(each.learning_rate)) for each in optimizer.wrapped]
        np.testing.assert_allclose(rates, [0.04 * 0.5**depth for depth in range(expected[-1] + 1)], rtol=1e-5)
        assert record.history["learning_rate"] == pytest.approx([0.04] * 3)


def test_cached_features_train_the_same_weights(small, photographs, tmp_path):
    """Below the head, then below the last stage; of augmented images, with as many copies as epochs."""
    arguments = {**SHORT, "data_dir": str(photographs), "runs": str(tmp_path), "dropout": 0.0, "optimizer": "sgd"}
    arguments |= {"strategy": "stages", "learning_rate": 0.05, "rate_decay": 0.5, "weights": "imagenet"}
    arguments |= {"horizontal_flip": True, "resize_size": 20, "feature_views": 3}
    cached = train("head", **arguments, cache_features="on")
    backbone = train("head", **arguments, cache_features="off")
    np.testing.assert_allclose(cached.history["loss"], backbone.history["loss"], rtol=1e-4)
    assert cached.history["val_accuracy"] == backbone.history["val_accuracy"]
    others = weights_of(backbone.model)
    for path, value in weights_of(cached.model).items():
        np.testing.assert_allclose(value, others[path], rtol=1e-3, atol=1e-4, err_msg=path)


def test_phases_go_on_in_the_stream_of_batches(small, photographs, tmp_path):
    """The second phase sees what its epochs see, not those of the first one again, whatever brings the images."""
    pytest.importorskip("tensorflow")
    arguments = {**SHORT, "data_dir": str(photographs), "runs": str(tmp_path), "cache_features": "off", "dropout": 0.0}
    arguments |= {"strategy": "all", "weights": "imagenet", "learning_rate": 0.05, "rate_decay": 1.0}
    arguments |= {"optimizer": "sgd", "horizontal_flip": True, "resize_size": 20}
    losses = [train("head", **arguments, pipeline=each).history["loss"] for each in ("tf.data", "numpy")]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_features_are_cached_where_nothing_is_random():
    below = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    caches = nature12k_finetune._caches
    assert caches("auto", 0, False, below, 10)
    assert not caches("auto", 0, True, below, 10)
    assert caches("auto", 2, True, below, 10)
    assert not caches("off", 2, False, below, 10)
    assert not caches("on", 0, False, None, 10)
    too_many = 2**31 // (4 * 48) + 1
    assert not caches("auto", 0, False, below, too_many)
    assert caches("on", 0, False, below, too_many)


def test_a_run_of_ours_gives_its_weights_and_pixels(small, photographs, tmp_path):
    arguments = {**SHORT, "runs": str(tmp_path), "learning_rate": 0.01}
    first = train("demo", **arguments | {"batch_size": 40})
    path = first.folder / "model.keras"
    second = train("head", **arguments, data_dir=str(photographs), weights=str(path))
    assert second.arguments["weights"] == "model.keras"
    assert read_preparation(second.folder).mean == read_preparation(first.folder).mean
    source, found = weights_of(load_trained(first.folder)), weights_of(load_trained(second.folder))
    backbone = [name for name in source if name.startswith("stage")]
    assert len(backbone) == 15
    for name in backbone:
        np.testing.assert_array_equal(found[name], source[name])
    assert found["predictions/kernel"].shape == (8, 3)
    with pytest.raises(ValueError, match="model.keras does not fit resnet18: conv1_conv has no weights"):
        train(
            "head",
            **arguments | {"architecture": "ResNet18", "image_size": 32},
            data_dir=str(photographs),
            weights=str(path),
        )


def test_a_checkpoint_of_torchvision_is_taken_and_stays_as_it_is(small, photographs, tmp_path):
    from safetensors.numpy import save_file

    published = zoo.ResNet18(input_shape=(32, 32, 3))
    state = zoo.weights.to_torch_state(published)
    save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, tmp_path / "resnet18.safetensors")
    arguments = {**SHORT, "architecture": "ResNet18", "image_size": 32, "epochs": 1, "learning_rate": 0.01}
    weights = str(tmp_path / "resnet18.safetensors")
    record = train("head", **arguments, weights=weights, data_dir=str(photographs), runs=str(tmp_path / "runs"))
    source, found = weights_of(published), weights_of(record.model)
    assert np.allclose(read_preparation(record.folder).mean, (123.675, 116.28, 103.53))
    for name, value in found.items():
        if not name.startswith(("head_", "predictions")):
            np.testing.assert_array_equal(value, source[name])


def test_a_range_test_of_the_head(small, photographs):
    test = train.find_lr("stages", min_lr=1e-4, max_lr=1e-2, steps=4, **SHORT, data_dir=str(photographs))
    assert len(test.losses) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data_dir": None}, "`data_dir`"),
        ({"weights": "nowhere.keras"}, "nowhere.keras"),
        ({"architecture": "ResNet20"}, "`architecture`.*'ResNet20'"),
        ({"architecture": "keras:Input"}, "keras:Input does not take the arguments"),
        ({"stem": "cifar"}, "`stem`.*'cifar'"),
        ({"epochs": 0}, "`epochs`.*0"),
        ({"batch_size": 19}, "`batch_size`.*18.*19"),
        ({"strategy": "stages", "stages": 4}, "`stages` must be from 1 to 3.*4"),
        ({"strategy": "all", "head_epochs": 3}, "`head_epochs`.*epochs=3.*3"),
        ({"learning_rate": 0.0}, "`learning_rate`.*0"),
        ({"rate_decay": 1.5}, "`decay`.*1.5"),
        ({"head_units": -1}, "units=-1"),
        ({"rescale": 8}, "`rescale`.*image_size=16.*8"),
        ({"resize_size": 8}, "`resize_size`.*16.*8"),
        ({"feature_views": -1}, "`feature_views`.*-1"),
        ({"cache_features": "on", "horizontal_flip": True}, "feature_views"),
        ({"cache_features": "on", "rescale": 24}, "leave out `rescale`"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(wrong, message, photographs, tmp_path):
    arguments = {**SHORT, "data_dir": str(photographs), "runs": str(tmp_path / "runs"), **wrong}
    with pytest.raises(ValueError, match=message):
        train("head", **{"weights": None, **arguments})
    assert not list(tmp_path.iterdir())
