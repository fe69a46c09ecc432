"""Where the time of a run goes."""

import contextlib
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
        """float. Seconds since the clock was made."""
        return time.perf_counter() - self._created

    def on_train_begin(self, logs=None):
        self._fit_start = time.perf_counter()
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
        usual = statistics.median(self._steps[1:] or self._steps)
        compile_seconds = max(0.0, self._steps[0] - usual)
        evaluated = self.seconds["evaluate"] - self._evaluated_before
        self.seconds["compile"] += compile_seconds
        self.seconds["train"] += self._idle_since - self._fit_start - compile_seconds - evaluated
