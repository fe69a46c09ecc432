"""The values that a sweep tries, and how they are written: `0.1,0.2`, `5..10`, `1e-4..1e-1:log`."""

import csv
import dataclasses
import inspect
import itertools
import math
import re

from recipes.catalogue import check_name
from recipes.training.arguments import checked
from recipes.training.arguments import kinds

_RANGE = re.compile(r"(?P<low>[^:,]+?)\.\.(?P<high>[^:,]+)(:(?P<option>.*))?")
_ANYTHING = bool | int | float | str | None
# What a sweep itself gives to each trial, and what gives it to the sweep.
_OWN = {"seed": "`repeats` (seeds follow one another)", "runs": "`folder`", "quiet": "nothing: trials print to a file"}


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values to choose from.

    Args:
        values: tuple.

    Example:

    >>> str(Choices((0.1, "none")))
    "0.1, 'none'"
    """

    values: tuple

    def __str__(self):
        return ", ".join(map(repr, self.values))

    def listed(self, name):
        """Every value, for a grid.

        Args:
            name: str. What the values are of.

        Returns:
            tuple.
        """
        return self.values

    def distribution(self):
        """The same for Optuna.

        Returns:
            An `optuna.distributions.CategoricalDistribution`.
        """
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from one to another, both included.

    Args:
        low: int or float.
        high: int or float, of the same kind.
        log: bool. Whether the logarithm is uniform. Defaults to False.
        step: int or float, or None: any integer, any number. Defaults to None.

    Example:

    >>> Range(5, 20, step=5).listed("epochs")
    (5, 10, 15, 20)
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __str__(self):
        option = ":log" if self.log else "" if self.step is None else f":{self.step}"
        return f"{self.low}..{self.high}{option}"

    def listed(self, name):
        """Every value, for a grid.

        Args:
            name: str. What the values are of.

        Returns:
            tuple.

        Raises:
            ValueError: if there is no end of them.
        """
        step = 1 if self.step is None and isinstance(self.low, int) else self.step
        if self.log or step is None:
            raise ValueError(
                f"A grid needs values, or a range with a step such as {name}={self.low}..{self.high}:STEP. "
                f"Received: {name}={self}"
            )
        count = int((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + number * step for number in range(count))

    def distribution(self):
        """The same for Optuna.

        Returns:
            An `optuna.distributions.IntDistribution` or `FloatDistribution`.
        """
        from optuna.distributions import FloatDistribution
        from optuna.distributions import IntDistribution

        if isinstance(self.low, int):
            return IntDistribution(self.low, self.high, log=self.log, step=self.step or 1)
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)


def read_words(words):
    """Split `NAME=VALUES` as typed on the command line.

    Args:
        words: list of str.

    Returns:
        dict of name to text.

    Raises:
        ValueError: if a word is something else, or a name comes twice.

    Example:

    >>> read_words(["peak-lr=0.1,0.2", "epochs=5..10"])
    {'peak_lr': '0.1,0.2', 'epochs': '5..10'}
    """
    texts = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if not (equals and name and text):
            raise ValueError(f"Expected NAME=VALUES, such as batch_size=64,128 or epochs=5..10. Received: {word!r}")
        if name in texts:
            raise ValueError(f"{name} is given twice: put its values into one, such as {name}={texts[name]},{text}")
        texts[name] = text
    return texts


def read_space(texts, train):
    """Read the values that a sweep tries, and check them against what it trains.

    Args:
        texts: dict of name to text, list of values, `Choices` or `Range`. In a text, values stand
            between commas (one with a comma in it in double quotes); `low..high` is a range,
            `low..high:log` one in the logarithm, `low..high:step` one in steps.
        train: a recipe, or a function.

    Returns:
        dict of name to `Choices` or `Range`.

    Raises:
        ValueError: for unknown names, and values of the wrong kind.

    Example:

    >>> def train(epochs: int, rate: float): "Any function."
    >>> read_space({"epochs": "5,10", "rate": "1e-4..1e-1:log"}, train)
    {'epochs': Choices(values=(5, 10)), 'rate': Range(low=0.0001, high=0.1, log=True, step=None)}
    """
    space = {}
    for name, given in texts.items():
        annotation = _annotation(name, train)
        if isinstance(given, str):
            given = _read(name, given, annotation)
        elif not isinstance(given, (Choices, Range)):
            given = Choices(tuple(given))
        space[name] = _check(name, given, annotation, train)
    return space


def check_arguments(arguments, train):
    """Check the arguments that all trials have.

    Args:
        arguments: dict of name to value.
        train: a recipe, or a function.

    Returns:
        dict, with ints as floats where the function takes only those.

    Raises:
        ValueError: for unknown names, and values of the wrong kind.

    Example:

    >>> def train(epochs: int, rate: float): "Any function."
    >>> check_arguments({"rate": 1}, train)
    {'rate': 1.0}
    """
    return {name: _check_value(name, value, _annotation(name, train), train) for name, value in arguments.items()}


def parameters(train):
    """What a recipe, or any function, can be given.

    Args:
        train: a recipe, or a function.

    Returns:
        dict of name to `inspect.Parameter`.

    Example:

    >>> def train(epochs: int, rate: float): "Any function."
    >>> list(parameters(train))
    ['epochs', 'rate']
    """
    return getattr(train, "parameters", None) or dict(inspect.signature(train).parameters)


def grid(space):
    """Every combination of values.

    Args:
        space: dict of name to `Choices` or `Range`.

    Returns:
        A list of dicts of name to value.

    Raises:
        ValueError: if a range has no steps.

    Example:

    >>> grid({"a": Choices((1, 2)), "b": Choices(("x",))})
    [{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'x'}]
    """
    values = [each.listed(name) for name, each in space.items()]
    return [dict(zip(space, combination)) for combination in itertools.product(*values)]


def size(space):
    """How many combinations of values there are.

    Args:
        space: dict of name to `Choices` or `Range`.

    Returns:
        int, or infinity.

    Example:

    >>> size({"a": Choices((1, 2)), "b": Range(1, 5)}), size({"c": Range(0.0, 1.0)})
    (10, inf)
    """
    counts = (
        math.inf
        if isinstance(each, Range) and each.step is None and isinstance(each.low, float)
        else len(_without_log(each).listed(name))
        for name, each in space.items()
    )
    return math.prod(counts)


def every_setting(space):
    """Every combination of values that can be drawn.

    Args:
        space: dict of name to `Choices` or `Range`, of finite size.

    Returns:
        A list of dicts of name to value.

    Example:

    >>> every_setting({"a": Range(1, 3, log=True)})
    [{'a': 1}, {'a': 2}, {'a': 3}]
    """
    return grid({name: _without_log(each) for name, each in space.items()})


def distributions(space):
    """The same for Optuna.

    Args:
        space: dict of name to `Choices` or `Range`.

    Returns:
        dict of name to an Optuna distribution.

    Example:

    >>> distributions({"a": Range(1, 5)})
    {'a': IntDistribution(high=5, log=False, low=1, step=1)}
    """
    return {name: each.distribution() for name, each in space.items()}


def _without_log(each):
    return dataclasses.replace(each, log=False) if isinstance(each, Range) else each


def _annotation(name, train):
    known = parameters(train)
    if name in _OWN:
        raise ValueError(f"A sweep sets `{name}` of each trial itself. Use {_OWN[name]}.")
    check_name("argument", name, known)
    return _ANYTHING if known[name].annotation is inspect.Parameter.empty else known[name].annotation


def _read(name, text, annotation):
    types, _ = kinds(annotation)
    match = _RANGE.fullmatch(text)
    if match and {int, float} & set(types):
        low, high = (_value(match[end].strip(), annotation) for end in ("low", "high"))
        option = match["option"]
        if option is None or option == "log":
            return Range(low, high, log=option == "log")
        return Range(low, high, step=_value(option, annotation))
    (values,) = csv.reader([text], skipinitialspace=True)
    return Choices(tuple(_value(value.strip(), annotation) for value in values))


def _value(text, annotation):
    """The value that a text means; the text itself where it means none, which is refused afterwards."""
    types, literals = kinds(annotation)
    for literal in literals:
        if str(literal) == text:
            return literal
    if type(None) in types and text.lower() == "none":
        return None
    if bool in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        if kind in types:
            try:
                return kind(text)
            except ValueError:
                pass
    return text


def _check_value(name, value, annotation, train):
    value = checked(name, value, annotation)
    if name == "experiment" and hasattr(train, "experiments"):
        check_name("experiment", value, train.experiments)
    return value


def _check(name, given, annotation, train):
    if isinstance(given, Choices):
        values = tuple(_check_value(name, value, annotation, train) for value in given.values)
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"{name} has {value!r} twice.")
        if not values:
            raise ValueError(f"{name} has no values.")
        return Choices(values)
    low, high = (checked(name, end, annotation) for end in (given.low, given.high))
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)):
        raise ValueError(f"A range goes from a number to a number. Received: {name}={given}")
    if type(low) is not type(high):
        low, high = float(low), float(high)
    if low >= high:
        raise ValueError(f"A range goes from the lower to the higher end. Received: {name}={given}")
    if given.log and low <= 0:
        raise ValueError(f"A range in the logarithm begins above 0. Received: {name}={given}")
    step = given.step
    if step is not None:
        if isinstance(step, bool) or not isinstance(step, (int, float)) or not 0 < step <= high - low:
            raise ValueError(f"After a range stands `log`, or a step within it. Received: {name}={given}")
        step = checked(name, step if isinstance(low, int) else float(step), type(low))
    return Range(low, high, given.log, step)
