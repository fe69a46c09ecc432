"""Builders against published counts, shapes and initialisations, and an independent DavidNet in torch."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import zoo
from zoo.speednet import SIZES

# builder, arguments, total parameters, trainable parameters, shape of the features without top
BUILDERS = [
    (zoo.DavidNet, {}, 6_577_600, 6_573_120, (4, 4, 512)),
    (zoo.DavidNet, {"classes": 100}, 6_577_600 + 90 * 512, 6_573_120 + 90 * 512, (4, 4, 512)),
    (zoo.DavidNet, {"pool_position": "before_normalization", "dropout": 0.1}, 6_577_600, 6_573_120, (4, 4, 512)),
    (zoo.AlexNet, {}, 61_100_840, 61_100_840, (6, 6, 256)),
    (zoo.AlexNet, {"classes": 6, "hidden_units": ()}, 2_524_998, 2_524_998, (6, 6, 256)),
    (zoo.SpeedNet, {}, 1_971_640 + 2_304, 1_971_640 - 288, (3, 3, 256)),
    (zoo.SpeedNet, SIZES[95], 4_604_728 + 3_584, 4_604_728 - 288, (3, 3, 384)),
    (zoo.SpeedNet, SIZES[96], 9_915_704 + 6_144, 9_915_704 - 288, (3, 3, 512)),
    (zoo.ResNet18, {}, 11_689_512 + 9_600, 11_689_512, (7, 7, 512)),
    (zoo.ResNet18, {"stem": "cifar", "classes": 10}, 11_173_962 + 9_600, 11_173_962, (4, 4, 512)),
    (zoo.ResNet34, {}, 21_797_672 + 17_024, 21_797_672, (7, 7, 512)),
    (zoo.ResNet50, {}, 25_557_032 + 53_120, 25_557_032, (7, 7, 2048)),
    (zoo.ResNet101, {}, 44_549_160 + 105_344, 44_549_160, (7, 7, 2048)),
    (zoo.ResNet152, {}, 60_192_808 + 151_424, 60_192_808, (7, 7, 2048)),
    (zoo.BiTResNet50, {}, 25_549_352, 25_549_352, (7, 7, 2048)),
    (zoo.BiTResNet50, {"width": 3, "classes": 100}, 211_174_080 + 614_500, 211_174_080 + 614_500, (7, 7, 6144)),
    (zoo.BiTResNet101, {"classes": 10}, 42_492_480 + 20_490, 42_492_480 + 20_490, (7, 7, 2048)),
    (zoo.BiTResNet152, {"classes": 10}, 232_238_208 + 40_970, 232_238_208 + 40_970, (7, 7, 4096)),
    (zoo.BlockCNN, {}, 37_888 + 15_690, 37_888 + 15_690, (7, 7, 32)),
]
# One of each, small: builder, arguments, shape of the images.
SMALL = [
    (zoo.DavidNet, {"classes": 3}, (32, 32, 3)),
    (zoo.SpeedNet, {"classes": 3, "widths": (8, 16, 16), "convolutions": 3}, (32, 32, 3)),
    (zoo.AlexNet, {"classes": 3, "hidden_units": (16,)}, (63, 63, 3)),
    (zoo.BlockCNN, {"classes": 3, "filters": 4, "activation": "gelu", "batch_normalization": True}, (32, 48, 3)),
    (zoo.ResNet18, {"classes": 3}, (32, 32, 3)),
    (zoo.BiTResNet50, {"classes": 3, "depths": (1, 2)}, (32, 32, 3)),
    (zoo.BiTResNet101, {"classes": 3, "depths": (1,)}, (32, 32, 3)),
    (zoo.BiTResNet152, {"classes": 3, "depths": (1,)}, (32, 32, 3)),
    (zoo.ResNet34, {"classes": 3}, (32, 32, 3)),
    (zoo.ResNet50, {"classes": 3}, (32, 32, 3)),
    (zoo.ResNet101, {"classes": 3}, (32, 32, 3)),
    (zoo.ResNet152, {"classes": 3}, (32, 32, 3)),
]
to_numpy = keras.ops.convert_to_numpy


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.fixture
def images():
    return draw(4, 32, 32, 3)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def outline(builder, **arguments):
    """A model whose weights are not drawn; Keras lists them for the thread, which ends."""

    def build():
        with keras.StatelessScope(initialize_variables=False):
            return builder(**arguments)

    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(build).result()


def build(builder, **arguments):
    """A model whose outputs depend on the images: BiT's classifier begins as zeros."""
    model = builder(**arguments)
    if "BiT" in builder.__name__:
        model.get_layer("predictions").kernel.assign(draw(*model.get_layer("predictions").kernel.shape))
    return model


@pytest.mark.parametrize(("builder", "arguments", "total", "trainable", "features"), BUILDERS)
def test_builders_have_the_published_counts_and_shapes(builder, arguments, total, trainable, features):
    model = outline(builder, **arguments)
    assert model.count_params() == total
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable
    pooled = outline(builder, include_top=False, pooling="avg", **arguments)
    assert pooled.get_layer("avg_pool").input.shape == (None, *features)
    assert pooled.output_shape == (None, features[-1])


@pytest.mark.parametrize("builder", [zoo.DavidNet, zoo.AlexNet, zoo.ResNet18])
def test_features_are_pooled_as_asked(builder):
    images = draw(2, 64, 64, 3)
    plain, mean, highest = (
        builder(include_top=False, pooling=pooling, input_shape=(64, 64, 3)) for pooling in (None, "avg", "max")
    )
    mean.set_weights(plain.get_weights())
    highest.set_weights(plain.get_weights())
    features = to_numpy(plain(images))
    np.testing.assert_allclose(to_numpy(mean(images)), features.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(to_numpy(highest(images)), features.max((1, 2)), atol=1e-5)


def test_every_listed_model_is_tested_and_has_its_name():
    listed = {getattr(zoo, name) for name in zoo.list_models()}
    # RetinaNet is no classifier: test_retinanet.py has its tests.
    assert listed - {zoo.RetinaNet} == {builder for builder, *_ in BUILDERS} == {builder for builder, *_ in SMALL}
    assert zoo.list_models("DAVID") == ["DavidNet"]
    assert zoo.list_models("resnet1") == ["BiTResNet101", "BiTResNet152", "ResNet18", "ResNet101", "ResNet152"]
    assert zoo.list_models("nothing") == []
    assert zoo.ResNet9 is zoo.DavidNet


def test_resnet_layers_are_named_as_in_keras_applications():
    ours = outline(zoo.ResNet50)
    theirs = outline(keras.applications.ResNet50, weights=None)
    names = {layer.name for layer in ours.layers}
    assert {layer.name for layer in theirs.layers if layer.weights} <= names
    for layer in theirs.layers:
        if layer.name.endswith("_out"):
            assert ours.get_layer(layer.name).output.shape == layer.output.shape


def torch_davidnet():
    """DavidNet written in torch, from the published description; modules in our order of weights."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def unit(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs, eps=1e-5), nn.ReLU()]

    class Residual(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.branch = nn.Sequential(*unit(channels, channels), *unit(channels, channels))

        def forward(self, x):
            return x + self.branch(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(
                *unit(3, 64),
                *(*unit(64, 128), nn.MaxPool2d(2), Residual(128)),
                *(*unit(128, 256), nn.MaxPool2d(2)),
                *(*unit(256, 512), nn.MaxPool2d(2), Residual(512)),
                *(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(512, 10, bias=False)),
            )

        def forward(self, x):
            return 0.125 * self.body(x)

    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.copy_(torch.randn_like(tensor))
                module.running_var.copy_(torch.rand_like(module.running_var) + 0.5)
    return torch, net


def port(net, model):
    """Copy torch weights into the Keras model, layer by layer in the order of the network."""
    torch = pytest.importorskip("torch")
    layers = [layer for layer in model.layers if layer.weights]
    modules = [
        module
        for module in net.modules()
        if isinstance(module, (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear))
    ]
    assert len(layers) == len(modules)
    for layer, module in zip(layers, modules):
        if isinstance(module, torch.nn.Conv2d):
            layer.set_weights([module.weight.detach().numpy().transpose(2, 3, 1, 0)])
        elif isinstance(module, torch.nn.Linear):
            layer.set_weights([module.weight.detach().numpy().T])
        else:
            state = (module.weight, module.bias, module.running_mean, module.running_var)
            layer.set_weights([tensor.detach().numpy().copy() for tensor in state])  # torch updates its own in place


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pool_position", ["after_activation", "before_activation"])
def test_davidnet_equals_torch(images, training, pool_position):
    torch, net = torch_davidnet()
    model = zoo.DavidNet(classifier_activation=None, pool_position=pool_position)
    port(net, model)
    net.train(training)
    with torch.no_grad():
        expected = net(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(to_numpy(model(images, training=training)), expected, atol=1e-4, rtol=1e-4)
    if training:  # moving statistics: torch keeps the unbiased variance, so only the means agree exactly
        means = [module.running_mean.numpy() for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        ours = [layer.moving_mean for layer in model.layers if isinstance(layer, zoo.BatchNormalization)]
        for mean, expected in zip(ours, means):
            np.testing.assert_allclose(to_numpy(mean), expected, atol=1e-4)


def test_pooling_before_normalization_is_another_function(images):
    same, other = (zoo.DavidNet(pool_position=position) for position in ("after_activation", "before_normalization"))
    other.set_weights(same.get_weights())
    assert np.abs(to_numpy(same(images, training=True)) - to_numpy(other(images, training=True))).max() > 1e-3


def test_initial_kernels_are_torchs():
    keras.utils.set_random_seed(0)
    model = zoo.DavidNet()
    for name, fan_in in (("layer3_conv", 9 * 256), ("predictions", 512)):
        kernel = to_numpy(model.get_layer(name).kernel)
        bound = fan_in**-0.5
        assert np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_initial_weights_of_alexnet_and_resnet_are_torchs():
    keras.utils.set_random_seed(0)
    alexnet = zoo.AlexNet(classes=10, hidden_units=(64,))
    for name, fan_in in (("conv1", 363), ("conv5", 2304), ("fc1", 9216), ("predictions", 64)):
        layer = alexnet.get_layer(name)
        for values in (to_numpy(layer.kernel), to_numpy(layer.bias)):
            assert np.abs(values).max() <= fan_in**-0.5
            assert values.std() == pytest.approx((3 * fan_in) ** -0.5, rel=0.35 if values.size < 100 else 0.1)
    resnet = zoo.ResNet18(classes=10)
    for name, fan_out in (("conv1_conv", 49 * 64), ("conv5_block1_1_conv", 9 * 512), ("conv5_block1_0_conv", 512)):
        kernel = to_numpy(resnet.get_layer(name).kernel)
        assert kernel.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)
        assert np.abs(kernel).max() > 2.5 * kernel.std()  # not truncated
    assert np.abs(to_numpy(resnet.get_layer("predictions").bias)).min() > 0


@pytest.mark.parametrize("builder", [zoo.ResNet18, zoo.ResNet50])
def test_zero_init_residual_makes_each_block_its_shortcut(builder):
    model = builder(classes=3, input_shape=(32, 32, 3), zero_init_residual=True)
    names = [layer.name for layer in model.layers]
    outs = [name for name in names if name.endswith("_out")]
    taps = {name: model.get_layer(name).output for name in names if name.endswith(("_out", "_0_bn", "pool1_pool"))}
    values = {name: to_numpy(value) for name, value in keras.Model(model.input, taps)(draw(2, 32, 32, 3)).items()}
    assert len(outs) == {zoo.ResNet18: 8, zoo.ResNet50: 16}[builder]
    for before, name in zip(["pool1_pool", *outs], outs):
        projection = name.replace("_out", "_0_bn")
        shortcut = np.maximum(values[projection], 0) if projection in values else values[before]
        np.testing.assert_allclose(values[name], shortcut, atol=1e-6)
    assert np.abs(values[outs[-1]]).max() > 0


def test_the_stem_for_small_images_keeps_their_size():
    model = outline(zoo.ResNet50, stem="cifar", classes=10)
    assert model.input_shape == (None, 32, 32, 3)
    assert tuple(model.get_layer("conv1_conv").kernel.shape) == (3, 3, 3, 64)
    for name, side in (("conv1_relu", 32), ("conv2_block3_out", 32), ("conv3_block4_out", 16), ("conv5_block3_out", 4)):
        assert model.get_layer(name).output.shape[1:3] == (side, side)


@pytest.mark.parametrize("height", [1, 5, 6, 7, 13])
@pytest.mark.parametrize("width", [1, 6, 18])
def test_adaptive_pooling_equals_torch(height, width):
    torch = pytest.importorskip("torch")
    maps = draw(2, height, width, 4)
    expected = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(maps.transpose(0, 3, 1, 2)), 6).numpy()
    layer = zoo.AdaptiveAveragePooling2D(6)
    np.testing.assert_allclose(to_numpy(layer(maps)), expected.transpose(0, 2, 3, 1), atol=1e-6)
    first = zoo.AdaptiveAveragePooling2D(6, data_format="channels_first")
    np.testing.assert_allclose(to_numpy(first(maps.transpose(0, 3, 1, 2))), expected, atol=1e-6)


def test_adaptive_pooling_of_unknown_sizes_in_a_compiled_step():
    images = keras.Input((None, None, 2))
    model = keras.Model(images, zoo.AdaptiveAveragePooling2D(6)(images))
    assert model.output_shape == (None, 6, 6, 2)
    for side in (1, 7):
        maps = draw(2, side, side, 2)
        np.testing.assert_allclose(model.predict(maps, verbose=0), to_numpy(model.layers[-1](maps)), atol=1e-6)
    assert keras.layers.deserialize(keras.layers.serialize(model.layers[-1])).output_size == 6


@pytest.mark.parametrize(("builder", "arguments", "shape"), SMALL[:6])
def test_outputs_are_float32_probabilities_under_mixed_float16(builder, arguments, shape, mixed_float16):
    model = builder(input_shape=shape, **arguments)
    outputs = model(draw(2, *shape))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {"float16"}
    np.testing.assert_allclose(to_numpy(outputs).sum(-1), 1, atol=1e-5)


def test_any_image_size_and_dropout_and_penalty(images):
    model = zoo.DavidNet(input_shape=(None, None, 1), classes=3, dropout=0.5, l2=0.1)
    assert model(images[:, :24, :17, :1]).shape == (4, 3)
    assert len(model.losses) == 8
    first, second = (to_numpy(model(images[..., :1], training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0


def test_dropout_of_resnets_is_before_the_classifier(images):
    model = zoo.ResNet18(classes=3, dropout=0.5, input_shape=(32, 32, 3))
    features = keras.Model(model.input, model.get_layer("avg_pool").output)
    dropped = keras.Model(model.input, model.get_layer("dropout").output)
    kept = to_numpy(features(images, training=True))
    value = to_numpy(dropped(images, training=True))
    assert 0.3 < (value == 0).mean() - (kept == 0).mean() < 0.7
    np.testing.assert_allclose(to_numpy(features(images)), to_numpy(dropped(images)))


@pytest.mark.parametrize(("builder", "arguments", "shape"), SMALL[:6])
def test_networks_begin_with_a_given_tensor(builder, arguments, shape):
    pixels = keras.Input(shape)
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    model = build(builder, input_tensor=scaled, **arguments)
    assert model.input is pixels
    plain = builder(input_shape=shape, **arguments)
    plain.set_weights(model.get_weights())
    values = 255 * draw(2, *shape)
    np.testing.assert_allclose(to_numpy(model(values)), to_numpy(plain(values / 255)), atol=1e-5)
    assert outline(builder, input_tensor=keras.Input(shape), include_top=False).input_shape == (None, *shape)


@pytest.mark.parametrize(("builder", "arguments", "shape"), SMALL)
def test_saved_models_load(builder, arguments, shape, tmp_path):
    model = build(builder, input_shape=shape, **arguments)
    images = draw(2, *shape)
    if builder is zoo.DavidNet:
        model(images, training=True)  # moves the statistics
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").unlink()
    for own, other in zip(model.weights, again.weights):
        assert own.path == other.path
        np.testing.assert_array_equal(to_numpy(own), to_numpy(other))
    if builder not in (zoo.ResNet101, zoo.ResNet152):  # whose outputs take the time of all others
        np.testing.assert_array_equal(to_numpy(again(images)), to_numpy(model(images)))


def test_saved_models_load_on_another_backend(backend, tmp_path):
    other = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}[backend]
    pytest.importorskip(other)
    networks = (zoo.AlexNet, zoo.BiTResNet50, zoo.DavidNet, zoo.ResNet18, zoo.ResNet50, zoo.SpeedNet)
    chosen = [row for row in SMALL if row[0] in networks]
    for builder, arguments, shape in chosen:
        model = build(builder, input_shape=shape, **arguments)
        model.save(tmp_path / f"{model.name}.keras")
        np.savez(tmp_path / f"{model.name}.npz", images=draw(2, *shape), outputs=to_numpy(model(draw(2, *shape))))
    script = """
import pathlib, sys
import keras, numpy as np
import zoo

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.keras")):
    data = np.load(path.with_suffix(".npz"))
    outputs = keras.ops.convert_to_numpy(keras.models.load_model(path)(data["images"]))
    np.testing.assert_allclose(outputs, data["outputs"], atol=1e-4)
    print(keras.backend.backend(), path.stem)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    # Optimisation would take longer than it saves.
    environment = os.environ | {"KERAS_BACKEND": other, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    root = pathlib.Path(__file__).parents[1]
    process = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    names = ["alexnet", "bit_resnet50", "davidnet", "resnet18", "resnet50", "speednet"]
    assert process.stdout.split() == [word for name in names for word in (other, name)]


def test_saved_weights_load(images, tmp_path):
    model = zoo.DavidNet()
    model.save_weights(tmp_path / "davidnet.weights.h5")
    again = zoo.DavidNet(weights=tmp_path / "davidnet.weights.h5")
    np.testing.assert_array_equal(to_numpy(again(images)), to_numpy(model(images)))


@pytest.mark.parametrize(("builder", "arguments", "shape"), SMALL[:6])
def test_channels_first_is_the_same_function(builder, arguments, shape, channels_first):
    first = build(builder, input_shape=(shape[2], *shape[:2]), **arguments)
    headless = outline(builder, input_shape=(shape[2], *shape[:2]), include_top=False)
    keras.config.set_image_data_format("channels_last")
    last = builder(input_shape=shape, **arguments)
    assert headless.output_shape[1] == outline(builder, input_shape=shape, include_top=False).output_shape[-1]
    last.set_weights(first.get_weights())
    images = draw(2, *shape)
    np.testing.assert_allclose(to_numpy(first(images.transpose(0, 3, 1, 2))), to_numpy(last(images)), atol=1e-5)


@pytest.mark.parametrize(
    ("builder", "arguments", "message"),
    [
        (zoo.DavidNet, {"pooling": "sum"}, "`pooling`.*'sum'"),
        (zoo.DavidNet, {"pool_position": "late"}, "`pool_position`.*'late'"),
        (zoo.DavidNet, {"classes": 0}, "`classes`.*0"),
        (zoo.DavidNet, {"classes": 2.5}, "`classes`.*2.5"),
        (zoo.DavidNet, {"input_shape": (32, 32)}, "`input_shape`.*32, 32"),
        (zoo.DavidNet, {"input_shape": (4, 4, 3)}, "`input_shape`.*8 pixels.*4, 4, 3"),
        (zoo.DavidNet, {"dropout": 1.0}, "`dropout`.*1.0"),
        (zoo.DavidNet, {"weights": "nowhere.h5"}, "`weights`.*nowhere.h5"),
        (zoo.DavidNet, {"weights": "imagenet"}, "`weights`.*path.*imagenet"),
        (zoo.DavidNet, {"kernel_initializer": "best"}, "`kernel_initializer`.*'best'"),
        (zoo.SpeedNet, {"input_shape": (32, 8, 3)}, "9 pixels.*32, 8, 3"),
        (zoo.SpeedNet, {"widths": 64}, "`widths`.*64"),
        (zoo.SpeedNet, {"widths": (64, 0)}, r"`widths`.*\(64, 0\)"),
        (zoo.SpeedNet, {"convolutions": 0}, "`convolutions`.*0"),
        (zoo.SpeedNet, {"whitening_size": 2.0}, r"`whitening_size`.*2\.0"),
        (zoo.SpeedNet, {"activation": "gulp"}, "`activation`.*'gulp'"),
        (zoo.SpeedNet, {"batch_normalization_momentum": 1}, "`batch_normalization_momentum`.*1"),
        (zoo.SpeedNet, {"head_initializer": "best"}, "`head_initializer`.*'best'"),
        (zoo.SpeedNet, {"whitening_bias_initializer": "best"}, "`whitening_bias_initializer`.*'best'"),
        (zoo.AlexNet, {"input_shape": (62, 224, 3)}, "63 pixels.*62, 224, 3"),
        (zoo.AlexNet, {"hidden_units": (0,)}, r"`hidden_units`.*\(0,\)"),
        (zoo.AlexNet, {"hidden_units": 4096}, "`hidden_units`.*4096"),
        (zoo.AlexNet, {"dropout": -0.1}, "`dropout`.*-0.1"),
        (zoo.AlexNet, {"classifier_activation": "sofmax"}, "`classifier_activation`.*sofmax"),
        (zoo.ResNet18, {"input_shape": (31, 32, 3)}, "32 pixels.*31, 32, 3"),
        (zoo.ResNet18, {"input_shape": (7, 8, 3), "stem": "cifar"}, "8 pixels.*7, 8, 3"),
        (zoo.ResNet18, {"input_shape": (32, 32, None)}, "`input_shape`.*channels.*None"),
        (zoo.ResNet18, {"input_tensor": np.ones((2, 32, 32, 3))}, "`input_tensor`"),
        (zoo.ResNet18, {"input_tensor": keras.Input((32,))}, "`input_tensor`"),
        (zoo.ResNet18, {"input_tensor": keras.Input((16, 32, 3))}, "32 pixels.*16, 32, 3"),
        (zoo.ResNet18, {"input_tensor": keras.Input((64, 64, 3)), "input_shape": (32, 32, 3)}, "leave out"),
        (zoo.ResNet50, {"stem": "tiny"}, "`stem`.*'tiny'"),
        (zoo.ResNet50, {"dropout": 1}, "`dropout`.*1"),
        (zoo.ResNet50, {"weights": 50}, "`weights`.*50"),
        (zoo.ResNet18, {"weights": "imagenet_v2"}, "`weights`.*imagenet_v2"),
        (zoo.ResNet101, {"weights": "imagenet", "classes": 10}, "classes=1000.*classes=10"),
        (zoo.ResNet152, {"weights": "imagenet_v2", "stem": "cifar"}, "stem='imagenet'.*stem='cifar'"),
        (zoo.ResNet34, {"weights": "imagenet", "input_shape": (64, 64, 1)}, "channels=3.*channels=1"),
        (zoo.ResNet34, {"weights": "imagenet", "classifier_activation": "sigmoid"}, "softmax.*sigmoid"),
        (zoo.BiTResNet50, {"width": 0}, "`width`.*0"),
        (zoo.BiTResNet50, {"width": 1.5}, r"`width`.*1\.5"),
        (zoo.BiTResNet50, {"depths": 3}, "`depths`.*3"),
        (zoo.BiTResNet50, {"depths": ()}, r"`depths`.*\(\)"),
        (zoo.BiTResNet101, {"input_shape": (31, 32, 3)}, "32 pixels.*31, 32, 3"),
        (zoo.BiTResNet50, {"weights": "imagenet_v2"}, "imagenet21k.*imagenet_v2"),
        (zoo.BiTResNet50, {"weights": "imagenet", "width": 2}, "width=1.*width=2"),
        (zoo.BiTResNet101, {"weights": "imagenet21k", "depths": (1, 1)}, "depths=.3, 4, 23, 3.*depths=.1, 1"),
        (zoo.BiTResNet152, {"weights": "imagenet", "input_shape": (64, 64, 1)}, "channels=3.*channels=1"),
        (zoo.AlexNet, {"weights": "imagenet", "hidden_units": ()}, "hidden_units=.4096, 4096."),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(builder, arguments, message, monkeypatch):
    monkeypatch.setattr(keras.utils, "get_file", None)  # nothing is downloaded
    with pytest.raises(ValueError, match=message):
        builder(**arguments)
