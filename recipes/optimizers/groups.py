"""Different optimizers for different weights."""

import re

import keras

from recipes.optimizers.wrapper import Wrapper


@keras.saving.register_keras_serializable(package="recipes")
class Grouped(Wrapper):
    """Different optimizers, or learning rates, for different weights, told apart by their paths.

    A weight goes to the first group whose regular expression is found in its `path`, such as
    "conv1/kernel", else to the default. Each optimizer has its own schedule, momentum, clipping and
    decay; all count the same updates. `learning_rate` is that of the default, and so is what a
    callback or range test sets. Within `Lookahead` and `LossScaleOptimizer`, not around them.

    `keras.optimizers.MultiOptimizer` does the dispatch too, but has no `learning_rate`, so that
    callbacks fail, counts micro-steps as updates, stops where a group gets no gradient, leaves an
    optimizer without weights behind in the count, and takes a pattern that matches nothing.

    Args:
        groups: list of (regular expression, optimizer).
        default: optimizer of all other weights.
        name: str, or None for "grouped". Defaults to None.

    Raises:
        ValueError: if an optimizer is none or given twice; if they differ in gradient accumulation;
            if an expression is none; when built, if a group gets no weight.

    Example:

    >>> from recipes.optimizers import SGD, Muon
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])
    >>> optimizer = Grouped([("bias$", SGD(6.4))], default=Muon(0.1))
    >>> model.compile(optimizer, "mse")
    >>> round(float(model.optimizer.learning_rate), 3)
    0.1
    """

    def __init__(self, groups, default, name=None):
        try:
            groups = [(str(re.compile(pattern).pattern), optimizer) for pattern, optimizer in groups]
        except (TypeError, ValueError, re.error) as error:
            raise ValueError(
                "`groups` must be a list of pairs of a regular expression and an optimizer, such as "
                f'[("bias$", SGD(0.1))]. Received: groups={groups!r}'
            ) from error
        super().__init__([default, *(optimizer for _, optimizer in groups)], name=name)
        self.patterns = [pattern for pattern, _ in groups]

    def build(self, variables):
        if self.built:
            return
        members = [[] for _ in self.wrapped]
        self._group = {}
        for variable in variables:
            found = (number for number, each in enumerate(self.patterns, 1) if re.search(each, variable.path))
            self._group[self._var_key(variable)] = number = next(found, 0)
            members[number].append(variable)
        for pattern, group in zip(self.patterns, members[1:]):
            if not group:
                raise ValueError(
                    f"No weight is left for the pattern {pattern!r}: mend it, or drop the group. The first pattern "
                    f"that is found in a path wins. The paths are: {[variable.path for variable in variables]}"
                )
        for optimizer, group in zip(self.wrapped, members):
            optimizer.build(group)
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        trainable_variables = list(trainable_variables)
        self.build(trainable_variables)
        members = [[] for _ in self.wrapped]
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            number = self._group.get(self._var_key(variable))
            if number is None:
                raise ValueError(
                    f"The optimizer was built without {variable.path}: compile the model again after changing "
                    "what is trainable."
                )
            if gradient is not None:
                members[number].append((gradient, variable))
        for optimizer, group in zip(self.wrapped, members):
            if group:
                optimizer.apply(*map(list, zip(*group)))
            else:
                optimizer._iterations.assign_add(1)  # its schedule goes on

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        default, *others = map(serialize, self.wrapped)
        return {"name": self.name, "groups": list(map(list, zip(self.patterns, others))), "default": default}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # A range test gives the learning rate of the new optimizer here: it is that of the default.
        arguments = {name: value for name, value in config.items() if name != "learning_rate"}
        make = keras.saving.deserialize_keras_object
        default = make(config["default"], custom_objects)
        if "learning_rate" in config:
            default.learning_rate = config["learning_rate"]
        groups = [(pattern, make(optimizer, custom_objects)) for pattern, optimizer in config["groups"]]
        return cls(**{**arguments, "default": default, "groups": groups})
