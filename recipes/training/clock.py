"""Where the time of a run goes."""

import contextlib
import secrets
import statistics
import time

import keras


class Clock(keras.callbacks.Callback):
    """Seconds of a run, split into setup, compile, train and evaluate.

    Setup is all that comes before `fit`, before each where there are several. Compile is what the first
    step, or dispatch of many, takes beyond a usual one; of a single dispatch it is not known, and is 0.
    Evaluate is validation, compiling it included, and whatever `measure("evaluate")` encloses.

    Example:

    >>> clock = Clock()
    >>> with clock.measure("evaluate"):
    ...     pass
    >>> sorted(clock.seconds)
    ['compile', 'evaluate', 'setup', 'train']
    """

    by_dispatch = True

    def __init__(self):
        super().__init__()
        self.seconds = dict.fromkeys(("setup", "compile", "train", "evaluate"), 0.0)
        self._created = self._idle_since = time.perf_counter()
        self._fit_start, self._name = None, secrets.token_hex(8)
        self._before, self._own_setup = 0.0, 0.0  # seconds of processes before this one; of setup in this one

    @contextlib.contextmanager
    def measure(self, part):
        """Count what it encloses to a part.

        Args:
            part: one of "setup", "compile", "train", "evaluate".
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - start

    @property
    def total(self):
        """float. Seconds since the clock was made, and what a run that goes on had taken before."""
        return self._before + time.perf_counter() - self._created

    def get_state(self):
        """What the run has taken until now.

        Returns:
            dict.
        """
        now, seconds = time.perf_counter(), dict(self.seconds)
        if self._fit_start is not None:
            seconds["train"] += now - self._fit_start - (seconds["evaluate"] - self._evaluated_before)
        return {"seconds": seconds, "total": self.total, "clock": self._name}

    def set_state(self, state):
        """Go on from what the run had taken in other processes; setup in this one comes on top.

        Args:
            state: dict, of `get_state`. One of its own changes nothing: time has gone on.
        """
        if state["clock"] == self._name:
            return
        now = time.perf_counter()
        if self._fit_start is None:  # a phase that had ended: all until here was setup
            self._own_setup += now - self._idle_since
        self.seconds, self._before = dict(state["seconds"]), state["total"]
        self.seconds["setup"] += self._own_setup
        self._evaluated_before = self.seconds["evaluate"]
        self._idle_since, self._steps = now, []
        if self._fit_start is not None:
            self._fit_start = now

    def on_train_begin(self, logs=None):
        self._fit_start = time.perf_counter()
        self._own_setup += self._fit_start - self._idle_since
        self.seconds["setup"] += self._fit_start - self._idle_since
        self._evaluated_before = self.seconds["evaluate"]
        self._steps = []

    def on_train_batch_begin(self, batch, logs=None):
        self._step_start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self._steps.append(time.perf_counter() - self._step_start)

    def on_test_begin(self, logs=None):
        self._test_start = time.perf_counter()

    def on_test_end(self, logs=None):
        self.seconds["evaluate"] += time.perf_counter() - self._test_start

    def on_train_end(self, logs=None):
        self._idle_since = time.perf_counter()
        usual = statistics.median(self._steps[1:] or self._steps or [0.0])  # none, where a run goes on at its end
        compile_seconds = max(0.0, self._steps[0] - usual) if self._steps else 0.0
        evaluated = self.seconds["evaluate"] - self._evaluated_before
        self.seconds["compile"] += compile_seconds
        self.seconds["train"] += self._idle_since - self._fit_start - compile_seconds - evaluated
        self._fit_start = None
