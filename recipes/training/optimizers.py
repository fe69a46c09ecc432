"""Optimizers in the form that the published recipes have."""

import keras


@keras.saving.register_keras_serializable(package="recipes")
class SGD(keras.optimizers.SGD):
    """SGD whose L2 penalty goes into the gradient, before the momentum.

    Keras's `weight_decay` is decoupled: it shrinks the weights beside the momentum. The published
    recipes of this field couple it, as torch does; and they decay every trainable weight, those of
    batch normalisation included.

    Args:
        learning_rate: float or schedule. Defaults to 0.01.
        momentum: float. Defaults to 0.
        nesterov: bool. Defaults to False.
        l2: float. `l2 * weight` is added to each gradient. Defaults to 0.
        **kwargs: of `keras.optimizers.SGD`.

    Example:

    >>> SGD(0.1, l2=0.5).l2
    0.5

    Reference:
        https://arxiv.org/abs/1711.05101 on the two forms.
    """

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, l2=0.0, **kwargs):
        super().__init__(learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        if self.l2:
            gradient = keras.ops.add(gradient, keras.ops.multiply(keras.ops.cast(variable, gradient.dtype), self.l2))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
