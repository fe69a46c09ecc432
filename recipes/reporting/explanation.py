"""What a network makes of images inside: feature maps, filters, and Grad-CAM, on every backend."""

import contextlib

import keras
import numpy as np

import zoo

_BATCH_SIZE = 16
_PASSED = (  # layers that make what is before them coarser, or change each channel as a whole
    keras.layers.AveragePooling2D,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.MaxPooling2D,
    keras.layers.SpatialDropout2D,
    zoo.pooling.AdaptiveAveragePooling2D,
)
_SQUASHING = (keras.activations.sigmoid, keras.activations.softmax)


def spatial_layers(model, images):
    """The layers that give feature maps, in the order in which they compute.

    Layers of models inside the model are called `MODEL/LAYER`. Those that are called several times are left out.

    Args:
        model: a `keras.Model` of any kind.
        images: array of inputs, of which one is computed.

    Returns:
        dict of name to shape, `(height, width, channels)`.

    Example:

    >>> layers = keras.layers
    >>> inside = keras.Sequential([layers.Conv2D(4, 3, name="deep")], name="inside")
    >>> model = keras.Sequential([keras.Input((9, 9, 3)), layers.Conv2D(8, 3, name="first"), inside])
    >>> spatial_layers(model, np.zeros((1, 9, 9, 3), "float32"))
    {'first': (7, 7, 8), 'inside/deep': (5, 5, 4), 'inside': (5, 5, 4)}
    """
    calls = []

    def recorded(name, layer, call):
        def record(*args, **kwargs):
            output = call(*args, **kwargs)
            calls.append((name, layer, tuple(getattr(output, "shape", ()))))
            return output

        return record

    layers = _layers(model).items()
    with _changed([(layer, "call", recorded(name, layer, layer.call)) for name, layer in layers]):
        model(images[:1], training=False)
    names = [name for name, _, _ in calls]
    return {
        name: shape[2:] + shape[1:2] if _channels_first(layer) else shape[1:]
        for name, layer, shape in calls
        if len(shape) == 4 and names.count(name) == 1
    }


def find_layer(model, images, layer=None):
    """The name of a layer of feature maps.

    Args:
        model: a `keras.Model` of any kind.
        images: array of inputs, of which one is computed.
        layer: str, a name, without the models that it is in if there is but one such; or None for the last that is
            larger than one pixel and no pooling, dropout or batch normalisation: the one that Grad-CAM is usually
            made of. Defaults to None.

    Returns:
        str.

    Raises:
        ValueError: if there is no such layer; the message has all that there are.

    Example:

    >>> model = zoo.ResNet18(input_shape=(32, 32, 3), stem="cifar", classes=10)
    >>> find_layer(model, np.zeros((1, 32, 32, 3), "float32"))
    'conv5_block2_out'
    """
    found = spatial_layers(model, images)
    if layer is None:
        layers = _layers(model)
        wide = [name for name, (height, width, _) in found.items() if height * width > 1]
        last = [name for name in wide if not isinstance(layers[name], _PASSED)] or wide
        if not last:
            raise ValueError(f"{model.name} has no layer of feature maps of more than one pixel: give larger images.")
        return last[-1]
    fitting = [name for name in found if layer == name] or [name for name in found if name.endswith(f"/{layer}")]
    if len(fitting) != 1:
        problem = "names several layers" if fitting else "is no layer that is called once and gives feature maps"
        raise ValueError(f"{layer!r} {problem}. Those of {model.name}: {', '.join(fitting or found) or 'none'}.")
    return fitting[0]


def feature_maps(model, images, layer=None, batch_size=_BATCH_SIZE):
    """What a layer gives for images.

    Args:
        model: a `keras.Model` of any kind.
        images: array of inputs, as the model takes them.
        layer: str or None, as for `find_layer`. Defaults to None.
        batch_size: int. Defaults to 16.

    Returns:
        float32 array `(images, height, width, channels)`, whatever the data format.

    Raises:
        ValueError: as `find_layer`.

    Example:

    >>> model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.ReLU(name="positive")])
    >>> feature_maps(model, np.full((2, 4, 4, 1), -1.0)).max()
    np.float32(0.0)
    """
    layer = _layers(model)[find_layer(model, images, layer)]
    maps = [_activations(model, layer, part)[0] for part in _parts(images, batch_size)]
    return _channels_last(np.concatenate(maps), layer)


def grad_cam(model, images, classes=None, layer=None, score=None, batch_size=_BATCH_SIZE):
    """Where a layer speaks for a class: gradient-weighted class activation maps.

    The gradient of a class's score, taken before a softmax or sigmoid at the end of the model, says how much each
    channel of the layer counts: its mean over the positions. What the channels so weighted add up to at a position is
    kept where it is positive.

    Args:
        model: a `keras.Model` of any kind: a layer may be inside another model.
        images: array of inputs, as the model takes them.
        classes: int, or one for each image; None for the class of the highest score. Defaults to None.
        layer: str or None, as for `find_layer`. Defaults to None.
        score: function of the model's outputs to a number for each image, in place of a class: for models whose
            outputs are not `(images, classes)`, as detectors. Defaults to None.
        batch_size: int. Defaults to 16.

    Returns:
        float32 array `(images, height, width)` of the layer's size, at least 0, in units of the score.

    Raises:
        ValueError: as `find_layer`; for classes that are none of the model's, or given with a score.

    Example:

    >>> layers = keras.layers
    >>> model = keras.Sequential([keras.Input((4, 4, 2)), layers.ReLU(), layers.GlobalAveragePooling2D()])
    >>> images = np.zeros((1, 4, 4, 2), "float32")
    >>> images[0, 1, 2] = 0.0, 16.0
    >>> grad_cam(model, images)[0]
    array([[0., 0., 0., 0.],
           [0., 0., 1., 0.],
           [0., 0., 0., 0.],
           [0., 0., 0., 0.]], dtype=float32)

    Reference:
        https://arxiv.org/abs/1610.02391
    """
    if classes is not None and score is not None:
        raise ValueError("Grad-CAM is of `classes` or of a `score`. Received both: leave one out.")
    layer = _layers(model)[find_layer(model, images, layer)]
    if classes is not None:
        classes = _parts(np.broadcast_to(classes, len(images)), batch_size)
    found = []
    for number, part in enumerate(_parts(images, batch_size)):
        with _changed(_before_squashing(model)):
            maps, outputs = _activations(model, layer, part)
            chosen = score or _class_score(outputs, None if classes is None else classes[number])
            gradients = _gradients(model, layer, part, maps, chosen)
        maps, gradients = _channels_last(maps, layer), _channels_last(gradients, layer)
        weights = gradients.mean((1, 2), keepdims=True)
        found.append(np.maximum((weights * maps).sum(-1), 0))
    return np.concatenate(found)


def filters(model, layer=None):
    """The filters of a convolution.

    Args:
        model: a `keras.Model`.
        layer: str, the name of a 2D convolution; None for the first. Defaults to None.

    Returns:
        `(name, kernel)`: str, and float32 array `(height, width, channels, filters)`.

    Raises:
        ValueError: if there is no such convolution.

    Example:

    >>> name, kernel = filters(zoo.DavidNet())
    >>> name, kernel.shape
    ('prep_conv', (3, 3, 3, 64))
    """
    found = {name: each for name, each in _layers(model).items() if isinstance(each, keras.layers.Conv2D)}
    fitting = [name for name in found if layer is None or name == layer or name.endswith(f"/{layer}")]
    if not fitting:
        wanted = "no 2D convolution" if layer is None else f"no 2D convolution {layer!r}"
        raise ValueError(f"{model.name} has {wanted}. Those that it has: {', '.join(found) or 'none'}.")
    return fitting[0], _to_numpy(found[fitting[0]].kernel)


def _layers(model, prefix=""):
    """All layers by name, those of models inside among them."""
    found = {}
    for layer in model.layers:
        found[prefix + layer.name] = layer
        if isinstance(layer, keras.Model):
            found |= _layers(layer, f"{prefix}{layer.name}/")
    return found


@contextlib.contextmanager
def _changed(changes):
    """Objects with other attributes, a list of (object, name, value), for a while."""
    before = [(each, name, vars(each)[name]) for each, name, _ in changes if name in vars(each)]
    try:
        for each, name, value in changes:
            vars(each)[name] = value
        yield
    finally:
        for each, name, _ in changes:
            vars(each).pop(name, None)
        for each, name, value in before:
            vars(each)[name] = value


def _before_squashing(model):
    """What takes a softmax or sigmoid off the end of a model: behind it gradients vanish where it is sure."""
    last = model
    while isinstance(last, keras.Model) and last.layers:
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return [(last, "call", lambda inputs, *args, **kwargs: inputs)]
    return [(last, "activation", keras.activations.linear)] if getattr(last, "activation", 0) in _SQUASHING else []


def _activations(model, layer, images):
    """What a layer gives for images, as NumPy has it, and the outputs of the model."""
    kept, call = [], layer.call

    def keep(*args, **kwargs):
        kept.append(call(*args, **kwargs))
        return kept[-1]

    with _changed([(layer, "call", keep)]):
        outputs = model(images, training=False)
    return _to_numpy(kept[-1]), outputs


def _class_score(outputs, classes):
    """The function from outputs to the scores of classes; of the highest ones where they are None."""
    shape = tuple(getattr(outputs, "shape", ()))
    if len(shape) != 2:
        raise ValueError(f"Outputs must be (images, classes). Received: {shape or type(outputs)}. Give a `score`.")
    classes = _to_numpy(outputs).argmax(-1) if classes is None else np.asarray(classes)
    if classes.dtype.kind not in "iu" or classes.min() < 0 or classes.max() >= shape[1]:
        raise ValueError(f"`classes` must be integers from 0 to {shape[1] - 1}. Received: {classes.tolist()}")
    chosen = np.eye(shape[1], dtype="float32")[classes]
    return lambda outputs: keras.ops.sum(keras.ops.multiply(keras.ops.cast(outputs, "float32"), chosen), axis=-1)


def _gradients(model, layer, images, maps, score):
    """The gradients of the scores of images by what a layer gives for them."""

    def total(values):
        # What the model would give if the layer gave these values: that has a gradient on every backend.
        with _changed([(layer, "call", lambda *args, **kwargs: keras.ops.cast(values, layer.compute_dtype))]):
            return keras.ops.sum(score(model(images, training=False)))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        values = tf.constant(maps)
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs = total(values)
        found = tape.gradient(outputs, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    elif keras.backend.backend() == "jax":
        import jax

        found = jax.grad(total)(jax.numpy.asarray(maps))
    else:
        import torch

        values = keras.ops.convert_to_tensor(maps).detach().requires_grad_(True)
        outputs = total(values)
        found = torch.autograd.grad(outputs, values, allow_unused=True)[0] if outputs.requires_grad else None
        found = np.zeros_like(maps) if found is None else found
    return _to_numpy(found)


def _to_numpy(values):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(values, "float32")))


def _channels_first(layer):
    return (getattr(layer, "data_format", None) or keras.config.image_data_format()) == "channels_first"


def _channels_last(maps, layer):
    return np.moveaxis(maps, 1, -1) if _channels_first(layer) else maps


def _parts(images, batch_size):
    if batch_size < 1 or not len(images):
        raise ValueError(f"Give images, and a `batch_size` of at least 1. Received: {len(images)}, {batch_size}")
    return [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
