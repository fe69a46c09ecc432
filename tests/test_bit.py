"""BiT against a version in torch that is written here, through files as they are published."""

import keras
import numpy as np
import pytest

import zoo
from zoo import bit_weights

to_numpy = keras.ops.convert_to_numpy
SHALLOW = {"depths": (1, 2), "classes": 5}
PREFIX = "resnet/"


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def published(depths=(3, 4, 6, 3), width=1, classes=5, seed=0):
    """Arrays as published files hold them, of random numbers."""
    random = np.random.default_rng(seed)

    def kernel(*shape):
        return random.normal(0.1, 0.3, shape)

    def norm(channels):
        return {"gamma": random.uniform(0.5, 1.5, channels), "beta": random.normal(0, 0.3, channels)}

    state = {"root_block/standardized_conv2d/kernel": kernel(7, 7, 3, 64 * width)}
    channels = 64 * width
    for block, depth in enumerate(depths):
        middle = 64 * width * 2**block
        for unit in range(1, depth + 1):
            name = f"block{block + 1}/unit{unit:02d}"
            shapes = {"a": (1, 1, channels, middle), "b": (3, 3, middle, middle), "c": (1, 1, middle, 4 * middle)}
            for letter, shape in shapes.items():
                state[f"{name}/{letter}/standardized_conv2d/kernel"] = kernel(*shape)
                state |= {f"{name}/{letter}/group_norm/{key}": array for key, array in norm(shape[2]).items()}
            if unit == 1:
                state[f"{name}/a/proj/standardized_conv2d/kernel"] = kernel(1, 1, channels, 4 * middle)
            channels = 4 * middle
    state |= {f"group_norm/{key}": array for key, array in norm(channels).items()}
    state |= {"head/conv2d/kernel": kernel(1, 1, channels, classes), "head/conv2d/bias": kernel(classes)}
    return {PREFIX + key: array.astype("float32") for key, array in state.items()}


def torch_logits(tensors, images, depths):
    """The network as the paper has it, for torch tensors by published names and images `(batch, 3, ...)`."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional

    def convolve(x, key, stride=1, padding=0):
        kernel = tensors[f"{PREFIX}{key}/standardized_conv2d/kernel"]
        variance, mean = torch.var_mean(kernel, (0, 1, 2), correction=0)
        kernel = ((kernel - mean) / torch.sqrt(variance + 1e-10)).permute(3, 2, 0, 1)
        return F.conv2d(F.pad(x, [padding] * 4), kernel, stride=stride)

    def activate(x, key):
        gamma, beta = (tensors[f"{PREFIX}{key}group_norm/{name}"] for name in ("gamma", "beta"))
        return F.relu(F.group_norm(x, 32, gamma, beta, 1e-5))

    x = convolve(images, "root_block", 2, 3)
    x = F.max_pool2d(F.pad(x, [1] * 4), 3, 2)
    for block, depth in enumerate(depths, 1):
        for unit in range(1, depth + 1):
            name, stride = f"block{block}/unit{unit:02d}", 2 if block > 1 and unit == 1 else 1
            h = activate(x, f"{name}/a/")
            shortcut = convolve(h, f"{name}/a/proj", stride) if unit == 1 else x
            h = activate(convolve(h, f"{name}/a"), f"{name}/b/")
            h = activate(convolve(h, f"{name}/b", stride, 1), f"{name}/c/")
            x = convolve(h, f"{name}/c") + shortcut
    x = activate(x, "").mean((2, 3))
    return x @ tensors[f"{PREFIX}head/conv2d/kernel"][0, 0] + tensors[f"{PREFIX}head/conv2d/bias"]


def expected_logits(state, images, depths):
    torch = pytest.importorskip("torch")
    tensors = {key: torch.tensor(array) for key, array in state.items()}
    return torch_logits(tensors, torch.tensor(images.transpose(0, 3, 1, 2)), depths).numpy()


def assert_close(ours, expected):
    scale = np.abs(expected).max()
    assert scale > 0.1, "the reference has outputs to compare"
    np.testing.assert_allclose(to_numpy(ours) / scale, expected / scale, atol=1e-4)


def save(state, path):
    np.savez(path, **state)
    return path


@pytest.mark.parametrize(("depths", "width", "sides"), [((1, 2), 1, (33, 48)), ((1,), 2, (64, 35))])
def test_bit_equals_torch_at_any_size(depths, width, sides, tmp_path):
    state = published(depths, width)
    model = zoo.BiTResNet50(
        weights=save(state, tmp_path / "bit.npz"),
        input_shape=(None, None, 3),
        classes=5,
        classifier_activation=None,
        depths=depths,
        width=width,
    )
    images = draw(2, *sides, 3)
    assert_close(model(images), expected_logits(state, images, depths))


def test_r50x1_equals_torch_with_all_153_arrays(tmp_path):
    state = published()
    assert len(state) == 153
    path = save(state, tmp_path / "BiT-M-R50x1.npz")
    model = zoo.BiTResNet50(weights=path, input_shape=(49, 70, 3), classes=5, classifier_activation=None)
    images = draw(2, 49, 70, 3)
    assert_close(model(images), expected_logits(state, images, (3, 4, 6, 3)))
    again = bit_weights.to_npz_state(model)
    assert again.keys() == state.keys()
    for key, array in state.items():
        np.testing.assert_array_equal(again[key], array)


def test_gradients_equal_torchs(tmp_path, backend):
    torch = pytest.importorskip("torch")
    state, images, targets = published(**SHALLOW), draw(4, 33, 32, 3), draw(4, 5, seed=1)
    path = save(state, tmp_path / "bit.npz")
    model = zoo.BiTResNet50(weights=path, input_shape=(33, 32, 3), classifier_activation=None, **SHALLOW)
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=backend == "jax")
    model.train_on_batch(images, targets)
    tensors = {key: torch.tensor(array, requires_grad=True) for key, array in state.items()}
    outputs = torch_logits(tensors, torch.tensor(images.transpose(0, 3, 1, 2)), SHALLOW["depths"])
    torch.nn.functional.mse_loss(outputs, torch.tensor(targets)).backward()
    for key, trained in bit_weights.to_npz_state(model).items():
        expected = tensors[key].grad.numpy()
        assert np.abs(expected).max() > 1e-5, key
        np.testing.assert_allclose(state[key] - trained, expected, atol=2e-3 * np.abs(expected).max() + 2e-6)


def test_half_precision_computes_nearly_the_same(tmp_path):
    state, images = published(**SHALLOW), draw(4, 40, 40, 3)
    path = save(state, tmp_path / "bit.npz")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = zoo.BiTResNet50(weights=path, input_shape=(40, 40, 3), classifier_activation=None, **SHALLOW)
    finally:
        keras.config.set_dtype_policy(before)
    expected = expected_logits(state, images, SHALLOW["depths"])
    outputs = model(images)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(outputs), expected, atol=0.05 * np.abs(expected).max())


def test_the_classifier_begins_as_zeros():
    model = zoo.BiTResNet50(input_shape=(32, 32, 3), **SHALLOW)
    np.testing.assert_allclose(to_numpy(model(draw(2, 32, 32, 3))), 0.2, atol=1e-7)


def test_a_classifier_of_other_classes_is_replaced_by_zeros(tmp_path):
    state = published(**SHALLOW)
    path = save(state, tmp_path / "bit.npz")
    arguments = {"depths": SHALLOW["depths"], "input_shape": (32, 32, 3)}
    bias = PREFIX + "head/conv2d/bias"
    other = zoo.BiTResNet50(classes=3, **arguments)
    other.get_layer("predictions").set_weights([np.ones((512, 3)), np.ones(3)])
    bit_weights.load_npz(other, path)
    loaded = bit_weights.to_npz_state(other)
    np.testing.assert_array_equal(loaded[bias], 0)
    np.testing.assert_array_equal(loaded[PREFIX + "head/conv2d/kernel"], 0)
    np.testing.assert_array_equal(loaded[PREFIX + "group_norm/beta"], state[PREFIX + "group_norm/beta"])
    same = zoo.BiTResNet50(classes=5, weights=path, **arguments)
    np.testing.assert_array_equal(bit_weights.to_npz_state(same)[bias], state[bias])
    bit_weights.load_npz(same, path, head="zeros")
    np.testing.assert_array_equal(bit_weights.to_npz_state(same)[bias], 0)
    headless = zoo.BiTResNet50(include_top=False, weights=path, **arguments)
    assert bit_weights.to_npz_state(headless).keys() == {key for key in state if "/head/" not in key}


def test_every_mismatch_is_named_and_nothing_is_loaded(tmp_path):
    state = published(**SHALLOW)
    del state["resnet/block2/unit02/c/group_norm/gamma"], state["resnet/head/conv2d/bias"]
    state["resnet/block3/unit01/a/group_norm/beta"] = np.zeros(3, "float32")
    state["resnet/root_block/standardized_conv2d/kernel"] = np.zeros((7, 7, 1, 64), "float32")
    state["resnet/group_norm/beta"] = np.zeros(512, "int32")
    path = save(state, tmp_path / "bad.npz")
    model = zoo.BiTResNet50(input_shape=(32, 32, 3), depths=(1, 2), classes=7)
    before = model.get_weights()
    expected = [
        "bad.npz does not fit bit_resnet50",
        "resnet/block2/unit02/c/group_norm/gamma is missing",
        "resnet/head/conv2d/bias is missing",
        "resnet/block3/unit01/a/group_norm/beta is unexpected",
        "resnet/root_block/standardized_conv2d/kernel has shape (7, 7, 1, 64) where (7, 7, 3, 64) is expected",
        "resnet/head/conv2d/kernel has shape (1, 1, 512, 5) where (1, 1, 512, 7) is expected",
        "resnet/group_norm/beta is of type int32",
    ]
    with pytest.raises(ValueError) as caught:
        bit_weights.load_npz(model, path)
    assert all(part in str(caught.value) for part in expected), caught.value
    for own, other in zip(before, model.get_weights()):
        np.testing.assert_array_equal(own, other)


class _Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


@pytest.mark.parametrize("content", ["pickle", "text", "cut short", "one array"])
def test_other_files_are_refused_and_nothing_is_executed(content, tmp_path):
    path = save({"array": np.array([_Bomb()], dtype=object)}, tmp_path / "bad.npz")
    if content == "text":
        path.write_text("weights")
    if content == "cut short":
        path.write_bytes(save(published((1,)), tmp_path / "whole.npz").read_bytes()[:-1000])
    if content == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    model = zoo.BiTResNet50(include_top=False, input_shape=(32, 32, 3), depths=(1,))
    with pytest.raises(ValueError, match="bad.npz cannot be read as an .npz file"):
        bit_weights.load_npz(model, path)


def test_other_models_and_heads_are_refused(tmp_path):
    path = save(published((1,)), tmp_path / "bit.npz")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5, name="predictions")], name="other")
    with pytest.raises(ValueError, match="`model` must be a BiT.*'other'"):
        bit_weights.load_npz(other, path)
    with pytest.raises(ValueError, match="`head`.*'keep'"):
        bit_weights.load_npz(other, path, head="keep")


def test_published_weights_are_downloaded_by_name(tmp_path, monkeypatch):
    downloads = []

    def get_file(file, origin, cache_dir, cache_subdir):
        downloads.append(origin)
        folder = cache_dir / cache_subdir
        folder.mkdir(parents=True)
        return str(save(published((1,), classes=1000), folder / file))

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setitem(bit_weights.PUBLISHED, "BiTResNet50", bit_weights.Published("R50", (1, 3), (1,)))
    for classes, head in ((1000, True), (3, False)):
        model = zoo.BiTResNet50(weights="imagenet", classes=classes, depths=(1,), input_shape=(32, 32, 3))
        assert np.abs(to_numpy(model.get_layer("predictions").kernel)).any() == head
    assert downloads == ["https://storage.googleapis.com/bit_models/BiT-S-R50x1.npz"]


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (("BiTResNet50", 3, "imagenet21k"), "BiT-M-R50x3.npz"),
        (("BiTResNet101", 1, "imagenet21k_imagenet"), "BiT-M-R101x1-ILSVRC2012.npz"),
        (("BiTResNet152", 4, "imagenet"), "BiT-S-R152x4.npz"),
    ],
)
def test_without_a_connection_one_line_says_which_file_goes_where(arguments, file, tmp_path, monkeypatch):
    def get_file(*args, **kwargs):
        raise Exception("URL fetch failure\non two lines")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(ValueError) as caught:
        bit_weights.download(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    address = f"https://storage.googleapis.com/bit_models/{file}"
    assert f"(URL fetch failure). Download {address} and put it at {tmp_path / 'models' / file}" in message


def test_weights_that_nobody_published_are_refused():
    for arguments in (("BiTResNet50", 2, "imagenet"), ("ResNet50", 1, "imagenet"), ("BiTResNet50", 1, "imagenet_v2")):
        with pytest.raises(ValueError, match=f"BiTResNet152 of width 4.*{arguments[0]!r}.*{arguments[2]!r}"):
            bit_weights.download(*arguments)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_filters_are_standardised_before_they_are_rounded(policy):
    """Filters that differ from their mean by less than bfloat16 can tell."""
    kernel = 1 + draw(3, 3, 16, 8) / 1000
    layer = zoo.StandardizedConv2D(8, 3, use_bias=False, dtype=policy)
    layer.build((None, 3, 3, 16))
    layer.kernel.assign(kernel)
    images = draw(64, 3, 3, 16)
    exact = kernel.astype("float64")
    exact = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-10)
    expected = images.reshape(64, -1) @ exact.reshape(-1, 8)
    outputs = to_numpy(keras.ops.cast(layer(images), "float32")).reshape(64, 8)
    tolerance = {"float32": 2e-3, "mixed_bfloat16": 2e-2}[policy]
    np.testing.assert_allclose(outputs, expected, atol=tolerance * np.abs(expected).max())


def test_standardised_convolutions_have_all_of_keras_options(tmp_path):
    layer = zoo.StandardizedConv2D(8, 3, strides=2, groups=2, activation="relu", epsilon=0.5, dtype="mixed_bfloat16")
    model = keras.Sequential([keras.Input((7, 7, 4)), layer])
    kernel, bias = draw(3, 3, 2, 8), draw(8, seed=1)
    layer.set_weights([kernel, bias])
    model.save(tmp_path / "model.keras")
    images = draw(2, 7, 7, 4, seed=2)
    plain = keras.layers.Conv2D(8, 3, strides=2, groups=2, activation="relu")
    plain.build((None, 7, 7, 4))
    plain.set_weights([(kernel - kernel.mean((0, 1, 2))) / np.sqrt(kernel.var((0, 1, 2)) + 0.5), bias])
    expected = to_numpy(plain(images))
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        outputs = each(images)
        assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
        outputs = to_numpy(keras.ops.cast(outputs, "float32"))
        np.testing.assert_allclose(outputs, expected, atol=3e-2 * expected.max())
