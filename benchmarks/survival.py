"""Runs that are killed at random, and go on: whether they end with the weights and the history of one that is not.

Each case is a recipe on one of the routes, in processes of its own. It is run to its end once. Then it is begun
again, killed by SIGKILL at a random moment of its training or what follows it, gone on with by `zoo run --resume`,
perhaps killed again, and so on until it ends. Weights (with those of the optimizer) and `history.csv` must be the same
bit for bit.
"""

import argparse
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import measure

_DIGITS = ("--demo", "--precision", "float32")
_CASES = {
    "nature12k_cnn on tf.data": ("nature12k_cnn", *_DIGITS, "--filters=4", "--epochs=4", "--pipeline=tf.data"),
    "nature12k_cnn on numpy": (
        *("nature12k_cnn", *_DIGITS, "--filters=4", "--epochs=4", "--pipeline=numpy", "--dropout=0.3"),
    ),
    "nature12k_cnn, loss scale": (
        *("nature12k_cnn", *_DIGITS, "--filters=2", "--epochs=1", "--pipeline=numpy", "--precision=mixed_float16"),
    ),
    "nature12k_cnn in memory": ("nature12k_cnn", *_DIGITS, "--filters=4", "--epochs=4", "--pipeline=memory"),
    "nature12k_finetune, two phases": ("nature12k_finetune", *_DIGITS, "--image-size=16", "--epochs=3"),
    "hep2_alexnet, growth": (
        *("hep2_alexnet", *_DIGITS, "--epochs=3", "--schedule=constant", "--growth=1:2", "--accumulation-steps=2"),
        *("--optimizer=sgd", "--evaluate-steps=17", "--batch-size=64"),
    ),
    "cifar10_speedrun, hardest samples": (
        *("cifar10_speedrun", *_DIGITS, "--epochs=3", "--image-sides=24,24,32", "--kept-fractions=1,0.5,0.5"),
    ),
    "cifar10_davidnet": ("cifar10_davidnet", *_DIGITS, "--epochs=2", "--batch-size=128"),
    "leukemia_resnet": ("leukemia_resnet", *_DIGITS, "--epochs=2", "--batch-size=64"),
    "hep2_bit": ("hep2_bit", *_DIGITS, "--total-steps=30"),
    "coco_retinanet": ("coco_retinanet", *_DIGITS, "--epochs=2", "--evaluate-epochs=1"),
}


class _Run:
    """A case in a folder: begun, killed, gone on with."""

    def __init__(self, case, folder):
        self.case, self.runs, self.kills, self.nothing_saved = case, pathlib.Path(folder), 0, 0

    @property
    def folder(self):
        """The folder of the run, once it can go on."""
        return next((path.parents[1] for path in self.runs.glob("*/state/run.json")), None)

    def start(self, save_steps):
        """Begin, or go on."""
        command = [sys.executable, "-m", "recipes", "run"]
        saving = ["--quiet", f"--save-steps={save_steps}"]
        if self.folder:
            command += ["--resume", str(self.folder), *saving]
        else:
            command += [*_CASES[self.case], f"--runs={self.runs}", *saving]
        return subprocess.Popen(command, env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}, stderr=subprocess.PIPE)

    def train(self, save_steps, kill_after=None):
        """Train in one process, to its end, or so many seconds from when the run can be gone on with.

        Returns:
            Seconds from then to the end; None if it was killed.
        """
        process, begun = self.start(save_steps), None
        with process, contextlib.suppress(ProcessLookupError):
            while process.poll() is None:
                begun = begun or (time.monotonic() if self.folder else None)
                if begun and kill_after is not None and time.monotonic() - begun > kill_after:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    self.kills += 1
                    self.nothing_saved += not any(self.runs.glob("*/state/*.bin"))
                    return None
                time.sleep(0.02)
            if process.returncode:
                raise RuntimeError(f"{self.case} failed:\n{process.stderr.read().decode()[-4000:]}")
        return time.monotonic() - (begun or time.monotonic())

    def result(self):
        """The bytes of the history, and the arrays of the model's file by name."""
        import zipfile

        import h5py

        (folder,) = (path.parent for path in self.runs.glob("*/record.json"))
        arrays = {}
        with zipfile.ZipFile(folder / "model.keras") as file, h5py.File(file.open("model.weights.h5")) as weights:
            weights.visititems(
                lambda name, each: arrays.update({name: each[()]}) if isinstance(each, h5py.Dataset) else None
            )
        return (folder / "history.csv").read_bytes(), arrays


def main():
    """Kill and go on."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of all runs."
    )
    parser.add_argument("--kills", type=int, default=30, help="at least so many, over all cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    parser.add_argument("--save-steps", type=int, default=5, help="steps between two states (default: %(default)s)")
    parser.add_argument("--again", type=float, default=0.5, help="how likely one more kill is (default: %(default)s)")
    known = [
        name for name in _CASES if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" or "tf." not in name
    ]
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="CASE", help=f"of {known}")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    options = parser.parse_args()
    rng, kills, rows = random.Random(options.seed), 0, []
    with tempfile.TemporaryDirectory() as folder:
        through = {}
        while kills < options.kills:
            name = options.only[len(rows) % len(options.only)]
            if name not in through:
                run = _Run(name, pathlib.Path(folder, f"through-{len(through)}"))
                through[name] = run.train(options.save_steps), run.result()
            row = _survive(_Run(name, pathlib.Path(folder, f"killed-{len(rows)}")), *through[name], options, rng)
            rows.append(row)
            kills += row["kills"]
            print(f"{name}: {row}", flush=True)
    same = sum(row["same"] for row in rows)
    print(f"{kills} kills of {len(rows)} runs: {same} of {len(rows)} ended as the run that was not interrupted")
    record = {"benchmark": "survival", "date": measure.now(), **measure.environment(), "kills": kills, "runs": rows}
    measure.write(record | {"same": same}, options.output)
    sys.exit(same != len(rows))


def _survive(run, seconds, expected, options, rng):
    chance, ended = 1.0, None
    while ended is None:
        kill_after = rng.uniform(0.0, seconds) if rng.random() < chance else None
        ended, chance = run.train(options.save_steps, kill_after), options.again
    history, arrays = run.result()
    known, values = expected
    same = history == known and arrays.keys() == values.keys()
    same = same and all(arrays[name].tobytes() == values[name].tobytes() for name in values)
    return {"case": run.case, "kills": run.kills, "before_a_state": run.nothing_saved, "same": bool(same)}


if __name__ == "__main__":
    main()
