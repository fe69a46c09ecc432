"""Another head on a trained network."""

import keras

from recipes.fine_tuning.stages import CLASSIFIER
from recipes.fine_tuning.stages import HEAD
from recipes.fine_tuning.stages import head_input


def replace_head(model, classes, *, units=2048, dropout=0.3):
    """Put a new classifier in the place of a network's last dense layer, or behind its features.

    What comes before the last dense layer stays, with its weights; where there is no dense layer, all does; a head
    by this function goes as a whole. Feature maps are averaged. The head is that of experiment 003: dense,
    ReLU, dropout, dense. The other layers are those of `model`, not copies.

    Args:
        model: a functional or sequential `keras.Model` from images to classes, features or feature maps.
        classes: int.
        units: int. Of the dense layer in between; 0 for none. Defaults to 2048.
        dropout: float in [0, 1). Before the last layer. Defaults to 0.3.

    Returns:
        A `keras.Model` from the same images to logits `(batch, classes)`, in float32 under any dtype policy. The
        layers of the head are called `head_...`, and the last one "predictions".

    Raises:
        ValueError: for numbers out of range, or a model that is not made of layers, or of several outputs.

    Example:

    >>> import zoo
    >>> model = replace_head(zoo.ResNet18(input_shape=(32, 32, 3)), classes=10)
    >>> [layer.name for layer in model.layers[-4:]]
    ['head_dense', 'head_relu', 'head_dropout', 'predictions']
    """
    if (
        any(isinstance(each, bool) or not isinstance(each, int) for each in (classes, units))
        or classes < 1
        or units < 0
    ):
        raise ValueError(
            "`classes` must be an integer of at least 1, and `units` one of at least 0. "
            f"Received: classes={classes!r}, units={units!r}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be from 0 to less than 1. Received: dropout={dropout!r}")
    x = head_input(model)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name=f"{HEAD}pool")(x)
    if len(x.shape) != 2:
        raise ValueError(
            f"The features must be vectors or feature maps. Received: {model.name!r}, whose features are {x.shape}"
        )
    if units:
        x = keras.layers.Dense(units, **_as_in_torch(x), name=f"{HEAD}dense")(x)
        x = keras.layers.ReLU(name=f"{HEAD}relu")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{HEAD}dropout")(x)
    x = keras.layers.Dense(classes, **_as_in_torch(x), dtype="float32", name=CLASSIFIER)(x)
    return keras.Model(model.inputs[0], x, name=model.name)


def _as_in_torch(x):
    bound = x.shape[-1] ** -0.5
    names = ("kernel_initializer", "bias_initializer")
    return {name: keras.initializers.RandomUniform(-bound, bound) for name in names}
