"""Heads, stages, frozen parts, rates by depth, cached features and the learned rescaling."""

import keras
import numpy as np
import pytest
from tiny_networks import TinyNet
from tiny_networks import trained

import augment
import zoo
from recipes import fine_tuning
from recipes.fine_tuning.stages import head_input
from recipes.optimizers import SGD
from recipes.optimizers import Grouped

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def tiny(seed=0, dropout=0.0, side=16, classes=3):
    keras.utils.set_random_seed(seed)
    return fine_tuning.replace_head(trained(TinyNet(input_shape=(side, side, 3))), classes, units=7, dropout=dropout)


def some_batch(samples=8, side=16, classes=3):
    rng = np.random.default_rng(1)
    return rng.normal(size=(samples, side, side, 3)).astype("float32"), rng.integers(classes, size=samples)


def values(layers):
    return {each.path: keras.ops.convert_to_numpy(each).copy() for layer in layers for each in layer.weights}


def with_weights(layers):
    return [layer for layer in layers if layer.weights]


NETWORKS = {
    "resnet18": (lambda: zoo.ResNet18(input_shape=(64, 64, 3)), [34, 16, 8, 4, None]),
    "cifar": (lambda: zoo.ResNet18(input_shape=(16, 16, 3), stem="cifar", include_top=False), [16, 8, 4, 2]),
    "davidnet": (lambda: zoo.DavidNet(input_shape=(32, 32, 3)), None),
    "sequential": (
        lambda: keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, padding="same"),
                keras.layers.Conv2D(4, 3, 2, padding="same"),
                keras.layers.Flatten(),
                keras.layers.Dense(5),
            ]
        ),
        [8, None],
    ),
    "mobilenet": (
        lambda: keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None),
        None,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_stages_one_after_another_are_the_network(name):
    build, sides = NETWORKS[name]
    model = build()
    stages = fine_tuning.stages_of(model)
    if sides:
        assert [stage.output.shape[1] if len(stage.output.shape) == 4 else None for stage in stages] == sides
    inside = [layer.name for stage in stages for layer in with_weights(stage.layers)]
    head = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    assert sorted(inside + head) == sorted(layer.name for layer in with_weights(model.layers))
    assert all(with_weights(stage.layers) for stage in stages)
    images = x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype("float32")
    for stage in stages:
        x = keras.Model(stage.input, stage.output)(x, training=False)
    expected = keras.Model(model.inputs[0], head_input(model))(images, training=False)
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (x, expected)), rtol=1e-5, atol=1e-5)


def test_the_head_is_that_of_the_write_up():
    """Linear(2048, 2048), ReLU, Dropout(0.3), Linear(2048, 10): 4,216,842 parameters."""
    model = fine_tuning.replace_head(zoo.ResNet50(input_shape=(32, 32, 3)), classes=10)
    names = ["Dense", "ReLU", "Dropout", "Dense"]
    assert [type(layer).__name__ for layer in model.layers[-4:]] == names
    assert model.layers[-2].rate == 0.3
    parts = fine_tuning.freeze_below(model)
    assert parts.below.output_shape == (None, 2048)
    assert sum(int(np.prod(each.shape)) for each in parts.model.trainable_variables) == 2048 * 2048 + 2048 + 20490
    assert parts.model.count_params() == model.count_params()


def test_a_new_head_takes_the_place_of_the_last_one_and_leaves_the_rest():
    model = tiny()
    again = fine_tuning.replace_head(model, 5, units=0, dropout=0.0)
    assert [layer.name for layer in again.layers[-2:]] == ["head_pool", "predictions"]
    assert again.output_shape == (None, 5)
    assert again.get_layer("stage1_conv") is model.get_layer("stage1_conv")


@pytest.mark.parametrize(("stages", "frozen_statistics"), [(0, True), (1, True), (2, False)])
def test_what_is_frozen_is_the_same_to_the_last_bit(stages, frozen_statistics):
    model = tiny(dropout=0.3)
    found = fine_tuning.stages_of(model)
    frozen = [layer for stage in found[: 3 - stages] for layer in with_weights(stage.layers)]
    above = [layer for stage in found[3 - stages :] for layer in with_weights(stage.layers)]
    head = [model.get_layer("head_dense"), model.get_layer("predictions")]
    parts = fine_tuning.freeze_below(model, stages, frozen_statistics=frozen_statistics)
    before = values(frozen), values(above + head)
    parts.model.compile(SGD(0.5), LOSS)
    parts.model.fit(*some_batch(), batch_size=4, epochs=2, verbose=0)
    for path, value in values(frozen).items():
        np.testing.assert_array_equal(value, before[0][path])
    for path, value in values(above + head).items():
        still = frozen_statistics and "/moving_" in path
        assert np.array_equal(value, before[1][path]) == still, path


def test_what_was_frozen_thaws():
    model = tiny()
    fine_tuning.freeze_below(model)
    assert len(model.trainable_variables) == 4
    fine_tuning.freeze_below(model, 3)
    assert len(model.trainable_variables) == 3 * 3 + 4


def test_the_frozen_part_computes_as_in_prediction():
    """With dropout and batch normalisation in it; so does what is above, if its statistics are frozen."""
    images = some_batch()[0]
    model = tiny()
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    for stages in (0, 2):
        parts = fine_tuning.freeze_below(model, stages)
        shown = keras.ops.convert_to_numpy(parts.model(images, training=True))
        np.testing.assert_allclose(shown, expected, rtol=1e-4, atol=1e-5)
        halves = parts.above(parts.below(images, training=False), training=True)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(halves), expected, rtol=1e-4, atol=1e-5)
    parts = fine_tuning.freeze_below(model, 2, frozen_statistics=False)
    assert not np.allclose(keras.ops.convert_to_numpy(parts.model(images, training=True)), expected, atol=1e-2)


def test_any_model_of_keras_applications_can_be_frozen():
    backbone = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    model = fine_tuning.replace_head(backbone, 3, units=0)
    parts = fine_tuning.freeze_below(model, 1)
    frozen = [layer for stage in fine_tuning.stages_of(model)[:-1] for layer in stage.layers]
    before = values(frozen)
    last = keras.ops.convert_to_numpy(model.get_layer("Conv_1").kernel).copy()
    parts.model.compile(SGD(0.5), LOSS, run_eagerly=True)
    parts.model.train_on_batch(*some_batch(4, 32))
    for path, value in values(frozen).items():
        np.testing.assert_array_equal(value, before[path])
    assert not np.array_equal(keras.ops.convert_to_numpy(model.get_layer("Conv_1").kernel), last)


def test_each_depth_steps_at_its_own_rate():
    """Plain SGD steps by rate times gradient: with rate 1 everywhere, the steps are the gradients."""
    model, batch = tiny(), some_batch()
    parts = fine_tuning.freeze_below(model, 2)
    groups = fine_tuning.depth_rates(model, 0.5, decay=0.1)
    assert [rate for _, rate in groups] == pytest.approx([0.05, 0.005])
    kept, steps = model.get_weights(), []
    for optimizer in (
        SGD(1.0),
        Grouped([(pattern, SGD(rate)) for pattern, rate in groups], default=SGD(0.5)),
    ):
        model.set_weights(kept)
        before = values(model.layers)
        parts.model.compile(optimizer, LOSS)
        parts.model.train_on_batch(*batch)
        steps.append({path: value - before[path] for path, value in values(model.layers).items()})
    rates = {"stage2": 0.005, "stage3": 0.05, "head_": 0.5, "predictions": 0.5}
    trained_paths = [each.path for each in model.trainable_variables]
    assert len(trained_paths) == 2 * 3 + 4
    for path in trained_paths:
        rate = next(value for name, value in rates.items() if path.startswith(name))
        assert np.abs(steps[0][path]).max() > 1e-4, path
        np.testing.assert_allclose(steps[1][path], rate * steps[0][path], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("stages", [0, 1])
def test_training_on_features_gives_the_same_weights(stages):
    """With as many augmented copies as epochs, even where images are augmented."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (20, 16, 16, 3), "uint8"), rng.integers(3, size=20)
    operations = [augment.HorizontalFlip(), augment.Normalize((128.0,) * 3, (64.0,) * 3)]
    settings, weights = {"batch_size": 8, "seed": 3}, []
    for cached in (True, False):
        model = tiny(seed=5)
        parts = fine_tuning.freeze_below(model, stages)
        if cached:
            views = [fine_tuning.features(parts.below, images, operations, **settings, epoch=view) for view in (0, 1)]
            data = fine_tuning.FeatureBatches(views, labels, **settings, drop_remainder=True)
        else:
            data = augment.ArrayGenerator(images, labels, operations, **settings, drop_remainder=True)
        network = parts.above if cached else parts.model
        network.compile(SGD(0.1, 0.9), LOSS)
        follow = keras.callbacks.LambdaCallback(on_epoch_begin=data.set_epoch)
        network.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[follow])
        weights.append(values(model.layers))
    assert not np.allclose(views[0], views[1])
    start = values(tiny(seed=5).layers)
    assert not np.allclose(weights[0]["predictions/kernel"], start["predictions/kernel"], atol=1e-3)
    for path, value in weights[0].items():
        np.testing.assert_allclose(value, weights[1][path], rtol=1e-4, atol=1e-5, err_msg=path)


def test_rescaling_begins_as_bilinear_and_learns_below_a_frozen_network(tmp_path):
    torch = pytest.importorskip("torch")
    images = keras.Input((37, 37, 3))
    rescaled = fine_tuning.rescale(images, 16, filters=4)
    batch = some_batch(4, 37)
    shown = keras.Model(images, rescaled)(batch[0])
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(batch[0].transpose(0, 3, 1, 2)), (16, 16), mode="bilinear", antialias=True
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(shown), expected.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-3
    )
    model = fine_tuning.replace_head(trained(TinyNet(input_tensor=rescaled)), 3, units=0)
    parts = fine_tuning.freeze_below(model)
    assert parts.below is None
    before = values(model.layers)
    parts.model.compile(SGD(0.5), LOSS)
    parts.model.fit(*batch, epochs=2, verbose=0)
    changed = {path for path, value in values(model.layers).items() if not np.array_equal(value, before[path])}
    assert {path.partition("_")[0].partition("/")[0] for path in changed} == {"rescale", "predictions"}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(each(batch[0], training=False)) for each in (loaded, model)), rtol=1e-4, atol=1e-5
    )
    assert len(fine_tuning.stages_of(loaded)) == 3


@pytest.mark.parametrize("name", ["vgg16", "mobilenet_v2", "densenet", "efficientnet", "convnext"])
def test_pixels_are_prepared_as_in_keras_applications(name):
    module = getattr(keras.applications, name)
    builder = {"vgg16": "VGG16", "densenet": "DenseNet121", "efficientnet": "EfficientNetB0"}.get(name)
    builder = builder or {"mobilenet_v2": "MobileNetV2", "convnext": "ConvNeXtTiny"}[name]
    mean, std, flipped = fine_tuning.preprocessing(getattr(keras.applications, builder))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, 3)).astype("float32")
    ours = (pixels - np.float32(mean)) / np.float32(std)
    ours = ours[..., ::-1] if flipped else ours
    np.testing.assert_allclose(ours, module.preprocess_input(pixels.copy()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fine_tuning.freeze_below(tiny(), 4), "`stages` must be from 0 to 3.*4"),
        (lambda: fine_tuning.freeze_below(tiny(), -1), "`stages`.*-1"),
        (lambda: fine_tuning.stages_of(keras.Sequential([keras.layers.Dense(2)])), "built sequential"),
        (lambda: fine_tuning.stages_of(TinyNet(input_shape=(None, None, 3))), "one size"),
        (lambda: fine_tuning.depth_rates(tiny(), 0.1, 0.0), "`decay`.*0"),
        (lambda: fine_tuning.depth_rates(tiny(), -0.1), "`learning_rate`.*-0.1"),
        (lambda: fine_tuning.replace_head(tiny(), 0), "`classes`.*0"),
        (lambda: fine_tuning.replace_head(tiny(), 3, units=-1), "units=-1"),
        (lambda: fine_tuning.replace_head(tiny(), 3, dropout=1.0), "`dropout`.*1"),
        (lambda: fine_tuning.rescale(keras.Input((8, 8, 3)), 16), "`image_size`.*16"),
        (lambda: fine_tuning.FeatureBatches([np.zeros((3, 2))], np.zeros(4)), "as many.*3.*4"),
        (lambda: fine_tuning.FeatureBatches([np.zeros((3, 2))], np.zeros(3), batch_size=0), "no batch of 0"),
        (lambda: fine_tuning.load_backbone("ResNet20"), "`architecture`.*'ResNet20'"),
        (lambda: fine_tuning.load_backbone("keras.applications:ResNet20"), "cannot be imported.*ResNet20"),
        (lambda: fine_tuning.load_backbone("ResNet18", "nowhere.keras"), "no file nowhere.keras"),
        (lambda: fine_tuning.load_backbone("ResNet18", "nowhere.pth"), "`weights`.*nowhere.pth"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
