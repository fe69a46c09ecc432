"""Slow weights that follow the fast ones."""

import keras

from recipes.optimizers.scheduled import check_fraction
from recipes.optimizers.wrapper import Wrapper


@keras.saving.register_keras_serializable(package="recipes")
class Lookahead(Wrapper):
    """Slow weights around any optimizer: after each `period` updates, both become a mean of the two.

    `slow = decay * slow + (1 - decay) * fast`, and `fast = slow`, inside the compiled step. The slow
    weights begin as the weights before the first update.

    Only trainable weights are averaged. airbench averages the statistics of batch normalization with
    them; an optimizer does not see these: they go on following the fast weights. Where that matters,
    `recipes.training.statistics.refresh_batch_statistics` makes them fit the last weights.

    For an average that is not written back while training, any optimizer has `use_ema=True`: `fit`
    ends with it, and `keras.callbacks.SwapEMAWeights` evaluates with it in between.

    Args:
        optimizer: the optimizer of the fast weights.
        period: int. Updates from one mean to the next. Defaults to 5.
        decay: float in [0, 1]; or a schedule, or another function of the updates made, written with
            `keras.ops`. Defaults to 0.5.
        finalize: bool. Whether `fit` ends with the slow weights. Nothing changes where the updates
            made are a multiple of the period; else the last few are lost, as in airbench. False for
            a training of several calls of `fit`. Defaults to True.
        name: str, or None for "lookahead". Defaults to None.

    Raises:
        ValueError: for what is no optimizer or a `LossScaleOptimizer`, which goes around it; for a
            period below 1, or a decay outside [0, 1].

    Example:

    >>> from recipes import schedules
    >>> from recipes.optimizers import SGD
    >>> decay = schedules.PowerRamp(0.95**5, total_steps=476, power=3)
    >>> optimizer = Lookahead(SGD(0.1, momentum=0.85, nesterov=True), period=5, decay=decay)

    Reference:
        https://arxiv.org/abs/1907.08610 and https://github.com/KellerJordan/cifar10-airbench
    """

    def __init__(self, optimizer, period=5, decay=0.5, finalize=True, name=None):
        if isinstance(period, bool) or not isinstance(period, int) or period < 1:
            raise ValueError(f"`period` must be a whole number, at least 1. Received: period={period!r}")
        check_fraction("decay", decay(0) if callable(decay) else decay)
        super().__init__([optimizer], name=name)
        self.period = period
        self.decay = decay
        self.finalize = finalize

    def build(self, variables):
        if self.built:
            return
        self.main.build(variables)
        self.slow = self.add_optimizer_variables(variables, "slow")
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        ops = keras.ops
        self.build(self._trainable_variables if trainable_variables is None else list(trainable_variables))
        before = ops.add(self.iterations, 0)  # a new tensor: torch would count on in that of the variable
        # Not when built: what is loaded or initialised between that and the first update counts.
        _assign_where(ops.equal(before, 0), [self.slow], lambda: [_values(self._trainable_variables)])
        self.main.apply(grads, trainable_variables)
        updates = ops.convert_to_tensor(self.iterations)
        due = ops.logical_and(ops.not_equal(updates, before), ops.equal(ops.mod(updates, self.period), 0))
        _assign_where(due, [self.slow, self._trainable_variables], lambda: [self._means(updates)] * 2)

    def _means(self, updates):
        decay = self.decay(keras.ops.cast(updates, "float32")) if callable(self.decay) else self.decay
        pairs = zip(_values(self.slow), _values(self._trainable_variables))
        return [fast + keras.ops.cast(decay, fast.dtype) * (slow - fast) for slow, fast in pairs]

    def finalize_variable_values(self, var_list):
        super().finalize_variable_values(var_list)
        if self.finalize and int(keras.ops.convert_to_numpy(self.iterations)):
            for variable, slow in zip(self._trainable_variables, self.slow):
                variable.assign(keras.ops.copy(slow))  # JAX would share the array, and cannot donate it twice

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        decay = serialize(self.decay) if callable(self.decay) else self.decay
        own = {"period": self.period, "decay": decay, "finalize": self.finalize}
        return {"name": self.name, "optimizer": serialize(self.main), **own}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # A range test gives the learning rate of the new optimizer here.
        arguments = {name: value for name, value in config.items() if name != "learning_rate"}
        make = keras.saving.deserialize_keras_object
        optimizer = make(config["optimizer"], custom_objects)
        if "learning_rate" in config:
            optimizer.learning_rate = config["learning_rate"]
        decay = make(config["decay"], custom_objects) if isinstance(config["decay"], dict) else config["decay"]
        return cls(**{**arguments, "optimizer": optimizer, "decay": decay})


def _values(variables):
    return [keras.ops.convert_to_tensor(variable) for variable in variables]


def _assign_where(condition, lists, values):
    """Assign lists of values to lists of variables where a condition holds: without state, as JAX needs it."""
    changed = keras.ops.cond(condition, values, lambda: [_values(variables) for variables in lists])
    for variables, new in zip(lists, changed):
        for variable, value in zip(variables, new):
            variable.assign(value)
