"""What a sweep is asked: everything that its trials depend on."""

import dataclasses
import json
import uuid

from recipes.atomic import write_text
from recipes.catalogue import check_name
from recipes.trials.space import Choices

SEARCHES = ("grid", "random", "bayesian")
PRUNERS = ("none", "median", "hyperband")
DIRECTIONS = ("auto", "maximize", "minimize")
_GROWING = ("trials", "repeats")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a sweep is asked. A folder belongs to one of them; only `trials` and `repeats` may grow.

    Args:
        target: str. What a trial calls: "module:attribute".
        arguments: dict. What all trials have.
        space: dict of name to `Choices` or `Range`.
        search: "grid", "random" or "bayesian".
        trials: int. Settings to try; of a grid, all.
        repeats: int. Runs of each setting.
        metric: str.
        direction: "maximize" or "minimize".
        value: "last" or "best".
        pruner: "none", "median" or "hyperband".
        pruner_warmup: int. Epochs before any pruning.
        seed: int. Of the search, and of the first run of each setting.
        seeded: bool. Whether trials take a seed.
        storage: str. The file of the storage.
        backend: str. The Keras backend.

    Example:

    >>> dataclasses.replace(example(), repeats=0)
    Traceback (most recent call last):
    ...
    ValueError: `repeats` must be an int of at least 1. Received: repeats=0
    """

    target: str
    arguments: dict
    space: dict
    search: str
    trials: int
    repeats: int
    metric: str
    direction: str
    value: str
    pruner: str
    pruner_warmup: int
    seed: int
    seeded: bool
    storage: str
    backend: str

    def __post_init__(self):
        for name, known in (("search", SEARCHES), ("pruner", PRUNERS), ("value", ("last", "best"))):
            check_name(name, getattr(self, name), known)
        check_name("direction", self.direction, DIRECTIONS)
        for name, lowest in (("trials", 1), ("repeats", 1), ("pruner_warmup", 0), ("seed", 0)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < lowest:
                raise ValueError(f"`{name}` must be an int of at least {lowest}. Received: {name}={number!r}")
        if self.repeats > 1 and not self.seeded:
            raise ValueError(f"`repeats` needs a function with an argument `seed`. Received: {self.target}")
        if self.metric in self.space:
            raise ValueError(f"{self.metric} is what is tried: the metric is another name.")
        for name in set(self.space) & set(self.arguments):
            raise ValueError(f"{name} is both tried ({self.space[name]}) and fixed ({self.arguments[name]!r}).")

    def to_dict(self):
        """The settings as JSON has them.

        Returns:
            dict.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.loads(json.dumps(fields | {"space": {name: str(each) for name, each in self.space.items()}}))

    def claim(self, folder):
        """Write `sweep.json`, or check that the one that is there is of the same settings.

        Args:
            folder: a `pathlib.Path`.

        Returns:
            str. The name of the sweep in the storage.

        Raises:
            ValueError: if the folder is of another sweep.
        """
        path, new = folder / "sweep.json", self.to_dict()
        study = f"{folder.name}-{uuid.uuid4().hex[:8]}"  # a storage can be that of several sweeps
        if path.is_file():
            old = json.loads(path.read_text())
            study = old.pop("study")
            changed = [name for name in new if name not in _GROWING and new[name] != old.get(name)]
            changed += [name for name in _GROWING if new[name] < old[name]]
            if changed:
                differences = "; ".join(f"{name} was {old.get(name)!r}, is {new[name]!r}" for name in changed)
                raise ValueError(
                    f"{folder} holds another sweep: {differences}. Ask as before (only trials and repeats may grow), "
                    "or give another folder."
                )
        write_text(path, json.dumps({"study": study, **new}, indent=2) + "\n")
        return study


def example(search="grid"):
    """A small sweep, which the examples of this package look at.

    Args:
        search: "grid", "random" or "bayesian". Defaults to "grid".

    Returns:
        A `Settings`: two settings of one hyperparameter, each run twice.

    Example:

    >>> example().space
    {'x': Choices(values=(1, 2))}
    """
    return Settings(
        target="module:train",
        arguments={},
        space={"x": Choices((1, 2))},
        search=search,
        trials=2,
        repeats=2,
        metric="loss",
        direction="minimize",
        value="last",
        pruner="none",
        pruner_warmup=0,
        seed=0,
        seeded=True,
        storage="trials.journal",
        backend="jax",
    )


def choose_direction(metric, direction):
    """Whether more or less of a metric is better.

    Args:
        metric: str.
        direction: "maximize", "minimize", or "auto", by the name of the metric.

    Returns:
        "maximize" or "minimize".

    Example:

    >>> choose_direction("val_loss", "auto")
    'minimize'
    """
    if direction != "auto":
        return direction
    return "minimize" if any(word in metric for word in ("loss", "error")) else "maximize"
