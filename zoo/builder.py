"""What every builder checks, how every builder begins, and how it ends."""

import difflib
import pathlib

import keras

from zoo import bit_weights
from zoo import checkpoints
from zoo import keras_files
from zoo import weights as torch_weights

_POOLINGS = {None: None, "avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
_SUFFIXES = (*keras_files.SUFFIXES, *checkpoints.SUFFIXES, ".npz")


def check_arguments(*, pooling, classes, classifier_activation, **fractions):
    """Check the arguments that builders share.

    Args:
        pooling: one of None, "avg", "max".
        classes: int.
        classifier_activation: what `keras.activations.get` takes.
        **fractions: arguments that must lie in [0, 1).

    Raises:
        ValueError: for an argument out of range.

    Example:

    >>> check_arguments(pooling="avg", classes=10, classifier_activation="softmax", dropout=0.1)
    """
    check_choice("pooling", pooling, tuple(_POOLINGS))
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
    get_by(keras.activations.get, "classifier_activation", classifier_activation, 'activation, such as "softmax"')
    for name, value in fractions.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise ValueError(f"`{name}` must be a number in [0, 1). Received: {name}={value!r}")


def check_choice(name, value, choices):
    """Refuse what is none of the choices.

    Args:
        name: str. The argument.
        value: its value.
        choices: tuple.

    Raises:
        ValueError: if it is none of them.

    Example:

    >>> check_choice("stem", "cifar", ("imagenet", "cifar"))
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value), [each for each in choices if isinstance(each, str)], n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}{hint}")


def check_numbers(low, high, **numbers):
    """Refuse what is no finite number of a range.

    Args:
        low: number that each must be at least.
        high: number that each must be at most.
        **numbers: the arguments.

    Raises:
        ValueError: if one is none.

    Example:

    >>> check_numbers(0, 1, batch_normalization_momentum=0.9)
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"`{name}` must be a number from {low} to {high}. Received: {name}={value!r}")


def check_weights(builder, weights, classifier_activation=None, published=None, **required):
    """Check `weights`, and that published ones fit the network, before anything is built.

    Args:
        builder: str. Name of the builder.
        weights: None, the name of published weights, or the path of a file.
        classifier_activation: str or callable; None also for a network without top.
        published: tuple of the names of published weights; None for those of `zoo.weights.PUBLISHED`.
            Defaults to None.
        **required: arguments as received and as published weights need them, in pairs.

    Raises:
        ValueError: if there are no such weights, or they are of another network.

    Example:

    >>> check_weights("ResNet18", None)
    """
    names = tuple(torch_weights.PUBLISHED.get(builder, {})) if published is None else published
    if weights is None:
        return
    if not isinstance(weights, (str, pathlib.Path)) or not (weights in names or pathlib.Path(weights).is_file()):
        options = ", ".join(["None", *(f'"{name}"' for name in names), "the path of a weights file"])
        raise ValueError(f"`weights` must be one of {options}. Received: weights={weights!r}")
    if weights not in names:
        if not str(weights).endswith(_SUFFIXES):
            raise ValueError(f"`weights` must end in one of {', '.join(_SUFFIXES)}. Received: weights={weights!r}")
        return
    for name, (received, needed) in required.items():
        if received != needed:
            raise ValueError(
                f"weights={weights!r} need {name}={needed!r}. Received: {name}={received!r}. Where only the head "
                'differs, build with weights=None and call zoo.weights.load_checkpoint(..., head="keep").'
            )
    if keras.activations.get(classifier_activation) not in (keras.activations.softmax, keras.activations.linear):
        raise ValueError(
            f'weights={weights!r} need classifier_activation="softmax" or None. '
            f"Received: classifier_activation={classifier_activation!r}"
        )


def images_input(input_tensor, input_shape, *, default_side, least_side):
    """The images that a network begins with.

    Args:
        input_tensor: a Keras tensor of images, or None for a new input.
        input_shape: tuple `(height, width, channels)` in Keras's image data format, or None.
        default_side: int. Height and width where neither is given.
        least_side: int. The smallest height and width that the network can take.

    Returns:
        A Keras tensor `(batch, height, width, channels)`.

    Raises:
        ValueError: if it is no such tensor, or too small.

    Example:

    >>> tuple(images_input(None, (64, 48, 3), default_side=224, least_side=32).shape)
    (None, 64, 48, 3)
    """
    channels_first = keras.config.image_data_format() == "channels_first"
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor) or len(input_tensor.shape) != 4:
            raise ValueError(
                f"`input_tensor` must be a Keras tensor of images. Received: input_tensor={input_tensor!r}"
            )
        if input_shape is not None and tuple(input_shape) != tuple(input_tensor.shape[1:]):
            raise ValueError(
                f"`input_tensor` has shape {tuple(input_tensor.shape[1:])}: leave out `input_shape`. "
                f"Received: input_shape={input_shape!r}"
            )
        input_shape = input_tensor.shape[1:]
    if input_shape is None:
        input_shape = (3, default_side, default_side) if channels_first else (default_side, default_side, 3)
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 3:
        raise ValueError(f"`input_shape` must be (height, width, channels). Received: input_shape={input_shape!r}")
    *sides, channels = (*input_shape[1:], input_shape[0]) if channels_first else input_shape
    if not isinstance(channels, int) or channels < 1:
        raise ValueError(f"`input_shape` must tell the channels. Received: input_shape={tuple(input_shape)}")
    if any(side is not None and (not isinstance(side, int) or side < least_side) for side in sides):
        raise ValueError(
            f"`input_shape` must be at least {least_side} pixels a side. Received: input_shape={tuple(input_shape)}"
        )
    return keras.Input(input_shape, name="images") if input_tensor is None else input_tensor


def channel_axis():
    """The axis of channels in Keras's image data format.

    Returns:
        int. 1 or -1.

    Example:

    >>> channel_axis()
    -1
    """
    return 1 if keras.config.image_data_format() == "channels_first" else -1


def get_by(get, name, identifier, kind):
    """Look something up in Keras by its name.

    Args:
        get: callable, such as `keras.initializers.get`.
        name: str. Name of the argument that it is for.
        identifier: what `get` takes.
        kind: str. What is looked for, with an example.

    Returns:
        What `get` returns.

    Raises:
        ValueError: if Keras does not know it.

    Example:

    >>> get_by(keras.initializers.get, "kernel_initializer", "zeros", "initializer").__class__.__name__
    'Zeros'
    """
    try:
        return get(identifier)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a Keras {kind}. Received: {name}={identifier!r}") from error


def torch_initializers(fan_in):
    """What torch begins convolutions and dense layers with, the bias too.

    Args:
        fan_in: int. Number of inputs of each output.

    Returns:
        A dict of arguments for a Keras layer.

    Example:

    >>> torch_initializers(100)["bias_initializer"].maxval
    0.1
    """
    bound = fan_in**-0.5
    names = ("kernel_initializer", "bias_initializer")
    return {name: keras.initializers.RandomUniform(-bound, bound) for name in names}


def finish(builder, inputs, outputs, *, include_top, pooling, weights, name):
    """Pool the features where asked, wrap them in a model, and load weights.

    Args:
        builder: str. Name of the builder.
        inputs: the images, a Keras tensor; the model begins with what this was made of.
        outputs: classifier outputs, or the last feature map.
        include_top: bool. Whether `outputs` are those of the classifier.
        pooling: one of None, "avg", "max".
        weights: None, the name of published weights, or the path of a file.
        name: str.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: if the weights do not fit.

    Example:

    >>> images = keras.Input((8, 8, 3))
    >>> options = {"include_top": False, "pooling": "avg", "weights": None, "name": "mean"}
    >>> finish("Mean", images, images, **options).output_shape
    (None, 3)
    """
    if not include_top and pooling:
        outputs = _POOLINGS[pooling](name=f"{pooling}_pool")(outputs)
    sources = keras.utils.get_source_inputs(inputs)
    model = keras.Model(sources[0] if len(sources) == 1 else sources, outputs, name=name)
    if weights in torch_weights.PUBLISHED.get(builder, {}):
        torch_weights.load_checkpoint(model, torch_weights.download(builder, weights))
    elif weights is not None and pathlib.Path(weights).suffix in checkpoints.SUFFIXES:
        torch_weights.load_checkpoint(model, weights)
    elif weights is not None and pathlib.Path(weights).suffix == ".npz":
        bit_weights.load_npz(model, weights)
    elif weights is not None:
        keras_files.load_weights(model, weights)
    return model
