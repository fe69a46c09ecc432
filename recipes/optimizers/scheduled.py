"""What our optimizers share: numbers that may follow a schedule, and schedules that count updates."""

import math

import keras

from recipes import schedules


class Scheduled:
    """A number of an optimizer: a variable, or a schedule of the updates made.

    Example:

    >>> from recipes.optimizers import SGD
    >>> optimizer = SGD(0.1, momentum=schedules.OneCycleMomentum(total_steps=100))
    >>> type(vars(SGD)["momentum"]).__name__, round(float(optimizer.momentum), 3)
    ('Scheduled', 0.95)
    """

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
        check_fraction(self.name, value(0) if callable(value) else value)
        if not callable(value):
            initializer = keras.initializers.Constant(float(value))
            value = optimizer.add_variable((), initializer, aggregation="only_first_replica", name=self.name)
        setattr(optimizer, f"_{self.name}", value)

    def config(self, optimizer):
        """What `get_config` holds of it.

        Args:
            optimizer: the optimizer that it belongs to.

        Returns:
            float, or the serialized schedule.
        """
        value = getattr(optimizer, f"_{self.name}")
        if callable(value):
            return keras.saving.serialize_keras_object(value)
        return float(keras.ops.convert_to_numpy(value))


class CountsUpdates:
    """A base for optimizers that give schedules the count of updates, where Keras gives that of micro-steps.

    Subclasses set `cycled`, the name of their `Scheduled` number.

    Args:
        learning_rate: float or schedule.
        gradient_accumulation_steps: int, or None for an update at each step. Defaults to None.
        **arguments: of the Keras optimizer beside it.

    Example:

    >>> from recipes.optimizers import SGD
    >>> issubclass(SGD, CountsUpdates), SGD.cycled
    (True, 'momentum')
    """

    cycled = None

    def __init__(self, learning_rate, gradient_accumulation_steps=None, **arguments):
        if isinstance(learning_rate, (bool, str)) or (
            isinstance(learning_rate, (int, float)) and not 0 <= learning_rate < math.inf
        ):
            raise ValueError(
                "`learning_rate` must be a finite number, at least 0, or a schedule. "
                f"Received: learning_rate={learning_rate!r}"
            )
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


def check_fraction(name, value):
    """Refuse what is no number from 0 to 1.

    Args:
        name: str. The argument.
        value: its value.

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_fraction("momentum", 0.9)
    """
    try:
        fits = 0 <= float(value) <= 1
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"`{name}` must be a number from 0 to 1, or a schedule of such numbers. Received: {name}={value!r}"
        )


def _of_updates(learning_rate, steps):
    if steps and isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return schedules.per_update(learning_rate, steps)
    return learning_rate
