"""Trained networks without their heads: ours, of keras.applications, of a run; and what pixels they expect."""

import importlib
import inspect
import pathlib

import numpy as np

import zoo

ARCHITECTURES = ("ResNet18", "ResNet34", "ResNet50", "ResNet101", "ResNet152")


def load_backbone(architecture, weights=None, input_shape=(224, 224, 3), input_tensor=None, **options):
    """Build a network without its head, with weights.

    Args:
        architecture: str. The name of a ResNet of `zoo`, such as "ResNet50"; or "MODULE:NAME" of any builder that
            takes the arguments of `keras.applications`, such as "keras.applications:MobileNetV3Small".
        weights: None for random weights; path of a `.keras` file of a network of this architecture, such as that of a
            run, of which the head is left out; or what the builder takes: "imagenet", path of a checkpoint.
            Defaults to None.
        input_shape: tuple. Defaults to (224, 224, 3).
        input_tensor: a Keras tensor of images, in place of `input_shape`, or None. Defaults to None.
        **options: of the builder, such as `stem`.

    Returns:
        A `keras.Model` from images to feature maps.

    Raises:
        ValueError: if there is no such architecture, or the weights are missing or do not fit.

    Example:

    >>> load_backbone("ResNet18", input_shape=(32, 32, 3), stem="cifar").output_shape
    (None, 4, 4, 512)
    """
    own = weights is not None and pathlib.Path(weights).suffix == ".keras"
    if own and not pathlib.Path(weights).is_file():
        raise ValueError(f"There is no file {weights}. Give the model.keras of a run as `weights`.")
    images = {"input_shape": input_shape} if input_tensor is None else {"input_tensor": input_tensor}
    build = find_builder(architecture)
    try:
        model = build(include_top=False, weights=None if own else weights, **images, **options)
    except TypeError as error:
        raise ValueError(f"{architecture} does not take the arguments of keras.applications: {error}.") from error
    if own:
        _copy_weights(model, weights)
    return model


def find_builder(architecture):
    """The function that builds an architecture.

    Args:
        architecture: str, as `load_backbone` takes it.

    Returns:
        A function.

    Raises:
        ValueError: if there is none.

    Example:

    >>> find_builder("ResNet18") is zoo.ResNet18
    True
    """
    module, colon, name = architecture.partition(":")
    if not colon:
        if architecture in ARCHITECTURES:
            return getattr(zoo, architecture)
        raise ValueError(
            f"`architecture` must be one of {', '.join(ARCHITECTURES)}, or such as "
            f'"keras.applications:MobileNetV3Small". Received: architecture={architecture!r}'
        )
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"`architecture` cannot be imported ({error}). Received: {architecture!r}") from error


def preprocessing(builder):
    """What pixels a network of `keras.applications` expects, found by a look at what its `preprocess_input` does.

    Args:
        builder: function, such as `keras.applications.MobileNetV3Small`.

    Returns:
        `(mean, std, flipped)`: what is taken from pixels from 0 to 255, red first, what they are divided by, and
        whether blue then comes first; or None for a builder that has no such function beside it.

    Raises:
        ValueError: if it is no such rule.

    Example:

    >>> import keras
    >>> preprocessing(keras.applications.MobileNetV2)
    ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5), False)
    >>> preprocessing(keras.applications.MobileNetV3Small)
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), False)
    >>> preprocessing(keras.applications.VGG16)
    ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), True)
    """
    rule = getattr(inspect.getmodule(builder), "preprocess_input", None)
    if rule is None:
        return None
    pixels = 255 * np.concatenate([np.zeros((1, 3)), np.eye(3)]).reshape(4, 1, 1, 3)
    base, *changed = np.asarray(rule(pixels.copy(), data_format="channels_last"), "float64").reshape(4, 3)
    slopes = (np.stack(changed) - base) / 255
    flipped = bool(slopes[0, 0] == 0)
    slopes, base = (slopes[:, ::-1], base[::-1]) if flipped else (slopes, base)
    scale = np.diag(slopes)
    if not np.allclose(slopes, np.diag(scale), atol=1e-9) or (scale <= 0).any():
        raise ValueError(f"What {builder.__name__} does to pixels is no scaling of each channel.")
    mean, std = (tuple(float(value) for value in each.round(3) + 0.0) for each in (-base / scale, 1 / scale))
    return mean, std, flipped


def _copy_weights(model, path):
    """Weights by the names of layers, from a model whose head is another."""
    source = zoo.keras_files.load_model(path)
    known = {layer.name: layer.get_weights() for layer in source.layers}
    problems = []
    for layer in model.layers:
        shapes = [tuple(weight.shape) for weight in layer.weights]
        found = [weight.shape for weight in known.get(layer.name, [])]
        if found != shapes:
            problems.append(f"{layer.name} has {found or 'no weights'} where {shapes} are expected")
    if problems:
        raise ValueError(
            f"{path} does not fit {model.name}: {'; '.join(problems[:8])}. Give the architecture and stem of that file."
        )
    for layer in model.layers:
        layer.set_weights(known[layer.name] if layer.weights else [])
