"""RetinaNet: anchors on a feature pyramid, one head for their classes and one for their boxes."""

import math

import keras

from zoo import resnet
from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_choice
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import torch_initializers
from zoo.convolution import Conv2D
from zoo.group_normalization import GroupNormalization
from zoo.normalization import BatchNormalization

BACKBONES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
NORMALIZATIONS = (None, "group", "batch")
_LEVELS = ("p3", "p4", "p5", "p6", "p7")
_STRIDES = (8, 16, 32)


def RetinaNet(
    backbone="resnet50",
    weights=None,
    backbone_weights=None,
    input_shape=None,
    classes=80,
    name="retinanet",
    *,
    taps=None,
    prior=0.01,
    frozen_statistics=True,
    channels=256,
    head_depth=4,
    anchors_per_cell=9,
    head_normalization=None,
):
    """Detector of one stage: 37,968,692 trainable parameters with ResNet50 and 80 classes.

    The maps of strides 8 to 128 have as many cells as the image has strides, a begun one counted. Every
    cell has its anchors, those of `zoo.boxes.anchors`; `zoo.boxes.detect` makes detections of the outputs.
    Images for published weights of a backbone are prepared as its builder says.

    Args:
        backbone: one of "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", in any case; or a
            `keras.Model` of images with `taps`, of which a copy is used, weights included. Defaults to
            "resnet50".
        weights: None for random weights, or path of a `.weights.h5` file of this model; or, with our
            ResNets, of a `.safetensors` or `.pth` file of pytorch-retinanet's state. Defaults to None.
        backbone_weights: what the ResNet takes as `weights`, such as "imagenet" or the path of a
            checkpoint. Defaults to None.
        input_shape: tuple `(height, width, channels)`, at least 32 pixels a side, None for any; or
            `(channels, height, width)` where that is Keras's image data format. Defaults to RGB images
            of any size.
        classes: int. Number of classes; none stands for the background. Defaults to 80.
        name: str. Name of the model. Defaults to "retinanet".
        taps: tuple of three names of layers of the backbone, whose outputs have the strides 8, 16 and 32.
            Defaults to the last layers of a ResNet's stages.
        prior: float in (0, 1). The probability that an untrained network gives each class. Defaults
            to 0.01.
        frozen_statistics: bool. Whether batch normalisation keeps to the running statistics of the
            backbone, in training too; gamma and beta are trained all the same. For training from
            scratch: False. Defaults to True.
        channels: int. Filters of pyramid and heads. Defaults to 256.
        head_depth: int. Convolutions of a head before its last. Defaults to 4.
        anchors_per_cell: int. Defaults to 9.
        head_normalization: one of None, as published; "group", in 32 groups; "batch", over the
            batch, each level by itself. After every convolution of the heads but the last; for
            training from scratch. Defaults to None.

    Returns:
        A `keras.Model`: images `(batch, height, width, 3)` to a dict of "boxes", `(batch, anchors, 4)`
        regressions as `zoo.boxes.encode` has them, and "classes", `(batch, anchors, classes)` logits; both
        in float32 under any dtype policy. Anchors come level by level, row by row.

    Raises:
        ValueError: for an argument out of range, taps of other strides, or weights that do not fit.

    Example:

    >>> model = RetinaNet("resnet18", classes=3, input_shape=(64, 96, 3))
    >>> model.output["boxes"].shape, model.output["classes"].shape
    ((None, 1161, 4), (None, 1161, 3))

    Reference:
        https://arxiv.org/abs/1708.02002
        https://github.com/yhenon/pytorch-retinanet
    """
    check_arguments(pooling=None, classes=classes, classifier_activation=None)
    _check_sizes(prior, head_normalization, channels=channels, head_depth=head_depth, anchors_per_cell=anchors_per_cell)
    check_weights("RetinaNet", weights)
    body, taps = _backbone(backbone, backbone_weights, input_shape, taps, frozen_statistics)
    levels = _pyramid([body.get_layer(tap).output for tap in taps], channels)
    heads = {
        "boxes": ("box_head", 4, 0.0),
        "classes": ("class_head", classes, -math.log((1 - prior) / prior)),
    }
    outputs = {}
    for key, (head, values, bias) in heads.items():
        maps = _tower(levels, head, channels, head_depth, head_normalization)
        last = AnchorConv2D(
            values,
            anchors_per_cell,
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(bias),
            name=f"{head}_output",
        )
        outputs[key] = keras.layers.Concatenate(1, dtype="float32", name=key)([last(each) for each in maps])
    return finish("RetinaNet", body.inputs[0], outputs, include_top=True, pooling=None, weights=weights, name=name)


@keras.saving.register_keras_serializable(package="zoo")
class TopDown(keras.layers.Layer):
    """Add a coarse map to one of about twice its height and width, each cell to the cells that it covers.

    Call it on `[fine, coarse]`, maps `(batch, height, width, channels)` or in Keras's other image data
    format; a coarse map that is too large is cut off, so that maps of any size fit.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> tuple(TopDown()([keras.ops.ones((1, 5, 3, 2)), keras.ops.ones((1, 3, 2, 2))]).shape)
    (1, 5, 3, 2)

    Reference:
        https://arxiv.org/abs/1612.03144
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._first_axis = 2 if channel_axis() == 1 else 1

    def call(self, inputs):
        fine, coarse = inputs
        first = self._first_axis
        for axis in (first, first + 1):
            coarse = keras.ops.repeat(coarse, 2, axis)
        height, width = keras.ops.shape(fine)[first : first + 2]
        cut = (slice(None),) * first + (slice(height), slice(width))
        return fine + coarse[cut]

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])


@keras.saving.register_keras_serializable(package="zoo")
class LevelConv2D(Conv2D):
    """One convolution, with a bias, for the maps of several levels.

    Call it on a list of maps: it returns a list. Called on each by itself, a layer would turn its kernel into
    half precision, and the gradient back, once for every level.

    Args:
        *args: of `keras.layers.Conv2D`.
        **kwargs: likewise, but for `use_bias` and `activation`.

    Example:

    >>> levels = [keras.ops.ones((1, side, side, 2)) for side in (8, 4)]
    >>> [tuple(each.shape) for each in LevelConv2D(3, 3, padding="same")(levels)]
    [(1, 8, 8, 3), (1, 4, 4, 3)]

    Reference:
        https://arxiv.org/abs/1708.02002
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.input_spec = None  # that of one map

    def build(self, input_shape):
        super().build(input_shape[0])
        self.input_spec = None

    def call(self, inputs):
        kernel = keras.ops.convert_to_tensor(self.kernel)
        shape = [1] * 4
        shape[1 if self.data_format == "channels_first" else 3] = self.filters
        bias = keras.ops.reshape(self.bias, shape)
        return [keras.ops.add(self.convolution_op(each, kernel), bias) for each in inputs]

    def compute_output_shape(self, input_shape):
        one = super().compute_output_shape
        return [one(shape) for shape in input_shape] if isinstance(input_shape[0], (tuple, list)) else one(input_shape)

    def compute_output_spec(self, inputs):
        shapes = self.compute_output_shape([each.shape for each in inputs])
        return [keras.KerasTensor(shape, self.compute_dtype) for shape in shapes]


@keras.saving.register_keras_serializable(package="zoo")
class AnchorConv2D(Conv2D):
    """A 3x3 convolution whose channels are listed anchor by anchor: the end of a detector's head.

    Under mixed precision it is computed in half precision, and the bias is added in float32: the outputs
    are exact where the network knows no more than the prior.

    Args:
        values: int. Numbers for each anchor.
        anchors_per_cell: int.
        **kwargs: of `keras.layers.Conv2D`, but for the sizes and the padding.

    Example:

    >>> tuple(AnchorConv2D(4, 9)(keras.ops.ones((2, 5, 3, 8))).shape)
    (2, 135, 4)

    Reference:
        https://arxiv.org/abs/1708.02002
    """

    def __init__(self, values, anchors_per_cell, **kwargs):
        super().__init__(values * anchors_per_cell, 3, padding="same", **kwargs)
        self.values = values
        self.anchors_per_cell = anchors_per_cell

    def add_weight(self, *args, **kwargs):
        return super().add_weight(*args, **kwargs | ({"autocast": False} if kwargs.get("name") == "bias" else {}))

    def call(self, inputs):
        outputs = self.convolution_op(inputs, self.kernel)
        if self.data_format == "channels_first":
            outputs = keras.ops.transpose(outputs, (0, 2, 3, 1))
        outputs = keras.ops.cast(outputs, "float32") + keras.ops.cast(self.bias, "float32")
        samples, *sides, _ = keras.ops.shape(outputs)
        anchors = -1 if None in outputs.shape[1:3] else math.prod(sides) * self.anchors_per_cell
        return keras.ops.reshape(outputs, (samples if anchors == -1 else -1, anchors, self.values))

    def compute_output_spec(self, inputs):
        samples, *sides, _ = super().compute_output_shape(inputs.shape)
        if self.data_format == "channels_first":
            sides = super().compute_output_shape(inputs.shape)[2:]
        anchors = None if None in sides else math.prod(sides) * self.anchors_per_cell
        return keras.KerasTensor((samples, anchors, self.values), "float32")

    def get_config(self):
        config = super().get_config()
        for name in ("filters", "kernel_size", "padding"):
            config.pop(name)
        return {**config, "values": self.values, "anchors_per_cell": self.anchors_per_cell}


def _backbone(backbone, weights, input_shape, taps, frozen_statistics):
    """The network below the pyramid, and the names of the layers that it is tapped at."""
    if isinstance(backbone, keras.Model):
        body = _copy(backbone, weights, input_shape, frozen_statistics)
    elif isinstance(backbone, str) and backbone.lower() in BACKBONES:
        body = _resnet(backbone.lower(), weights, input_shape, frozen_statistics)
        taps = taps or tuple(_last_of_stage(body, stage) for stage in (3, 4, 5))
    else:
        raise ValueError(
            f"`backbone` must be one of {BACKBONES}, or a keras.Model of images with `taps`. "
            f"Received: backbone={backbone!r}"
        )
    _check_taps(body, taps)
    return body, taps


def _resnet(name, weights, input_shape, frozen_statistics):
    builder = getattr(resnet, name.replace("resnet", "ResNet"))
    if input_shape is None:
        input_shape = (3, None, None) if channel_axis() == 1 else (None, None, 3)
    body = builder(include_top=False, weights=weights, input_shape=input_shape)
    for layer in body.layers:
        if isinstance(layer, BatchNormalization):
            layer.frozen_statistics = frozen_statistics
    return body


def _last_of_stage(body, stage):
    names = (layer.name for layer in body.layers)
    return [name for name in names if name.startswith(f"conv{stage}_") and name.endswith("_out")][-1]


def _copy(backbone, weights, input_shape, frozen_statistics):
    if weights is not None:
        raise ValueError(
            "`backbone_weights` are for the backbones by name: a keras.Model has its own. "
            f"Received: backbone_weights={weights!r}"
        )
    if len(backbone.inputs) != 1 or len(backbone.inputs[0].shape) != 4:
        raise ValueError(f"`backbone` must have images as its one input. Received: inputs={backbone.inputs}")
    if input_shape not in (None, backbone.inputs[0].shape[1:]):
        raise ValueError(
            f"`backbone` has the input shape {backbone.inputs[0].shape[1:]}: leave out `input_shape`. "
            f"Received: input_shape={input_shape!r}"
        )

    def copy(layer):
        config = layer.get_config()
        if frozen_statistics and type(layer) in (keras.layers.BatchNormalization, BatchNormalization):
            return BatchNormalization.from_config({**config, "frozen_statistics": True})
        return type(layer).from_config(config)

    body = keras.models.clone_model(backbone, clone_function=copy, recursive=True)
    body.set_weights(backbone.get_weights())
    return body


def _check_taps(body, taps):
    names = [layer.name for layer in body.layers]
    if not isinstance(taps, (tuple, list)) or len(taps) != 3 or any(tap not in names for tap in taps):
        raise ValueError(
            f"`taps` must be the names of three layers of {body.name}, of strides {_STRIDES}. Received: taps={taps!r}"
        )
    tapped = keras.Model(body.inputs, [body.get_layer(tap).output for tap in taps])
    first = 2 if channel_axis() == 1 else 1
    shape = [side or 224 for side in tapped.inputs[0].shape]
    sides = [-(-side // stride) for stride in _STRIDES for side in shape[first : first + 2]]
    shapes = tapped.compute_output_shape(tuple(shape))
    received = [side for shape in shapes for side in shape[first : first + 2]]
    if received != sides:
        raise ValueError(
            f"`taps` must have strides {_STRIDES}: of images {tuple(shape[1:])}, maps of heights and widths {sides}. "
            f"Received: taps={taps!r}, of {received}"
        )


def _pyramid(taps, channels):
    third, fourth, fifth = (_convolution(tap, channels, 1, f"fpn_{level}_lateral") for tap, level in zip(taps, _LEVELS))
    fourth = TopDown(name="fpn_p4_sum")([fourth, fifth])
    third = TopDown(name="fpn_p3_sum")([third, fourth])
    levels = [
        _convolution(merged, channels, 3, f"fpn_{level}") for merged, level in zip((third, fourth, fifth), _LEVELS)
    ]
    sixth = _convolution(taps[-1], channels, 3, "fpn_p6", stride=2)
    seventh = _convolution(keras.layers.ReLU(name="fpn_p6_relu")(sixth), channels, 3, "fpn_p7", stride=2)
    return [*levels, sixth, seventh]


def _tower(levels, name, channels, depth, normalization):
    """The convolutions before the last, the same for all levels."""
    for number in range(1, depth + 1):
        convolution = _layer(levels[0].shape[channel_axis()], channels, 3, f"{name}_{number}", kind=LevelConv2D)
        normalize = _normalization(normalization, channels, f"{name}_{number}")
        activate = keras.layers.ReLU(name=f"{name}_{number}_relu")
        levels = [activate(normalize(level)(each)) for level, each in zip(_LEVELS, convolution(levels))]
    return levels


def _normalization(kind, channels, name):
    """What normalises a level, by its name."""
    if kind == "group":
        layer = GroupNormalization(math.gcd(32, channels), axis=channel_axis(), epsilon=1e-5, name=f"{name}_gn")
        return lambda level: layer
    if kind == "batch":
        options = {"axis": channel_axis(), "momentum": 0.9, "epsilon": 1e-5}
        return lambda level: BatchNormalization(**options, name=f"{name}_{level}_bn")
    return lambda level: lambda each: each


def _convolution(x, filters, size, name, stride=1):
    """Padded as torch does it: "same" would pad by another rule where it strides."""
    inputs = x.shape[channel_axis()]
    if stride > 1:
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return _layer(inputs, filters, size, name, stride)(x)


def _layer(inputs, filters, size, name, stride=1, kind=Conv2D):
    return kind(
        filters,
        size,
        stride,
        padding="valid" if stride > 1 else "same",
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        bias_initializer=torch_initializers(size * size * inputs)["bias_initializer"],
        name=name,
    )


def _check_sizes(prior, head_normalization, **sizes):
    if isinstance(prior, bool) or not isinstance(prior, (int, float)) or not 0 < prior < 1:
        raise ValueError(f"`prior` must be a number in (0, 1). Received: prior={prior!r}")
    check_choice("head_normalization", head_normalization, NORMALIZATIONS)
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={size!r}")
