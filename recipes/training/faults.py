"""What goes wrong while a run trains: a loss that is no number, a full disk, no memory; and what is said of it."""

import errno
import math
import pathlib
import re

import keras

from recipes.optimizers import Accumulated
from recipes.optimizers.rates import innermost
from recipes.optimizers.rates import multiply_learning_rate
from recipes.training.devices import WorkerLost

HALVINGS = 5  # of the learning rate, at most
_SHOWN = 8  # samples of a batch that are named
_ADVICE = {
    errno.ENOSPC: "Make room on that disk.",
    errno.EDQUOT: "Make room: the quota of that disk is used up.",
    errno.EACCES: "Give yourself the right to it, or another folder.",
    errno.EROFS: "Give a folder that can be written to.",
    errno.ENOENT: "Something took it away meanwhile: put it back.",
}
_NO_MEMORY = ("ResourceExhaustedError", "OutOfMemoryError")  # of TensorFlow and torch
_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|out of memory|DefaultCPUAllocator|Unable to allocate", re.IGNORECASE)
_INSIDE = re.compile(r"\b(?:ValueError|\w*(?:Permission|FileNotFound|OS|IO)Error): ([^\n]+)")


class NonFiniteLoss(ArithmeticError):
    """The loss of a training became infinite or no number.

    Args:
        loss: float.
        epoch: int, from 0.
        step: int, of the epoch, from 0.
        learning_rate: float. That of the step.
        samples: list of int. The positions, in the training data, of the samples of the batch; or None where they
            are not known. Defaults to None.
        paths: list of paths, of all the training data, or None where they are no files. Defaults to None.

    Example:

    >>> print(NonFiniteLoss(math.nan, 2, 4, 0.5, [7, 0], ["a.png"] * 8))
    The loss became nan at epoch 3, step 5, at learning rate 0.5, in the batch of samples 7 (a.png), 0 (a.png).
    """

    def __init__(self, loss, epoch, step, learning_rate, samples=None, paths=None):
        self.loss, self.epoch, self.step, self.learning_rate = loss, epoch, step, learning_rate
        self.samples, self.paths = samples, None if None in (samples, paths) else [paths[each] for each in samples]
        where = f"at epoch {epoch + 1}, step {step + 1}, at learning rate {learning_rate:.4g}"
        super().__init__(f"The loss became {loss} {where}{self._batch()}.")

    def _batch(self):
        if self.samples is None:
            return ""
        names = [""] * len(self.samples) if self.paths is None else [f" ({path})" for path in self.paths]
        named = [f"{sample}{name}" for sample, name in zip(self.samples, names)]
        more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
        return f", in the batch of samples {', '.join(named[:_SHOWN])}{more}"


def factor_of(state):
    """What the learning rate had been multiplied by when a state of a run was saved.

    Args:
        state: dict, of `recipes.training.state`.

    Returns:
        float.

    Example:

    >>> factor_of({"callbacks": [("FiniteLoss", {"factor": 0.5})]})
    0.5
    """
    return dict(state["callbacks"]).get("FiniteLoss", {"factor": 1.0})["factor"]


class FiniteLoss(keras.callbacks.Callback):
    """End a training at the step whose loss is no finite number, and say which one it was.

    `fit` measures the loss of each step, and so costs this nothing. Of the steps of a dispatch of
    `recipes.training.memory` the first one that fails is known, and looked up when the last one has.

    Args:
        data: what is trained on: it says of what samples a batch was made. None for what does not. Defaults to None.
        steps_per_epoch: int, or None for one pass through the data. Defaults to None.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        factor: float. What the learning rate has been multiplied by, after earlier failures; None to take it from a
            state. Defaults to None.

    Raises:
        NonFiniteLoss: from `fit`.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.5), "mse")
    >>> try:
    ...     model.fit(np.ones((1, 1)), np.array([[np.inf]]), verbose=0, callbacks=[FiniteLoss()])
    ... except NonFiniteLoss as error:
    ...     print(error)
    The loss became inf at epoch 1, step 1, at learning rate 0.5.
    """

    by_dispatch = True

    def __init__(self, data=None, steps_per_epoch=None, initial_epoch=0, factor=None):
        super().__init__()
        self.data, self.steps_per_epoch, self.initial_epoch = data, steps_per_epoch, initial_epoch
        self.factor = factor

    def get_state(self):
        """What a state of the run keeps of this.

        Returns:
            dict.
        """
        return {"factor": 1.0 if self.factor is None else self.factor}

    def set_state(self, state):
        """Lower the learning rate of a state, where it is a number, by what it was lowered since.

        Args:
            state: dict, of `get_state`.
        """
        if self.factor is None:
            self.factor = state["factor"]
        elif state["factor"] != self.factor:
            multiply_learning_rate(self.model.optimizer, self.factor / state["factor"], schedules=False)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        step, place = self._place(batch)
        rate = _learning_rate(self.model.optimizer, batch - step + 1)
        samples = [int(each) for each in self.data.positions(*place)] if hasattr(self.data, "positions") else None
        raise NonFiniteLoss(loss, self.epoch, step, rate, samples, getattr(self.data, "paths", None))

    def _place(self, batch):
        """The step of the epoch that failed, and its epoch and step in the data, which may count by themselves."""
        data, steps = self.data, self.steps_per_epoch
        found = data.first_failure() if hasattr(data, "first_failure") else None
        if found is not None:  # a stream of epochs from 0, where these are as long as each other
            epoch, step = found
            return step if not isinstance(steps, int) else epoch * len(data) + step - self.epoch * steps, found
        if hasattr(data, "initial_epoch"):  # a stream of tf.data
            made = (self.epoch - self.initial_epoch) * (steps or data.steps_per_epoch) + batch
            epochs, step = divmod(made, data.steps_per_epoch)
            return batch, (data.initial_epoch + epochs, step)
        return batch, (self.epoch, batch)


def _learning_rate(optimizer, steps):
    """The learning rate of an optimizer some steps ago."""
    main = next(innermost(optimizer))
    rate = main._learning_rate
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return float(keras.ops.convert_to_numpy(main.learning_rate))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if inner is not optimizer:  # a loss scale, with which a step that fails is not counted
        steps = 0
    updates = -(-steps // inner.steps) if isinstance(inner, Accumulated) else steps
    return float(keras.ops.convert_to_numpy(rate(max(0, int(main._iterations) - updates))))


def explain(error):
    """What went wrong, where it is not the program that is wrong.

    Args:
        error: an exception.

    Returns:
        str, one line: a loss that is no number; a worker that is gone; what the system says of a file; that memory is
        used up; data that are gone or cannot be read any more. Its notes come after it. None for any other error.

    Example:

    >>> explain(OSError(errno.ENOSPC, "No space left on device", "runs/1/model.keras"))
    'No space left on device: runs/1/model.keras. Make room on that disk.'
    >>> explain(KeyError("a bug")) is None
    True
    """
    texts = [text for each in _chain(error) if (text := _reason(each)) is not None]
    if not texts:
        return None
    return " ".join([*" ".join([texts[0], *getattr(error, "__notes__", [])]).split()])


def note(error, folder):
    """Tell an error what there is of the run that it ended.

    Args:
        error: an exception, which is given a note.
        folder: path of the folder of the run.

    Example:

    >>> error = MemoryError()
    >>> note(error, "runs/1")
    >>> error.__notes__
    ['What there is of the run is in runs/1; no state of it was saved.']
    """
    saved = any(pathlib.Path(folder).glob("state/*.bin"))
    lower = " --on-nan resume" if isinstance(error, NonFiniteLoss) else ""
    how = f"Its last good state is kept: zoo run --resume {folder}{lower}" if saved else "no state of it was saved."
    error.add_note(f"What there is of the run is in {folder}; {how}")


def _chain(error):
    """An error and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _reason(error):
    if isinstance(error, (NonFiniteLoss, WorkerLost)):
        return str(error)
    text, kind = str(error), type(error).__name__
    if (
        isinstance(error, MemoryError)
        or kind in _NO_MEMORY
        or (isinstance(error, RuntimeError) and _OF_MEMORY.search(text))
    ):
        first = text.strip().partition("\n")[0]
        return f"Out of memory{f' ({first})' if first else ''}. Give smaller batches (--batch-size) or images."
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or text}{place}. {_ADVICE.get(error.errno, '')}".strip()
    if kind.endswith("Error") and type(error).__module__.startswith("tensorflow"):  # what a thread of tf.data met
        found = _INSIDE.findall(text)
        return found[0] if found else None
    return None
