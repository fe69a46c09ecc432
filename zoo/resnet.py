"""ResNets of 18 to 152 layers, as torchvision has them: the stride is on the 3x3 convolution."""

import keras

from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_choice
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import images_input
from zoo.builder import torch_initializers
from zoo.convolution import Conv2D
from zoo.normalization import BatchNormalization

STEMS = ("imagenet", "cifar")


def ResNet18(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet18",
    *,
    stem="imagenet",
    zero_init_residual=False,
    dropout=0.0,
):
    """ResNet of 18 layers, two 3x3 convolutions a block: 11,689,512 trainable parameters, 512 features.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, stem, zero_init_residual, dropout: see `ResNet50`. Published weights: "imagenet".

    Returns:
        A `keras.Model`: see `ResNet50`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> zoo.ResNet18(classes=10, input_shape=(32, 32, 3), stem="cifar").get_layer("conv5_block2_out").output.shape
    (None, 4, 4, 512)

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    return _resnet("ResNet18", _basic_block, (2, 2, 2, 2), **locals())


def ResNet34(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet34",
    *,
    stem="imagenet",
    zero_init_residual=False,
    dropout=0.0,
):
    """ResNet of 34 layers, two 3x3 convolutions a block: 21,797,672 trainable parameters, 512 features.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, stem, zero_init_residual, dropout: see `ResNet50`. Published weights: "imagenet".

    Returns:
        A `keras.Model`: see `ResNet50`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> ResNet34(include_top=False, input_shape=(32, 32, 3)).output_shape
    (None, 1, 1, 512)

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    return _resnet("ResNet34", _basic_block, (3, 4, 6, 3), **locals())


def ResNet50(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet50",
    *,
    stem="imagenet",
    zero_init_residual=False,
    dropout=0.0,
):
    """ResNet of 50 layers, three convolutions a block: 25,557,032 trainable parameters, 2,048 features.

    Layers are named as in `keras.applications` ("conv4_block6_out"), whose ResNet50 has its strides
    on the 1x1 convolutions, biases, and other weights. The published weights are for images by
    `keras.applications.imagenet_utils.preprocess_input(images, mode="torch")`.

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to True.
        weights: None for random weights; "imagenet" or "imagenet_v2" (of a longer training, not for
            ResNet18 and 34) for torchvision's, which are downloaded; or path of a `.weights.h5` file
            of this model, or of a `.safetensors` or `.pth` file of torchvision's or timm's. Defaults
            to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`, at least 32 pixels a side (8 with the stem
            "cifar"), None for any; or `(channels, height, width)` where that is Keras's image data
            format. Defaults to 224x224 RGB, or 32x32 with the stem "cifar".
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 1000.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to the builder's name in small letters.
        stem: one of "imagenet", a 7x7 convolution and a pooling, each of stride 2; "cifar", a 3x3
            convolution, for small images. Defaults to "imagenet".
        zero_init_residual: bool. Whether each block begins as its shortcut: the last gamma of the
            branch is 0. Defaults to False.
        dropout: float in [0, 1). Before the classifier. Defaults to 0.

    Returns:
        A `keras.Model`: images `(batch, 224, 224, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 7, 7, 2048)`, or `(batch, 2048)`
        with `pooling`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> model = zoo.ResNet50(include_top=False, input_shape=(None, None, 3))
    >>> model.get_layer("conv4_block6_out").output.shape
    (None, None, None, 1024)

    Reference:
        https://arxiv.org/abs/1512.03385
        https://github.com/pytorch/vision
    """
    return _resnet("ResNet50", _bottleneck_block, (3, 4, 6, 3), **locals())


def ResNet101(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet101",
    *,
    stem="imagenet",
    zero_init_residual=False,
    dropout=0.0,
):
    """ResNet of 101 layers, three convolutions a block: 44,549,160 trainable parameters, 2,048 features.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, stem, zero_init_residual, dropout: see `ResNet50`.

    Returns:
        A `keras.Model`: see `ResNet50`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> ResNet101(include_top=False, input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 2048)

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    return _resnet("ResNet101", _bottleneck_block, (3, 4, 23, 3), **locals())


def ResNet152(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet152",
    *,
    stem="imagenet",
    zero_init_residual=False,
    dropout=0.0,
):
    """ResNet of 152 layers, three convolutions a block: 60,192,808 trainable parameters, 2,048 features.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, stem, zero_init_residual, dropout: see `ResNet50`.

    Returns:
        A `keras.Model`: see `ResNet50`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> ResNet152(include_top=False, input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 2048)

    Reference:
        https://arxiv.org/abs/1512.03385
    """
    return _resnet("ResNet152", _bottleneck_block, (3, 8, 36, 3), **locals())


def _resnet(
    builder,
    block,
    depths,
    *,
    include_top,
    weights,
    input_tensor,
    input_shape,
    pooling,
    classes,
    classifier_activation,
    name,
    stem,
    zero_init_residual,
    dropout,
):
    check_arguments(pooling=pooling, classes=classes, classifier_activation=classifier_activation, dropout=dropout)
    check_choice("stem", stem, STEMS)
    default_side, least_side = (224, 32) if stem == "imagenet" else (32, 8)
    images = images_input(input_tensor, input_shape, default_side=default_side, least_side=least_side)
    head = {"classes": (classes, 1000)} if include_top else {}
    activation = classifier_activation if include_top else None
    published = {"channels": (images.shape[channel_axis()], 3), "stem": (stem, "imagenet"), **head}
    check_weights(builder, weights, activation, **published)

    if stem == "imagenet":
        x = _convolution(images, 64, 7, "conv1", stride=2)
        x = keras.layers.ReLU(name="conv1_relu")(x)
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = keras.layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    else:
        x = _convolution(images, 64, 3, "conv1")
        x = keras.layers.ReLU(name="conv1_relu")(x)
    last_gamma = "zeros" if zero_init_residual else "ones"
    for stage, (filters, depth) in enumerate(zip((64, 128, 256, 512), depths), start=2):
        for number in range(1, depth + 1):
            stride = 2 if number == 1 and stage > 2 else 1
            x = block(x, filters, stride, last_gamma, f"conv{stage}_block{number}")

    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        x = keras.layers.Dense(
            classes,
            activation=classifier_activation,
            **torch_initializers(x.shape[-1]),
            dtype="float32",
            name="predictions",
        )(x)
    return finish(builder, images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)


def _basic_block(x, filters, stride, last_gamma, name):
    branch = _convolution(x, filters, 3, f"{name}_1", stride)
    branch = keras.layers.ReLU(name=f"{name}_1_relu")(branch)
    branch = _convolution(branch, filters, 3, f"{name}_2", gamma=last_gamma)
    return _add_shortcut(x, branch, filters, stride, name)


def _bottleneck_block(x, filters, stride, last_gamma, name):
    branch = _convolution(x, filters, 1, f"{name}_1")
    branch = keras.layers.ReLU(name=f"{name}_1_relu")(branch)
    branch = _convolution(branch, filters, 3, f"{name}_2", stride)
    branch = keras.layers.ReLU(name=f"{name}_2_relu")(branch)
    branch = _convolution(branch, 4 * filters, 1, f"{name}_3", gamma=last_gamma)
    return _add_shortcut(x, branch, 4 * filters, stride, name)


def _add_shortcut(x, branch, filters, stride, name):
    if stride > 1 or x.shape[channel_axis()] != filters:
        x = _convolution(x, filters, 1, f"{name}_0", stride)
    x = keras.layers.Add(name=f"{name}_add")([x, branch])
    return keras.layers.ReLU(name=f"{name}_out")(x)


def _convolution(x, filters, size, name, stride=1, gamma="ones"):
    """Convolution and batch normalisation; "same" would pad by another rule than torch where it strides."""
    if stride > 1 and size > 1:
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    x = Conv2D(
        filters,
        size,
        stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=f"{name}_conv",
    )(x)
    return BatchNormalization(
        axis=channel_axis(), momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_bn"
    )(x)
