"""Saving the state of a training while it runs, now and then and when it is told to end."""

import pathlib
import signal
import threading
import time

import keras

from recipes.training.state.files import States
from recipes.training.state.snapshot import is_finite
from recipes.training.state.snapshot import restore
from recipes.training.state.snapshot import restore_random
from recipes.training.state.snapshot import take

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A training that was told to end has saved its state, and ends.

    Args:
        folder: path of the run, or "" where this process saves nothing.
        where: str, such as "at epoch 3, step 120"; "" where no training ran. Defaults to "".
        number: int, of the signal. Defaults to that of SIGINT.

    Example:

    >>> error = Interrupted("runs/first", "at epoch 3, step 120", signal.SIGTERM)
    >>> print(error, error.status)
    interrupted at epoch 3, step 120; go on with: zoo run --resume runs/first 143
    """

    def __init__(self, folder, where="", number=signal.SIGINT):
        then = f"; go on with: zoo run --resume {folder}" if folder else ""  # another process may have saved it
        super().__init__(f"interrupted{' ' * bool(where)}{where}{then}")
        self.folder = pathlib.Path(folder)
        self.status = 128 + number


class RunState(keras.callbacks.Callback):
    """Save the state of a training, so that it can go on as if it had not been interrupted: the last of its callbacks.

    It holds where the training is, all variables (weights, seeds, statistics, metrics, of the optimizer also the loss
    scale, averages and gradients that wait), the state of the callbacks, the history, and Python's and NumPy's random
    numbers. It is saved at the end of a step every so many seconds or steps, or at that of an epoch, which comes
    first; where many steps are one dispatch, at its end. Nothing is done in a step at which nothing is due, which
    matters on JAX. A state with variables that are not finite is not saved: the last good one stays.

    SIGTERM and SIGINT (Ctrl-C) make it save at the end of the step, or of the evaluation that runs, and raise
    `Interrupted`; a second signal ends the process at once. That is so in the main thread, from the beginning of
    `fit` to its end; after an error, `close` gives the signals back.

    `recipes.training.beginning.fit_from` goes on from a state. A run of a recipe has all of this by itself.

    Args:
        folder: path of the folder of states, or None to save nothing, where another process does.
        save_seconds: float or None. Defaults to 300.
        save_steps: int or None. Defaults to None.
        callbacks: list of the callbacks whose state is saved. Defaults to none.
        phase: int. The number of this `fit` in a training of several. Defaults to 0.
        files: list of paths of files that grow with the epochs: their sizes are part of the state. Defaults to none.
        state: dict, a state to go on from, or None. Defaults to None.
        save_first: bool. Whether the state before the first step is saved too. Defaults to False.
        alone: bool. Whether no other process trains with this one: with others, a signal that one of them hears makes
            it end, and save nothing, since the others do not save with it. Defaults to True.

    Raises:
        ValueError: for seconds or steps that are not positive.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> saving = RunState(tempfile.mkdtemp(), save_steps=3)
    >>> history = model.fit(np.ones((8, 1)), np.ones((8, 1)), batch_size=2, epochs=2, verbose=0, callbacks=[saving])
    >>> state = saving.states.newest()
    >>> state["epoch"], state["step"]
    (1, 2)
    """

    by_dispatch = True

    def __init__(
        self,
        folder,
        save_seconds=300.0,
        save_steps=None,
        callbacks=(),
        phase=0,
        files=(),
        state=None,
        save_first=False,
        alone=True,
    ):
        super().__init__()
        check_intervals(save_seconds, save_steps)
        self.states = None if folder is None else States(folder)
        self.save_seconds, self.save_steps = save_seconds, save_steps
        self.callbacks = list(callbacks)
        self.phase = phase
        self.files = [pathlib.Path(path) for path in files]
        self.state = state
        self.save_first = save_first
        self.alone = alone
        self.notes = {} if state is None else state["notes"]
        self.first_epoch, self.iterator_stays = 0, False
        self._signal, self._handlers, self._random = None, {}, None

    def on_train_begin(self, logs=None):
        self.epoch, self.step, self._since = self.first_epoch, 0, 0
        self._logs, self._random, self._signal = {}, None, None
        self._listen()
        if self.state is not None:
            self._restore()
        elif self.save_first:
            self.save()
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.step, state = epoch, 0, self.state
        if state is None or state["epoch"] != epoch:
            return
        if state["step"]:
            self.step = state["step"]
            # Keras has reset the metrics since, and the callbacks have begun the epoch once more.
            model = self._restore()
            model.stop_training = state["stopped"]
            self._random = state["random"]
        elif self.iterator_stays:
            # The data loaders of torch take a random number when they begin, which this one took long ago.
            self._random = {name: value for name, value in state["random"].items() if name == "torch"}
        self.state = None

    def on_train_batch_begin(self, batch, logs=None):
        if self._random is not None:
            restore_random(self._random)
            self._random = None

    def on_train_batch_end(self, batch, logs=None):
        self._since += batch + 1 - self.step
        self.step, self._logs = batch + 1, logs
        if self._signal is not None or (self._is_due() and self.step != self.params.get("steps")):
            self._save_or_end()

    def on_epoch_end(self, epoch, logs=None):
        self.epoch, self.step, self._logs = epoch + 1, 0, {}
        if self._signal is not None or self._is_due():
            self._save_or_end()

    def on_train_end(self, logs=None):
        self.close()

    def save(self):
        """Save the state as it is now, if it is finite.

        Returns:
            Whether it was saved.
        """
        self._since, self._saved = 0, time.monotonic()
        if self.states is None:
            return False
        state = self._take()
        if is_finite(state):
            self.states.write(state)
        self._saved = time.monotonic()
        return is_finite(state)

    def save_end(self):
        """Save the state that the phase has ended with, after all callbacks have seen the end of it.

        Raises:
            Interrupted: if a signal came after the last epoch.
        """
        if self.states is not None:
            self.epoch, self.step, self._logs = self.params.get("epochs"), 0, {}
            state = self._take()
            if is_finite(state):
                self.states.write_end(state)
        if self._signal is not None:
            self._end()

    def close(self):
        """Give the signals back to whom they belonged."""
        while self._handlers:
            number, handler = self._handlers.popitem()
            signal.signal(number, handler)

    def _take(self):
        model = self.model  # on JAX, whoever asks for the model finds its variables up to date
        sizes = {path.name: path.stat().st_size for path in self.files if path.is_file()}
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "step": self.step,
            "stopped": bool(model.stop_training),
            "logs": dict(self._logs or {}),
            "files": sizes,
            "notes": dict(self.notes),
            **take(model, self.callbacks),
        }

    def _restore(self):
        model = self.model
        restore(model, self.callbacks, self.state)
        return model

    def _is_due(self):
        if self.save_steps is not None and self._since >= self.save_steps:
            return True
        return self.save_seconds is not None and time.monotonic() - self._saved >= self.save_seconds

    def _save_or_end(self):
        if self.alone or self._is_due():
            self.save()
        if self._signal is not None:
            self._end()

    def _end(self):
        self.close()
        where = f"at epoch {self.epoch + 1}, step {self.step}" if self.step else f"after epoch {self.epoch}"
        raise Interrupted("" if self.states is None else self.states.folder.parent, where, self._signal)

    def _listen(self):
        self.close()
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # whoever started the process wants it so
                self._handlers[number] = signal.signal(number, self._note)

    def _note(self, number, frame):
        if self._signal is None:
            self._signal = number
        else:
            self.close()
            signal.raise_signal(number)


def check_intervals(save_seconds, save_steps):
    """Refuse intervals of saving that are none.

    Args:
        save_seconds: number or None.
        save_steps: int or None.

    Raises:
        ValueError: if they are not positive.

    Example:

    >>> check_intervals(300.0, 0)
    Traceback (most recent call last):
    ValueError: `save_steps` must be a whole number of steps, at least 1, or None. Received: save_steps=0
    """
    if save_seconds is not None and not (isinstance(save_seconds, (int, float)) and save_seconds > 0):
        raise ValueError(f"`save_seconds` must be more than 0, or None. Received: save_seconds={save_seconds!r}")
    if save_steps is not None and (type(save_steps) is not int or save_steps < 1):
        raise ValueError(
            f"`save_steps` must be a whole number of steps, at least 1, or None. Received: save_steps={save_steps!r}"
        )
