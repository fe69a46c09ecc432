"""AlexNet, as torchvision has it."""

import keras

from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import images_input
from zoo.builder import torch_initializers
from zoo.pooling import AdaptiveAveragePooling2D


def AlexNet(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="alexnet",
    *,
    hidden_units=(4096, 4096),
    dropout=0.5,
):
    """Five convolutions and three dense layers that won ImageNet in 2012, in their later, one-tower form.

    61,100,840 parameters at 1,000 classes, nearly all of them in the dense layers, which
    `hidden_units` makes lighter. The published weights are for images by
    `keras.applications.imagenet_utils.preprocess_input(images, mode="torch")`.

    Args:
        include_top: bool. Whether to end in the classifier, the dense layers. Defaults to True.
        weights: None for random weights; "imagenet" for torchvision's, which are downloaded; or path
            of a `.weights.h5` file of this model, or of a `.safetensors` or `.pth` file of
            torchvision's. Defaults to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`, at least 63 pixels a side, None for any; or
            `(channels, height, width)` where that is Keras's image data format. Defaults to 224x224
            RGB.
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 1000.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to "alexnet".
        hidden_units: tuple of int. Sizes of the dense layers before the last; `()` for none. Defaults
            to (4096, 4096).
        dropout: float in [0, 1). Before each dense layer, but the last of several. Defaults to 0.5.

    Returns:
        A `keras.Model`: images `(batch, 224, 224, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 6, 6, 256)`, or `(batch, 256)`
        with `pooling`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> model = zoo.AlexNet(classes=6, hidden_units=(512,))
    >>> model.count_params()
    7191878

    Reference:
        https://arxiv.org/abs/1404.5997
        https://github.com/pytorch/vision
    """
    check_arguments(pooling=pooling, classes=classes, classifier_activation=classifier_activation, dropout=dropout)
    if not isinstance(hidden_units, (tuple, list)) or any(not isinstance(n, int) or n < 1 for n in hidden_units):
        raise ValueError(
            f"`hidden_units` must be a tuple of positive integers. Received: hidden_units={hidden_units!r}"
        )
    images = images_input(input_tensor, input_shape, default_side=224, least_side=63)
    head = {"classes": (classes, 1000), "hidden_units": (tuple(hidden_units), (4096, 4096))} if include_top else {}
    activation = classifier_activation if include_top else None
    check_weights("AlexNet", weights, activation, channels=(images.shape[channel_axis()], 3), **head)

    def convolution(x, filters, size, name, **kwargs):
        x = keras.layers.Conv2D(
            filters, size, **kwargs, **torch_initializers(size * size * x.shape[channel_axis()]), name=name
        )(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def dense(x, units, name, **kwargs):
        return keras.layers.Dense(units, **kwargs, **torch_initializers(x.shape[-1]), name=name)(x)

    # A stride of 4 needs padding by hand: "same" pads by another rule than torch.
    x = keras.layers.ZeroPadding2D(2, name="conv1_pad")(images)
    x = convolution(x, 64, 11, "conv1", strides=4)
    x = keras.layers.MaxPooling2D(3, 2, name="pool1")(x)
    x = convolution(x, 192, 5, "conv2", padding="same")
    x = keras.layers.MaxPooling2D(3, 2, name="pool2")(x)
    x = convolution(x, 384, 3, "conv3", padding="same")
    x = convolution(x, 256, 3, "conv4", padding="same")
    x = convolution(x, 256, 3, "conv5", padding="same")
    x = keras.layers.MaxPooling2D(3, 2, name="pool5")(x)

    if include_top:
        x = AdaptiveAveragePooling2D(6, name="avg_pool")(x)
        x = keras.layers.Flatten(name="flatten")(x)
        for number, units in enumerate(hidden_units, start=1):
            x = keras.layers.Dropout(dropout, name=f"dropout{number}")(x)
            x = dense(x, units, f"fc{number}")
            x = keras.layers.ReLU(name=f"fc{number}_relu")(x)
        if not hidden_units:
            x = keras.layers.Dropout(dropout, name="dropout1")(x)
        x = dense(x, classes, "predictions", activation=classifier_activation, dtype="float32")
    return finish("AlexNet", images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)
