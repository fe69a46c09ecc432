"""The values that a sweep tries."""

import dataclasses
import itertools
import math


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
