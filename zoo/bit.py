"""BiT (Big Transfer): pre-activation ResNets with group normalisation and standardised convolutions."""

import keras

from zoo import bit_weights
from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import images_input
from zoo.convolution import StandardizedConv2D
from zoo.group_normalization import GroupNormalization

GROUPS = 32


def BiTResNet50(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="bit_resnet50",
    *,
    width=1,
    depths=(3, 4, 6, 3),
):
    """BiT R50, a ResNet that is pre-trained on many images and fine-tuned on few.

    R50x1 has 23,500,352 parameters and 2,048 features, R50x3 (`width=3`) 211,174,080, without the
    classifier. Its statistics are those of each image alone, so batches may be small. The classifier
    begins as zeros. Images are `(pixels - 127.5) / 127.5`; how it is fine-tuned says
    `recipes.hyperrule`. Layers are named as in `keras.applications.ResNet50V2`, "gn" for "bn".

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to True.
        weights: None for random weights; path of a published `.npz` file, or of a `.weights.h5` file of
            this model; "imagenet21k" (BiT-M), "imagenet" (BiT-S), or "imagenet21k_imagenet" (BiT-M
            fine-tuned on ImageNet), which are downloaded. A published classifier of another number
            of classes is left out. Defaults to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`, at least 32 pixels a side, None for any; or
            `(channels, height, width)` where that is Keras's image data format. Defaults to 224x224
            RGB.
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 1000.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to "bit_resnet50".
        width: int. Factor of the number of channels; published: 1 and 3. Defaults to 1.
        depths: tuple of ints. Units in each block, of which each has twice the channels of the one
            before. Defaults to (3, 4, 6, 3).

    Returns:
        A `keras.Model`: images `(batch, 224, 224, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 7, 7, 2048 * width)`, or
        `(batch, 2048 * width)` with `pooling`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> model = zoo.BiTResNet50(classes=10, input_shape=(128, 128, 3))
    >>> model.count_params(), model.get_layer("conv5_block3_out").output.shape
    (23520842, (None, 4, 4, 2048))

    Reference:
        https://arxiv.org/abs/1912.11370
        https://github.com/google-research/big_transfer
    """
    return _bit("BiTResNet50", **locals())


def BiTResNet101(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="bit_resnet101",
    *,
    width=1,
    depths=(3, 4, 23, 3),
):
    """BiT R101: 42,492,480 parameters without the classifier; R101x3 (`width=3`) 381,789,888.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, width, depths: see `BiTResNet50`. Published widths: 1, 3.

    Returns:
        A `keras.Model`: see `BiTResNet50`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> BiTResNet101(include_top=False, depths=(1, 1), input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 512)

    Reference:
        https://arxiv.org/abs/1912.11370
    """
    return _bit("BiTResNet101", **locals())


def BiTResNet152(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="bit_resnet152",
    *,
    width=2,
    depths=(3, 8, 36, 3),
):
    """BiT R152: 232,238,208 parameters without the classifier in the width of 2, which is its least.

    Args:
        include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
            name, width, depths: see `BiTResNet50`. Published widths: 2, the default, and 4.

    Returns:
        A `keras.Model`: see `BiTResNet50`; features `(batch, 7, 7, 4096)`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> BiTResNet152(include_top=False, depths=(1, 1), input_shape=(32, 32, 3), pooling="avg").output_shape
    (None, 1024)

    Reference:
        https://arxiv.org/abs/1912.11370
    """
    return _bit("BiTResNet152", **locals())


def _bit(
    builder,
    *,
    include_top,
    weights,
    input_tensor,
    input_shape,
    pooling,
    classes,
    classifier_activation,
    name,
    width,
    depths,
):
    check_arguments(pooling=pooling, classes=classes, classifier_activation=classifier_activation)
    _check_sizes(width, depths)
    images = images_input(input_tensor, input_shape, default_side=224, least_side=32)
    published = bit_weights.PUBLISHED[builder]
    check_weights(
        builder,
        weights,
        published=bit_weights.WEIGHTS,
        channels=(images.shape[channel_axis()], 3),
        width=(width, width if width in published.widths else published.widths[0]),
        depths=(tuple(depths), published.depths),
    )

    x = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = _convolution(x, 64 * width, 7, "conv1_conv", stride=2)
    # Zeros, not what is below every number: the values have both signs.
    x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    for stage, depth in enumerate(depths, start=2):
        for number in range(1, depth + 1):
            stride = 2 if number == 1 and stage > 2 else 1
            x = _unit(x, 64 * width * 2 ** (stage - 2), stride, f"conv{stage}_block{number}")
    x = _activated(x, "post")

    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = keras.layers.Dense(
            classes, activation=classifier_activation, kernel_initializer="zeros", dtype="float32", name="predictions"
        )(x)
    if weights in bit_weights.WEIGHTS:
        weights = bit_weights.download(builder, width, weights)
    return finish(builder, images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)


def _unit(x, filters, stride, name):
    activated = _activated(x, f"{name}_preact")
    if stride > 1 or x.shape[channel_axis()] != 4 * filters:
        x = _convolution(activated, 4 * filters, 1, f"{name}_0_conv", stride)
    branch = _convolution(activated, filters, 1, f"{name}_1_conv")
    branch = _activated(branch, f"{name}_1")
    if stride > 1:
        branch = keras.layers.ZeroPadding2D(1, name=f"{name}_2_pad")(branch)
    branch = _convolution(branch, filters, 3, f"{name}_2_conv", stride)
    branch = _activated(branch, f"{name}_2")
    branch = _convolution(branch, 4 * filters, 1, f"{name}_3_conv")
    return keras.layers.Add(name=f"{name}_out")([x, branch])


def _activated(x, name):
    x = GroupNormalization(groups=GROUPS, axis=channel_axis(), epsilon=1e-5, name=f"{name}_gn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, filters, size, name, stride=1):
    return StandardizedConv2D(
        filters,
        size,
        stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        name=name,
    )(x)


def _check_sizes(width, depths):
    if type(width) is not int or width < 1:
        raise ValueError(f"`width` must be a positive integer. Received: width={width!r}")
    whole = isinstance(depths, (tuple, list)) and all(type(depth) is int and depth > 0 for depth in depths)
    if not whole or not depths:
        raise ValueError(f"`depths` must be positive integers, one for each block. Received: depths={depths!r}")
