"""Grad-CAM and feature maps against torch, closed forms and hand-made networks; the pictures; `zoo explain`."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import zoo
from recipes.__main__ import main
from recipes.data.detection_preparation import DetectionPreparation
from recipes.data.preparation import Preparation
from recipes.reporting.explanation import feature_maps
from recipes.reporting.explanation import filters
from recipes.reporting.explanation import find_layer
from recipes.reporting.explanation import grad_cam
from recipes.reporting.explanation import spatial_layers
from recipes.reporting.explanation_plots import overlay
from recipes.reporting.explanation_plots import plot_classes
from recipes.reporting.explanation_plots import plot_feature_maps
from recipes.reporting.explanation_plots import plot_filters
from recipes.reporting.metrics import Evaluation
from recipes.reporting.records import Record
from recipes.reporting.report import report

layers = keras.layers


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def averaging(weights, ending=None, **options):
    """A network whose classes are weighted sums of the mean pixel of each channel: its maps can be written down."""
    channels, classes = weights.shape
    first = options.get("data_format") == "channels_first"
    model = keras.Sequential(
        [
            keras.Input((channels, 4, 4) if first else (4, 4, channels)),
            layers.Activation("linear", name="seen"),
            layers.GlobalAveragePooling2D(**options),
            layers.Dense(classes, use_bias=False, activation=ending if isinstance(ending, str) else None),
            *([layers.Softmax()] if ending is layers.Softmax else []),
        ]
    )
    next(each for each in model.layers if each.weights).set_weights([weights])
    return model


@pytest.mark.parametrize("ending", [None, "softmax", "sigmoid", layers.Softmax])
def test_maps_of_a_network_that_can_be_written_down(ending):
    """However sure the network is, the score is what stands before its softmax."""
    weights, images = 60 * draw(3, 5), draw(3, 4, 4, 3, seed=1)
    model = averaging(weights, ending)
    before = keras.ops.convert_to_numpy(model(images))
    classes = [4, 0, 2]
    expected = np.stack([np.maximum(image @ weights[:, each], 0) / 16 for image, each in zip(images, classes)])
    np.testing.assert_allclose(grad_cam(model, images, classes, batch_size=2), expected, rtol=1e-4, atol=1e-4)
    own = (images.mean((1, 2)) @ weights).argmax(-1)
    np.testing.assert_allclose(grad_cam(model, images), grad_cam(model, images, own), rtol=1e-6)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(images)), before)
    assert not [each for each in model.layers if "call" in vars(each)], "the layers are as they were"


def test_maps_of_channels_that_come_first(monkeypatch):
    weights, images = draw(3, 5), draw(2, 4, 4, 3, seed=1)
    expected = grad_cam(averaging(weights), images, 1)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model, moved = averaging(weights, data_format="channels_first"), np.moveaxis(images, -1, 1)
        np.testing.assert_allclose(grad_cam(model, moved, 1), expected, rtol=1e-5)
        np.testing.assert_array_equal(feature_maps(model, moved), images)
        assert spatial_layers(model, moved) == {"seen": (4, 4, 3)}
    finally:
        keras.config.set_image_data_format(before)


def test_maps_of_a_detector_are_of_the_score_that_is_given():
    """Outputs in a dictionary, not all of which depend on the layer; half precision inside."""
    images = keras.Input((4, 4, 2))
    seen = layers.Activation("relu", name="seen", dtype="mixed_bfloat16")(images)
    model = keras.Model(images, {"boxes": layers.Flatten()(images), "scores": seen})
    pixels = np.abs(draw(1, 4, 4, 2))
    found = grad_cam(model, pixels, layer="seen", score=lambda outputs: outputs["scores"][:, 1, 2, 0])
    np.testing.assert_allclose(found[0], pixels[0, ..., 0] / 16, rtol=2e-2)
    without = grad_cam(model, pixels, layer="seen", score=lambda outputs: outputs["boxes"][:, 0])
    assert without.shape == (1, 4, 4) and not without.any()
    with pytest.raises(ValueError, match="Give a `score`"):
        grad_cam(model, pixels)


def test_a_network_of_keras_applications_inside_another():
    """Before a mean and a dense layer the maps are Zhou's class activation maps: features times weights."""
    backbone = keras.applications.MobileNet((64, 64, 3), alpha=0.25, include_top=False, weights=None, name="inside")
    images = keras.Input((64, 64, 3))
    x = layers.GlobalAveragePooling2D()(backbone(layers.Rescaling(2.0)(images)))
    model = keras.Model(images, layers.Dense(4, activation="softmax", name="head")(layers.Dropout(0.5)(x)))
    pixels = draw(2, 64, 64, 3)
    name = "inside/conv_pw_5_relu"
    assert name in spatial_layers(model, pixels) and find_layer(model, pixels, "conv_pw_5_relu") == name
    assert find_layer(model, pixels) == "inside"
    maps = feature_maps(model, pixels, "inside")
    kernel = model.get_layer("head").get_weights()[0]
    expected = np.maximum((maps @ kernel)[..., 2], 0) / 4
    np.testing.assert_allclose(grad_cam(model, pixels, 2), expected, rtol=1e-3, atol=1e-7)
    assert filters(model)[0] == "inside/conv1" and filters(model)[1].shape == (3, 3, 3, 8)


TORCH_LAYERS = {"conv4_block2_out": "layer3", "conv5_block1_1_conv": "layer4.0.conv1"}


def test_maps_of_a_resnet_are_those_of_torch(tmp_path):
    """A layer that ends in a shortcut and begins one, and a layer beside one."""
    from test_weights import reference_resnet
    from test_weights import save
    from test_weights import torchvision

    _, torch = torchvision()
    net = reference_resnet("ResNet18").eval()
    path = save(net, tmp_path / "resnet.pth")
    model = zoo.ResNet18(weights=path, input_shape=(48, 48, 3), classes=7)
    images, classes = draw(2, 48, 48, 3), [5, 1]
    pixels = torch.tensor(images.transpose(0, 3, 1, 2))
    for ours, theirs in TORCH_LAYERS.items():
        kept = []
        hook = net.get_submodule(theirs).register_forward_hook(lambda module, inputs, output: kept.append(output))
        scores = net(pixels)[range(2), classes]
        hook.remove()
        gradients = torch.autograd.grad(scores.sum(), kept[0])[0]
        expected = torch.relu((gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1)).detach().numpy()
        found = grad_cam(model, images, classes, ours)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found / expected.max(), expected / expected.max(), atol=1e-3)
    maps = kept[0].detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(feature_maps(model, images, ours), maps, atol=1e-3 * np.abs(maps).max())


def test_layers_that_cannot_be_explained_are_refused():
    shared = layers.Conv2D(2, 3, padding="same", name="shared")
    images = keras.Input((4, 4, 2))
    pooled = layers.GlobalAveragePooling2D(name="pooled")(layers.ReLU(name="last")(shared(shared(images))))
    model, pixels = keras.Model(images, pooled, name="twice"), draw(1, 4, 4, 2)
    for layer in ("shared", "pooled", "nowhere"):
        with pytest.raises(ValueError, match=f"'{layer}' is no layer that is called once.* Those of twice: last"):
            grad_cam(model, pixels, layer=layer)
    for classes in (2, -1, 0.5, [0.0]):
        with pytest.raises(ValueError, match="`classes` must be integers from 0 to 1"):
            grad_cam(model, pixels, classes)
    with pytest.raises(ValueError, match="Received both"):
        grad_cam(model, pixels, 1, score=lambda outputs: outputs[:, 0])
    with pytest.raises(ValueError, match="Received: 0, 16"):
        grad_cam(model, pixels[:0])
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="flat")
    with pytest.raises(ValueError, match="flat has no layer of feature maps"):
        grad_cam(dense, draw(1, 4))
    with pytest.raises(ValueError, match="flat has no 2D convolution. Those that it has: none"):
        filters(dense)
    assert "call" not in vars(shared)


def test_detectors_are_not_explained_by_the_command(tmp_path, capsys):
    DetectionPreparation(class_names=["cell"], category_ids=[1]).write(tmp_path)
    assert main(["explain", str(tmp_path)]) == 2
    assert "zoo explain is for runs that classify: this one detects objects. zoo predict" in capsys.readouterr().err


def texts(figure):
    return [(text.get_text(), text.get_color()) for text in figure.axes[0].texts]


def test_predictions_of_three_classes_with_confidences():
    labels = np.repeat([0, 1, 2, 4, 5], [12, 3, 2, 5, 2])  # of class 3 there is none
    predicted = labels.copy()
    predicted[[0, 1, 12, 13, 17]] = 3
    evaluation = Evaluation(labels, 0.1 + 0.4 * np.eye(6)[predicted], list("abcdef"))
    images = np.arange(24, dtype="uint8")[:, None, None, None] * np.ones((8, 8, 3), "uint8")
    figure = plot_classes(evaluation, images)
    shown = texts(figure)
    headings = [text for text, _ in shown if ":" in text]
    assert headings == ["c: 2 of 2 right", "a: 10 of 12 right", "b: 1 of 3 right"], "best, middle, worst"
    assert shown[1:3] == [("c 50%", "#1a7f37")] * 2
    assert shown[4] == ("d 50%", "#cf222e")
    pixels = [int(image.get_array()[0, 0, 0]) for image in figure.axes[0].images]
    assert pixels == [15, 16, 0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14], "ten of twelve, from all over"
    unknown = Evaluation(None, evaluation.probabilities, evaluation.class_names)
    assert [text for text, _ in texts(plot_classes(unknown, images)) if ":" in text] == [
        "a: predicted",
        "d: predicted",
        "e: predicted",
    ]
    with pytest.raises(ValueError, match=r"None of the classes.*\[3\]"):
        plot_classes(evaluation, images, classes=[3])


def test_overlays_are_grey_where_nothing_is_and_bright_where_most_is():
    image = np.zeros((8, 8, 3), "uint8") + np.array([90, 120, 150], "uint8")
    values = np.zeros((4, 4))
    values[1, 2] = 1e-6
    shown = overlay(image, values).astype(int)
    assert (shown[5:] == 120).all()
    spread = np.ptp(shown, axis=-1)
    assert np.unravel_index(spread.argmax(), spread.shape) in [(row, column) for row in (2, 3) for column in (4, 5)]


def test_pictures_of_maps_and_filters():
    maps = np.zeros((2, 4, 4, 5))
    maps[0, 1, 1, 4], maps[1, 2, 3, 4], maps[0, 0, 0, 2] = 1.0, 2.0, 0.5
    figure = plot_feature_maps(np.zeros((2, 8, 8, 3), "uint8"), maps, count=2)
    assert [text for text, _ in texts(figure)] == ["image", "channel 2", "channel 4"] * 2
    first, second = (figure.axes[0].images[number].get_array() for number in (2, 5))
    np.testing.assert_array_equal(first[0, 0], second[0, 0])
    assert (first[1, 1] != second[2, 3]).any(), "one scale for a channel in all images"
    kernel = np.zeros((3, 3, 3, 2))
    kernel[0, 0, 0, 1], kernel[1, 1, 1, 1] = -0.1, 0.1
    blank, shown = (image.get_array() for image in plot_filters(kernel).axes[0].images)
    assert (blank == 128).all()
    assert shown[0, 0].tolist() == [0, 128, 128] and shown[1, 1].tolist() == [128, 255, 128]
    assert len(plot_filters(draw(3, 3, 20, 8)).axes[0].images) == 4 * 16
    with pytest.raises(ValueError, match=r"Received: \(3, 3\)"):
        plot_filters(np.zeros((3, 3)))


COLORS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Grey images with a bright patch of one colour."""
    folder = tmp_path_factory.mktemp("photographs")
    for label, name in enumerate(COLORS):
        for split, count in (("train", 1), ("val", 3)):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((16, 16, 3), 60, "uint8")
                pixels[2:6, 8:12, label] = 250
                Image.fromarray(pixels).save(folder / split / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    """A finished run whose network tells classes by the colour that is brightest."""
    folder = tmp_path_factory.mktemp("runs") / "colours"
    folder.mkdir()
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(3, 1, activation="relu", name="colours"),
            layers.MaxPooling2D(4),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ],
        name="colourful",
    )
    model.set_weights([np.eye(3)[None, None], np.full(3, -0.3), 200 * np.eye(3), np.zeros(3)])
    model.save(folder / "model.keras")
    Preparation(16, "stretch", 0.0, 255.0, list(COLORS)).write(folder)
    Record("nature", "colours", arguments={"data": "images", "data_dir": "photographs"}).write(folder / "record.json")
    return folder


def test_explain_leaves_pictures_that_the_report_shows(run, photographs, monkeypatch, capsys):
    drawn = {}
    monkeypatch.setattr(
        "recipes.reporting.explanation_plots.plot_grad_cam",
        lambda *arguments: drawn.update(zip(("images", "maps", "titles", "headings", "text"), arguments)) or Figure(),
    )
    assert main(["explain", str(run), str(photographs / "val" / "red"), "--count", "2"]) == 0
    assert "2 images explained" in capsys.readouterr().out
    assert drawn["titles"] == [["is red", "red 100%", "green 0%"]] * 2
    assert drawn["headings"] == ["0.png", "2.png"]
    place = np.zeros((16, 16), bool)
    place[2:6, 8:12] = True
    assert (drawn["maps"][0][0][place] > 0).all() and not drawn["maps"][0][0][~place].any()
    assert not drawn["maps"][0][1].any(), "nothing speaks for green"
    shown = json.loads((run / "explanation" / "explanation.json").read_text())["pictures"]
    assert list(shown) == ["grad_cam", "feature_maps", "filters"]
    assert "layer colours" in shown["grad_cam"]
    page = report([run])
    assert "What the network looks at" in page and "Filters of the convolution colours" in page
    assert page.count("<img") == 3


class Figure:
    def savefig(self, *arguments, **options):
        pass


def test_explain_takes_the_images_of_the_run_and_a_class(run, photographs, tmp_path, capsys):
    output = tmp_path / "shown"
    command = ["explain", str(run), "--data-dir", str(photographs), "--class", "blue", "--output", str(output)]
    assert main([*command, "--count", "20"]) == 0
    assert "9 images" in capsys.readouterr().out
    assert Image.open(output / "grad_cam.png").height > Image.open(output / "filters.png").height
    assert main([*command, "--split", "train"]) == 0, "its own folder is replaced"
    assert "3 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["nowhere", "1.png"], "nowhere"),
        (["RUN", "nowhere.png"], "nowhere.png"),
        (["RUN"], "--data-dir"),
        (["RUN", "PHOTOS", "--class", "rde"], "Did you mean 'red'"),
        (["RUN", "PHOTOS", "--layer", "conv9"], "Those of colourful: colours"),
        (["RUN", "PHOTOS", "--count", "0"], "--count"),
        (["RUN", "PHOTOS", "--output", "PHOTOS"], "is there already"),
        (["RUN", "PHOTOS", "--output", "nowhere/shown"], "no folder nowhere"),
    ],
)
def test_what_cannot_be_explained_is_one_line(run, photographs, tmp_path, monkeypatch, capsys, command, message):
    monkeypatch.chdir(tmp_path)
    command = [word.replace("RUN", str(run)).replace("PHOTOS", str(photographs)) for word in command]
    assert main(["explain", *command]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
