"""BlockCNN: equal blocks of convolution and pooling before one dense layer, as experiment 003 searched them."""

import keras

from zoo.activation import Activation
from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_choice
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import images_input
from zoo.builder import torch_initializers
from zoo.normalization import BatchNormalization

ACTIVATIONS = ("relu", "leaky_relu", "silu", "gelu")
FILTER_ORGANIZATIONS = ("const", "double", "half")
PADDINGS = ("one", "same")


def BlockCNN(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    name="block_cnn",
    *,
    blocks=5,
    filters=32,
    filter_organization="const",
    kernel_size=3,
    padding="one",
    activation="relu",
    dropout=0.3,
    batch_normalization=False,
):
    """Plain CNN whose blocks are all alike: convolution, activation, pooling, dropout, batch normalisation.

    Five blocks, and one dense layer on what is left, flattened: 53,578 parameters at 224x224 pixels. Its
    hyperparameters are those that experiment 003 searched; its best network has `filters=64`,
    `kernel_size=(5, 5, 3, 3, 3)`, `activation="leaky_relu"`. The published code hands dropout and batch
    normalisation to no block, and so has neither: `dropout=0` is what it computes.

    Args:
        include_top: bool. Whether to end in the classifier, the dense layer. Defaults to True.
        weights: path of a weights file, or None for random weights. Defaults to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`; or `(channels, height, width)` where that is Keras's
            image data format. At least as many pixels a side as leave one at the end: 32 of the defaults.
            Without the top, None for any height and width. Defaults to 224x224 RGB.
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 10.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to "block_cnn".
        blocks: int. Defaults to 5.
        filters: int. Filters of the first block. Defaults to 32.
        filter_organization: one of "const", as many in each block; "double", twice those of the block
            before; "half", half of them, rounded down, but one. Defaults to "const".
        kernel_size: int; or one for each block, in a tuple or a text such as "5,5,3,3,3". Defaults to 3.
        padding: one of "one", a pixel on each side whatever the size of the kernel, as published; "same",
            as many as keep the size. Defaults to "one".
        activation: one of "relu", "leaky_relu" (of slope 0.01, as torch's), "silu", "gelu". Defaults to "relu".
        dropout: float in [0, 1). After the pooling of each block. Defaults to 0.3.
        batch_normalization: bool. Whether each block ends in it. Defaults to False.

    Returns:
        A `keras.Model`: images `(batch, 224, 224, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 7, 7, 32)`, or `(batch, 32)`
        with `pooling`.

    Raises:
        ValueError: for an argument out of range, images too small for so many blocks, or weights that do
            not fit.

    Example:

    >>> import zoo
    >>> model = zoo.BlockCNN(input_shape=(64, 48, 3), filters=16, filter_organization="double", kernel_size="5,5,3,3,3")
    >>> model.get_layer("flatten").input.shape
    (None, 1, 1, 256)

    Reference:
        https://arxiv.org/abs/1409.1556
    """
    check_arguments(pooling=pooling, classes=classes, classifier_activation=classifier_activation, dropout=dropout)
    check_choice("filter_organization", filter_organization, FILTER_ORGANIZATIONS)
    check_choice("padding", padding, PADDINGS)
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("batch_normalization", batch_normalization, (True, False))
    _check_count("blocks", blocks)
    _check_count("filters", filters)
    sizes = _kernel_sizes(kernel_size, blocks)
    images = images_input(input_tensor, input_shape, default_side=224, least_side=_least_side(sizes, padding))
    if include_top and None in images.shape[1:]:
        raise ValueError(
            "The dense layer has a weight for each pixel that is left: give height and width, or "
            f"`include_top=False`. Received: input_shape={tuple(images.shape[1:])}"
        )
    check_weights("BlockCNN", weights)

    x = images
    for number, size in enumerate(sizes, start=1):
        if padding == "one" and size != 3:
            x = keras.layers.ZeroPadding2D(1, name=f"block{number}_pad")(x)
        x = keras.layers.Conv2D(
            _filters_of_block(filters, filter_organization, number),
            size,
            padding="same" if padding == "same" or size == 3 else "valid",
            **torch_initializers(size * size * x.shape[channel_axis()]),
            name=f"block{number}_conv",
        )(x)
        x = _activate(activation, f"block{number}_{activation}")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{number}_pool")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"block{number}_dropout")(x)
        if batch_normalization:
            x = BatchNormalization(axis=channel_axis(), momentum=0.9, epsilon=1e-5, name=f"block{number}_bn")(x)

    if include_top:
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(
            classes,
            activation=classifier_activation,
            **torch_initializers(x.shape[-1]),
            dtype="float32",
            name="predictions",
        )(x)
    return finish("BlockCNN", images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)


def _filters_of_block(filters, organization, number):
    if organization == "half":
        return max(filters // 2 ** (number - 1), 1)
    return filters * 2 ** (number - 1) if organization == "double" else filters


def _activate(activation, name):
    if activation == "leaky_relu":
        return keras.layers.LeakyReLU(0.01, name=name)
    return keras.layers.ReLU(name=name) if activation == "relu" else Activation(activation, name=name)


def _kernel_sizes(kernel_size, blocks):
    """One for each block."""
    sizes = kernel_size
    if isinstance(sizes, str):
        words = [word.strip() for word in sizes.split(",")]
        sizes = tuple(int(word) if word.isdecimal() else None for word in words)
    if not isinstance(sizes, (tuple, list)):
        sizes = (sizes,)
    sizes = tuple(sizes) * blocks if len(sizes) == 1 else tuple(sizes)
    if len(sizes) != blocks or any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(
            f"`kernel_size` must be a positive integer, or one for each of the {blocks} blocks, such as "
            f"{','.join(['3'] * blocks)!r}. Received: kernel_size={kernel_size!r}"
        )
    return sizes


def _least_side(sizes, padding):
    """The smallest side of which the last block leaves a pixel."""
    side = 1
    for size in reversed(sizes):
        side = 2 * side if padding == "same" else max(2 * side + size - 3, 1)
    return side


def _check_count(name, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
