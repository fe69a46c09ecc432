"""One update for the gradients of several batches, of how many may change while it trains."""

import functools
import warnings

import keras

from recipes.optimizers.wrapper import Wrapper
from recipes.replicas import cond
from recipes.replicas import run_in_replicas


@keras.saving.register_keras_serializable(package="recipes")
class Accumulated(Wrapper):
    """Any optimizer, with an update for each `steps` batches: `steps` may be set at any time.

    An update is made of the mean of the gradients, and is that of one batch of all their samples. The
    optimizer inside sees updates alone: its schedules, clipping, decay, averages and `iterations`
    count these. Keras's `gradient_accumulation_steps` is fixed when the optimizer is made, and its
    schedules count batches.

    No gradient is lost and no update made too early: where an epoch ends, or `steps` changes, before
    enough batches are there, those that are count for the next update. Each batch counts alike, so a
    smaller last one weighs as much as the others: leave it out. `flush` makes an update of what is
    there, `clear` forgets it; what is there when `fit` ends waits for the next `fit`, with a warning.
    `recipes.callbacks.BatchGrowth` does all this at the ends of epochs.

    What differs from a large batch: batch normalization sees each small batch, normalises with its
    mean and variance, and moves its averages with each. Its statistics are as noisy as before, and
    the averages forget faster, by `momentum ** steps` for each update. Dropout and other draws are as
    likely, and other ones.

    Goes around all wrappers, and inside `LossScaleOptimizer`, which leaves out batches that overflow.

    Args:
        optimizer: the optimizer that makes the updates.
        steps: int. Batches for each update. Defaults to 1.
        name: str, or None for "accumulated". Defaults to None.

    Raises:
        ValueError: for what is no optimizer, one that accumulates itself or a `LossScaleOptimizer`;
            for `steps` below 1.

    Example:

    >>> optimizer = Accumulated(keras.optimizers.SGD(0.1, momentum=0.9), steps=2)
    >>> optimizer.steps = 4
    >>> optimizer.steps, optimizer.pending
    (4, 0)

    Reference:
        Devarakonda, Naumov and Garland, 2017. https://arxiv.org/abs/1712.02029
    """

    outermost = True

    def __init__(self, optimizer, steps=1, name=None):
        super().__init__([optimizer], name=name)
        if optimizer.gradient_accumulation_steps:
            raise ValueError(
                "The optimizer accumulates gradients itself: make it without `gradient_accumulation_steps`. "
                f"Received: gradient_accumulation_steps={optimizer.gradient_accumulation_steps}"
            )
        self.initial_steps = _checked(steps)
        count = functools.partial(self.add_variable, (), dtype="int", aggregation="only_first_replica")
        self._steps = count(keras.initializers.Constant(steps), name="steps")
        self._filled = count(name="filled")
        vars(self).update(_reached=None)

    @property
    def steps(self):
        """int. Batches for each update; what is set holds from the next batch on, without compiling anew."""
        return int(keras.ops.convert_to_numpy(self._steps))

    @steps.setter
    def steps(self, value):
        self._steps.assign(_checked(value))

    @property
    def pending(self):
        """int. Batches whose gradients wait for an update."""
        return int(keras.ops.convert_to_numpy(self._filled))

    def build(self, variables):
        if self.built:
            return
        self.main.build(variables)
        self.sums = [self.add_variable_from_reference(variable, "gradient_sum") for variable in variables]
        self._index = {self._var_key(variable): number for number, variable in enumerate(variables)}
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
        self.build(variables)
        given = [pair for pair in zip(grads, variables, strict=True) if pair[0] is not None]
        reached = [variable for _, variable in given]
        vars(self).update(_reached=reached)  # not by assignment, as in `Wrapper`
        sums = [self._sum_of(variable) for variable in reached]
        totals = [total + keras.ops.cast(gradient, total.dtype) for total, (gradient, _) in zip(sums, given)]
        filled = keras.ops.add(self._filled, 1)

        def update(totals, filled):
            self._update(reached, totals, filled)

        def keep(totals, filled):
            for variable, total in zip([*sums, self._filled], [*totals, filled]):
                variable.assign(total)

        due = keras.ops.greater_equal(filled, keras.ops.convert_to_tensor(self._steps))
        if keras.backend.backend() == "jax":
            self._assign_either(due, *(functools.partial(branch, totals, filled) for branch in (update, keep)))
        else:
            cond(due, update, keep, totals, filled)

    def _assign_either(self, condition, *branches):
        """What one of the branches assigns: without state, as JAX needs it."""
        variables = [*self.variables, *self._trainable_variables]

        def values_after(branch):
            with keras.StatelessScope([(variable, variable.value) for variable in variables]) as scope:
                branch()
            return [scope.get_current_value(variable) for variable in variables]

        values = keras.ops.cond(condition, *(functools.partial(values_after, branch) for branch in branches))
        for variable, value in zip(variables, values):
            variable.assign(value)

    def _sum_of(self, variable):
        number = self._index.get(self._var_key(variable))
        if number is None:
            raise ValueError(
                f"The optimizer was built without {variable.path}: compile the model again after changing "
                "what is trainable."
            )
        return self.sums[number]

    def _update(self, variables, totals, filled):
        self.main.apply([total / keras.ops.cast(filled, total.dtype) for total in totals], variables)
        self.clear()

    def flush(self):
        """Make an update of the batches that wait, if there are any: their mean, however few they are."""
        pending, reached = self.pending, self._reached or self._trainable_variables

        def update():
            totals = [keras.ops.convert_to_tensor(self._sum_of(each)) for each in reached]
            self._update(reached, totals, pending)

        if pending:
            run_in_replicas(update)

    def clear(self):
        """Forget the batches that wait for an update."""
        for variable in [*self.sums, self._filled]:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))

    def finalize_variable_values(self, var_list):
        super().finalize_variable_values(var_list)
        if self.pending:
            warnings.warn(
                f"The gradients of the last {self.pending} batches wait for the next call of `fit`: an update is made "
                f"of {self.steps}. `flush()` makes one of what is there, `clear()` forgets it.",
                stacklevel=2,
            )

    def get_config(self):
        optimizer = keras.saving.serialize_keras_object(self.main)
        return {"name": self.name, "optimizer": optimizer, "steps": self.initial_steps}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # A range test gives the learning rate of the new optimizer here.
        arguments = {name: value for name, value in config.items() if name != "learning_rate"}
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects)
        if "learning_rate" in config:
            optimizer.learning_rate = config["learning_rate"]
        return cls(**{**arguments, "optimizer": optimizer})


def accumulation_steps(optimizer):
    """How many batches an optimizer makes an update of.

    Args:
        optimizer: any `keras.optimizers.Optimizer`.

    Returns:
        int.

    Example:

    >>> accumulation_steps(keras.optimizers.SGD()), accumulation_steps(Accumulated(keras.optimizers.SGD(), 3))
    (1, 3)
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return inner.steps if isinstance(inner, Accumulated) else inner.gradient_accumulation_steps or 1


def _checked(steps):
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"`steps` must be a whole number of batches, at least 1. Received: steps={steps!r}")
    return steps
