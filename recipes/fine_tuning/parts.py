"""A network in two: what is frozen, and what is trained on its features."""

import typing

import keras

from recipes.fine_tuning.stages import stages_of


class Parts(typing.NamedTuple):
    """What `freeze_below` returns. The layers are those of the model that was divided.

    Args:
        below: the frozen part, a `keras.Model` from images to features; None where nothing is frozen, or where the
            images are rescaled by what is trained.
        above: the trained part, a `keras.Model` from features to outputs; None where `below` is.
        model: both, a `keras.Model` from images to outputs.

    Example:

    >>> Parts(None, None, keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])).model.output_shape
    (None, 2)
    """

    below: object
    above: object
    model: object


@keras.saving.register_keras_serializable(package="recipes")
class AsInPrediction(keras.layers.Layer):
    """A model that computes in training as in prediction: by running statistics, without dropout.

    Its weights can be trained all the same. `model(images, training=False)` in a functional model
    is not enough: in training Keras overrules it.

    Args:
        model: a `keras.Model`.
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.9)])
    >>> keras.ops.convert_to_numpy(AsInPrediction(model)(keras.ops.ones((1, 4)), training=True)).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.built = True

    def call(self, inputs):
        return self.model(inputs, training=False)

    def compute_output_spec(self, inputs):
        return self.model.compute_output_spec(inputs, training=False)

    def get_config(self):
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "model": keras.saving.deserialize_keras_object(config["model"])})


def freeze_below(model, stages=0, *, frozen_statistics=True):
    """Freeze a network but for its head and its last stages, and divide it there.

    Frozen layers compute as in prediction: batch normalisation by its running statistics, which stay as they are,
    dropout not at all. So their outputs, which are the same in every epoch, may be computed once: see `features`.
    Layers in front of the network, as of `rescale`, are trained.

    Called again with another number of stages, it freezes and thaws anew; then compile anew, too.

    Args:
        model: a functional or sequential `keras.Model`, as of `replace_head`.
        stages: int. How many of `stages_of(model)`, the last ones, are trained with the head. Defaults to 0.
        frozen_statistics: bool. Whether these compute as in prediction, too, though their weights are trained:
            right where batches are small or few, and the network is well trained. Defaults to True.

    Returns:
        `Parts`: models `below`, `above` and `model`, of the layers of the one that was given.

    Raises:
        ValueError: if there are not so many stages, or the model cannot be divided.

    Example:

    >>> import zoo
    >>> from recipes.fine_tuning import replace_head
    >>> parts = freeze_below(replace_head(zoo.ResNet18(input_shape=(32, 32, 3)), classes=4))
    >>> parts.below.output_shape, len(parts.model.trainable_variables)
    ((None, 512), 4)
    """
    found = stages_of(model)
    if isinstance(stages, bool) or not isinstance(stages, int) or not 0 <= stages <= len(found):
        raise ValueError(f"`stages` must be from 0 to {len(found)}, those of the model. Received: stages={stages!r}")
    images, start, top = model.inputs[0], found[0].input, found[-1].output
    cut = found[len(found) - stages].input if stages else top
    front = None if start is images else keras.Model(images, start)
    below = None if cut is start else keras.Model(start, cut)
    trained = None if cut is top else keras.Model(cut, top)
    head = None if top is model.outputs[0] else keras.Model(top, model.outputs[0])
    # Each layer by itself: on TensorFlow, a model did not always hand on to its layers that it is trainable again.
    for layer in [model, *model.layers]:
        layer.trainable = True
    for layer in [] if below is None else [below, *below.layers]:
        layer.trainable = False

    def above(x):
        if trained is not None:
            x = (AsInPrediction(trained) if frozen_statistics else trained)(x)
        return x if head is None else head(x)

    x = images if front is None else front(images)
    whole = keras.Model(images, above(x if below is None else AsInPrediction(below)(x)), name=model.name)
    if below is None or front is not None:
        return Parts(None, None, whole)
    maps = keras.Input(cut.shape[1:], name="features")
    return Parts(below, keras.Model(maps, above(maps), name=model.name), whole)
