"""Optimizers whose momentum can follow a schedule, in the form that the published recipes have.

Keras reads momentum once, when it compiles the step: what is assigned later does nothing. Here it
is a variable, or a schedule that is evaluated inside the compiled step from the count of updates,
so that it also holds under `LossScaleOptimizer` and with several steps per execution.
"""

import keras

from recipes import schedules


class _Scheduled:
    """A number of an optimizer: a variable, or a schedule of the updates made."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, optimizer, owner=None):
        if optimizer is None:
            return self
        value = getattr(optimizer, f"_{self.name}")
        return value(keras.ops.cast(optimizer.iterations, "float32")) if callable(value) else value

    def __set__(self, optimizer, value):
        current = getattr(optimizer, f"_{self.name}", None)
        if callable(current):
            raise ValueError(
                f"`{self.name}` follows a schedule, so it cannot be set. Give the optimizer a number, or keep the "
                f"schedule. Received: {self.name}={value!r}"
            )
        if current is not None:
            current.assign(value)
            return
        _check_fraction(self.name, value(0) if callable(value) else value)
        if not callable(value):
            initializer = keras.initializers.Constant(float(value))
            value = optimizer.add_variable((), initializer, aggregation="only_first_replica", name=self.name)
        setattr(optimizer, f"_{self.name}", value)

    def config(self, optimizer):
        value = getattr(optimizer, f"_{self.name}")
        if callable(value):
            return keras.saving.serialize_keras_object(value)
        return float(keras.ops.convert_to_numpy(value))


class _PerUpdate:
    """What our optimizers share: they count updates, where Keras gives schedules micro-steps."""

    def __init__(self, learning_rate, gradient_accumulation_steps=None, **arguments):
        rate = _of_updates(learning_rate, gradient_accumulation_steps)
        super().__init__(learning_rate=rate, gradient_accumulation_steps=gradient_accumulation_steps, **arguments)

    @property
    def learning_rate(self):
        return super().learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        rate = _of_updates(value, self.gradient_accumulation_steps)
        keras.optimizers.Optimizer.learning_rate.fset(self, rate)

    def get_config(self):
        return {**super().get_config(), self.cycled: getattr(type(self), self.cycled).config(self)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if isinstance(config[cls.cycled], dict):
            value = keras.saving.deserialize_keras_object(config[cls.cycled], custom_objects)
            config = {**config, cls.cycled: value}
        return super().from_config(config, custom_objects)


@keras.saving.register_keras_serializable(package="recipes")
class SGD(_PerUpdate, keras.optimizers.Optimizer):
    """SGD with a momentum that can be scheduled and set, and an L2 penalty in the gradient.

    The rule is Keras's: the learning rate goes into the velocity. At a constant rate it is torch's.
    Keras's `weight_decay` is decoupled: it shrinks the weights beside the momentum. The published
    recipes of this field couple it, as torch does; and they decay every trainable weight, those of
    batch normalisation included: that is `l2`.

    Args:
        learning_rate: float or schedule. With `gradient_accumulation_steps` the schedule is given
            updates, not micro-steps. Defaults to 0.01.
        momentum: float in [0, 1], which `set_momentum` can change while it trains; or a schedule,
            or another function of the updates made, written with `keras.ops`. Defaults to 0.
        nesterov: bool. Defaults to False.
        l2: float. `l2 * weight` is added to each gradient. Defaults to 0.
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for a momentum outside [0, 1], or one of another kind.

    Example:

    >>> cycle = schedules.OneCycleMomentum(total_steps=100)
    >>> optimizer = SGD(schedules.OneCycle(0.4, total_steps=100), momentum=cycle, nesterov=True)
    >>> round(float(optimizer.momentum), 3)
    0.95

    Reference:
        https://arxiv.org/abs/1711.05101 on the two forms of decay.
    """

    momentum = _Scheduled()
    cycled = "momentum"

    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, l2=0.0, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum
        self.nesterov = nesterov
        self.l2 = l2
        self.has_momentum = callable(momentum) or momentum != 0

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if self.has_momentum:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        ops = keras.ops
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2:
            gradient = ops.add(gradient, ops.multiply(ops.convert_to_tensor(variable), self.l2))
        step = ops.multiply(gradient, ops.cast(learning_rate, variable.dtype))
        if not self.has_momentum:
            self.assign_sub(variable, step)
            return
        momentum = ops.cast(self.momentum, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        changed = ops.subtract(ops.multiply(velocity, momentum), step)
        self.assign(velocity, changed)
        self.assign_add(variable, ops.subtract(ops.multiply(changed, momentum), step) if self.nesterov else changed)

    def get_config(self):
        return {**super().get_config(), "nesterov": self.nesterov, "l2": self.l2}


@keras.saving.register_keras_serializable(package="recipes")
class Adam(_PerUpdate, keras.optimizers.Adam):
    """Adam whose beta_1 can be scheduled and set; with `weight_decay`, AdamW.

    One-cycle and cyclical policies call beta_1 the momentum. The correction of the bias is
    `1 - beta_1 ** step` with the beta_1 of the step, as torch and Keras have it.

    Args:
        learning_rate: float or schedule. With `gradient_accumulation_steps` the schedule is given
            updates, not micro-steps. Defaults to 0.001.
        beta_1: float in [0, 1], which `set_momentum` can change while it trains; or a schedule, or
            another function of the updates made, written with `keras.ops`. Defaults to 0.9.
        **kwargs: of `keras.optimizers.Adam`.

    Raises:
        ValueError: for a beta_1 outside [0, 1], or one of another kind.

    Example:

    >>> optimizer = Adam(1e-3, beta_1=schedules.OneCycleMomentum(total_steps=100), weight_decay=0.01)
    >>> round(float(optimizer.beta_1), 3)
    0.95

    Reference:
        https://arxiv.org/abs/1412.6980, https://arxiv.org/abs/1711.05101
    """

    beta_1 = _Scheduled()
    cycled = "beta_1"

    def __init__(self, learning_rate=0.001, beta_1=0.9, **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, **kwargs)


def set_momentum(optimizer, value):
    """Set the momentum (of Adam: beta_1) while an optimizer trains.

    Args:
        optimizer: one of this module, or a `keras.optimizers.LossScaleOptimizer` around it.
        value: float in [0, 1].

    Raises:
        ValueError: if the momentum of the optimizer follows a schedule, or cannot be changed.

    Example:

    >>> optimizer = SGD(0.1, momentum=0.9)
    >>> set_momentum(optimizer, 0.85)
    >>> round(float(optimizer.momentum), 3)
    0.85
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    name = getattr(inner, "cycled", None)
    if name is None:
        raise ValueError(
            f"The momentum of {type(inner).__module__.split('.')[0]}'s {type(inner).__name__} is compiled into the "
            "training step: setting it later does nothing. Use recipes.optimizers.SGD or recipes.optimizers.Adam."
        )
    if not getattr(inner, "has_momentum", True):
        raise ValueError("The optimizer was made without momentum. Give it one, such as SGD(momentum=0.9).")
    _check_fraction(name, value)
    setattr(inner, name, value)


def _of_updates(learning_rate, steps):
    if steps and isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return schedules.per_update(learning_rate, steps)
    return learning_rate


def _check_fraction(name, value):
    try:
        fits = 0 <= float(value) <= 1
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"`{name}` must be a number from 0 to 1, or a schedule of such numbers. Received: {name}={value!r}"
        )
