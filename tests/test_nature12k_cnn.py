"""Experiment 003, part A: its settings, its augmentation, its splits, and a run on photographs of all kinds."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import augment
import zoo
from recipes.__main__ import main
from recipes.data.digits import load_digits
from recipes.data.images import load_image_dataset
from recipes.data.layouts import find_splits
from recipes.data.preparation import Preparation
from recipes.nature12k_cnn import MEAN
from recipes.nature12k_cnn import SEARCH_SPACE
from recipes.nature12k_cnn import _augmentation
from recipes.nature12k_cnn import train
from recipes.reporting import plots
from recipes.training.file_prediction import predict_files
from recipes.training.prediction import evaluate_run
from recipes.training.recipe import resolve
from recipes.trials.notation import read_space
from recipes.trials.space import size

CLASSES = {"Aves": (200, 60, 60), "Fungi": (60, 200, 60), "Insecta": (60, 60, 200)}
SHORT = {"image_size": 16, "resize_size": 20, "epochs": 2, "batch_size": 8, "filters": 2, "blocks": 2}
SHORT |= {"kernel_size": "3", "precision": "float32", "quiet": True}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Of three classes, 10 for training and 2 for the test, of several sizes and modes."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 2)):
        for name, color in CLASSES.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(color, 20, (20 + 7 * number, 60 - 3 * number, 3)).clip(0, 255).astype("uint8")
                mode = ("RGB", "L", "RGBA")[number % 3]
                Image.fromarray(pixels).convert(mode).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr(plots, "save", lambda figure, path: None)


def test_documented_settings():
    arguments = resolve(train, "table", {})
    names = ("epochs", "batch_size", "learning_rate", "filters", "activation", "dropout", "batch_normalization")
    assert [arguments[name] for name in names] == [10, 64, 0.001, 32, "relu", 0.3, False]
    assert (arguments["kernel_size"], arguments["filter_organization"]) == ("3", "const")
    best = resolve(train, "best", {})
    assert [best[name] for name in names[2:]] == [0.0001, 64, "leaky_relu", 0.3, False]
    assert best["kernel_size"] == "5,5,3,3,3"
    assert "43.4%" in train.experiments["best"].documented


def test_the_search_space_is_that_of_the_sweep_and_fits():
    space = read_space(SEARCH_SPACE, train)
    assert size(space) == 2 * 4 * 2 * 2 * 3 * 3 * 3
    assert "5" in space["kernel_size"].values  # the largest: test_block_cnn.py has it at 94 pixels, of 224
    arguments = resolve(train, "cifar10_folders", {})
    shape = (arguments["image_size"], arguments["image_size"], 3)
    zoo.BlockCNN(input_shape=shape, kernel_size="5", padding=arguments["padding"], filters=1)


def documented(**changed):
    arguments = resolve(train, "best", {}) | changed
    names = ("image_size", "resize_size", "horizontal_flip", "vertical_flip", "rotation", "jitter_probability")
    strengths = [arguments[name] for name in ("brightness", "contrast", "saturation", "hue")]
    options = {name: arguments[name] for name in (*names, "erasing")}
    return _augmentation(**options, jitter=augment.ColorJitter(*strengths))


def test_the_augmentation_is_the_documented_one_in_its_order():
    normalize = augment.Normalize(MEAN, MEAN)
    flips = [augment.HorizontalFlip(0.5), augment.VerticalFlip(0.5), augment.Rotation(180.0)]
    *others, erasing = documented()
    assert others == [*flips, augment.PadCrop(0, size=224), normalize]
    assert (erasing.probability, erasing.area, erasing.aspect) == (0.4, (0.02, 0.33), (0.3, 3.3))
    jitter = augment.RandomApply(augment.ColorJitter(0.4, 0.3, 0.2, 0.1), 0.5)
    *others, _ = documented(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1)
    assert others == [*flips, jitter, augment.PadCrop(0, size=224), normalize]
    assert documented(
        horizontal_flip=False, vertical_flip=False, rotation=0.0, erasing=0.0, image_size=32, resize_size=32
    ) == [normalize]


def test_erased_pixels_have_mean_0_and_deviation_1():
    images = np.full((400, 20, 20, 3), 255, "uint8")
    operations = documented(image_size=20, resize_size=20, rotation=0.0)
    erased, _ = augment.transform(operations, images, index=np.arange(400))
    random = erased[(erased != 1).all(-1)]
    assert abs(random.mean()) < 0.05
    assert random.std() == pytest.approx(1, abs=0.1)
    assert np.abs(random).max() <= np.float32(3**0.5)


def test_files_are_read_as_the_write_up_evaluates_them(tmp_path):
    """Resize(64), CenterCrop(56), Normalize(0.5, 0.5) of a grey image twice as large and of another aspect."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 192), "uint8")
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    expected = Image.fromarray(pixels).convert("RGB").resize((96, 64), Image.Resampling.BILINEAR).crop((20, 4, 76, 60))
    preparation = Preparation(64, "crop", 127.5, 127.5, ["a"], crop_size=56)
    read = preparation.read(tmp_path / "grey.png")
    np.testing.assert_array_equal(read, np.asarray(expected))
    np.testing.assert_allclose(preparation.normalize(read), np.asarray(expected) / 127.5 - 1, atol=1e-6)
    kept = json.loads(json.dumps(preparation.to_dict()))
    assert Preparation.from_dict(kept) == preparation
    del kept["crop_size"]  # as files of earlier versions
    assert Preparation.from_dict(kept).crop_size is None
    with pytest.raises(ValueError, match="`crop_size`.*64.*65"):
        Preparation(64, "crop", 127.5, 127.5, ["a"], crop_size=65)


def test_the_validation_is_a_fifth_of_the_training_and_val_is_the_test(photographs, tmp_path):
    found = {seed: find_splits(photographs, seed=seed, validation_as_test=True) for seed in (0, 1)}
    assert {name: len(each) for name, each in found[0].items()} == {"train": 24, "test": 6, "validation": 6}
    for name, count in (("train", 8), ("validation", 2)):
        assert np.bincount(found[0][name].labels).tolist() == [count] * 3
        assert found[0][name].paths != found[1][name].paths
    assert found[0]["test"].paths == find_splits(photographs)["validation"].paths
    for split in ("train", "val", "test"):
        for name in CLASSES:
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(tmp_path / split / name / f"{split}.png")
    with pytest.raises(ValueError, match="test already.*validation_as_test"):
        find_splits(tmp_path, validation_as_test=True)


def test_a_run_and_what_reads_it(photographs, no_pictures, tmp_path):
    options = {"data_dir": str(photographs), "runs": str(tmp_path), "contrast": 0.2, "seed": 4, "epochs": 1}
    record = train("best", **{**SHORT, **options})
    assert (record.data["train"], record.data["validation"], record.data["test"]) == (24, 6, 6)
    assert record.model.input_shape == (None, 16, 16, 3)
    final = record.metrics["final"]
    assert final["val_aca"] == pytest.approx(final["val_accuracy"])  # two ways to crop the middle
    for split, figure in (("validation", "val_aca"), ("test", "test_accuracy")):
        evaluation, _ = evaluate_run(record.folder, photographs, split)
        assert evaluation.aca == pytest.approx(final[figure])
    paths = [str(photographs / path) for path in evaluation.paths]
    again, problems = predict_files(record.folder, paths)
    np.testing.assert_allclose(again.probabilities, evaluation.probabilities, atol=1e-5)
    assert problems == {}


def test_the_demo_is_evaluated_at_the_size_it_was_trained_at(no_pictures, tmp_path):
    options = {**SHORT, "resize_size": 24, "epochs": 1, "batch_size": 400}
    record = train("demo", **options, runs=str(tmp_path))
    evaluation, images = evaluate_run(record.folder)
    assert images.shape[1:3] == (24, 24)
    assert evaluation.aca == pytest.approx(record.metrics["final"]["val_aca"])
    assert "test_accuracy" not in record.metrics["final"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data_dir": None}, "`data_dir`"),
        ({"resize_size": 8}, "`resize_size`.*image_size=16.*8"),
        ({"image_size": 2}, "4 pixels a side.*2"),
        ({"kernel_size": "5,3,3"}, "`kernel_size`.*2 blocks.*'5,3,3'"),
        ({"filters": 0}, "`filters`.*0"),
        ({"activation": "ReLU"}, "`activation`.*'ReLU'"),
        ({"learning_rate": 0.0}, "`learning_rate`.*0"),
        ({"hue": 0.6}, "`hue`.*0.6"),
        ({"erasing": 1.5}, r"`probability`.*1\.5"),
        ({"epochs": 0}, "`epochs`.*0"),
        ({"batch_size": 25}, "`batch_size`.*24.*25"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(photographs, wrong, message, tmp_path):
    options = {**SHORT, "data_dir": str(photographs), "runs": str(tmp_path / "runs"), **wrong}
    with pytest.raises(ValueError, match=message):
        train("best", **options)
    assert not list(tmp_path.iterdir())


def test_exported_class_folders_are_the_data_set(tmp_path, capsys):
    command = ["data", "export", "digits", str(tmp_path / "digits")]
    assert main([*command, "--count", "100"]) == 0
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["all", "100", "25", "125"] in rows
    dataset, whole = load_image_dataset(tmp_path / "digits", 32), load_digits()
    for name in ("train", "validation"):
        images, labels = getattr(dataset, f"{name}_images"), getattr(dataset, f"{name}_labels")
        for path, image, label in zip(getattr(dataset, f"{name}_files").paths, images, labels):
            row = int(path.rpartition("/")[2].removesuffix(".png"))
            np.testing.assert_array_equal(image, getattr(whole, f"{name}_images")[row])
            assert label == getattr(whole, f"{name}_labels")[row]
    shares = np.bincount(dataset.train_labels) / 100 - np.bincount(whole.train_labels) / len(whole.train_labels)
    assert np.abs(shares).max() < 0.01
    assert main(command) == 2
    assert "holds files already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar100"], "cifar100"),
        (["digits", "--count", "9"], "`count` must be from 10 to 1427.*9"),
        (["digits", "--count", "1430"], "`count`.*1437.*1430"),
        (["digits", "--count", "20"], "`validation_count` must be from 10.*5"),
        (["cifar10", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_a_refused_export_leaves_nothing(arguments, message, tmp_path, capsys):
    assert main(["data", "export", arguments[0], str(tmp_path / "out"), *arguments[1:]]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())
