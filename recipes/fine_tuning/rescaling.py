"""A learned rescaling in front of a network: of images that are larger than those that it was trained on."""

import math

import keras

from recipes.fine_tuning.stages import RESCALED


def rescale(images, image_size, filters=16):
    """Scale images to the size that a network takes, by a small convolutional network.

    Bilinear scaling, and beside it strided convolutions, which see every pixel, whose last kernel begins at zero:
    untrained, it is the bilinear scaling. `stages_of` counts from behind it.

    Args:
        images: a Keras tensor `(batch, height, width, 3)` of a known size.
        image_size: int. Height and width of the result, at most those of the images.
        filters: int. Of the convolutions. Defaults to 16.

    Returns:
        A Keras tensor `(batch, image_size, image_size, 3)`, for `input_tensor` of a builder.

    Raises:
        ValueError: if the images are smaller, or their size is not known.

    Example:

    >>> images = keras.Input((512, 512, 3))
    >>> keras.Model(images, rescale(images, 224)).output_shape
    (None, 224, 224, 3)

    Reference:
        https://arxiv.org/abs/2103.09950
    """
    first = keras.config.image_data_format() == "channels_first"
    axis = 1 if first else -1
    sides = images.shape[2:] if first else images.shape[1:3]
    if None in sides or min(sides) < image_size or image_size < 1 or filters < 1:
        raise ValueError(
            f"`image_size` must be at most the sides of the images, and `filters` at least 1. Received: image_size="
            f"{image_size}, filters={filters}, images of {tuple(sides)}"
        )
    x, convolutions = images, max(1, math.floor(math.log2(min(sides) / image_size)))
    for number in range(1, convolutions + 1):
        x = keras.layers.ZeroPadding2D(1, name=f"rescale_{number}_pad")(x)
        stride = 2 if min(sides) >= 2 * image_size else 1
        x = keras.layers.Conv2D(filters, 3, stride, name=f"rescale_{number}_conv")(x)
        x = keras.layers.ReLU(name=f"rescale_{number}_relu")(x)
    x = keras.layers.Conv2D(filters, 3, padding="same", name="rescale_mix_conv")(x)
    x = keras.layers.ReLU(name="rescale_mix_relu")(x)
    x = _resize(image_size, "rescale_features")(x)
    x = keras.layers.Conv2D(
        images.shape[axis], 3, padding="same", kernel_initializer="zeros", name="rescale_residual_conv"
    )(x)
    return keras.layers.Add(name=RESCALED)([_resize(image_size, "rescale_images")(images), x])


def _resize(size, name):
    return keras.layers.Resizing(size, size, interpolation="bilinear", antialias=True, name=name)
