"""Run a sweep: trials of a recipe over a grid, at random, or by Bayesian search."""

import dataclasses
import importlib.util
import os
import pathlib
import sys

from recipes.catalogue import load_recipe
from recipes.trials.child import find
from recipes.trials.notation import check_arguments
from recipes.trials.notation import parameters
from recipes.trials.notation import read_space
from recipes.trials.settings import Settings
from recipes.trials.settings import choose_direction
from recipes.trials.space import grid
from recipes.trials.storage import choose_storage


@dataclasses.dataclass
class Sweep:
    """What a sweep came to.

    Args:
        folder: a `pathlib.Path`.
        metric: str.
        settings: a `pandas.DataFrame`, one row for each setting, the best mean first.
        trials: a `pandas.DataFrame`, one row for each trial.
        best: dict of the hyperparameters of the best setting; None if no trial ended well.

    Example:

    >>> Sweep(pathlib.Path("sweeps/first"), "val_accuracy", None, None, {"peak_lr": 0.2}).best
    {'peak_lr': 0.2}
    """

    folder: pathlib.Path
    metric: str
    settings: object = dataclasses.field(repr=False)
    trials: object = dataclasses.field(repr=False)
    best: dict | None


def sweep(
    recipe,
    space=None,
    *,
    search="grid",
    trials=None,
    repeats=1,
    metric="val_accuracy",
    direction="auto",
    value="last",
    pruner="none",
    pruner_warmup=1,
    seed=0,
    workers=1,
    folder=None,
    storage=None,
    retry_failed=False,
    quiet=False,
    **arguments,
):
    """Try settings of a recipe, each with several seeds, each trial in a process of its own.

    Called again with the same folder it goes on where it was interrupted; called from several
    processes at once with the same folder, these share the work. After each trial `trials.csv` and
    `settings.csv` in the folder are written anew; at the end, pictures.

    Args:
        recipe: name of a recipe; or a function, or "module:attribute" of one: it returns a
            `Record` or a dict of metrics, and if it takes `runs`, may write a `history.csv` into a
            folder of its own in there, one line for each epoch.
        space: dict of name to the values to try: a list, or a text such as "0.1,0.2", "5..10",
            "0.1..0.5:0.1" (with a step), "1e-4..1e-1:log". Defaults to None: `SEARCH_SPACE` of the
            module of the recipe.
        search: "grid", "random" or "bayesian". Defaults to "grid".
        trials: int. Settings to try, of a random or Bayesian search. Defaults to None: 20.
        repeats: int. Runs of each setting, with seeds that follow one another. Defaults to 1.
        metric: str. Defaults to "val_accuracy".
        direction: "maximize", "minimize", or "auto": errors and losses are minimized. Defaults to "auto".
        value: "last", the metric at the end; or "best", of all epochs, which is optimistic.
            Defaults to "last".
        pruner: "none", "median" or "hyperband": what ends trials early whose metric in an epoch is
            worse than that of others. Defaults to "none".
        pruner_warmup: int. Epochs before any pruning. Defaults to 1.
        seed: int. Of the search, and of the first run of each setting. Defaults to 0.
        workers: int. Trials that run at a time. Defaults to 1.
        folder: path. Defaults to None: "sweeps/" and the name of the recipe.
        storage: path of a file .sqlite or .journal; None for `trials.sqlite` in the folder. Defaults to None.
        retry_failed: bool. Whether cells that failed are run once more. Defaults to False.
        quiet: bool. Whether to print nothing. Defaults to False.
        **arguments: what all trials have.

    Returns:
        A `Sweep`.

    Raises:
        ValueError: before any trial, for bad arguments, and for a folder of another sweep; after the
            first one, for a metric that it does not have.

    Example:

    >>> import sys, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "parabola.py").write_text("def train(x: float): return {'loss': (x - 3) ** 2}")
    >>> sys.path.insert(0, str(folder))
    >>> sweep("parabola:train", {"x": "1..4:1"}, metric="loss", folder=folder / "sweep", quiet=True).best
    {'x': 3.0}
    """
    from recipes.trials.loop import run_trials
    from recipes.trials.study import Study

    if importlib.util.find_spec("optuna") is None:
        raise ValueError("Sweeps need Optuna. Install it: python -m pip install 'optuna>=5'")
    target, train = find_target(recipe)
    folder = pathlib.Path(folder or pathlib.Path("sweeps", _short(target)))
    settings = Settings(
        target=target,
        arguments=check_arguments(arguments, train),
        space=read_space(space or _own_space(train), train),
        search=search,
        trials=_count(search, trials),
        repeats=repeats,
        metric=metric,
        direction=choose_direction(metric, direction),
        value=value,
        pruner=pruner,
        pruner_warmup=pruner_warmup,
        seed=seed,
        seeded="seed" in parameters(train),
        storage=choose_storage(folder, storage),
        backend=_backend(),
    )
    if search == "grid":
        grid(settings.space)  # refuses ranges without steps
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"`workers` must be an int of at least 1. Received: workers={workers!r}")
    _make(folder)
    with Study(folder.resolve(), settings) as study:
        if retry_failed:
            study.retry_failed()
        run_trials(study, workers, given=set(parameters(train)) & {"seed", "runs", "quiet"}, quiet=quiet)
        return _result(study)


def find_target(recipe):
    """What a trial calls.

    Args:
        recipe: name of a recipe, "module:attribute", or a function.

    Returns:
        `(target, train)`: "module:attribute", and the function.

    Raises:
        ValueError: for an unknown recipe, and a function that another process cannot import.

    Example:

    >>> find_target("math:floor")
    ('math:floor', <built-in function floor>)
    """
    if callable(recipe):
        target = f"{recipe.__module__}:{recipe.__qualname__}"
        if recipe.__module__ == "__main__" or "." in recipe.__qualname__:
            raise ValueError(
                f"Trials are processes of their own, which import what they call: put it at the top of a module. "
                f"Received: {target}"
            )
        return target, recipe
    if ":" not in recipe:
        return f"recipes.{recipe}:train", load_recipe(recipe)
    try:
        return recipe, find(recipe)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Cannot import {recipe!r}: {error}.") from error


def _own_space(train):
    space = getattr(sys.modules.get(train.__module__), "SEARCH_SPACE", None)
    if not space:
        raise ValueError("There is nothing to try: give names with values, such as batch_size=64,128.")
    return space


def _short(target):
    module, _, name = target.partition(":")
    return module.removeprefix("recipes.") if name == "train" else f"{module}.{name}"


def _count(search, trials):
    if search == "grid" and trials is not None:
        raise ValueError(f"A grid has as many trials as it has combinations. Received: trials={trials!r}")
    return 1 if search == "grid" else 20 if trials is None else trials


def _backend():
    """The backend of the trials, without importing Keras where what is called may not need it."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ.get("KERAS_BACKEND", "")


def _make(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"Cannot make {folder}: {error.strerror}. Give another folder.") from error


def _result(study):
    from recipes.trials.pictures import draw
    from recipes.trials.tables import write_tables

    trials, settings = write_tables(study)
    best = None
    if len(settings) and settings["n"].iloc[0]:
        first = settings["setting"].iloc[0]
        best = next(dict(trial.params) for trial in study.trials if trial.user_attrs["setting"] == first)
    draw(study, trials)
    return Sweep(study.folder, study.settings.metric, settings, trials, best)
