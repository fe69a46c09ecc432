"""The phases of a run's training: each saves its states, and goes on from the last of them."""

import warnings

import keras
import numpy as np

from recipes.callbacks import LearningRateLogger
from recipes.optimizers.rates import multiply_learning_rate
from recipes.training import faults
from recipes.training import memory
from recipes.training.beginning import end_as
from recipes.training.beginning import fit_from
from recipes.training.epochs import given_steps
from recipes.training.epochs import joined
from recipes.training.epochs import steps_before
from recipes.training.progress import Progress
from recipes.training.request import STATE
from recipes.training.request import cut
from recipes.training.state import RunState
from recipes.training.state import States
from recipes.training.state.saving import check_intervals
from recipes.training.tracking import EVENTS
from recipes.training.tracking import HISTORY
from recipes.training.tracking import HistoryTable


class Phases:
    """What trains in the folder of a run: one `fit` after another, each a phase of the training.

    Args:
        devices: a `recipes.training.devices.Devices`.
        clock: a `recipes.training.clock.Clock`.
        quiet: bool. Whether to show no progress.
        save_seconds: float. Seconds from one state that is saved to the next.
        save_steps: int or None. Steps likewise.
        on_nan: "stop" or "resume".
        goes_on: bool. Whether to go on from the states that the folder holds.

    Raises:
        ValueError: for intervals that are none.

    Example:

    >>> from recipes.training.clock import Clock
    >>> from recipes.training.devices import Devices
    >>> Phases(Devices(), Clock(), True, 300.0, None, "stop", False).learning_rate_factor
    1.0
    """

    def __init__(self, devices, clock, quiet, save_seconds, save_steps, on_nan, goes_on):
        check_intervals(save_seconds, save_steps)
        self.devices, self.clock, self.quiet = devices, clock, quiet
        self.save_seconds, self.save_steps, self.on_nan = save_seconds, save_steps, on_nan
        self.learning_rate_factor = 1.0
        self._goes_on, self._phase, self._sizes = goes_on, -1, {}
        self._slowed = None, 1.0
        self._history = self._progress = None

    def fit(self, folder, trackers, model, data, *, callbacks=(), **arguments):
        """Train one more phase; where its loss is no number, from the last state once more, if that is asked for.

        Args:
            folder: `pathlib.Path` of the run.
            trackers: list of callbacks, told of every epoch, that keep no state.
            model: a compiled `keras.Model`.
            data: as `recipes.training.run.Run.fit` takes them.
            callbacks: likewise. Defaults to none.
            **arguments: likewise.

        Returns:
            The `keras.callbacks.History`, of all phases.

        Raises:
            NonFiniteLoss: at the step whose loss is no finite number.
        """
        self._folder, self._trackers = folder, trackers
        self._phase += 1
        measuring = [each for each in callbacks if getattr(each, "measures", False)]
        others = [each for each in callbacks if each not in measuring]
        goes_on = self._goes_on
        while True:
            try:
                history = self._train(model, data, measuring, others, goes_on, **arguments)
                break
            except faults.NonFiniteLoss as error:
                self._go_back(error)
                goes_on = True
        self._history = joined(self._history, history)
        return self._history

    def stop(self):
        """Show no progress any more: an error must not leave the terminal without a cursor."""
        if self._progress is not None:
            self._progress.stop()

    def _train(
        self, model, data, measuring, callbacks, goes_on, *, epochs, steps_per_epoch, initial_epoch=0, **arguments
    ):
        """A phase of the training, from the last state of it on if it is to go on."""
        data = self.devices.stream(data, steps_per_epoch)
        guard = faults.FiniteLoss(data, steps_per_epoch, initial_epoch)
        table = HistoryTable(str(self._folder / HISTORY), append=goes_on or self._phase > 0)
        history = keras.callbacks.History()
        saved = [*measuring, self.clock, table, *callbacks, history, guard]
        ended = self._states().end(self._phase) if goes_on else None
        if ended is not None:
            self._sizes = ended["files"]
            end_as(model, data, saved, ended)
            self.learning_rate_factor = guard.factor
            return history
        saving = self._make_saving(saved, steps_per_epoch, goes_on)
        guard.factor = self._slow_down(model, saving.state)
        steps = np.sum(np.broadcast_to(steps_per_epoch, epochs)[initial_epoch:])
        steps -= steps_before(steps_per_epoch, epochs, initial_epoch, saving.state)
        self._progress = Progress(epochs, steps, self.quiet)
        told = [*self.devices.callbacks(), guard, *measuring, self.clock, LearningRateLogger(), table]
        told += [*self._trackers, self._progress, *callbacks, history]
        given = self._given(data, steps_per_epoch, arguments)
        given |= {"epochs": epochs, "initial_epoch": initial_epoch, "callbacks": told, "devices": self.devices}
        fit_from(model, data, saving, **given)
        saving.save_end()
        return history

    def _slow_down(self, model, state):
        """Let the learning rate be as low as earlier failures of this run have made it.

        Returns:
            float. What it is multiplied by.
        """
        if state is not None:
            self.learning_rate_factor = min(self.learning_rate_factor, faults.factor_of(state))
        optimizer, applied = self._slowed
        ratio = self.learning_rate_factor / (applied if optimizer is model.optimizer else 1.0)
        if ratio != 1:
            multiply_learning_rate(model.optimizer, ratio)
            model.train_function = None  # which may have been compiled with the schedule as it was
        self._slowed = model.optimizer, self.learning_rate_factor
        return self.learning_rate_factor

    def _go_back(self, error):
        """Halve the learning rate of a run that is to go on after its loss was no number; else raise the error.

        It goes on from the last state; where it has come from that one already, from the one before.
        """
        tried, state = self.learning_rate_factor <= 0.5**faults.HALVINGS, self._states().newest(self._phase)
        if self.on_nan == "stop" or tried or state is None:
            raise error
        if faults.factor_of(state) != self.learning_rate_factor:
            self._states().drop_newest(self._phase)
        self.stop()
        self.learning_rate_factor /= 2
        warnings.warn(f"{error} It goes back, and on at {self.learning_rate_factor:g} of its rate.", stacklevel=4)

    def _given(self, data, steps_per_epoch, arguments):
        """The arguments of `fit` for these data."""
        arguments = self.devices.given(arguments)
        if self.devices.several or not isinstance(data, memory.InMemoryData):
            return {**arguments, "steps_per_epoch": given_steps(data, steps_per_epoch)}
        given = {name: value for name, value in arguments.items() if name != "shuffle"}  # they have their own order
        if isinstance(steps_per_epoch, int):
            given["steps_per_epoch"] = steps_per_epoch
        if self.save_steps and len(set(np.ravel(steps_per_epoch))) == 1:
            given.setdefault("steps_per_dispatch", self.save_steps)
        return given

    def _states(self):
        return States(self._folder / STATE)

    def _make_saving(self, callbacks, steps_per_epoch, goes_on):
        """What saves states of the phase, with the last one of it, if there is one to go on from."""
        state = self._states().newest(self._phase) if goes_on else None
        sizes = self._sizes if state is None else state["files"]
        files = [self._folder / name for name in (HISTORY, EVENTS)]
        if goes_on and sizes is not None:
            cut(files, sizes)
        self._sizes = None  # what is trained from here on follows what is there
        alone = self.devices.workers == 1
        return RunState(
            self._folder / STATE,
            self.save_seconds if alone else None,
            self.save_steps if alone else self.save_steps or steps_per_epoch,
            alone=alone,
            callbacks=callbacks,
            phase=self._phase,
            files=files,
            state=state,
            save_first=self.on_nan == "resume",
        )
