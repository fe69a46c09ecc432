"""Torchvision's and timm's networks against ours, through files that torch writes."""

import functools
import hashlib
import importlib
import re

import keras
import numpy as np
import pytest

import zoo

to_numpy = keras.ops.convert_to_numpy
RESNETS = ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152")


@functools.cache
def torchvision():
    """Torchvision's networks, and torch."""
    torch = pytest.importorskip("torch")
    try:
        return pytest.importorskip("torchvision.models"), torch
    except RuntimeError:
        from torch import library

        # The operators are built for another variant of torch. Networks need none, only the import asks for two.
        torchvision.operators = library.Library("torchvision", "DEF")  # lasts as long as this object
        for name in ("nms", "qnms"):
            torchvision.operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision.models"), torch


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def randomize(net, seed=0):
    """Weights as of a trained network: outputs near 1, no two channels alike."""
    _, torch = torchvision()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                # Small at the end of a branch, or 50 blocks amplify the last digits.
                last = name.endswith("bn3") or (name.endswith("bn2") and not hasattr(net.layer1[0], "conv3"))
                module.weight.uniform_(0.1, 0.3) if last else module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                torch.nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0, 0.2)
    return net


def reference_resnet(name, **arguments):
    models, _ = torchvision()
    return randomize(getattr(models, name.lower())(num_classes=7, **arguments))


def reference_alexnet(hidden_units=(4096, 4096)):
    models, torch = torchvision()
    net = models.alexnet(num_classes=7, dropout=0.0)
    if hidden_units != (4096, 4096):
        layers = []
        for inputs, outputs in zip((9216, *hidden_units), hidden_units):
            layers += [torch.nn.Dropout(0.0), torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        layers = layers or [torch.nn.Dropout(0.0)]
        net.classifier = torch.nn.Sequential(*layers, torch.nn.Linear((9216, *hidden_units)[-1], 7))
    return randomize(net)


def save(net, path, legacy=False):
    _, torch = torchvision()
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    return path


def apply(net, images, training=False):
    _, torch = torchvision()
    net.train(training)
    with torch.no_grad():
        return net(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()


def assert_close(ours, expected):
    scale = np.abs(expected).max()
    assert scale > 0.1, "the reference has outputs to compare"
    np.testing.assert_allclose(to_numpy(ours) / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize(
    ("hidden_units", "file"), [((4096, 4096), "alexnet.pth"), ((64,), "old.pt"), ((), "alexnet.safetensors")]
)
def test_alexnet_equals_torchvision(hidden_units, file, tmp_path):
    net = reference_alexnet(hidden_units)
    path = save(net, tmp_path / file, legacy=file.startswith("old"))
    model = zoo.AlexNet(
        weights=path,
        input_shape=(None, None, 3),
        classes=7,
        classifier_activation=None,
        hidden_units=hidden_units,
        dropout=0.0,
    )
    for height, width in ((63, 63), (64, 100), (224, 224)):
        images = draw(2, height, width, 3)
        assert_close(model(images), apply(net, images))
    assert_close(model(images, training=True), apply(net, images, training=True))


@pytest.mark.parametrize("name", RESNETS)
def test_resnets_equal_torchvision(name, tmp_path):
    net = reference_resnet(name)
    path = save(net, tmp_path / "resnet.pth", legacy=name == "ResNet34")
    model = getattr(zoo, name)(weights=path, input_shape=(None, None, 3), classes=7, classifier_activation=None)
    images = draw(4, 64, 64, 3)
    assert_close(model(images), apply(net, images))
    assert_close(model(images, training=True), apply(net, images, training=True))
    # Moving statistics: torch keeps the unbiased variance, so only the means agree exactly.
    moved = zoo.weights.to_torch_state(model)
    for key, expected in net.state_dict().items():
        if key.endswith("running_mean"):
            np.testing.assert_allclose(moved[key], expected.numpy(), atol=1e-3, rtol=1e-3)


def test_resnet50_equals_timms(tmp_path):
    torchvision()
    timm = pytest.importorskip("timm")
    net = randomize(timm.create_model("resnet50", num_classes=7))
    path = save(net, tmp_path / "model.safetensors")
    model = zoo.ResNet50(weights=path, input_shape=(64, 64, 3), classes=7, classifier_activation=None)
    images = draw(4, 64, 64, 3)
    assert_close(model(images), apply(net, images))


def test_checkpoints_load_where_channels_come_first(tmp_path):
    net = reference_alexnet((64,))
    path = save(net, tmp_path / "alexnet.pth")
    arguments = {"hidden_units": (64,), "classes": 7, "classifier_activation": None}
    keras.config.set_image_data_format("channels_first")
    try:
        model = zoo.AlexNet(weights=path, input_shape=(3, 64, 100), **arguments)
    finally:
        keras.config.set_image_data_format("channels_last")
    images = draw(2, 64, 100, 3)
    assert_close(model(images.transpose(0, 3, 1, 2)), apply(net, images))


@pytest.mark.parametrize("name", ["AlexNet", "ResNet50"])
def test_torch_loads_what_we_write(name):
    _, torch = torchvision()
    arguments = {"hidden_units": ()} if name == "AlexNet" else {}
    model = getattr(zoo, name)(classes=7, input_shape=(64, 64, 3), classifier_activation=None, **arguments)
    net = reference_alexnet(()) if name == "AlexNet" else reference_resnet(name)
    net.load_state_dict({key: torch.tensor(array) for key, array in zoo.weights.to_torch_state(model).items()})
    images = draw(4, 64, 64, 3)
    expected = apply(net, images)
    np.testing.assert_allclose(to_numpy(model(images)), expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def resnet_file(tmp_path):
    """ResNet18 of 7 classes, by torch."""
    net = reference_resnet("ResNet18")
    return net, save(net, tmp_path / "resnet18.pth")


def test_the_head_is_loaded_or_kept_or_absent(resnet_file):
    net, path = resnet_file
    images = draw(4, 64, 64, 3)
    model = zoo.ResNet18(classes=3, input_shape=(64, 64, 3))
    head = to_numpy(model.get_layer("predictions").kernel)
    zoo.weights.load_checkpoint(model, path, head="keep")
    np.testing.assert_array_equal(to_numpy(model.get_layer("predictions").kernel), head)
    headless = zoo.ResNet18(include_top=False, pooling="avg", weights=path, input_shape=(64, 64, 3))
    net.fc = torchvision()[1].nn.Identity()
    features = keras.Model(model.input, model.get_layer("avg_pool").output)
    assert_close(headless(images), apply(net, images))
    assert_close(features(images), apply(net, images))


def test_alexnet_keeps_its_last_layer_or_all_dense_layers(tmp_path):
    net = reference_alexnet((64,))
    path = save(net, tmp_path / "alexnet.pth")
    arguments = {"classes": 3, "input_shape": (63, 63, 3)}
    last = zoo.AlexNet(hidden_units=(64,), **arguments)
    zoo.weights.load_checkpoint(last, path, head="keep")
    np.testing.assert_array_equal(to_numpy(last.get_layer("fc1").bias), net.classifier[1].bias.detach().numpy())
    lighter = zoo.AlexNet(hidden_units=(), **arguments)
    before = to_numpy(lighter.get_layer("predictions").kernel)
    with pytest.raises(ValueError, match=r"classifier.3.weight is unexpected"):
        zoo.weights.load_checkpoint(lighter, path, head="keep")
    zoo.weights.load_checkpoint(lighter, path, head="keep_all")
    np.testing.assert_array_equal(to_numpy(lighter.get_layer("predictions").kernel), before)
    for model in (last, lighter, zoo.AlexNet(include_top=False, weights=path, input_shape=(63, 63, 3))):
        bias = to_numpy(model.get_layer("conv5").bias)
        np.testing.assert_array_equal(bias, net.features[10].bias.detach().numpy())


def test_every_mismatch_is_named_and_nothing_is_loaded(resnet_file, tmp_path):
    _, torch = torchvision()
    net, _ = resnet_file
    state = net.state_dict()
    del state["bn1.running_var"], state["layer4.1.conv2.weight"]
    state["layer9.weight"] = torch.ones(1)
    state["conv1.weight"] = torch.ones(64, 1, 7, 7)
    torch.save(state, tmp_path / "bad.pth")
    model = zoo.ResNet18(classes=3)
    before = model.get_weights()
    expected = [
        "bad.pth does not fit resnet18",
        "bn1.running_var is missing",
        "layer4.1.conv2.weight is missing",
        "layer9.weight is unexpected",
        "conv1.weight has shape (64, 1, 7, 7) where (64, 3, 7, 7) is expected",
        "fc.weight has shape (7, 512) where (3, 512) is expected",
        "fc.bias has shape (7,) where (3,) is expected",
        'head="keep"',
    ]
    with pytest.raises(ValueError) as caught:
        zoo.weights.load_checkpoint(model, tmp_path / "bad.pth")
    assert all(part in str(caught.value) for part in expected), caught.value
    assert "num_batches_tracked" not in str(caught.value)
    for own, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(own, other)


def test_other_models_and_heads_are_refused(resnet_file):
    with pytest.raises(ValueError, match="`head`.*'drop'"):
        zoo.weights.load_checkpoint(zoo.ResNet18(classes=7), resnet_file[1], head="drop")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7, name="predictions")], name="other")
    with pytest.raises(ValueError, match="`model` must be an AlexNet or a ResNet.*'other'"):
        zoo.weights.load_checkpoint(other, resnet_file[1])
    with pytest.raises(ValueError, match="does not fit resnet50.*layer1.0.conv3.weight is missing"):
        zoo.ResNet50(classes=7, weights=resnet_file[1])


def test_half_precision_files_load(resnet_file, tmp_path):
    net, path = resnet_file
    exact = zoo.ResNet18(weights=path, classes=7, input_shape=(64, 64, 3), classifier_activation=None)
    images = draw(4, 64, 64, 3)
    expected = to_numpy(exact(images))
    for dtype, tolerance in (("half", 1e-2), ("bfloat16", 1e-1)):
        save(getattr(net, dtype)(), tmp_path / "low.safetensors")
        zoo.weights.load_checkpoint(exact, tmp_path / "low.safetensors")
        assert keras.backend.standardize_dtype(exact.weights[0].dtype) == "float32"
        np.testing.assert_allclose(to_numpy(exact(images)), expected, atol=tolerance * np.abs(expected).max())


def test_published_files_are_those_that_torchvision_names():
    models, _ = torchvision()
    for builder, files in zoo.weights.PUBLISHED.items():
        theirs = getattr(models, f"{builder}_Weights")
        versions = {"IMAGENET1K_V1": "imagenet", "IMAGENET1K_V2": "imagenet_v2"}
        expected = {name: theirs[version].url for version, name in versions.items() if version in theirs.__members__}
        assert {name: f"https://download.pytorch.org/models/{file}" for name, file in files.items()} == expected
        for file in files.values():
            assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}\.pth", file)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A file of ResNet18's shapes in the place of the published one: its name, its bytes, and the cache."""
    models, _ = torchvision()
    path = save(randomize(models.resnet18()), tmp_path / "resnet18.pth")
    data = path.read_bytes()
    name = f"resnet18-{hashlib.sha256(data).hexdigest()[:8]}.pth"
    monkeypatch.setitem(zoo.weights.PUBLISHED["ResNet18"], "imagenet", name)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    cache = tmp_path / "home" / "models"
    cache.mkdir(parents=True)
    return name, data, cache


def test_published_weights_are_downloaded_once_and_checked(published, monkeypatch):
    name, data, cache = published
    downloads = []

    def get_file(file, origin, cache_dir, cache_subdir):
        downloads.append(origin)
        (cache_dir / cache_subdir / file).write_bytes(data)
        return str(cache_dir / cache_subdir / file)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    model = zoo.ResNet18(weights="imagenet", input_shape=(64, 64, 3), classifier_activation=None)
    headless = zoo.ResNet18(weights="imagenet", include_top=False)
    assert downloads == [f"https://download.pytorch.org/models/{name}"]
    net = randomize(torchvision()[0].resnet18())
    images = draw(4, 64, 64, 3)
    assert_close(model(images), apply(net, images))
    np.testing.assert_array_equal(headless.get_weights()[0], model.get_weights()[0])

    (cache / name).write_bytes(data[:-1] + b"?")
    with pytest.raises(ValueError, match=f"{name} was damaged or another file.*deleted"):
        zoo.ResNet18(weights="imagenet")
    assert not (cache / name).exists()
    zoo.weights.download("ResNet18")
    assert len(downloads) == 2


def test_without_a_connection_one_line_says_which_file_goes_where(published, monkeypatch):
    name, data, cache = published

    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure\non two lines")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ValueError) as caught:
        zoo.ResNet18(weights="imagenet")
    message = str(caught.value)
    assert "\n" not in message
    assert "URL fetch failure" in message
    assert f"Download https://download.pytorch.org/models/{name} and put it at {cache / name}" in message
    (cache / name).write_bytes(data)
    zoo.ResNet18(weights="imagenet")


def test_weights_that_nobody_published_are_refused():
    with pytest.raises(ValueError, match=r"ResNet50 imagenet_v2.*'ResNet18', weights='imagenet_v2'"):
        zoo.weights.download("ResNet18", "imagenet_v2")
    with pytest.raises(ValueError, match="'DavidNet'"):
        zoo.weights.download("DavidNet")
