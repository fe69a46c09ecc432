"""DavidNet, the nine-layer residual network that won DAWNBench on CIFAR-10."""

import sys

import keras

from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_choice
from zoo.builder import check_numbers
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import get_by
from zoo.builder import images_input
from zoo.convolution import Conv2D
from zoo.normalization import BatchNormalization

POOL_POSITIONS = ("after_activation", "before_activation", "before_normalization")


def DavidNet(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    name="davidnet",
    *,
    dropout=0.0,
    batch_normalization_momentum=0.9,
    l2=0.0,
    logit_scale=0.125,
    pool_position="after_activation",
    kernel_initializer=None,
):
    """Small ResNet for 32x32 images that learns CIFAR-10 to 94% in 20 to 24 epochs.

    Eight convolutions of 3x3 and one dense layer, 6,577,600 parameters at 10 classes. The defaults
    are the published network; `dropout`, `batch_normalization_momentum`, `l2` and `logit_scale=1`
    are what experiment 001 changed.

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to True.
        weights: path of a weights file, or None for random weights. Defaults to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`, at least 8 pixels a side; or
            `(channels, height, width)` where that is Keras's image data format. Defaults to 32x32 RGB.
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 10.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to "davidnet".
        dropout: float in [0, 1). Between the two convolutions of each residual branch. Experiment
            001 has 0.1. Defaults to 0.
        batch_normalization_momentum: float, in Keras's sense: 1 minus torch's. Experiment 001 has
            0.1. Defaults to 0.9.
        l2: float. Factor of the L2 penalty on the kernels of the convolutions. Experiment 001 has
            5e-4. Defaults to 0.
        logit_scale: float. Factor of the logits. Defaults to 0.125.
        pool_position: one of "after_activation" (as published); "before_activation", the same
            function, faster; "before_normalization", another function, faster still. Defaults to
            "after_activation".
        kernel_initializer: of convolutions and classifier. Defaults to torch's, which the published
            network has: uniform within 1 / sqrt(fan_in).

    Returns:
        A `keras.Model`: images `(batch, 32, 32, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 4, 4, 512)`, or `(batch, 512)`
        with `pooling`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> model = zoo.DavidNet(classifier_activation=None)
    >>> model.count_params()
    6577600

    Reference:
        https://myrtle.ai/how-to-train-your-resnet/
        https://github.com/davidcpage/cifar10-fast
    """
    check_arguments(pooling=pooling, classes=classes, classifier_activation=classifier_activation, dropout=dropout)
    check_choice("pool_position", pool_position, POOL_POSITIONS)
    check_numbers(0, 1, batch_normalization_momentum=batch_normalization_momentum)
    check_numbers(0, sys.float_info.max, l2=l2)
    check_numbers(-sys.float_info.max, sys.float_info.max, logit_scale=logit_scale)
    if kernel_initializer is None:
        kernel_initializer = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    initializer = get_by(
        keras.initializers.get, "kernel_initializer", kernel_initializer, 'initializer, such as "glorot_uniform"'
    )
    images = images_input(input_tensor, input_shape, default_side=32, least_side=8)
    check_weights("DavidNet", weights)

    def unit(x, filters, name, pool=False):
        """Convolution, batch normalisation, ReLU, and a maximum over 2x2 somewhere among them."""
        penalty = keras.regularizers.L2(l2) if l2 else None
        x = Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer.clone(),
            kernel_regularizer=penalty,
            name=f"{name}_conv",
        )(x)
        halve = keras.layers.MaxPooling2D(2, name=f"{name}_pool") if pool else lambda x: x
        if pool_position == "before_normalization":
            x = halve(x)
        x = BatchNormalization(
            axis=channel_axis(),
            momentum=batch_normalization_momentum,
            epsilon=1e-5,
            name=f"{name}_bn",
        )(x)
        if pool_position == "before_activation":
            x = halve(x)
        x = keras.layers.ReLU(name=f"{name}_relu")(x)
        return halve(x) if pool_position == "after_activation" else x

    def residual(x, filters, name):
        branch = unit(x, filters, f"{name}_1")
        if dropout:
            branch = keras.layers.Dropout(dropout, name=f"{name}_dropout")(branch)
        branch = unit(branch, filters, f"{name}_2")
        return keras.layers.Add(name=f"{name}_add")([x, branch])

    x = unit(images, 64, "prep")
    x = unit(x, 128, "layer1", pool=True)
    x = residual(x, 128, "layer1_residual")
    x = unit(x, 256, "layer2", pool=True)
    x = unit(x, 512, "layer3", pool=True)
    x = residual(x, 512, "layer3_residual")

    if include_top:
        x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
        x = keras.layers.Dense(
            classes, use_bias=False, kernel_initializer=initializer.clone(), dtype="float32", name="predictions"
        )(x)
        x = keras.layers.Rescaling(logit_scale, dtype="float32", name="logit_scale")(x)
        x = keras.layers.Activation(classifier_activation, dtype="float32", name="classifier_activation")(x)
    return finish("DavidNet", images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)


ResNet9 = DavidNet
