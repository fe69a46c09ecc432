"""The process of one trial, which does what `request.json` in its folder asks."""

import importlib
import json
import os
import pathlib
import signal
import sys
import threading
import traceback

from recipes.atomic import write_text

COMMAND = "from recipes.trials.child import run; run()"


def main(folder):
    """Train once, and leave `result.json`: the final metrics, or the error.

    Args:
        folder: of the trial.

    Returns:
        int. The exit status: 1 after an error.

    Example:

    >>> import contextlib, io, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "request.json").write_text('{"target": "math:nothing", "arguments": {}}')
    >>> with contextlib.redirect_stderr(io.StringIO()):
    ...     main(folder)
    1
    >>> (folder / "result.json").read_text()
    '{"error": "AttributeError: module \\'math\\' has no attribute \\'nothing\\'"}'
    """
    folder = pathlib.Path(folder)
    request = json.loads((folder / "request.json").read_text())
    try:
        result = find(request["target"])(**request["arguments"])
        outcome = {"metrics": _metrics(result)}
    except Exception as error:
        traceback.print_exc()
        outcome = {"error": f"{type(error).__name__}: {error}"}
    write_text(folder / "result.json", json.dumps(outcome))
    return int("error" in outcome)


def find(target):
    """Import a function.

    Args:
        target: str, "module:attribute".

    Returns:
        The function.

    Example:

    >>> find("math:floor")(2.5)
    2
    """
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _metrics(result):
    """The final figures of a `Record`, or of a dict."""
    metrics = result if isinstance(result, dict) else result.metrics["final"]
    return {name: float(value) for name, value in metrics.items()}


def run():
    """Be the process of a trial: its folder is the argument of the command.

    Example:

    >>> import subprocess
    >>> pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    >>> subprocess.Popen([sys.executable, "-c", COMMAND, "nowhere"], **pipes).wait()
    1
    """
    _end_with_parent()
    signal.signal(signal.SIGTERM, lambda *signal: sys.exit("ended by the sweep"))
    sys.exit(main(sys.argv[1]))


def _end_with_parent():
    """End, with all processes that were started here, when the sweep does: its end of the pipe closes then."""

    def watch():
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
