"""How the values that a sweep tries are written: `0.1,0.2`, `5..10`, `1e-4..1e-1:log`."""

import csv
import inspect
import re

from recipes.catalogue import check_name
from recipes.training.arguments import checked
from recipes.training.arguments import kinds
from recipes.trials.space import Choices
from recipes.trials.space import Range

_RANGE = re.compile(r"(?P<low>[^:,]+?)\.\.(?P<high>[^:,]+)(:(?P<option>.*))?")
_ANYTHING = bool | int | float | str | None
# What a sweep itself gives to each trial, and what gives it to the sweep.
_OWN = {"seed": "`repeats` (seeds follow one another)", "runs": "`folder`", "quiet": "nothing: trials print to a file"}


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
