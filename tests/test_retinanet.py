"""RetinaNet against one written in torch from its description, and against the published counts."""

import keras
import numpy as np
import pytest
from gradients import gradient
from test_zoo import channels_first as channels_first  # a fixture
from test_zoo import outline

import zoo
from recipes.losses import DetectionLoss

to_numpy = keras.ops.convert_to_numpy
HEIGHT, WIDTH = 97, 131  # odd at most levels: 13x17, 7x9, 4x5, 2x3, 1x2


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def tiny(normalization=keras.layers.BatchNormalization, input_shape=(None, None, 3), strides=(8, 2, 2), padding="same"):
    """A backbone of three convolutions."""
    x = images = keras.Input(input_shape)
    for number, stride in enumerate(strides, start=3):
        x = keras.layers.Conv2D(4, stride, stride, padding=padding, use_bias=False, name=f"c{number}_conv")(x)
        x = normalization(axis=1 if keras.config.image_data_format() == "channels_first" else -1)(x)
        x = keras.layers.ReLU(name=f"c{number}")(x)
    return keras.Model(images, x, name="tiny")


def small(backbone=None, **arguments):
    arguments = {"classes": 2, "taps": ("c3", "c4", "c5"), "channels": 8, "head_depth": 1, **arguments}
    return zoo.RetinaNet(backbone or tiny(), **arguments)


def randomize(model):
    """Outputs that depend on the images: the last convolutions begin as zeros."""
    for layer in model.layers:
        if layer.name.endswith("_head_output"):
            layer.kernel.assign(draw(*layer.kernel.shape, seed=1) * 0.1)
    return model


@pytest.fixture(scope="module")
def reference():
    """The network in torch, of random weights that keep every output moderate."""
    torch = pytest.importorskip("torch")
    import torch_retinanet

    torch.manual_seed(0)
    network = torch_retinanet.RetinaNet(classes=3).eval()
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5) if name.endswith("bn1") else module.weight.uniform_(0.1, 0.3)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    module.bias.normal_(0, 0.2)
        network.regressionModel.output.weight *= 0.2
        network.classificationModel.output.weight *= 0.2
        network.classificationModel.output.bias -= 3
    return network


@pytest.fixture(scope="module")
def ported(reference, tmp_path_factory):
    """Ours, with the weights of the network in torch."""
    import torch

    path = tmp_path_factory.mktemp("weights") / "retinanet.pth"
    torch.save(reference.state_dict(), path)
    with pytest.MonkeyPatch.context() as patch:  # to draw what the file replaces takes JAX long
        patch.setattr(keras.initializers.VarianceScaling, "__call__", keras.initializers.Zeros.__call__)
        return zoo.RetinaNet("ResNet18", weights=path, classes=3)


@pytest.fixture(scope="module")
def outputs(reference, ported):
    """What both give for two images: NumPy arrays of ours, tensors of torch's."""
    import torch

    images = draw(2, HEIGHT, WIDTH, 3)
    with torch.no_grad():
        theirs = reference(torch.from_numpy(images).movedim(-1, 1))
    ours = {name: to_numpy(each) for name, each in ported(images).items()}
    return ours, dict(zip(("boxes", "classes"), theirs))


def targets():
    """Three objects in the first image, after a row that fills up; none in the second."""
    boxes = np.zeros((2, 4, 4), "float32")
    boxes[0, 1:] = [[10, 5, 60, 50], [30, 20, 110, 90], [80, 60, 81, 60.5]]
    labels = np.full((2, 4), -1)
    labels[0, 1:] = 2, 0, 1
    return {"boxes": boxes, "labels": labels}


def test_forward_pass_is_that_of_torch(outputs):
    ours, theirs = outputs
    for name in ("boxes", "classes"):
        assert ours[name].shape == theirs[name].shape and theirs[name].std() > 0.3
        np.testing.assert_allclose(ours[name], theirs[name].numpy(), rtol=1e-4, atol=1e-4)


def test_weights_go_back_to_torch(reference, ported):
    state = reference.state_dict()
    ours = zoo.weights.to_torch_state(ported)
    assert {name for name in state if not name.endswith("num_batches_tracked")} == set(ours)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, state[name].numpy())


@pytest.mark.parametrize("height, width", [(HEIGHT, WIDTH), (64, 129), (1, 255)])
def test_anchors_are_those_of_the_formula(height, width):
    torch_retinanet = pytest.importorskip("torch_retinanet")
    expected = torch_retinanet.anchors_of(height, width).numpy()
    np.testing.assert_allclose(zoo.boxes.anchors((height, width)), expected, rtol=1e-5, atol=1e-3)


def test_decoded_boxes_are_those_of_torch(outputs):
    import torch_retinanet

    ours, theirs = outputs
    anchors = zoo.boxes.anchors((HEIGHT, WIDTH))
    decoded = to_numpy(zoo.boxes.decode(ours["boxes"], anchors))
    for sample in range(2):
        expected = torch_retinanet.decode(theirs["boxes"][sample], torch_retinanet.anchors_of(HEIGHT, WIDTH))
        np.testing.assert_allclose(decoded[sample], expected.numpy(), rtol=1e-4, atol=1e-4 * WIDTH)


def test_loss_and_its_gradient_are_those_of_torch(outputs):
    import torch
    import torch_retinanet

    ours, theirs = outputs
    objects = targets()
    theirs = [theirs[name].clone().requires_grad_(True) for name in ("boxes", "classes")]
    where = (torch.from_numpy(objects["boxes"]), torch.from_numpy(objects["labels"]))
    losses = torch_retinanet.losses(*theirs, *where, torch_retinanet.anchors_of(HEIGHT, WIDTH))
    class_losses, box_losses, counts = losses
    assert counts[0] > 5 and counts[1] == 0
    found = DetectionLoss()(objects, ours, (HEIGHT, WIDTH))
    assert float(found["class_loss"]) == pytest.approx(class_losses.mean().item(), rel=1e-4)
    assert float(found["box_loss"]) == pytest.approx(box_losses.mean().item(), rel=1e-4)
    by_batch = DetectionLoss(normalization="batch")(objects, ours, (HEIGHT, WIDTH))
    weights = [max(count, 1) / counts[0] for count in counts]
    expected = sum(weight * loss.item() for weight, loss in zip(weights, class_losses))
    assert float(by_batch["class_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(by_batch["box_loss"]) == pytest.approx(box_losses[0].item(), rel=1e-4)

    (class_losses.mean() + box_losses.mean()).backward()
    for name, tensor in zip(("boxes", "classes"), theirs):
        slopes = gradient(
            lambda values: sum(DetectionLoss()(objects, {**ours, name: values}, (HEIGHT, WIDTH)).values()), ours[name]
        )
        np.testing.assert_allclose(slopes, tensor.grad.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("depth", "trainable"),
    [(18, 21_410_100), (34, 31_518_260), (50, 37_968_692), (101, 56_960_820), (152, 72_604_468)],
)
def test_counts_are_the_published_ones(depth, trainable):
    model = outline(zoo.RetinaNet, backbone=f"resnet{depth}")
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == trainable


def test_an_untrained_network_gives_the_prior_and_the_anchors():
    outputs = small(prior=0.1)(draw(2, 40, 56, 3))
    np.testing.assert_allclose(to_numpy(keras.ops.sigmoid(outputs["classes"])), 0.1, rtol=1e-6)
    assert not to_numpy(outputs["boxes"]).any()


def test_convolutions_begin_as_those_of_torch():
    kernel, bias = (to_numpy(each) for each in small().get_layer("fpn_p4").weights)
    assert kernel.std() == pytest.approx((2 / (9 * 8)) ** 0.5, rel=0.15)
    assert 0 < np.abs(bias).max() <= (9 * 8) ** -0.5


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_outputs_are_float32_under_mixed_precision(policy):
    images, before = draw(2, 40, 56, 3), keras.config.dtype_policy()
    full = randomize(small())
    try:
        keras.config.set_dtype_policy(policy)
        model = small()
    finally:
        keras.config.set_dtype_policy(before)
    outputs = model(images)
    np.testing.assert_allclose(to_numpy(outputs["classes"]), np.log(0.01 / 0.99), rtol=1e-6)  # not rounded
    model.set_weights(full.get_weights())
    outputs, expected = model(images), full(images)
    for name in ("boxes", "classes"):
        assert keras.backend.standardize_dtype(outputs[name].dtype) == model.output[name].dtype == "float32"
        np.testing.assert_allclose(to_numpy(outputs[name]), to_numpy(expected[name]), atol=0.1)


@pytest.mark.parametrize(
    ("normalization", "frozen"),
    [(keras.layers.BatchNormalization, True), (zoo.BatchNormalization, True), (keras.layers.BatchNormalization, False)],
)
def test_frozen_statistics_stand_still_while_gamma_and_beta_are_trained(normalization, frozen):
    backbone = tiny(normalization)
    model = randomize(small(backbone, frozen_statistics=frozen))
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [[to_numpy(weight).copy() for weight in layer.weights] for layer in layers]
    images = draw(2, 40, 56, 3)
    goal = {name: np.ones(each.shape, "float32") for name, each in model(images).items()}
    model.compile("sgd", {"boxes": "mse", "classes": "mse"})
    model.train_on_batch(images, goal)
    for layer, values in zip(layers, before):
        gamma, beta, mean, variance = (
            np.allclose(to_numpy(weight), value) for weight, value in zip(layer.weights, values)
        )
        assert (gamma, beta) == (False, False) and (mean, variance) == (frozen, frozen)
    np.testing.assert_array_equal(to_numpy(backbone.weights[1]), 1)  # what was given is as it was


def test_any_network_is_a_backbone_and_lends_its_weights():
    backbone = tiny()
    backbone.set_weights([draw(*weight.shape) ** 2 for weight in backbone.weights])
    model = small(backbone)
    images = draw(2, 40, 56, 3)
    tapped = keras.Model(model.inputs[0], model.get_layer("c5").output)
    np.testing.assert_allclose(to_numpy(tapped(images)), to_numpy(backbone(images)), rtol=1e-5)
    assert tapped.get_layer("c3_conv") is not backbone.get_layer("c3_conv")


@pytest.mark.parametrize(("kind", "count"), [("group", 2), ("batch", 2 * 5)])
def test_heads_are_normalized_as_asked(kind, count):
    plain, model = small(), small(head_normalization=kind)
    extra = len(model.layers) - len(plain.layers)
    assert extra == count
    images = draw(2, 40, 56, 3)
    expected = plain(images)
    for name, each in model(images).items():
        assert each.shape == expected[name].shape


def test_a_saved_network_is_the_same(tmp_path):
    model = randomize(small(head_normalization="batch"))
    images = draw(2, 40, 56, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for name, each in model(images).items():
        np.testing.assert_allclose(to_numpy(loaded(images)[name]), to_numpy(each), atol=1e-6)
    assert all(layer.frozen_statistics for layer in loaded.layers if layer.name.startswith("batch_norm"))


def test_channels_first_is_the_same_function(channels_first):
    first = randomize(small(tiny(input_shape=(3, 40, 56))))
    keras.config.set_image_data_format("channels_last")
    last = small()
    last.set_weights(first.get_weights())
    images = draw(2, 40, 56, 3)
    moved, expected = first(images.transpose(0, 3, 1, 2)), last(images)
    for name in ("boxes", "classes"):
        np.testing.assert_allclose(to_numpy(moved[name]), to_numpy(expected[name]), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet20"}, "`backbone`.*resnet18.*keras.Model.*'resnet20'"),
        ({"classes": 0}, "`classes`.*0"),
        ({"prior": 0}, r"`prior`.*\(0, 1\).*0"),
        ({"channels": 2.5}, "`channels`.*2.5"),
        ({"head_depth": 0}, "`head_depth`.*0"),
        ({"anchors_per_cell": True}, "`anchors_per_cell`.*True"),
        ({"head_normalization": "layer"}, "`head_normalization`.*group.*'layer'"),
        ({"weights": "imagenet"}, "`weights`.*path.*imagenet"),
        ({"backbone_weights": "nowhere.pth"}, "`weights`.*imagenet.*nowhere.pth"),
        ({"input_shape": (16, 64, 3)}, "32 pixels.*16, 64, 3"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        zoo.RetinaNet(**arguments)


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        ({}, {"taps": None}, "`taps`.*three layers of tiny.*None"),
        ({}, {"taps": ("c3", "c4", "c6")}, "`taps`.*c6"),
        ({"strides": (4, 2, 2)}, {}, r"`taps`.*strides \(8, 16, 32\)"),
        ({"input_shape": (40, 56, 3), "padding": "valid"}, {}, r"`taps`.*\[5, 7, 3, 4, 2, 2\].*\[5, 7, 2, 3, 1, 1\]"),
        ({}, {"backbone_weights": "imagenet"}, "`backbone_weights`.*imagenet"),
        ({"input_shape": (64, 64, 3)}, {"input_shape": (32, 32, 3)}, "leave out `input_shape`.*32"),
    ],
)
def test_bad_backbones_are_refused(backbone, arguments, message):
    with pytest.raises(ValueError, match=message):
        small(tiny(**backbone), **arguments)
