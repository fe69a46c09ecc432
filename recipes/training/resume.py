"""Going on with the run of a recipe that was interrupted."""

import pathlib

from recipes.catalogue import load_recipe
from recipes.training.request import STATE
from recipes.training.request import read_request
from recipes.training.state.files import States

SETTINGS = ("quiet", "save_seconds", "save_steps", "on_nan", "devices")  # what may be another than it was


def resume(folder, recipe=None, **settings):
    """Go on with a run that was interrupted, from its last good state: it ends as it would have ended.

    The recipe is called again with the arguments that it was begun with. Up to its training everything is done anew;
    phases of the training that had ended are given back as they ended. The weights and the history are, on the same
    kind of machine, bit for bit those of a run that was never interrupted. A state that is damaged is left out, with
    a warning, and the one before it used; where none had been saved yet, training begins anew.

    Args:
        folder: path of the run.
        recipe: the function of the recipe, where it is none of `recipes`. Defaults to None.
        **settings: `quiet`, `save_seconds`, `save_steps`, `on_nan` or `devices`, where they are to be others than
            before. On another number of devices sums have another order: the end is the same but for rounding.

    Returns:
        The `Record`, with model and history.

    Raises:
        ValueError: if it is no run, has finished, was trained on another backend or by another recipe, has no state
            that can be read, or its state does not fit what the recipe makes; for other settings.

    Example:

    >>> resume("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no state/run.json. Give the folder of a run that was interrupted.
    """
    others = [name for name in settings if name not in SETTINGS]
    if others:
        raise ValueError(
            "A run goes on with the arguments that it was begun with; other ones may only be given for "
            f"{', '.join(SETTINGS)}. Received: {', '.join(others)}"
        )
    folder = pathlib.Path(folder)
    request = read_request(folder)
    States(folder / STATE).check()
    train = load_recipe(request["recipe"]) if recipe is None else recipe
    if train.name != request["recipe"]:
        raise ValueError(f"{folder} is a run of the recipe {request['recipe']!r}. Received: {train.name!r}")
    return train.go_on(folder, {**request["arguments"], **settings})
