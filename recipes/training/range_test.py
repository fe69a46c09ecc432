"""A learning-rate range test of what a recipe trains."""

from recipes.finder import LRFinder
from recipes.training.beginning import epoch_callbacks
from recipes.training.epochs import given_steps
from recipes.training.progress import Progress
from recipes.training.run import Run


class RangeTestRun(Run):
    """A run whose `fit` is a learning-rate range test. It ends there, and leaves no folder.

    Args:
        range_arguments: dict. Arguments of `recipes.finder.LRFinder`.
        **settings: of `Run`.

    Example:

    >>> from recipes.training.recipe import Experiment
    >>> settings = {"recipe": "cifar10_davidnet", "experiment": "trial", "arguments": {}, "runs": "runs", "quiet": True}
    >>> settings |= {"experiments": {"trial": Experiment({})}, "seed": 1, "precision": "float32", "jit_compile": False}
    >>> RangeTestRun({"steps": 50}, **settings).folder is None
    True
    """

    def __init__(self, range_arguments, **settings):
        super().__init__(**{**settings, "devices": "auto"})  # the batch is the same on any number
        self.range_arguments = range_arguments
        self.result = None

    def fit(self, model, data, *, epochs, steps_per_epoch, initial_epoch=0, callbacks=(), **arguments):
        progress = Progress(None, self.range_arguments["steps"], self.quiet)
        kept = {name: value for name, value in arguments.items() if not name.startswith("validation_")}
        try:
            self.result = LRFinder(model, **self.range_arguments).find(
                data,
                **kept,
                steps_per_epoch=given_steps(data, steps_per_epoch),
                callbacks=[progress, *epoch_callbacks(data)],
            )
        finally:
            progress.stop()
        raise _Found

    def __exit__(self, kind, *error):
        super().__exit__(kind, *error)
        return kind is _Found


class _Found(Exception):
    """Ends a recipe after its range test: what follows `fit` reports a training."""
