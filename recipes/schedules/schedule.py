"""What schedules are made of: a function of the step, and the same as a Keras schedule."""

import difflib
import math
import numbers

import keras
import numpy as np


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A function of the step together with its arguments, for the `learning_rate` of an optimizer.

    Subclasses set `function`, and hand its arguments on by name.

    Args:
        **arguments: of the function, beside the step.

    Example:

    >>> class Halved(Schedule):
    ...     function = staticmethod(lambda step, initial_lr: initial_lr / 2**step)
    >>> Halved(initial_lr=0.8)(2)
    0.2
    """

    function = None

    def __init__(self, **arguments):
        self.arguments = arguments
        self(0)  # refuses bad arguments at once

    def __call__(self, step):
        return type(self).function(step, **self.arguments)

    def get_config(self):
        return dict(self.arguments)


def arithmetic(step):
    """What computes with a step: NumPy in float64 for numbers, Keras in float32 for tensors.

    Args:
        step: number or tensor.

    Returns:
        A module, and the step in its type.

    Example:

    >>> arithmetic(3)[0].__name__
    'numpy'
    """
    if isinstance(step, (int, float, np.number, np.ndarray)):
        return np, np.asarray(step, "float64")
    return keras.ops, keras.ops.cast(step, "float32")


def result(value):
    """A computed rate as it is returned: a float for a number, a tensor for a tensor.

    Args:
        value: number, NumPy scalar or tensor.

    Returns:
        float or tensor.

    Example:

    >>> result(np.float64(0.5))
    0.5
    """
    return float(value) if isinstance(value, (float, np.number, np.ndarray)) and np.ndim(value) == 0 else value


def check_choice(name, value, choices):
    """Refuse what is none of the choices.

    Args:
        name: str. The argument.
        value: its value.
        choices: tuple.

    Raises:
        ValueError: if it is none of them.

    Example:

    >>> check_choice("mode", "triangular", ("triangular",))
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value), [each for each in choices if isinstance(each, str)], n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}{hint}")


def check_positive(name, value):
    """Refuse what is no number above 0.

    Args:
        name: str. The argument.
        value: its value.

    Raises:
        ValueError: if it is not.

    Example:

    >>> check_positive("step_size", 3)
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(f"`{name}` must be positive, and finite. Received: {name}={value!r}")


def check_number(name, value, low=-math.inf, high=math.inf):
    """Refuse what is no finite number.

    Args:
        name: str. The argument.
        value: its value.
        low: number that it must be at least. Defaults to any.
        high: number that it must be at most. Defaults to any.

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_number("start_factor", 0.5, 0, 1)
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not low <= value <= high or not math.isfinite(value):
        limits = "be a finite number" if (low, high) == (-math.inf, math.inf) else f"lie between {low} and {high}"
        raise ValueError(f"`{name}` must {limits}. Received: {name}={value!r}")


def check_takes_tensors(name, function):
    """Refuse a function that cannot run inside the compiled step.

    Args:
        name: str. The argument.
        function: of a step.

    Raises:
        ValueError: if it takes no tensor.

    Example:

    >>> check_takes_tensors("scale_fn", keras.ops.sin)
    """
    try:
        function(keras.KerasTensor((), "float32"))
    except Exception as error:
        raise ValueError(
            f"`{name}` of a schedule runs inside the compiled step: write it with keras.ops, or use a "
            f"callback of recipes.callbacks, which takes any function. Received: {name}={function!r}"
        ) from error
