"""The recipes for images of cells: experiments, what they keep of a training, and what reads their runs."""

import inspect
import json

import keras
import numpy as np
import pandas
import pytest
from conftest import few
from PIL import Image

import recipes.data.image_source
import recipes.training.prediction
import zoo
from recipes import hep2_alexnet
from recipes import leukemia_resnet
from recipes.__main__ import main
from recipes.data.preparation import read_preparation
from recipes.reporting import plots
from recipes.training import routes
from recipes.training import session
from recipes.training.prediction import evaluate_run
from recipes.training.recipe import resolve
from recipes.training.routes import Route

COLORS = {"Golgi": (200, 60, 60), "nuclear dots": (60, 200, 60), "speckled": (60, 60, 200)}
SHORT = {"epochs": 2, "batch_size": 8, "image_size": 16, "precision": "float32", "quiet": True}
MODULES = {"hep2_alexnet": hep2_alexnet, "leukemia_resnet": leukemia_resnet}
EXPERIMENTS = [(recipe, name) for recipe, module in MODULES.items() for name in module.EXPERIMENTS]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Images of three colours, 8 of each for training and for validation, in folders and in csv files."""
    folder, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 8), ("test", 2)):
        rows = []
        for label, (name, color) in enumerate(COLORS.items()):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                image = np.clip(np.array(color) + rng.normal(0, 50, (40, 44, 3)), 0, 255).astype("uint8")
                path = folder / split / name / f"{number}.png"
                Image.fromarray(image).save(path)
                rows.append({"Path": str(path.relative_to(folder)), "label": label})
        table = pandas.DataFrame(rows)
        table[["Path", "label"] if split != "test" else ["Path"]].to_csv(folder / f"{split}.csv", index=False)
    return folder


def narrow(builder):
    """What stands for a network where that is not the matter: it has its arguments, and trains in a second."""

    def build(classes, input_shape, **arguments):
        inspect.signature(builder).bind(classes=classes, input_shape=input_shape, **arguments)
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input(input_shape),
                layers.Conv2D(4, 4, strides=4),
                layers.ReLU(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(classes, dtype="float32"),
            ]
        )

    return build


class NoPicture:
    def savefig(self, *arguments, **options):
        pass


@pytest.fixture
def small(monkeypatch):
    """Narrow networks, few digits, and no pictures."""
    for name in ("AlexNet", *leukemia_resnet.ARCHITECTURES):
        monkeypatch.setattr(zoo, name, narrow(getattr(zoo, name)))
    for module in (recipes.data.image_source, recipes.training.prediction):
        monkeypatch.setattr(module, "load_digits", few)
    for name in ("plot_history", "plot_learning_rate", "plot_images", "plot_confusion_matrix"):
        monkeypatch.setattr(plots, name, lambda *arguments, **options: NoPicture())


@pytest.fixture(scope="module")
def runs(cells, tmp_path_factory):
    """The records of two real runs, of AlexNet and ResNet18 at their smallest."""
    folder, records = str(tmp_path_factory.mktemp("runs")), {}
    arguments = {**SHORT, "epochs": 1, "data_dir": str(cells), "layout": "folders", "runs": folder}
    records["hep2_alexnet"] = hep2_alexnet.train(
        "rotation_flip", **{**arguments, "image_size": 63}, hidden_units="16", weight_decay=1e-4
    )
    records["leukemia_resnet"] = leukemia_resnet.train("resnet18", **{**arguments, "image_size": 32})
    return records


@pytest.mark.parametrize(("recipe", "name"), EXPERIMENTS)
def test_experiments_train_and_keep_the_best(recipe, name, small, cells, tmp_path):
    demo = name == "demo"
    images = {"batch_size": 40} if demo else {"data_dir": str(cells), "layout": "folders"}
    if resolve(MODULES[recipe].train, name, {}).get("evaluate_steps"):
        images["evaluate_steps"] = 3  # an epoch
    record = MODULES[recipe].train(name, **{**SHORT, **images}, runs=str(tmp_path))
    classes = [str(digit) for digit in range(10)] if demo else ["Golgi", "nuclear_dots", "speckled"]
    measured = ["aca", "mca", *(f"accuracy/{each}" for each in classes)]
    assert {f"{split}{each}" for split in ("", "val_") for each in measured} <= set(record.history)
    assert len(record.history["loss"]) == 2 and np.isfinite(record.history["loss"]).all()
    final = record.metrics["final"]
    assert final["val_accuracy"] == pytest.approx(final["val_aca"]) == max(record.history["val_accuracy"])
    assert final["val_mca"] == pytest.approx(np.mean([final[f"val_accuracy/{each}"] for each in classes]))
    assert read_preparation(record.folder).image_size == (16, 16)
    if demo:  # of images in folders: below
        evaluation, _ = evaluate_run(record.folder)
        assert evaluation.aca == pytest.approx(final["val_aca"])


@pytest.mark.parametrize("recipe", MODULES)
def test_commands_find_what_the_run_found(recipe, runs, cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = runs[recipe]
    for name in ("predictions.csv", "per_class.csv", "confusion_matrix.png", "preparation.json", "samples.png"):
        assert (record.folder / name).is_file()
    before = {path.name for path in record.folder.iterdir()}
    assert main(["eval", str(record.folder), "--data-dir", str(cells), "--device", "cpu", "--batch-size", "5"]) == 0
    figures = json.loads((record.folder / "evaluation-validation" / "metrics.json").read_text())
    for name, value in figures["metrics"].items():
        assert value == pytest.approx(record.metrics["final"][f"val_{name}"])
    own = pandas.read_csv(record.folder / "predictions.csv")
    again = pandas.read_csv(record.folder / "evaluation-validation" / "predictions.csv")
    pandas.testing.assert_frame_equal(own, again, atol=1e-4)
    options = ["--submission", "kaggle.csv", "--id-column", "Path", "--label-column", "label"]
    assert main(["predict", str(record.folder), str(cells / "test.csv"), *options]) == 0
    assert len(pandas.read_csv("kaggle.csv")) == 6
    assert main(["report", str(record.folder)]) == 0
    assert record.experiment in (tmp_path / "report.html").read_text()
    assert {path.name for path in record.folder.iterdir()} - before == {"evaluation-validation"}


@pytest.mark.parametrize("recipe", MODULES)
def test_folders_and_csv_files_are_the_same_images(recipe, small, cells, tmp_path):
    arguments = {**SHORT, "data_dir": str(cells), "runs": str(tmp_path), "pipeline": "numpy"}
    records = [MODULES[recipe].train(**arguments, layout=layout) for layout in ("folders", "csv")]
    assert records[0].history["loss"] == records[1].history["loss"]
    assert records[1].data["test"] == 6
    names = [read_preparation(record.folder).class_names for record in records]
    assert names == [list(COLORS), ["0", "1", "2"]]


def test_evaluation_repeats_the_split_of_the_run(small, cells, tmp_path):
    """Where no validation is given, the seed of the run says what was split off."""
    arguments = {**SHORT, "data_dir": str(cells / "train"), "runs": str(tmp_path), "epochs": 1}
    split = []
    for seed in (3, 4):
        record = leukemia_resnet.train(**arguments, validation_fraction=0.5, seed=seed)
        evaluation, _ = evaluate_run(record.folder, cells / "train")
        assert evaluation.paths == list(pandas.read_csv(record.folder / "predictions.csv")["path"])
        assert len(evaluation) == 12
        split.append(evaluation.paths)
    assert split[0] != split[1]


def test_routes_give_the_same_training(small, cells, tmp_path):
    pytest.importorskip("tensorflow")
    arguments = {**SHORT, "data_dir": str(cells), "runs": str(tmp_path), "epochs": 1}
    losses = [leukemia_resnet.train(**arguments, pipeline=each).history["loss"] for each in routes.PIPELINES[1:]]
    np.testing.assert_allclose(losses, np.broadcast_to(losses[0], (3, 1)), rtol=1e-3)


def test_the_route_is_chosen_by_backend_device_and_data(backend, monkeypatch):
    images = np.zeros((4, 8, 8, 3), "uint8")
    on_cpu = "tf.data" if backend == "tensorflow" else "numpy"
    monkeypatch.setattr(session, "on_accelerator", lambda: False)
    assert routes.choose_pipeline("auto", images) == on_cpu
    monkeypatch.setattr(session, "on_accelerator", lambda: True)
    assert routes.choose_pipeline("auto", images) == "memory"
    assert routes.choose_pipeline("auto", images.view(np.memmap)) == on_cpu
    monkeypatch.setattr(routes, "_ON_DEVICE", images.nbytes - 1)
    assert routes.choose_pipeline("auto", images) == on_cpu


def test_patience_in_epochs_is_that_of_the_write_up_in_steps():
    """Of 8,707 images, 3 epochs are 408, 204 and 102 steps at batches of 64, 128 and 256."""
    for name, steps in (("three_epochs_64", 408), ("three_epochs_128", 204), ("batch_256", 102)):
        arguments = resolve(hep2_alexnet.train, name, {})
        assert arguments["early_stop_epochs"] * (8707 // arguments["batch_size"]) == steps


def test_documented_settings():
    arguments = resolve(hep2_alexnet.train, "relaxed_steps", {})
    names = ("schedule", "base_lr", "lr_step_size", "lr_gamma")
    schedule = hep2_alexnet._learning_rate(*(arguments[name] for name in names), 1000)
    np.testing.assert_allclose([schedule(step) for step in (0, 199, 200, 400)], [0.003, 0.003, 0.0015, 0.00075])
    arguments = resolve(leukemia_resnet.train, "resnet18", {})
    names = ("epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "image_size", "rotation")
    assert [arguments[name] for name in names] == [120, 32, "sgd", 0.001, 0.9, 1e-5, 350, 20]


def test_a_plateau_lowers_the_rate_and_no_progress_ends_the_training(small, cells, tmp_path):
    arguments = {**SHORT, "data_dir": str(cells), "runs": str(tmp_path), "epochs": 9, "base_lr": 1e-6}
    record = hep2_alexnet.train("plateau", **arguments, plateau_epochs=1.0, early_stop_epochs=3.0)
    np.testing.assert_allclose(record.history["learning_rate"], [1e-6, 1e-6, 1e-6, 1e-7], rtol=1e-3)


def test_early_stopping_in_steps_looks_between_the_epochs(small, cells, tmp_path, monkeypatch):
    """Of 3 steps an epoch: evaluated after 2, 4 and 6, of which the first is the best."""
    made = []
    monkeypatch.setattr(plots, "plot_learning_rate", lambda rates, epochs: made.append(rates) or NoPicture())
    arguments = {**SHORT, "data_dir": str(cells), "runs": str(tmp_path), "epochs": 9, "base_lr": 1e-12}
    record = hep2_alexnet.train("first_copy", **arguments, early_stop_steps=3, evaluate_steps=2)
    assert len(record.history["loss"]) == 2
    assert len(made[0]) == 6
    hep2_alexnet.train("first_copy", **arguments, early_stop_steps=2, evaluate_steps=2)
    assert len(made[1]) == 4


def test_growth_makes_fewer_updates_and_its_rates_are_those_of_updates(small, cells, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(plots, "plot_learning_rate", lambda rates, epochs: made.append(rates) or NoPicture())
    arguments = {**SHORT, "data_dir": str(cells), "runs": str(tmp_path), "epochs": 3}
    record = hep2_alexnet.train("adabatch", **arguments, growth="1:2,2:2", schedule="one_cycle")
    assert record.history["accumulation_steps"] == [1, 2, 4]
    optimizer = record.model.optimizer
    assert int(keras.ops.convert_to_numpy(optimizer.iterations)) == 3 + 2 + 1
    rate = optimizer.main._learning_rate
    np.testing.assert_allclose(made[0], [rate(update) for update in (0, 1, 2, 3, 3, 4, 5, 5, 5)], rtol=1e-5)
    record = hep2_alexnet.train("adabatch", **arguments, growth="1:2", growth_lr_factor=0.5)
    np.testing.assert_allclose(record.history["learning_rate"], [0.003, 0.0015, 0.0015], rtol=1e-5)


def test_a_range_test_of_a_growing_batch(small, cells):
    arguments = {**SHORT, "data_dir": str(cells), "accumulation_steps": 2}
    test = hep2_alexnet.train.find_lr("adabatch", min_lr=1e-4, max_lr=1e-2, steps=4, **arguments)
    assert len(test.losses) == 4


def test_cells_are_turned_before_their_middle_is_cut_out(small, tmp_path, monkeypatch):
    """Of images that are white all over, nothing black is seen where a smaller one would have had corners."""
    for name in ("normal", "leukemia"):
        (tmp_path / "white" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (60, 60), (255, 255, number)).save(tmp_path / "white" / name / f"{number}.png")
    seen, make = [], Route.batches
    monkeypatch.setattr(Route, "batches", lambda *given, **named: seen.append(make(*given, **named)) or seen[-1])
    arguments = {**SHORT, "image_size": 32, "epochs": 1, "data_dir": str(tmp_path / "white"), "pipeline": "numpy"}
    for rotation in (20.0, 90.0):
        leukemia_resnet.train(**arguments, rotation=rotation, runs=str(tmp_path / "runs"))
        images = np.asarray(seen[-1][0][0])
        assert images.shape == (8, 32, 32, 3)
        assert images[..., :2].min() == images.max() == 1.0


@pytest.mark.parametrize(
    ("recipe", "wrong", "message"),
    [
        ("hep2_alexnet", {"data_dir": None}, "`data_dir`"),
        ("hep2_alexnet", {"data_dir": "nowhere"}, "nowhere"),
        ("hep2_alexnet", {"image_size": 40}, "63.*40"),
        ("hep2_alexnet", {"batch_size": 25}, "`batch_size`.*24.*25"),
        ("hep2_alexnet", {"hidden_units": "4096,many"}, "`hidden_units`.*'4096,many'"),
        ("hep2_alexnet", {"growth": "20"}, "`growth`.*'20'"),
        ("hep2_alexnet", {"growth": "20:1"}, "20: 1"),
        ("hep2_alexnet", {"accumulation_steps": 0}, "`accumulation_steps`.*0"),
        ("hep2_alexnet", {"growth": "1:2", "growth_lr_factor": 0.5, "schedule": "step"}, "'step'.*growth_lr_factor"),
        ("hep2_alexnet", {"early_stop_steps": 30}, "`early_stop_epochs` or `early_stop_steps`"),
        ("hep2_alexnet", {"early_stop_epochs": -1.0}, "`early_stop_epochs`.*-1"),
        ("hep2_alexnet", {"evaluate_steps": -1}, "`steps`.*-1"),
        ("hep2_alexnet", {"threads": 0}, "`threads`.*0"),
        ("hep2_alexnet", {"base_lr": 0.0}, "`base_lr`.*0"),
        ("hep2_alexnet", {"lr_gamma": 1.5}, "`factor`.*1.5"),
        ("hep2_alexnet", {"data": "digits", "image_size": 70}, "`image_size`.*70"),
        ("leukemia_resnet", {"data_dir": None}, "`data_dir`"),
        ("leukemia_resnet", {"image_size": 16}, "32.*16"),
        ("leukemia_resnet", {"epochs": 0}, "`epochs`.*0"),
        ("leukemia_resnet", {"learning_rate": -0.1}, "`learning_rate`.*-0.1"),
        ("leukemia_resnet", {"architecture": "ResNet20"}, "`architecture`.*'ResNet20'"),
        ("leukemia_resnet", {"path_column": "File"}, "'File'.*Path"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(recipe, wrong, message, cells, tmp_path):
    arguments = {**SHORT, "image_size": 64, "data_dir": str(cells), "runs": str(tmp_path / "runs"), **wrong}
    with pytest.raises(ValueError, match=message):
        MODULES[recipe].train(**arguments)
    assert not list(tmp_path.iterdir())
