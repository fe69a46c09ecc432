"""SpeedNet against the published network in torch; its whitening, its initial weights, other image sizes."""

import itertools

import keras
import numpy as np
import pytest

import zoo
from zoo.speednet import SIZES

to_numpy = keras.ops.convert_to_numpy
SMALL = {"widths": (8, 16, 16), "classifier_activation": None}


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def torch_speednet(widths, convolutions=2, batch_normalization_momentum=0.6):
    """The network in torch, from the published description, with random weights."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Group(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            sides = [inputs, *[outputs] * convolutions]
            self.convolutions = nn.ModuleList(
                nn.Conv2d(*pair, 3, padding="same", bias=False) for pair in itertools.pairwise(sides)
            )
            momentum = 1 - batch_normalization_momentum
            self.norms = nn.ModuleList(nn.BatchNorm2d(outputs, 1e-12, momentum) for _ in range(convolutions))
            for norm in self.norms:
                norm.weight.requires_grad = False

        def forward(self, x):
            first, second, *third = zip(self.convolutions, self.norms)
            x = residue = nn.functional.gelu(first[1](nn.functional.max_pool2d(first[0](x), 2)))
            x = second[1](second[0](x))
            for convolution, norm in third:
                x = residue + norm(convolution(nn.functional.gelu(x)))
            return nn.functional.gelu(x)

    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 24, 2), nn.GELU()),
        *(Group(*pair) for pair in zip((24, *widths), widths)),
        *(nn.MaxPool2d(3), nn.Flatten(), nn.Linear(widths[-1], 10, bias=False)),
    )
    net[0].weight.requires_grad = False
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.bias.copy_(torch.randn_like(module.bias))
                module.running_mean.copy_(torch.randn_like(module.running_mean) / 10)
                module.running_var.copy_(torch.rand_like(module.running_var) + 0.5)
    return torch, net


def weights_of(net):
    """The weights of the torch network, by the names of our variables."""

    def kernel(tensor):
        return tensor.detach().numpy().transpose(2, 3, 1, 0).copy()

    weights = {"whiten/kernel": kernel(net[0].weight), "whiten_bias/bias": net[0].bias.detach().numpy().copy()}
    for number, group in enumerate((module for module in net if hasattr(module, "norms")), 1):
        for place, (convolution, norm) in enumerate(zip(group.convolutions, group.norms), 1):
            weights[f"group{number}_{place}_conv/kernel"] = kernel(convolution.weight)
            state = {"beta": norm.bias, "moving_mean": norm.running_mean, "moving_variance": norm.running_var}
            for name, tensor in state.items():
                weights[f"group{number}_{place}_bn/{name}"] = tensor.detach().numpy().copy()
    weights["head/kernel"] = net[-1].weight.detach().numpy().T.copy()
    return weights


def port(net, model):
    weights = weights_of(net)
    assert [weight.path for weight in model.weights] == list(weights)
    model.set_weights(list(weights.values()))


@pytest.mark.parametrize("size", [94, 96])
def test_outputs_are_those_of_torch(size):
    torch, net = torch_speednet(**SIZES[size])
    model = zoo.SpeedNet(classifier_activation=None, **SIZES[size])
    port(net, model)
    images = draw(4, 32, 32, 3)
    for training in (False, True):
        net.train(training)
        with torch.no_grad():
            expected = net(torch.tensor(images.transpose(0, 3, 1, 2))).numpy() / 9
        np.testing.assert_allclose(to_numpy(model(images, training=training)), expected, atol=1e-4)
    for weight in model.weights:
        if weight.path.endswith("moving_mean"):
            np.testing.assert_allclose(to_numpy(weight), weights_of(net)[weight.path], atol=1e-4)


def test_one_step_of_training_is_that_of_torch():
    torch, net = torch_speednet(SMALL["widths"], convolutions=3)
    model = zoo.SpeedNet(convolutions=3, **SMALL)
    port(net, model)
    before = weights_of(net)
    images, labels = draw(16, 32, 32, 3), np.arange(16) % 10
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.train_on_batch(images, labels)
    logits = net(torch.tensor(images.transpose(0, 3, 1, 2))) / 9
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    torch.optim.SGD([each for each in net.parameters() if each.requires_grad], 0.1).step()
    after = weights_of(net)
    for weight in model.trainable_weights:
        assert np.abs(after[weight.path] - before[weight.path]).max() > 1e-5
        np.testing.assert_allclose(to_numpy(weight), after[weight.path], atol=1e-5, rtol=1e-3)
    np.testing.assert_array_equal(to_numpy(model.get_layer("whiten").kernel), before["whiten/kernel"])


def test_the_same_weights_serve_smaller_images():
    model = zoo.SpeedNet(input_shape=(None, None, 3), **SMALL)
    whole = zoo.SpeedNet(**SMALL)
    whole.set_weights(model.get_weights())
    for side in (9, 20, 24, 28, 32):
        images = draw(2, side, side, 3)
        outputs = to_numpy(model(images))
        assert outputs.shape == (2, 10)
        last = to_numpy(keras.Model(model.input, model.get_layer("group3_2_activation").output)(images))
        expected = last.max((1, 2)) @ to_numpy(model.get_layer("head").kernel) / 9
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
    np.testing.assert_allclose(to_numpy(whole(images)), outputs, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", keras.activations.silu])
def test_any_activation_at_every_place(activation):
    model = zoo.SpeedNet(activation=activation, convolutions=3, **SMALL)
    layers = [layer for layer in model.layers if layer.name.endswith("_activation") and "classifier" not in layer.name]
    assert len(layers) == 1 + 3 * 3
    assert {layer.activation for layer in layers} == {keras.activations.get(activation)}


def test_muons_start():
    keras.utils.set_random_seed(0)
    wide = keras.initializers.RandomUniform(-(3**0.5), 3**0.5)
    model = zoo.SpeedNet(classifier_activation=None, whitening_bias_initializer=None, head_initializer=wide)
    assert to_numpy(model.get_layer("head").kernel).std() == pytest.approx(1, rel=0.03)
    bias = to_numpy(model.get_layer("whiten_bias").bias)
    assert 0.5 * 12**-0.5 < np.abs(bias).max() <= 12**-0.5
    usual = zoo.SpeedNet(**SMALL)
    assert not to_numpy(usual.get_layer("whiten_bias").bias).any()
    assert "whiten_bias" not in {layer.name for layer in zoo.SpeedNet(whitening_bias=False, **SMALL).layers}


@pytest.mark.parametrize(("channels", "kernel_size"), [(3, 2), (1, 3)])
def test_whitened_patches_are_uncorrelated(channels, kernel_size):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(600, 12, 11, channels)).cumsum(1).cumsum(2).astype("float32") / 10 + 0.3
    kernel = zoo.whitening_kernel(images, kernel_size, epsilon=1e-3)
    size = kernel_size**2 * channels
    assert kernel.shape == (kernel_size, kernel_size, channels, 2 * size)
    assert kernel.dtype == "float32"
    np.testing.assert_array_equal(kernel[..., :size], -kernel[..., size:])
    outputs = to_numpy(keras.ops.conv(images, kernel[..., :size])).astype("float64").reshape(-1, size)
    moment = outputs.T @ outputs / len(outputs)
    patches = np.stack(
        [
            images[:, row : row + 13 - kernel_size, column : column + 12 - kernel_size, channel].ravel()
            for row in range(kernel_size)
            for column in range(kernel_size)
            for channel in range(channels)
        ]
    ).astype("float64")
    eigenvalues = np.linalg.eigvalsh(patches @ patches.T / patches.shape[1])
    np.testing.assert_allclose(moment, np.diag(eigenvalues / (eigenvalues + 1e-3)), atol=2e-3)


def test_whitening_has_one_sign_whatever_the_library_gives(monkeypatch):
    images, eigh = draw(20, 8, 8, 3), np.linalg.eigh
    expected = zoo.whitening_kernel(images)

    def turned(matrix):
        values, vectors = eigh(matrix)
        return values, vectors * np.where(np.arange(12) % 2, 1, -1)

    monkeypatch.setattr(np.linalg, "eigh", turned)
    np.testing.assert_array_equal(zoo.whitening_kernel(images), expected)


def test_no_filter_is_blind_to_gray_images():
    """Two thirds of the directions are differences of equal channels: the filters for the others come three times."""
    gray = np.repeat(np.random.default_rng(1).normal(size=(20, 16, 16, 1)), 3, axis=-1).astype("float32")
    kernel = zoo.whitening_kernel(gray)
    patches = np.lib.stride_tricks.sliding_window_view(gray, (2, 2), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
    outputs = patches.reshape(-1, 12) @ kernel.reshape(12, 24)
    np.testing.assert_allclose(np.mean(outputs**2, axis=0), 1, atol=1e-2)
    np.testing.assert_array_equal(kernel[..., 12:], -kernel[..., :12])
    moments = outputs[:, 8:12].T @ outputs[:, 8:12] / len(outputs)
    np.testing.assert_allclose(moments, np.eye(4), atol=1e-2)
    assert np.isfinite(zoo.whitening_kernel(np.zeros_like(gray))).all()


def test_whiten_sets_the_layer():
    model, images = zoo.SpeedNet(**SMALL), draw(50, 32, 32, 3)
    zoo.whiten(model, images)
    np.testing.assert_array_equal(to_numpy(model.get_layer("whiten").kernel), zoo.whitening_kernel(images))
    with pytest.raises(ValueError, match=r"\(2, 2, 1, 8\).*\(2, 2, 3, 24\)"):
        zoo.whiten(model, images[..., :1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((4, 8, 8, 3), "uint8")}, "`images`.*normalised.*uint8"),
        ({"images": draw(8, 8, 3)}, r"`images`.*\(8, 8, 3\)"),
        ({"images": draw(0, 8, 8, 3)}, r"`images`.*\(0, 8, 8, 3\)"),
        ({"images": draw(4, 1, 8, 3)}, "`images`.*2 pixels"),
        ({"images": np.full((4, 8, 8, 3), np.nan)}, "`images`.*finite"),
        ({"kernel_size": 0}, "`kernel_size`.*0"),
        ({"epsilon": 0}, "`epsilon`.*0"),
    ],
)
def test_whitening_refuses_bad_arguments(changes, words):
    with pytest.raises(ValueError, match=words):
        zoo.whitening_kernel(**{"images": draw(4, 8, 8, 3), **changes})


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (3, 3, 6, 4), (2, 2, 3, 3), (1, 5, 2, 4)])
def test_dirac_is_torchs(shape):
    torch = pytest.importorskip("torch")
    height, width, inputs, filters = shape
    expected = torch.zeros(filters, inputs, height, width)
    torch.nn.init.dirac_(expected[:inputs])
    expected = expected.numpy().transpose(2, 3, 1, 0)
    kernel = to_numpy(zoo.Dirac(seed=1)(shape))
    np.testing.assert_array_equal(kernel[..., :inputs], expected[..., :inputs])
    others = kernel[..., inputs:]
    assert (np.abs(others) <= (height * width * inputs) ** -0.5).all()
    assert np.unique(others).size == others.size


def test_dirac_is_seeded_and_saved():
    shape = (3, 3, 16, 64)
    initializer = zoo.Dirac(seed=3)
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    values = to_numpy(initializer(shape, "float32"))
    np.testing.assert_array_equal(to_numpy(again(shape, "float32")), values)
    assert np.abs(to_numpy(zoo.Dirac(seed=4)(shape)) - values).max() > 0
    assert values[..., 16:].std() == pytest.approx((3 * 144) ** -0.5, rel=0.02)
    with pytest.raises(ValueError, match=r"Dirac.*\(3, 4\)"):
        initializer((3, 4))
