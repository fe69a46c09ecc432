"""Trials as processes: starting one, following it, and what became of it."""

import contextlib
import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

from recipes.atomic import write_text
from recipes.catalogue import check_name
from recipes.trials.child import COMMAND


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a trial.

    Args:
        value: float, or None after an error.
        error: str. Defaults to "".

    Example:

    >>> Outcome(0.9).error
    ''
    """

    value: float | None
    error: str = ""


class TrialProcess:
    """A trial that runs: a fresh interpreter, in a folder of its own, that ends when this process does.

    Args:
        folder: a `pathlib.Path`, made here.
        target: str. What it calls: "module:attribute".
        arguments: dict, of what JSON can hold.
        group: str. What wandb puts its run under, unless the environment says it; "" for nothing.
            Defaults to "".

    Example:

    >>> import pathlib, tempfile
    >>> trial = TrialProcess(pathlib.Path(tempfile.mkdtemp(), "0"), "math:floor", {})
    >>> trial.wait()
    1
    >>> read_outcome(trial.folder, "accuracy", "last", "maximize").error
    'TypeError: math.floor() takes exactly one argument (0 given)'
    """

    def __init__(self, folder, target, arguments, group=""):
        self.folder = folder
        self.seen = 0
        folder.mkdir(parents=True)
        write_text(folder / "request.json", json.dumps({"target": target, "arguments": arguments}, indent=2))
        with (folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, str(folder)],
                stdin=subprocess.PIPE,  # closes when this process ends, and ends the trial
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(group),
                start_new_session=True,
            )
        self._started = time.monotonic()

    @property
    def seconds(self):
        """How long it has run.

        Returns:
            float.
        """
        return time.monotonic() - self._started

    def has_ended(self):
        """Whether it has ended.

        Returns:
            bool.
        """
        return self._process.poll() is not None

    def wait(self):
        """Wait for its end, and end what it leaves running.

        Returns:
            int. The exit status; -9 if it was killed.
        """
        status = self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # none of its processes is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.stdin.close()
        return status

    def end(self, patience=10.0):
        """End it, and all processes that it has started: first asked to, then made to.

        Args:
            patience: float. Seconds in between. Defaults to 10.
        """
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.wait()

    def new_reports(self, metric):
        """The epochs that have ended since the last call.

        Args:
            metric: str. A column of the `history.csv` that a run writes.

        Returns:
            A list of `(epoch, value)`, epochs from 1.
        """
        values = read_history(self.folder, metric)
        new = list(enumerate(values, start=1))[self.seen :]
        self.seen = len(values)
        return [(epoch, value) for epoch, value in new if not math.isnan(value)]


def _environment(group):
    own = {"WANDB_RUN_GROUP": group} if group else {}
    return own | os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def read_history(folder, metric):
    """The values of a metric, from the `history.csv` in the folder of the run in the folder of a trial.

    Args:
        folder: a `pathlib.Path`.
        metric: str.

    Returns:
        A list of floats, one for each epoch; empty if there is none.

    Example:

    >>> import pathlib
    >>> read_history(pathlib.Path("nowhere"), "val_accuracy")
    []
    """
    for path in sorted(folder.glob("*/history.csv")):
        whole = path.read_text().rpartition("\n")[0]  # a last line that is being written is left
        rows = csv.DictReader(whole.splitlines())
        if metric in (rows.fieldnames or ()):
            return [_number(row[metric]) for row in rows]
    return []


def _number(text):
    try:
        return float(text)
    except ValueError:  # "NA": not measured in this epoch
        return math.nan


def read_outcome(folder, metric, value, direction, status=None):
    """What became of a trial that has ended.

    Args:
        folder: a `pathlib.Path`. Of the trial.
        metric: str.
        value: "last", or "best" of all epochs.
        direction: "maximize" or "minimize".
        status: int. The exit status, or None if nobody knows. Defaults to None.

    Returns:
        An `Outcome`; None if nothing is known of its end.

    Raises:
        ValueError: if it has no such metric.

    Example:

    >>> import pathlib
    >>> read_outcome(pathlib.Path("nowhere"), "val_accuracy", "last", "maximize") is None
    True
    """
    path = folder / "result.json"
    if not path.is_file():
        return None if status is None else Outcome(None, _death(folder, status))
    result = json.loads(path.read_text())
    if "error" in result:
        return Outcome(None, result["error"])
    history = read_history(folder, metric)
    known = {**result["metrics"], **({metric: history[-1]} if history else {})}
    check_name("metric", metric, known)
    last = result["metrics"].get(metric, known[metric])
    if value == "best":
        last = {"maximize": max, "minimize": min}[direction](
            (each for each in [*history, last] if not math.isnan(each)), default=math.nan
        )
    return Outcome(None, f"{metric} is nan") if math.isnan(last) else Outcome(last)


def _death(folder, status):
    """The text of an error that the trial could not write itself."""
    lines = (folder / "log.txt").read_text(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
    if status < 0:
        name = signal.Signals(-status).name
        hint = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}; last line: {last[:300]}"
    return f"exit status {status}; last line: {last[:300]}"
