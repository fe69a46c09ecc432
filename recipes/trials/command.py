"""`zoo sweep`: its options, and what it prints."""

from recipes.trials.notation import read_words
from recipes.trials.settings import DIRECTIONS
from recipes.trials.settings import PRUNERS
from recipes.trials.settings import SEARCHES
from recipes.trials.sweep import sweep

SET_BY_A_SWEEP = ("seed", "runs", "quiet")  # options of a recipe that mean something else here
_SHOWN = 10


def add_options(command):
    """Give the parser of `zoo sweep` its options; those of the recipe are added to them.

    Args:
        command: an `argparse.ArgumentParser`.

    Example:

    >>> import argparse
    >>> command = argparse.ArgumentParser()
    >>> add_options(command)
    >>> command.parse_args(["--grid", "peak_lr=0.1,0.2", "batch_size=64,128"]).grid
    ['peak_lr=0.1,0.2', 'batch_size=64,128']
    """
    searches = command.add_mutually_exclusive_group(required=True)
    for name, text in zip(SEARCHES, ("every combination", "combinations at random", "by what trials before showed")):
        text += " of NAME=VALUES: a,b,c or low..high or low..high:step or low..high:log; none: the recipe's own"
        searches.add_argument(f"--{name}", nargs="*", metavar="NAME=VALUES", help=text)
    add = command.add_argument
    add("--trials", type=int, metavar="INT", help="settings of a random or Bayesian search (default: 20)")
    add("--repeats", type=int, default=1, metavar="INT", help="runs of each setting, by seed (default: 1)")
    add("--metric", default="val_accuracy", help="default: %(default)s")
    add("--direction", choices=DIRECTIONS, default="auto", help="auto: losses and errors are minimized")
    add("--value", choices=("last", "best"), default="last", help="of the epochs' metrics (default: last)")
    add("--pruner", choices=PRUNERS, default="none", help="what ends bad trials early (default: none)")
    add("--pruner-warmup", type=int, default=1, metavar="INT", help="epochs before any pruning (default: 1)")
    add("--seed", type=int, default=0, metavar="INT", help="of the search, and of first runs (default: 0)")
    add("--workers", type=int, default=1, metavar="INT", help="trials at a time (default: 1)")
    add("--folder", metavar="FOLDER", help="of the sweep; what is in it goes on (default: sweeps/RECIPE)")
    add("--storage", metavar="FILE", help=".sqlite or .journal (default: trials.sqlite in the folder)")
    add("--retry-failed", action="store_true", help="run what failed once more")
    add("--quiet", action="store_true", help="print nothing")


def run(train, arguments):
    """Run a sweep, and print the best settings.

    Args:
        train: a recipe.
        arguments: dict of the options.

    Raises:
        ValueError: for bad arguments.

    Example:

    >>> def train(epochs: int): "Any function."
    >>> run(train, {"grid": ["epoch=1,2"], "random": None, "bayesian": None})
    Traceback (most recent call last):
    ...
    ValueError: Unknown argument: 'epoch'. Did you mean 'epochs'?
    """
    words = {name: arguments.pop(name) for name in SEARCHES}
    search = next(name for name in SEARCHES if words[name] is not None)
    result = sweep(train, read_words(words[search]), search=search, **arguments)
    if not arguments.get("quiet"):
        shown = result.settings.head(_SHOWN).drop(columns="setting")
        print(f"\n{result.metric}, the best {len(shown)} of {len(result.settings)} settings:")
        print(shown.to_string(index=False, float_format="{:.4g}".format))
        print(result.folder)
