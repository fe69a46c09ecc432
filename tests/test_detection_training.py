"""Training of detectors: the whole chain, averaged weights, figures of epochs, the recipe."""

import csv
import json
import pathlib

import keras
import numpy as np
import pytest
from PIL import Image

import augment
import zoo
from recipes.callbacks import AveragedWeights
from recipes.callbacks import EarlyStopping
from recipes.callbacks import MeasureEpochs
from recipes.coco_retinanet import train
from recipes.data.coco import load_coco
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.shapes import draw_shapes
from recipes.losses import DetectionLoss
from recipes.optimizers import SGD
from recipes.optimizers import Adam
from recipes.optimizers import Grouped
from recipes.training.detection import DetectionModel
from recipes.training.detection import detection_batches
from recipes.training.detector import evaluate
from recipes.training.detector import make_detector
from recipes.training.memory import InMemoryData
from recipes.training.memory import fit
from recipes.training.recipe import resolve

RetinaNet = zoo.RetinaNet


def small_network(classes=3):
    """RetinaNet on a backbone that trains in seconds; its layers are named as those of a ResNet."""
    inputs = x = keras.Input((None, None, 3))
    for number, (stride, filters) in enumerate({4: 16, 8: 32, 16: 48, 32: 64}.items(), 1):
        step = 4 if stride == 4 else 2
        x = keras.layers.Conv2D(filters, max(step, 3), strides=step, padding="same", name=f"conv{number}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.8)(x)
        x = keras.layers.ReLU(name=f"stride{stride}")(x)
    taps = ("stride8", "stride16", "stride32")
    body = keras.Model(inputs, x)
    return RetinaNet(body, taps=taps, classes=classes, channels=32, head_depth=1, frozen_statistics=False)


def compiled(optimizer, loss=None):
    model = DetectionModel(small_network(), loss or DetectionLoss(normalization="batch"))
    model.compile(optimizer, jit_compile=keras.backend.backend() == "jax")
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_shapes(tmp_path_factory.mktemp("shapes"), train=8, validation=2, test=2, image_size=64)


@pytest.fixture(scope="module")
def shapes(folder):
    return load_coco(folder)


@pytest.fixture(scope="module")
def preparation(shapes):
    names = {"class_names": shapes.class_names, "category_ids": shapes.category_ids}
    return DetectionPreparation(image_size=(64, 64), **names)


def test_the_whole_chain_overfits_eight_images(shapes, preparation):
    data = detection_batches(shapes.train, preparation, [augment.HorizontalFlip()], batch_size=8)
    model = compiled(Adam(keras.optimizers.schedules.CosineDecay(5e-3, 150), global_clipnorm=1.0))
    history = fit(model, data, epochs=150).history
    assert history["loss"][-1] == pytest.approx(history["class_loss"][-1] + history["box_loss"][-1], rel=1e-4)
    assert history["loss"][-1] < history["loss"][0] / 100
    evaluation = evaluate(make_detector(model), shapes.train, preparation)
    assert evaluation.metrics()["AP"] >= 0.9
    assert evaluation.per_class()["AP"].min() >= 0.9


def test_fit_and_the_compiled_loop_train_alike_and_leave_the_plain_network(shapes, preparation, tmp_path):
    data = detection_batches(shapes.train, preparation, batch_size=4)
    first = compiled(SGD(1e-3))
    weights = first.get_weights()
    by_loop = fit(first, data, epochs=1).history
    trained = first.get_weights()
    first.set_weights(weights)
    data.set_epoch(0)
    by_fit = first.fit(data, epochs=1, shuffle=False, verbose=0).history
    for name in ("loss", "class_loss", "box_loss"):
        np.testing.assert_allclose(by_loop[name], by_fit[name], rtol=1e-4)
    for one, other in zip(trained, first.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-3)
    first.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not isinstance(loaded, DetectionModel)
    images = data[0][0]
    for name, values in first.predict_on_batch(images).items():
        np.testing.assert_allclose(loaded.predict_on_batch(images)[name], values, atol=1e-6)


def test_padding_rows_boxes_that_left_and_half_precision_do_no_harm(shapes, preparation, mixed_float16):
    """A box of zeros with a label, as augmentation leaves it, is as if it were not there."""
    given = []

    def loss(targets, outputs, image_shape):
        given.append((targets, {name: each.dtype for name, each in outputs.items()}))
        return DetectionLoss(best=True)(targets, outputs, image_shape)

    model = DetectionModel(small_network(), loss)
    model.compile(Adam(1e-3), jit_compile=keras.backend.backend() == "jax")
    images = np.zeros((2, 64, 64, 3), "float32")
    boxes = np.zeros((2, 3, 4), "float32")
    boxes[0, 0] = 8, 8, 40, 40
    labels = np.array([[1, 2, -2], [0, -1, -1]], "int32")
    history = model.fit(images, {"boxes": boxes, "labels": labels}, verbose=0, epochs=2)
    assert np.isfinite(history.history["loss"]).all()
    assert {keras.backend.standardize_dtype(dtype) for dtype in given[0][1].values()} == {"float32"}
    cleaned = np.array([[1, -1, -2], [-1, -1, -1]], "int32")
    losses = []
    for each in (labels, cleaned):
        losses.append(model.evaluate(images, {"boxes": boxes, "labels": each}, verbose=0, return_dict=True))
    assert losses[0] == losses[1]


class Seen(keras.callbacks.Callback):
    """The weights of a model with one of them, at the begin and the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.begins, self.ends = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begins.append(self.model.get_weights()[0].item())

    def on_epoch_end(self, epoch, logs=None):
        self.ends.append(self.model.get_weights()[0].item())
        logs["val_score"] = [1.0, 3.0, 2.0][epoch]


@pytest.mark.parametrize("route", [fit, keras.Model.fit])
@pytest.mark.parametrize("wrapped", [False, True])
def test_epochs_end_with_averaged_weights_and_train_on_with_their_own(route, wrapped):
    """Each step of the training moves the weight by 0.1; its average follows."""
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)])
    optimizer = SGD(0.1, use_ema=True, ema_momentum=0.5)
    optimizer = Grouped([("kernel", optimizer)], default=SGD(0.1)) if wrapped else optimizer
    model.compile(optimizer, lambda y_true, y_pred: y_pred, jit_compile=keras.backend.backend() == "jax")
    start = model.get_weights()[0].item()
    data = InMemoryData(np.ones((4, 1, 1, 1), "float32"), np.ones((4, 1), "float32"), batch_size=2)
    seen, best = Seen(), EarlyStopping("val_score", mode="max")
    arguments = {} if route is fit else {"verbose": 0, "shuffle": False}
    route(model, data, epochs=3, validation_data=data, callbacks=[AveragedWeights(), seen, best], **arguments)
    own = start - 0.1 * np.arange(1, 7)
    average, averages = own[0], []
    for value in own:
        average = 0.5 * average + 0.5 * value
        averages.append(average)
    np.testing.assert_allclose(seen.begins, [start, own[1], own[3]], atol=1e-5)
    np.testing.assert_allclose(seen.ends, averages[1::2], atol=1e-5)
    np.testing.assert_allclose(model.get_weights()[0].item(), averages[3], atol=1e-5)  # of the best epoch


def test_averaged_weights_need_an_average():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(SGD(0.1), "mse")
    with pytest.raises(ValueError, match="`use_ema=True`"):
        model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0, callbacks=[AveragedWeights()])


def test_figures_are_measured_after_the_first_epoch_every_so_many_and_the_last():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    values = iter(range(10))
    measured = MeasureEpochs(lambda: {"AP": next(values)}, every=2)
    best = EarlyStopping("val_AP", patience_epochs=10)  # that more is better is told by the name
    history = model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=5, verbose=0, callbacks=[measured, best])
    assert measured.epochs == [1, 2, 4, 5]
    assert history.history["val_AP"] == [0, 1, 1, 2, 3]
    assert best.best == 3
    with pytest.raises(ValueError, match="`every`.*0"):
        MeasureEpochs(dict, every=0)


def test_boxes_enclose_the_shapes(folder, shapes):
    for path, boxes in zip(shapes.train.paths, shapes.train.boxes):
        image = np.asarray(Image.open(path), "float32")
        colored = image.max(-1) - image.min(-1) > 60  # the ground is grey
        covered = np.zeros_like(colored)
        for left, top, right, bottom in boxes.astype(int):
            inside = colored[top:bottom, left:right]
            assert inside[:2].any() and inside[-2:].any() and inside[:, :2].any() and inside[:, -2:].any()
            covered[top:bottom, left:right] = True
        assert (colored & ~covered).mean() < 0.01
    assert sorted(path.name for path in folder.iterdir()) == ["annotations", "test", "train", "val"]
    assert not shapes.test.annotated
    with pytest.raises(ValueError, match="`image_size`.*32"):
        draw_shapes(folder, image_size=32)


@pytest.fixture
def small_recipe(monkeypatch):
    """The recipe with the small network."""
    monkeypatch.setattr(zoo, "RetinaNet", lambda backbone, *, classes, **arguments: small_network(classes))


def test_a_run_of_images_of_one_size(small_recipe, folder, tmp_path):
    arguments = {"image_size": "64x64", "epochs": 2, "batch_size": 4, "optimizer": "muon", "weight_decay": 1e-4}
    record = train("bccd", data_dir=str(folder), runs=str(tmp_path), quiet=True, precision="float32", **arguments)
    assert record.arguments["data_dir"] == folder.name
    assert {"loss", "class_loss", "box_loss", "val_AP", "val_AP50", "learning_rate"} == set(record.history)
    files = {path.name for path in record.folder.iterdir()}
    assert {"record.json", "model.keras", "history.csv", "predictions.json", "predictions_test.json"} <= files
    with (record.folder / "history.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["val_AP"]) for row in rows] == record.history["val_AP"]
    predicted = json.loads((record.folder / "predictions_test.json").read_text())
    assert {each["image_id"] for each in predicted} <= set(load_coco(folder).test.image_ids)
    assert record.metrics["final"]["val_AP"] == max(record.history["val_AP"])  # the best weights are kept


def test_a_run_of_csv_annotations_at_sizes_of_their_own(small_recipe, folder, shapes, tmp_path):
    table = tmp_path / "train.csv"
    lines = [
        (pathlib.Path(path).name, *box.astype(int), shapes.class_names[label])
        for path, boxes, labels in zip(shapes.train.paths, shapes.train.boxes, shapes.train.labels)
        for box, label in zip(boxes, labels)
    ]
    table.write_text("\n".join(",".join(map(str, line)) for line in lines))
    arguments = {"data": "csv", "train_annotations": str(table), "data_dir": str(folder / "train")}
    arguments |= {"min_side": 64, "epochs": 1, "backbone_weights": None, "validation_fraction": 0.25}
    record = train("model3", **arguments, runs=str(tmp_path), quiet=True, precision="float32")
    assert (record.data["train"], record.data["validation"]) == (6, 2)
    assert record.arguments["train_annotations"] == "train.csv"
    assert np.isfinite(record.history["loss"]).all()


def test_experiments_are_those_of_the_write_up():
    published = [resolve(train, f"model{number}", {}) for number in range(1, 9)]
    names = ("backbone", "epochs", "learning_rate", "seed")
    table = [tuple(arguments[name] for name in names) for arguments in published]
    assert table[:3] == [("resnet50", 20, 1e-4, 0), ("resnet50", 40, 1e-4, 0), ("resnet18", 50, 1e-4, 0)]
    assert table[5:] == [("resnet18", 50, rate, 3407) for rate in (1e-4, 1e-3, 1e-5)]
    for arguments in published:
        assert (arguments["optimizer"], arguments["batch_size"], arguments["drop_last"]) == ("adam", 2, False)
        assert (arguments["prior"], arguments["alpha"], arguments["gamma"]) == (0.01, 0.25, 2.0)
        assert (arguments["clip_norm"], arguments["schedule"], arguments["plateau_epochs"]) == (0.1, "plateau", 3)
    assert "0.304" in train.experiments["model3"].documented


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": "384"}, "`image_size`.*384"),
        ({"warmup_steps": 10, "schedule": "plateau"}, "`warmup_steps`.*plateau"),
        ({"warmup_steps": 10_000}, "`warmup_steps`.*10000"),
        ({"learning_rate": 0.0}, "`learning_rate`"),
        ({"scale_jitter": 1.0}, "`scale_jitter`.*1.0"),
        ({"optimizer": "muon", "frozen_statistics": True}, "frozen_statistics=False"),
        ({"clip_norm": -1.0}, "`clip_norm`.*-1.0"),
        ({"ema": 1.0}, "`ema`.*1.0"),
        ({"evaluate_epochs": 0}, "`every`.*0"),
        ({"data": "csv"}, "`train_annotations`"),
        ({"data": "coco", "data_dir": "nowhere"}, "`data_dir`.*nowhere"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(small_recipe, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        train("demo", runs=str(tmp_path / "runs"), quiet=True, **arguments)
    assert not (tmp_path / "runs").exists()
