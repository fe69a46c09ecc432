"""What every builder checks, and how every builder ends."""

import pathlib

import keras

_POOLINGS = {None: None, "avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}


def check_arguments(*, input_shape, default_side, least_side, pooling, classes, **fractions):
    """Check the arguments that builders share.

    Args:
        input_shape: tuple `(height, width, channels)` in Keras's image data format, or None.
        default_side: int. Height and width where `input_shape` is None.
        least_side: int. The smallest height and width that the network can take.
        pooling: one of None, "avg", "max".
        classes: int.
        **fractions: arguments that must lie in [0, 1).

    Returns:
        The shape, a tuple in Keras's image data format.

    Raises:
        ValueError: for an argument out of range.

    Example:

    >>> check_arguments(input_shape=(64, 48, 3), default_side=32, least_side=8, pooling="avg", classes=10)
    (64, 48, 3)
    """
    channels_first = keras.config.image_data_format() == "channels_first"
    if input_shape is None:
        input_shape = (3, default_side, default_side) if channels_first else (default_side, default_side, 3)
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: input_shape={input_shape!r}")
    sides = input_shape[1:] if channels_first else input_shape[:2]
    if any(side is not None and (not isinstance(side, int) or side < least_side) for side in sides):
        raise ValueError(
            f"`input_shape` must be at least {least_side} pixels a side. Received: input_shape={tuple(input_shape)}"
        )
    if pooling not in _POOLINGS:
        raise ValueError(f"`pooling` must be one of {tuple(_POOLINGS)}. Received: pooling={pooling!r}")
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    for name, value in fractions.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ValueError(f"`{name}` must be a number in [0, 1). Received: {name}={value!r}")
    return tuple(input_shape)


def get_initializer(name, identifier):
    """Look up an initializer.

    Args:
        name: str. Name of the argument that it is for.
        identifier: what `keras.initializers.get` takes.

    Returns:
        A `keras.initializers.Initializer`.

    Raises:
        ValueError: if Keras does not know it.

    Example:

    >>> get_initializer("kernel_initializer", "zeros").__class__.__name__
    'Zeros'
    """
    try:
        return keras.initializers.get(identifier)
    except ValueError as error:
        raise ValueError(
            f'`{name}` must be a Keras initializer, such as "glorot_uniform". Received: {name}={identifier!r}'
        ) from error


def finish(inputs, outputs, include_top, pooling, weights, name):
    """Pool the features where asked, wrap them in a model, and load weights.

    Args:
        inputs: the input of the model.
        outputs: classifier outputs, or the last feature map.
        include_top: bool. Whether `outputs` are those of the classifier.
        pooling: one of None, "avg", "max".
        weights: path of a weights file, or None.
        name: str.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: if the weights are missing or do not fit.

    Example:

    >>> inputs = keras.Input((8, 8, 3))
    >>> finish(inputs, inputs, include_top=False, pooling="avg", weights=None, name="mean").output_shape
    (None, 3)
    """
    if not include_top and pooling:
        outputs = _POOLINGS[pooling](name=f"{pooling}_pool")(outputs)
    model = keras.Model(inputs, outputs, name=name)
    if weights is not None:
        if not pathlib.Path(weights).is_file():
            raise ValueError(f"`weights` must be None or the path of a weights file. Received: weights={weights!r}")
        model.load_weights(weights)
    return model
