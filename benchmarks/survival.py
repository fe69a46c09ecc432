"""Runs that are killed at random, and go on: whether they end with the weights and the history of one that is not.

Each case is a recipe on one of the routes, small: on 240 of scikit-learn's digits (or drawn shapes), without pictures.
It is run to its end once. Then it is begun again, killed by SIGKILL, gone on with by `zoo run --resume`, perhaps killed
again, and so on until it ends. Weights (with those of the optimizer) and `history.csv` must be the same bit for bit.

Moments are drawn evenly over the run, or over those at which a state is being written, or over what follows the
training (saving the model, evaluation, record). Each run is a process of its own, a fork of one of two that have
imported everything and computed nothing, whose sets have different orders (PYTHONHASHSEED); in turns.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

import measure

_DIGITS = ("--demo", "--precision=float32")
_CASES = {
    "nature12k_cnn on tf.data": ("nature12k_cnn", *_DIGITS, "--filters=2", "--pipeline=tf.data", "--dropout=0.3"),
    "nature12k_cnn on numpy": ("nature12k_cnn", *_DIGITS, "--filters=2", "--pipeline=numpy", "--dropout=0.3"),
    "nature12k_cnn, loss scale": (
        *("nature12k_cnn", "--demo", "--precision=mixed_float16", "--filters=2", "--epochs=2", "--pipeline=numpy"),
    ),
    "nature12k_cnn in memory": ("nature12k_cnn", *_DIGITS, "--filters=2", "--pipeline=memory", "--dropout=0.3"),
    "nature12k_finetune, two phases": ("nature12k_finetune", *_DIGITS, "--epochs=2"),
    "hep2_alexnet, growth": (
        *("hep2_alexnet", *_DIGITS, "--epochs=2", "--schedule=constant", "--growth=1:2", "--accumulation-steps=2"),
        *("--optimizer=sgd", "--evaluate-steps=3", "--batch-size=16", "--hidden-units=8"),
    ),
    "cifar10_speedrun, hardest samples": (
        *("cifar10_speedrun", *_DIGITS, "--epochs=2", "--image-sides=24,24", "--kept-fractions=1,0.5"),
        *("--batch-size=20", "--whitening-bias-epochs=1", "--test-time-views=1"),
    ),
    "cifar10_davidnet": ("cifar10_davidnet", *_DIGITS, "--epochs=1", "--warmup-epochs=0.5", "--batch-size=24"),
    "leukemia_resnet": ("leukemia_resnet", *_DIGITS, "--epochs=2", "--batch-size=32"),
    "hep2_bit": (
        *("hep2_bit", *_DIGITS, "--depths=1,1,1,1", "--total-steps=12", "--evaluate-steps=6", "--batch-size=8"),
    ),
    "coco_retinanet": (
        *("coco_retinanet", *_DIGITS, "--epochs=1", "--evaluate-epochs=1", "--channels=8", "--head-depth=1"),
    ),
}
_DIGITS_USED, _OF_VALIDATION = 240, 40
_MOMENTS = {"any": 0.6, "writing a state": 0.2, "after the training": 0.2}
_LONGEST = 600.0
_FLUSH = 0.03  # seconds longer, as on a slow disk: a kill can fall into it


class _Server:
    """A process that has imported everything, and forks one run at a time."""

    def __init__(self, hash_seed, folder):
        self.errors = pathlib.Path(folder, f"errors-{hash_seed}")
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONHASHSEED": str(hash_seed)}
        command = [sys.executable, __file__, "--serve"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, bufsize=0)
        self._answer(None)

    def start(self, arguments):
        """Begin a run, and give the id of its process."""
        self.process.stdin.write(json.dumps([*map(str, [self.errors, *arguments])]).encode() + b"\n")
        return self._answer(None)

    def status(self, seconds):
        """The exit status of the run; None if it still runs after so many seconds."""
        return self._answer(seconds)

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self, seconds):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return None
        return int(self.process.stdout.readline())


def _serve():
    """What the process of a `_Server` does: for each line of arguments, the id of a fork and its status."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    run = _import()
    print(0, file=out)
    while line := sys.stdin.readline():  # buffers nothing more: each line is waited for
        errors, *arguments = json.loads(line)
        process = os.fork()
        if not process:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.exit(run(arguments))
        print(process, file=out)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), file=out)


def _import():
    """Import all that runs use, make them small, and give the function of the command line."""
    import importlib
    import pkgutil

    import sklearn.datasets
    import sklearn.model_selection

    import recipes
    from recipes.reporting import plots

    for module in pkgutil.walk_packages(recipes.__path__, "recipes."):
        importlib.import_module(module.name)
    digits = sklearn.datasets.load_digits()
    for name in ("data", "images", "target"):
        digits[name] = digits[name][:_DIGITS_USED]
    split = sklearn.model_selection.train_test_split
    sklearn.datasets.load_digits = lambda **options: digits
    sklearn.model_selection.train_test_split = lambda *arrays, **options: split(
        *arrays, **options | {"test_size": _OF_VALIDATION}
    )
    for module in [each for name, each in sys.modules.items() if name.startswith("recipes.reporting.")]:
        for name in [name for name in vars(module) if name.startswith("plot_")]:
            setattr(module, name, lambda *arguments, **options: None)
    plots.save = lambda figure, path: None
    with contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401 - which Keras does on every backend, to set its seed
    flush = os.fsync
    os.fsync = lambda descriptor: (time.sleep(_FLUSH), flush(descriptor))[1]
    return sys.modules["recipes.__main__"].main


class _Run:
    """A case in a folder: begun, killed, gone on with."""

    def __init__(self, case, folder, servers, save_steps):
        self.case, self.runs, self.servers, self.save_steps = case, pathlib.Path(folder), servers, save_steps
        self.kills, self.left, self.states = collections.Counter(), set(), 0

    def find(self, pattern):
        """The first of the files of the run with such a name, but for what killed processes left."""
        return next((path for path in self.runs.glob(f"*/{pattern}") if path not in self.left), None)

    def train(self, moment=None, wait=0.0):
        """Train in one process, to its end or to a kill: so many seconds after the moment, or after so many states.

        Returns:
            Seconds of the training and of what follows it, or None if it was killed before its end.
        """
        arguments = ["run", *_CASES[self.case], f"--runs={self.runs}"]
        if request := self.find("state/run.json"):
            arguments = ["run", "--resume", request.parents[1]]
        self.left = set(self.runs.glob("*/**/.*.part*"))
        self.servers.rotate()
        process = self.servers[0].start([*arguments, "--quiet", f"--save-steps={self.save_steps}"])
        begun = trained = ended = kill_at = None
        latest = time.monotonic() + _LONGEST
        while (status := self.servers[0].status(0.002 if moment == "writing a state" else 0.02)) is None:
            now = time.monotonic()
            begun = begun or (now if self.find("state/run.json") else None)
            trained = trained or (now if self.find("*model*.keras") else None)
            ended = ended or (now if self.find("record.json") else None)
            self.states = max(self.states, self._newest())
            if kill_at is None and (trained if moment == "after the training" else moment and begun):
                kill_at = now + wait
            if moment == "writing a state":
                more = self._newest() - wait
                kill_at = now if more > 0 or (more == 0 and self.find("state/.*.part*")) else None
            if now > latest or (kill_at and now >= kill_at):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                status = self.servers[0].status(None)
                break
        if self.find("record.json"):  # it had ended
            ended = ended or time.monotonic()
            return (trained or ended) - (begun or ended), ended - (trained or ended)
        if status != -signal.SIGKILL or now > latest:
            text = self.servers[0].errors.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{self.case} failed with {status}:\n{text}")
        self.kills[self._where()] += 1
        return None

    def result(self):
        """The bytes of the history, and the arrays of the model's file by name."""
        import zipfile

        import h5py

        arrays = {}
        with zipfile.ZipFile(self.find("model.keras")) as file, h5py.File(file.open("model.weights.h5")) as weights:
            weights.visititems(
                lambda name, each: arrays.update({name: each[()]}) if isinstance(each, h5py.Dataset) else None
            )
        return self.find("history.csv").read_bytes(), arrays

    def _newest(self):
        """The number of the last state there is."""
        return max((int(path.stem.partition("-")[2]) for path in self.runs.glob("*/state/state-*.bin")), default=0)

    def _where(self):
        if not self.find("state/run.json"):
            return "before there was a run to go on with"
        if self.find("state/.*.part*"):
            return "writing a state"
        if self.find("*model*.keras"):
            return "after the training"
        return "training" if self.find("state/*.bin") else "before the first state"


def main():
    """Kill and go on."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of all runs."
    )
    parser.add_argument("--kills", type=int, default=30, help="at least so many, over all cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--save-steps", type=int, default=5, help="steps between two states (default: %(default)s)")
    parser.add_argument("--again", type=float, default=0.7, help="how likely one more kill is (default: %(default)s)")
    known = [
        name for name in _CASES if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" or "tf." not in name
    ]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="CASE", help=f"of {known}")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return _serve()
    with tempfile.TemporaryDirectory() as folder:
        if os.environ.get("KERAS_BACKEND") == "jax":
            os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(folder, "cache")))
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        servers = collections.deque(_Server(seed, folder) for seed in (1, 2))
        rows = []
        try:
            _kill(rows, options, servers, pathlib.Path(folder))
        finally:  # stopped before its end, it has measured what it has measured
            for server in servers:
                server.close()
            _report(rows, options)
    sys.exit(any(not row["same"] for row in rows))


def _report(rows, options):
    kills = sum((collections.Counter(row["kills"]) for row in rows), collections.Counter())
    same = sum(row["same"] for row in rows)
    print(f"{kills.total()} kills of {len(rows)} runs: {same} of {len(rows)} ended as the run that was not interrupted")
    print(", ".join(f"{count} {where}" for where, count in kills.items()))
    record = {"benchmark": "survival", "date": measure.now(), **measure.environment(), "kills": kills.total()}
    record |= {"runs": len(rows), "identical": same, "kills_by_moment": dict(kills), "of_each_run": rows}
    measure.write(record, options.output)


def _kill(rows, options, servers, folder):
    """Add rows of runs, case by case in turns, until there are kills enough."""
    rng, through = random.Random(options.seed), {}
    while sum(sum(row["kills"].values()) for row in rows) < options.kills:
        name = options.only[len(rows) % len(options.only)]
        if name not in through:
            run = _Run(name, folder / f"through-{len(through)}", servers, options.save_steps)
            through[name] = (*run.train(), run.states), run.result()
            print(f"{name}: {through[name][0]}", file=sys.stderr, flush=True)
        run = _Run(name, folder / f"killed-{len(rows)}", servers, options.save_steps)
        rows.append(_survive(run, *through[name], options, rng))
        print(rows[-1], file=sys.stderr, flush=True)


def _survive(run, measured, expected, options, rng):
    (training, after, states), ended = measured, None
    while not ended:
        moment = rng.choices(list(_MOMENTS), _MOMENTS.values())[0]
        moment = moment if not run.kills or rng.random() < options.again else None
        wait = rng.uniform(0.0, 0.6 * (training + after if moment == "any" else after))
        if moment == "writing a state":
            wait = rng.randrange(min(run.states, states - 1), states)
        try:
            ended = run.train(moment, wait)
        except RuntimeError as error:
            return {"case": run.case, "kills": dict(run.kills), "same": False, "error": str(error)}
    history, arrays = run.result()
    known, values = expected
    same = history == known and arrays.keys() == values.keys()
    same = same and all(arrays[name].tobytes() == values[name].tobytes() for name in values)
    return {"case": run.case, "kills": dict(run.kills), "same": bool(same)}


if __name__ == "__main__":
    main()
