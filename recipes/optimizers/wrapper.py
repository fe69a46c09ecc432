"""What optimizers around other optimizers share."""

import keras


class Wrapper(keras.optimizers.Optimizer):
    """An optimizer around others, of which the main one stands for all: its learning rate, its count of updates.

    Subclasses implement `apply`.

    Args:
        optimizers: list of optimizers, the main one first.
        name: str, or None for that of the class. Defaults to None.

    Raises:
        ValueError: if one is no optimizer, or a `LossScaleOptimizer`, or stands there twice, or if
            they differ in gradient accumulation or loss scale.

    Example:

    >>> wrapper = Wrapper([keras.optimizers.SGD(0.5), keras.optimizers.Adam(0.1)])
    >>> float(wrapper.learning_rate), len(wrapper.variables)
    (0.5, 5)
    """

    def __init__(self, optimizers, name=None):
        for optimizer in optimizers:
            _check(type(self).__name__, optimizer, optimizers)
        # A function, as there is no learning rate of its own to keep in a variable.
        super().__init__(learning_rate=float, name=name)
        self.wrapped = list(optimizers)

    def build(self, variables):
        if not self.built:
            # Not by assignment, by which Keras would make them variables of the optimizer.
            vars(self).update(_trainable_variables=list(variables), built=True)

    @property
    def main(self):
        """The optimizer that stands for all."""
        return self.wrapped[0]

    @property
    def variables(self):
        return self._variables + [variable for each in self.wrapped for variable in each.variables]

    @property
    def iterations(self):
        return self.main.iterations

    @property
    def learning_rate(self):
        return self.main.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.main.learning_rate = value

    @property
    def gradient_accumulation_steps(self):
        """int or None. That of the wrapped optimizers."""
        return self.main.gradient_accumulation_steps

    @gradient_accumulation_steps.setter
    def gradient_accumulation_steps(self, value):
        """Nothing: Keras sets it to None, as this accumulates no gradients itself."""

    @property
    def loss_scale_factor(self):
        """float or None. That of the wrapped optimizers."""
        return self.main.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value):
        for optimizer in getattr(self, "wrapped", ()):  # Keras sets it before there are any
            optimizer.loss_scale_factor = value

    def set_weights(self, weights):
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(f"The optimizer has {len(variables)} weights. Received: {len(weights)} weights")
        for variable, weight in zip(variables, weights):
            variable.assign(weight)

    def finalize_variable_values(self, var_list):
        for optimizer in self.wrapped:
            optimizer.finalize_variable_values(optimizer._trainable_variables)


def _check(name, optimizer, optimizers):
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(f"{name} takes optimizers, made: SGD(0.1), not 'sgd'. Received: {optimizer!r}")
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(f"{name} goes inside a LossScaleOptimizer, not around one: LossScaleOptimizer({name}(...)).")
    if getattr(optimizer, "outermost", False):
        inside = type(optimizer).__name__
        raise ValueError(f"{name} goes inside {inside}, not around it: {inside}({name}(...)).")
    if sum(each is optimizer for each in optimizers) > 1:
        raise ValueError(f"{name} needs an optimizer of its own for each group. Received {optimizer.name!r} twice.")
    for setting in ("gradient_accumulation_steps", "loss_scale_factor"):
        values = [getattr(each, setting, None) for each in optimizers]
        if any(value != values[0] for value in values):
            raise ValueError(f"{name} needs optimizers with the same `{setting}`. Received: {values}")
