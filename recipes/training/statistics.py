"""Statistics of batch normalization that fit the weights."""

import contextlib

import keras


def refresh_batch_statistics(model, batches):
    """Set the moving statistics of batch normalization to those of given batches, at fixed weights.

    The moving means and variances trail the weights, and after weights were averaged (`Lookahead`,
    `use_ema`) they fit none of both. Here each becomes the mean of its values over the batches, as
    training would see them ("precise batch normalization"). Nothing else of the model changes.

    Layers that are not trainable keep theirs: while training they do not use those of the batch either.

    Args:
        model: a `keras.Model` with `keras.layers.BatchNormalization`, or subclasses of it.
        batches: iterable of batches of inputs, or of (inputs, targets), each counting alike; as large
            as those of the training, and prepared in the same way.

    Raises:
        ValueError: if there is no batch, or no layer of this kind to refresh.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    >>> refresh_batch_statistics(model, [np.array([[1.0], [3.0]]), np.array([[3.0], [5.0]])])
    >>> float(model.layers[0].moving_mean[0]), float(model.layers[0].moving_variance[0])
    (3.0, 1.0)

    Reference:
        Wu and Johnson, 2021. https://arxiv.org/abs/2105.07576
    """
    layers = [each for each in _all_layers(model) if isinstance(each, keras.layers.BatchNormalization)]
    layers = [layer for layer in layers if layer.trainable]
    if not layers:
        raise ValueError(f"The model has no trainable BatchNormalization to refresh. Received: model={model!r}")
    statistics = {id(variable) for layer in layers for variable in (layer.moving_mean, layer.moving_variance)}
    others = [variable for variable in model.variables if not variable.trainable and id(variable) not in statistics]
    state = [keras.ops.convert_to_numpy(variable).copy() for variable in others]
    momenta = [layer.momentum for layer in layers]
    number = 0
    try:
        with _without_gradients():
            for number, batch in enumerate(batches, 1):
                for layer in layers:
                    layer.momentum = (number - 1) / number  # so that the moving average is the plain mean
                model(keras.utils.unpack_x_y_sample_weight(batch)[0], training=True)
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        for variable, value in zip(others, state):
            variable.assign(value)
    if not number:
        raise ValueError("`batches` holds no batch: give a fresh iterable. An iterator that was used up is empty.")


def _all_layers(model):
    return list(dict.fromkeys(model._flatten_layers()))


def _without_gradients():
    """Torch keeps what a backward pass needs, unless told."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()
