"""SGD and Adam whose momentum can follow a schedule."""

import keras

from recipes.optimizers.scheduled import CountsUpdates
from recipes.optimizers.scheduled import Scheduled
from recipes.optimizers.scheduled import check_fraction
from recipes.optimizers.wrapper import Wrapper
from recipes.schedules.schedule import check_choice


@keras.saving.register_keras_serializable(package="recipes")
class SGD(CountsUpdates, keras.optimizers.Optimizer):
    """SGD with a momentum that can be scheduled and set, and an L2 penalty in the gradient.

    There are two forms of momentum, equal at a constant learning rate. In that of Keras, cifar10-fast
    and the paper the learning rate goes into the velocity; in that of torch and airbench the velocity
    is made of gradients, and the rate of a step applies to all of it, so a falling rate acts faster.

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
        learning_rate_in_velocity: bool. Whether in the form of Keras; else of torch. Defaults to True.
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for a momentum outside [0, 1], or one of another kind.

    Example:

    >>> from recipes import schedules
    >>> cycle = schedules.OneCycleMomentum(total_steps=100)
    >>> optimizer = SGD(schedules.OneCycle(0.4, total_steps=100), momentum=cycle, nesterov=True)
    >>> round(float(optimizer.momentum), 3)
    0.95

    Reference:
        https://arxiv.org/abs/1711.05101 on the two forms of decay.
    """

    momentum = Scheduled()
    cycled = "momentum"

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
        l2=0.0,
        learning_rate_in_velocity=True,
        **kwargs,
    ):
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum
        self.nesterov = nesterov
        self.l2 = l2
        self.learning_rate_in_velocity = learning_rate_in_velocity
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
        rate = ops.cast(learning_rate, variable.dtype)
        if not self.has_momentum:
            self.assign_sub(variable, ops.multiply(gradient, rate))
            return
        step = ops.multiply(gradient, rate) if self.learning_rate_in_velocity else gradient
        momentum = ops.cast(self.momentum, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        changed = ops.subtract(ops.multiply(velocity, momentum), step)
        self.assign(velocity, changed)
        move = ops.subtract(ops.multiply(changed, momentum), step) if self.nesterov else changed
        self.assign_add(variable, move if self.learning_rate_in_velocity else ops.multiply(move, rate))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("nesterov", "l2", "learning_rate_in_velocity")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="recipes")
class Adam(CountsUpdates, keras.optimizers.Adam):
    """Adam whose beta_1 can be scheduled and set; with `weight_decay`, AdamW; with `l2`, torch's Adam.

    One-cycle and cyclical policies call beta_1 the momentum. The correction of the bias is
    `1 - beta_1 ** step` with the beta_1 of the step, as torch and Keras have it.

    Args:
        learning_rate: float or schedule. With `gradient_accumulation_steps` the schedule is given
            updates, not micro-steps. Defaults to 0.001.
        beta_1: float in [0, 1], which `set_momentum` can change while it trains; or a schedule, or
            another function of the updates made, written with `keras.ops`. Defaults to 0.9.
        l2: float. `l2 * weight` is added to each gradient, which is what torch's Adam calls weight
            decay. Defaults to 0.
        **kwargs: of `keras.optimizers.Adam`.

    Raises:
        ValueError: for a beta_1 outside [0, 1], or one of another kind.

    Example:

    >>> from recipes import schedules
    >>> optimizer = Adam(1e-3, beta_1=schedules.OneCycleMomentum(total_steps=100), weight_decay=0.01)
    >>> round(float(optimizer.beta_1), 3)
    0.95

    Reference:
        https://arxiv.org/abs/1412.6980, https://arxiv.org/abs/1711.05101
    """

    beta_1 = Scheduled()
    cycled = "beta_1"

    def __init__(self, learning_rate=0.001, beta_1=0.9, l2=0.0, **kwargs):
        super().__init__(learning_rate, beta_1=beta_1, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        ops = keras.ops
        if self.l2:
            gradient = ops.cast(gradient, variable.dtype)
            gradient = ops.add(gradient, ops.multiply(ops.convert_to_tensor(variable), self.l2))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


def set_momentum(optimizer, value):
    """Set the momentum (of Adam: beta_1) while an optimizer trains.

    Args:
        optimizer: one of this package; around it may stand `LossScaleOptimizer`, `Lookahead` and
            `Grouped`, of which it is the default whose momentum is set.
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
    while isinstance(inner, Wrapper):
        inner = inner.main
    name = getattr(inner, "cycled", None)
    if name is None:
        raise ValueError(
            f"The momentum of {type(inner).__module__.split('.')[0]}'s {type(inner).__name__} is compiled into the "
            "training step: setting it later does nothing. Use recipes.optimizers.SGD or recipes.optimizers.Adam."
        )
    if not getattr(inner, "has_momentum", True):
        raise ValueError("The optimizer was made without momentum. Give it one, such as SGD(momentum=0.9).")
    check_fraction(name, value)
    setattr(inner, name, value)


def torch_optimizer(name, learning_rate, momentum=0.9, weight_decay=0.0):
    """SGD or Adam with the forms and defaults of torch, which published recipes in torch mean by these names.

    Args:
        name: one of "sgd", "adam".
        learning_rate: float or schedule.
        momentum: float or schedule. Of SGD. Defaults to 0.9.
        weight_decay: float. L2 in the gradient. Defaults to 0.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for another name.

    Example:

    >>> torch_optimizer("sgd", 0.1, weight_decay=1e-4).learning_rate_in_velocity
    False
    """
    check_choice("name", name, ("sgd", "adam"))
    if name == "adam":
        return Adam(learning_rate, l2=weight_decay, epsilon=1e-8)
    return SGD(learning_rate, momentum, l2=weight_decay, learning_rate_in_velocity=False)
