"""A network of three stages that trains in no time, for tests of what is done to networks."""

import keras

import zoo


def TinyNet(include_top=False, weights=None, input_tensor=None, input_shape=None):
    """Three stages, called as the builders of keras.applications are; "imagenet" is taken, and no weights."""
    assert not include_top and weights in (None, "imagenet")
    images = keras.Input(input_shape, name="images") if input_tensor is None else input_tensor
    x = images
    for stage, filters in enumerate((6, 8, 10), 1):
        x = keras.layers.Conv2D(filters, 3, 2, padding="same", use_bias=False, name=f"stage{stage}_conv")(x)
        normalization = zoo.BatchNormalization if stage == 2 else keras.layers.BatchNormalization
        x = normalization(momentum=0.5, name=f"stage{stage}_bn")(x)
        x = keras.layers.ReLU(name=f"stage{stage}_relu")(x)
        x = keras.layers.Dropout(0.2, name=f"stage{stage}_dropout")(x)
    return keras.Model(keras.utils.get_source_inputs(images)[0], x, name="tiny")


def trained(model, seed=0):
    """The model with random weights and statistics everywhere, as if it had been trained."""
    import numpy as np

    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.path.rpartition("/")[2] in ("moving_mean", "moving_variance", "gamma", "beta"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype("float32"))
    return model
