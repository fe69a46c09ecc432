"""How long the epochs of a run are, and the history of all its phases."""

import keras
import numpy as np


def steps_before(steps_per_epoch, epochs, initial_epoch, state):
    """Steps of a phase of the training that had been made when a state was saved.

    Args:
        steps_per_epoch: int, or a list of ints.
        epochs: int.
        initial_epoch: int. The first one of the phase.
        state: dict, of `recipes.training.state`, or None.

    Returns:
        int.

    Example:

    >>> steps_before([5, 4, 3], 3, 1, {"epoch": 2, "step": 1})
    5
    """
    if state is None:
        return 0
    return int(np.sum(np.broadcast_to(steps_per_epoch, epochs)[initial_epoch : state["epoch"]])) + state["step"]


def given_steps(data, steps_per_epoch):
    """What `fit` is told of the length of an epoch: tf.data pipelines have no end, generators know their length.

    Args:
        data: what `Run.fit` takes.
        steps_per_epoch: int.

    Returns:
        int or None.

    Example:

    >>> given_steps("a pipeline", 10)
    10
    """
    return None if isinstance(data, keras.utils.PyDataset) else steps_per_epoch


def joined(before, history):
    """The history of a phase of the training behind that of those before it.

    Args:
        before: a `keras.callbacks.History`, or None.
        history: a `keras.callbacks.History`, which is changed.

    Returns:
        `history`.

    Example:

    >>> first, second = keras.callbacks.History(), keras.callbacks.History()
    >>> first.epoch, first.history, second.epoch, second.history = [0], {"loss": [2.0]}, [1], {"loss": [1.0]}
    >>> joined(first, second).history
    {'loss': [2.0, 1.0]}
    """
    if before is not None:
        history.epoch = before.epoch + history.epoch
        history.history = {name: before.history[name] + values for name, values in history.history.items()}
    return history
