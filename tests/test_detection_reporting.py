"""What `zoo eval`, `predict`, `report` and `export` make of a run that has trained a detector."""

import json
import shutil

import keras
import numpy as np
import pandas
import pytest
from PIL import Image
from test_detection_metrics import COCO
from test_detection_metrics import COCOeval

import zoo
from recipes.__main__ import main
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.shapes import CLASS_NAMES
from recipes.data.shapes import draw_shapes
from recipes.export import export_detector
from recipes.export import load_function
from recipes.export import make_function
from recipes.reporting import plots
from recipes.reporting.detection import METRICS
from recipes.reporting.detection import DetectionEvaluation
from recipes.reporting.detection_files import read_results
from recipes.reporting.detection_plots import plot_detections
from recipes.reporting.detection_plots import plot_picture
from recipes.reporting.records import Record
from recipes.reporting.report import report
from recipes.training import session
from recipes.training.file_prediction import predict_files

BOX = {"boxes": [[8, 8, 40, 40], [20, 20, 60, 60]], "labels": [0, 2], "scores": [0.9, 0.2]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four images of validation and two that are not annotated."""
    return draw_shapes(tmp_path_factory.mktemp("data"), train=1, validation=4, test=2, image_size=(64, 96))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a network with random weights, which finds something everywhere."""
    folder = tmp_path_factory.mktemp("run")
    network().save(folder / "model.keras")
    preparation(image_size=None, min_side=64, max_side=96).write(folder)
    record = Record("coco_retinanet", "demo", arguments={"data": "coco", "data_dir": "data"}, epochs=2)
    record.metrics = {"final": {"val_AP": 0.25, "val_AP50": 0.5}, "best": {"epoch": 2, "val_AP": 0.25}}
    record.write(folder / "record.json")
    history = {"loss": [2, 1], "class_loss": [1, 0.5], "box_loss": [1, 0.5], "val_AP": [0.1, 0.25]}
    pandas.DataFrame(history).to_csv(folder / "history.csv", index=False)
    return folder


def network():
    keras.utils.set_random_seed(1)
    inputs = x = keras.Input((None, None, 3))
    for stride, width in ((4, 4), (8, 2), (16, 2), (32, 2)):
        x = keras.layers.Conv2D(8, width, strides=width, padding="same", activation="relu", name=f"to{stride}")(x)
    settings = {"classes": 3, "channels": 8, "head_depth": 1, "prior": 0.3, "frozen_statistics": False}
    network = zoo.RetinaNet(keras.Model(inputs, x), taps=("to8", "to16", "to32"), **settings)
    random = np.random.default_rng(0)
    network.set_weights([each + random.normal(0, 0.15, each.shape) for each in network.get_weights()])
    return network


def preparation(**arguments):
    return DetectionPreparation(class_names=list(CLASS_NAMES), category_ids=[1, 2, 3], **arguments)


def test_eval_gives_what_pycocotools_finds_in_the_files(run, data, tmp_path, capsys):
    assert main(["eval", str(run), "--data-dir", str(data), "--batch-size", "3", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out
    folder = run / "evaluation-validation"
    truth = COCO(str(data / "annotations" / "instances_val.json"))
    evaluation = COCOeval(truth, truth.loadRes(str(folder / "predictions.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    capsys.readouterr()
    evaluation.summarize()
    assert capsys.readouterr().out in lines
    known = json.loads((folder / "metrics.json").read_text())
    assert known["images"] == 4 and tuple(known["metrics"]) == METRICS
    np.testing.assert_allclose(list(known["metrics"].values()), evaluation.stats, rtol=0, atol=1e-12)
    assert (folder / "detections.png").is_file() and (folder / "precision_recall.png").is_file()
    table = pandas.read_csv(folder / "per_class.csv")
    assert table["class"].tolist() == list(CLASS_NAMES)
    assert table["AP"].mean() == pytest.approx(evaluation.stats[0], abs=1e-12)

    page = report([run])
    for text in (
        "AP: Evaluation on validation",
        "Precision and recall",
        "AP_medium",
        "validation AP 0.250",
        "triangle",
    ):
        assert text in page
    assert page.count("data:image/png") == 4  # loss, AP, precision and recall, detections
    comparison = report([run, shutil.copytree(run, tmp_path / "other")])
    assert "best epoch&#x27;s AP" in comparison and ">ACA<" not in comparison


def test_eval_without_annotations_and_with_others(run, data, capsys):
    arguments = ["eval", str(run), "--data-dir", str(data), "--batch-size", "2"]
    assert main([*arguments, "--split", "test"]) == 0
    assert "2 images of test, not annotated" in capsys.readouterr().out
    left = sorted(path.name for path in (run / "evaluation-test").iterdir())
    assert left == ["detections.png", "predictions.json"]
    assert "Images that are not annotated" in report([run])
    shutil.rmtree(run / "evaluation-test")
    given = data / "annotations" / "instances_val.json"
    assert main(["eval", str(run), "--data-dir", str(data / "val"), "--annotations", str(given)]) == 0
    first, second = (run / f"evaluation-{name}" / "metrics.json" for name in ("validation", "instances_val"))
    if first.is_file():
        first, second = (json.loads(path.read_text())["metrics"]["AP"] for path in (first, second))
        assert first == pytest.approx(second, abs=1e-6)


def test_predict_draws_images_of_any_size(run, data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = [str(path) for path in sorted((data / "val").iterdir())[:2]]
    large = tmp_path / "large.png"
    Image.open(paths[0]).resize((960, 640)).save(large)
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert main(["predict", str(run), *paths, str(large), "bad.png"]) == 2
    assert "bad.png" in capsys.readouterr().err and not (tmp_path / "predictions.csv").exists()
    assert main(["predict", str(run), *paths, str(large), "bad.png", "--skip-bad", "--picture", "grid.png"]) == 0
    assert "left out: bad.png" in capsys.readouterr().out
    table = pandas.read_csv("predictions.csv")
    assert set(table["path"]) == {*paths, str(large)} and set(table["class"]) <= set(CLASS_NAMES)
    assert (table["score"] > 0.05).all() and (table["right"] > table["left"]).all()
    assert table[table["path"] == str(large)]["right"].max() > 96  # in the pixels of the file
    with Image.open(tmp_path / "predictions" / "large.png") as drawn:
        assert drawn.size == (960, 640)
        assert np.abs(np.float32(drawn.convert("RGB")) - np.float32(Image.open(large))).max() > 50  # boxes
    assert main(["predict", str(run), paths[0], "--output", "all.json", "--pictures", "drawn"]) == 0
    found = read_results("all.json", [paths[0]], [1, 2, 3])[0]
    expected = predict_files(run, paths[:1])[0].detections[0]
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-4)
    np.testing.assert_array_equal(found["labels"], expected["labels"])
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["val_001.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eval", "RUN"], "--data-dir"),
        (["eval", "RUN", "--data-dir", "DATA", "--submission", "s.csv"], "--submission is for runs that classify"),
        (["eval", "RUN", "--data-dir", "DATA", "--batch-size", "0"], "`batch_size`"),
        (["eval", "RUN", "--data-dir", "OTHER"], "has the classes disc, the model disc, square, triangle"),
        (["predict", "RUN", "DATA", "--output", "nowhere/p.csv"], "no folder nowhere"),
        (["export", "RUN", "--output", "nowhere/model"], "no folder nowhere"),
        (["export", "nowhere"], "nowhere does not exist"),
        (["eval", "nowhere", "--threshold", "0.5"], "nowhere does not exist"),
    ],
)
def test_bad_arguments(run, data, tmp_path, arguments, message, capsys):
    other = shutil.copytree(data, tmp_path / "other")
    for path in (other / "annotations").iterdir():
        content = json.loads(path.read_text())
        content["annotations"] = [each for each in content["annotations"] if each["category_id"] == 1]
        path.write_text(json.dumps(content | {"categories": content["categories"][:1]}))
    named = {"RUN": run, "DATA": data, "OTHER": other}
    assert main([str(named.get(each, each)) for each in arguments]) == 2
    assert message in capsys.readouterr().err


def test_results_that_are_none_are_refused(tmp_path):
    path = tmp_path / "results.json"
    row = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}
    for content in ({}, [row | {"image_id": 2}], [row | {"category_id": 2}], [row | {"bbox": [1, 2]}], [3]):
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match="results.json"):
            read_results(path, [1], [1])
    path.write_text(json.dumps([row, row | {"score": 0.75}]))
    assert read_results(path, [3, 1], [1])[1]["scores"].tolist() == [0.75, 0.5]


def test_pictures_show_boxes_where_they_are(tmp_path):
    image = np.zeros((480, 640, 3), "uint8")
    truth = {"boxes": BOX["boxes"], "labels": BOX["labels"], "crowds": [True, False]}
    figure = plot_detections([image], [BOX], [truth], CLASS_NAMES)
    found, there = figure.axes
    assert [text.get_text() for text in found.texts] == ["disc 90%"]  # the other is below the threshold
    assert found.patches[0].get_bbox().extents.tolist() == [8, 8, 40, 40]
    assert [patch.get_hatch() for patch in there.patches] == ["///", None] and len(there.texts) == 2
    with pytest.raises(ValueError, match="`truth` must be as many as `images`"):
        plot_detections([image], [BOX], [])
    plots.save(plot_picture(image, BOX, CLASS_NAMES, threshold=0.5), tmp_path / "boxes.png")
    with Image.open(tmp_path / "boxes.png") as picture:
        drawn = np.asarray(picture.convert("RGB"))
    assert drawn.shape == image.shape
    assert drawn[8, 20:38].max() > 100 and drawn[20:36, 40].max() > 100  # the upper and the right side
    assert not drawn[70:].any() and not drawn[:, 100:].any()


def test_history_of_a_detector_has_its_panels():
    figure = plots.plot_history({"loss": [2, 1], "box_loss": [1, 0.5], "val_AP": [0.1, 0.2], "val_AP50": [0.2, 0.4]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "AP"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]


def test_exports_detect_without_the_library(run, tmp_path, backend):
    model = keras.models.load_model(run / "model.keras", compile=False)
    path = tmp_path / "detector"
    if backend != "tensorflow":
        with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
            export_detector(model, preparation(), path)
        return
    options = {"candidates": 50, "detections": 10, "score_threshold": 0.2}
    images = _faint(3)
    expected = make_function(model, preparation(), **options).predict_on_batch(images)
    assert (expected["scores"] > 0.2).all()
    with pytest.raises(ValueError, match="ONNX needs an `image_size`"):
        export_detector(model, preparation(), path, "onnx")
    for format, size in (("saved_model", None), ("onnx", (64, 96))):
        assert export_detector(model, preparation(), path, format, size, **options) == path
        given = load_function(path)(images)
        np.testing.assert_allclose(given["scores"], expected["scores"], atol=1e-5)
        for mine, theirs in zip(_rows(given), _rows(expected)):  # scores that are nearly the same may change places
            np.testing.assert_allclose(np.abs(mine[:, None] - theirs).max(-1).min(1), 0, atol=1e-3)
        assert [each.name for each in tmp_path.iterdir()] == ["detector"]  # nothing half-done


def test_half_precision_is_exported_in_float32(tmp_path, backend):
    """ONNX Runtime convolves in no bfloat16; the weights are float32 in any case."""
    if backend != "tensorflow":
        return  # TensorFlow alone exports
    with session.session(0, "mixed_bfloat16"):
        half = network()
    assert half.get_layer("to8").compute_dtype == "bfloat16"
    exact = network()
    exact.set_weights(half.get_weights())
    images = _faint(2)
    options = {"candidates": 50, "detections": 10, "score_threshold": 0.2}
    path = export_detector(half, preparation(), tmp_path / "detector.onnx", "onnx", (64, 96), **options)
    expected = make_function(exact, preparation(), **options).predict_on_batch(images)["scores"]
    np.testing.assert_allclose(load_function(path)(images)["scores"], expected, atol=1e-5)


def _faint(count):
    """Images whose scores are not all but 1: where they are equal, rounding would choose among the boxes."""
    return np.random.default_rng(1).uniform(110, 130, (count, 64, 96, 3)).astype("float32")


def _rows(found):
    """Boxes and labels of each image, as rows."""
    return np.concatenate([found["boxes"], found["labels"][..., None]], axis=-1)


def test_evaluation_of_a_class_named_like_nothing(tmp_path):
    """Tables are read back as they were written, whatever the names."""
    from recipes.reporting.detection_files import write_detections
    from recipes.reporting.report_detections import read

    evaluation = DetectionEvaluation([BOX], [BOX], ["NA", "<b>", "a,b"])
    write_detections(tmp_path, evaluation)
    assert read(tmp_path)["classes"]["class"].tolist() == ["NA", "<b>", "a,b"]
    assert read(tmp_path)["metrics"] == evaluation.metrics()
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(ValueError, match="no evaluation of detections"):
        read(tmp_path)
