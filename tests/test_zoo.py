"""Builders against published counts and independent torch networks."""

import keras
import numpy as np
import pytest

import zoo

# builder, arguments, total parameters, trainable parameters, shape of the features without top
BUILDERS = [
    (zoo.DavidNet, {}, 6_577_600, 6_573_120, (4, 4, 512)),
    (zoo.DavidNet, {"classes": 100}, 6_577_600 + 90 * 512, 6_573_120 + 90 * 512, (4, 4, 512)),
    (zoo.DavidNet, {"pool_position": "before_normalization", "dropout": 0.1}, 6_577_600, 6_573_120, (4, 4, 512)),
]
to_numpy = keras.ops.convert_to_numpy


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")


@pytest.mark.parametrize(("builder", "arguments", "total", "trainable", "features"), BUILDERS)
def test_builders_have_the_published_counts_and_shapes(builder, arguments, total, trainable, features):
    model = builder(**arguments)
    assert model.count_params() == total
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable
    headless = builder(include_top=False, **arguments)
    assert headless.output_shape == (None, *features)
    assert builder(include_top=False, pooling="avg", **arguments).output_shape == (None, features[-1])
    assert builder(include_top=False, pooling="max", **arguments).output_shape == (None, features[-1])


def test_every_listed_model_is_tested_and_has_its_name():
    assert {getattr(zoo, name) for name in zoo.list_models()} == {builder for builder, *_ in BUILDERS}
    assert zoo.list_models("DAVID") == ["DavidNet"]
    assert zoo.list_models("nothing") == []
    assert zoo.ResNet9 is zoo.DavidNet


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
    for name, fan_in in (("layer3_conv", 9 * 256), ("predictions", 512)):
        kernel = to_numpy(zoo.DavidNet().get_layer(name).kernel)
        bound = fan_in**-0.5
        assert np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.05)


def test_outputs_are_float32_probabilities_under_mixed_float16(images, mixed_float16):
    model = zoo.DavidNet()
    outputs = model(images)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert model.get_layer("layer1_conv").compute_dtype == "float16"
    np.testing.assert_allclose(to_numpy(outputs).sum(-1), 1, atol=1e-5)


def test_any_image_size_and_dropout_and_penalty(images):
    model = zoo.DavidNet(input_shape=(None, None, 1), classes=3, dropout=0.5, l2=0.1)
    assert model(images[:, :24, :17, :1]).shape == (4, 3)
    assert len(model.losses) == 8
    first, second = (to_numpy(model(images[..., :1], training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0


def test_saved_models_and_weights_load(images, tmp_path):
    model = zoo.DavidNet(dropout=0.1, l2=1e-4)
    model(images, training=True)  # moves the statistics
    expected = to_numpy(model(images))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(keras.models.load_model(tmp_path / "model.keras")(images)), expected)
    model.save_weights(tmp_path / "davidnet.weights.h5")
    again = zoo.DavidNet(weights=tmp_path / "davidnet.weights.h5")
    np.testing.assert_array_equal(to_numpy(again(images)), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "sum"}, "`pooling`.*'sum'"),
        ({"pool_position": "late"}, "`pool_position`.*'late'"),
        ({"classes": 0}, "`classes`.*0"),
        ({"classes": 2.5}, "`classes`.*2.5"),
        ({"input_shape": (32, 32)}, "`input_shape`.*32, 32"),
        ({"input_shape": (4, 4, 3)}, "`input_shape`.*8 pixels.*4, 4, 3"),
        ({"dropout": 1.0}, "`dropout`.*1.0"),
        ({"weights": "nowhere.h5"}, "`weights`.*nowhere.h5"),
    ],
)
def test_bad_arguments_are_refused_with_what_was_received(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.DavidNet(**arguments)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}, {"axis": 1}, {"momentum": 0.1}])
def test_batch_normalization_is_a_drop_in_for_keras(policy, arguments):
    shape = (8, 6, 5, 4)
    inputs = np.random.default_rng(1).normal(3, 2, shape).astype("float32")
    ours = zoo.BatchNormalization(dtype=policy, **arguments)
    theirs = keras.layers.BatchNormalization(dtype=policy, **arguments)
    for layer in (ours, theirs):
        layer.build(shape)
    weights = [np.random.default_rng(2).uniform(0.5, 2, weight.shape) for weight in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    tolerance = 1e-5 if policy == "float32" else 2e-2
    for training in (True, False):
        results = [layer(inputs, training=training) for layer in (ours, theirs)]
        assert results[0].dtype == results[1].dtype
        results = [to_numpy(keras.ops.cast(result, "float32")) for result in results]
        np.testing.assert_allclose(*results, atol=tolerance, rtol=tolerance)
    for own, other in zip(ours.weights, theirs.weights):
        np.testing.assert_allclose(to_numpy(own), to_numpy(other), rtol=1e-5, atol=1e-6)


def test_batch_normalization_trains_as_keras_does():
    inputs = np.random.default_rng(1).normal(3, 2, (16, 6, 5, 4)).astype("float32")
    targets = np.random.default_rng(2).normal(size=(16, 6, 5, 4)).astype("float32")
    trained = []
    for layer in (zoo.BatchNormalization(), keras.layers.BatchNormalization()):
        model = keras.Sequential([keras.Input((6, 5, 4)), layer])
        model.compile(keras.optimizers.SGD(0.5), "mse")
        for _ in range(3):
            model.train_on_batch(inputs, targets)
        trained.append(model.get_weights())
    for own, other in zip(*trained):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


def test_frozen_batch_normalization_keeps_its_statistics():
    layer = zoo.BatchNormalization()
    layer.trainable = False
    layer(np.random.default_rng(1).normal(3, 2, (8, 6, 5, 4)).astype("float32"), training=True)
    np.testing.assert_array_equal(to_numpy(layer.moving_mean), 0)
