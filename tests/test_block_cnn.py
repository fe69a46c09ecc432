"""BlockCNN against the module of experiment 003, written in torch anew, and against its formula of sizes."""

import keras
import numpy as np
import pytest

import zoo

to_numpy = keras.ops.convert_to_numpy
TORCH_NAMES = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "silu": "SiLU", "gelu": "GELU"}
COUNTS = {"const": [6, 6, 6, 6], "double": [6, 12, 24, 48], "half": [6, 3, 1, 1]}


def build(side=44, **arguments):
    return zoo.BlockCNN(input_shape=(side, side, 3), **{"classes": 4, "filters": 6, **arguments})


def module(side, channels, sizes, activation, batch_normalization, dropout=0.3):
    """The network of the write-up's table, with a flattened size by its formula."""
    torch = pytest.importorskip("torch")
    nn, layers, inputs = torch.nn, [], 3
    for outputs, size in zip(channels, sizes):
        layers += [nn.Conv2d(inputs, outputs, size, padding=1), getattr(nn, TORCH_NAMES[activation])()]
        layers += [nn.MaxPool2d(2), nn.Dropout(dropout)] + [nn.BatchNorm2d(outputs)] * batch_normalization
        side = ((side + 2 - (size - 1)) - (2 - 1) - 1) // 2 + 1
        inputs = outputs
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(side * side * inputs, 4))


def port(net, model):
    """Copy weights; the dense layer's from (channels, height, width) to our (height, width, channels)."""
    torch = pytest.importorskip("torch")
    modules = [each for each in net if isinstance(each, (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.Linear))]
    layers = [layer for layer in model.layers if layer.weights]
    assert len(modules) == len(layers)
    for layer, own in zip(layers, modules):
        weight, bias = (each.detach().numpy() for each in (own.weight, own.bias))
        if isinstance(own, torch.nn.BatchNorm2d):
            layer.set_weights([weight, bias, own.running_mean.numpy(), own.running_var.numpy()])
        elif isinstance(own, torch.nn.Conv2d):
            layer.set_weights([weight.transpose(2, 3, 1, 0), bias])
        else:
            _, height, width, channels = model.get_layer("flatten").input.shape
            maps = weight.reshape(-1, channels, height, width)
            layer.set_weights([maps.transpose(2, 3, 1, 0).reshape(-1, len(weight)), bias])


@pytest.mark.parametrize(
    ("activation", "organization", "sizes", "batch_normalization"),
    [
        ("relu", "const", (3, 3, 3, 3), False),
        ("leaky_relu", "double", (5, 5, 3, 3), True),
        ("silu", "half", (5, 4, 3, 1), True),
        ("gelu", "double", (2, 7, 3, 1), False),
    ],
)
def test_it_equals_the_module_of_the_write_up(activation, organization, sizes, batch_normalization):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    arguments = {"activation": activation, "filter_organization": organization, "kernel_size": sizes}
    model = build(blocks=4, **arguments, batch_normalization=batch_normalization, classifier_activation=None)
    net = module(44, COUNTS[organization], sizes, activation, batch_normalization)
    with torch.no_grad():
        for each in net:
            if isinstance(each, torch.nn.BatchNorm2d):
                each.running_mean.normal_()
                each.running_var.uniform_(0.5, 1.5)
    port(net, model)
    images = np.random.default_rng(0).normal(size=(2, 44, 44, 3)).astype("float32")
    with torch.no_grad():
        expected = net.eval()(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(to_numpy(model(images)), expected, atol=1e-4, rtol=1e-4)


def test_blocks_have_the_documented_order():
    model = build(activation="silu", batch_normalization=True)
    names = [layer.name.removeprefix("block3_") for layer in model.layers if layer.name.startswith("block3_")]
    assert names == ["conv", "silu", "pool", "dropout", "bn"]
    assert model.get_layer("block3_dropout").rate == 0.3
    assert model.get_layer("block3_bn").momentum == 0.9  # torch's 0.1
    assert not any("dropout" in layer.name or "bn" in layer.name for layer in build(dropout=0).layers)


@pytest.mark.parametrize(
    ("kernel_size", "padding", "least"), [(3, "one", 32), ("5,5,3,3,3", "one", 38), ("5", "one", 94), (5, "same", 32)]
)
def test_the_smallest_image_leaves_one_pixel(kernel_size, padding, least):
    model = build(least, kernel_size=kernel_size, padding=padding)
    assert model.get_layer("flatten").input.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match=f"{least} pixels a side.*{least - 1}"):
        build(least - 1, kernel_size=kernel_size, padding=padding)


def test_filters_are_organized_as_documented():
    for organization, counts in COUNTS.items():
        model = build(filters=6, filter_organization=organization, blocks=4)
        assert [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)] == counts


def test_initial_weights_are_torchs():
    keras.utils.set_random_seed(0)
    model = build(filters=32)
    for name, fan_in in (("block2_conv", 9 * 32), ("predictions", 32)):
        for values in map(to_numpy, model.get_layer(name).weights):
            assert np.abs(values).max() <= fan_in**-0.5
            assert values.std() == pytest.approx((3 * fan_in) ** -0.5, rel=0.4 if values.size < 100 else 0.1)


def test_without_the_top_sides_may_be_unknown():
    model = zoo.BlockCNN(include_top=False, input_shape=(None, None, 1), filters=2, pooling="avg")
    assert model(np.ones((1, 40, 64, 1), "float32")).shape == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": 0}, "`blocks`.*0"),
        ({"filters": 2.5}, r"`filters`.*2\.5"),
        ({"filter_organization": "triple"}, "`filter_organization`.*'triple'"),
        ({"kernel_size": "5,3"}, "`kernel_size`.*5 blocks.*'5,3'"),
        ({"kernel_size": "5,,3,3,3"}, "`kernel_size`.*'5,,3,3,3'"),
        ({"kernel_size": (3, 3, 3, 3, 0)}, r"`kernel_size`.*\(3, 3, 3, 3, 0\)"),
        ({"kernel_size": 3.0}, r"`kernel_size`.*3\.0"),
        ({"padding": 1}, "`padding`.*1"),
        ({"activation": "tanh"}, "`activation`.*'tanh'"),
        ({"dropout": 1}, "`dropout`.*1"),
        ({"batch_normalization": "yes"}, "`batch_normalization`.*'yes'"),
        ({"input_shape": (None, 64, 3)}, "include_top=False.*None, 64, 3"),
        ({"weights": "imagenet"}, "`weights`.*imagenet"),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.BlockCNN(**arguments)
