"""A recipe on one device, on four, and by two workers on loopback: its loss curves side by side.

The same command but for `--devices`, each in processes of its own; on CPUs the four devices are virtual. What is
compared is `history.csv`. Draws are those of one device, so that nothing but the order of sums differs; training makes
more of that with every step, the more the higher the learning rate. Times on one machine's CPUs say nothing.
"""

import argparse
import csv
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import measure

_RECIPE = ("nature12k_cnn", "--demo", "--precision=float32", "--filters=4", "--batch-size=64", "--quiet")


def main():
    """Train in all ways, print the curves and the largest differences, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--recipe", nargs="+", default=_RECIPE, help="arguments of `zoo run` (default: %(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    options = parser.parse_args()
    ways = {"one": ["auto"], f"{options.devices} devices": [str(options.devices)], "2 workers": ["workers"] * 2}
    curves = {}
    for name, processes in ways.items():
        with tempfile.TemporaryDirectory() as runs:
            _train(runs, [*options.recipe, f"--epochs={options.epochs}"], processes)
            curves[name] = _curves(runs)
    columns = [column for column in curves["one"] if "loss" in column or "accuracy" in column]
    for column in columns:
        print(f"{column:>14}  " + "  ".join(f"{name:>12}" for name in curves))
        for epoch, values in enumerate(zip(*(curve[column] for curve in curves.values())), 1):
            print(f"{epoch:14}  " + "  ".join(f"{value:12.7f}" for value in values))
    differences = {
        name: {
            column: max(abs(mine - one) for mine, one in zip(curve[column], curves["one"][column]))
            for column in columns
        }
        for name, curve in curves.items()
        if name != "one"
    }
    for name, figures in differences.items():
        print(f"{name}, largest difference: " + ", ".join(f"{column} {figures[column]:.1e}" for column in columns))
    record = {"benchmark": "devices", "date": measure.now(), "recipe": list(options.recipe), "epochs": options.epochs}
    measure.write({**record, "curves": curves, "largest_differences": differences}, options.output)


def _train(runs, arguments, ways):
    addresses = _addresses(len(ways))
    processes = []
    for number, way in enumerate(ways):
        command = [sys.executable, "-m", "recipes", "run", *arguments, f"--devices={way}", f"--runs={runs}"]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if way == "workers":
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
            known = {"JOB_ADDRESSES": addresses[0], "NUM_PROCESSES": str(len(ways)), "PROCESS_ID": str(number)}
            environment |= {f"KERAS_DISTRIBUTION_{name}": value for name, value in known.items()}
            environment["TF_CONFIG"] = json.dumps(task)
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in processes:
        error = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(f"{' '.join(process.args)} failed:\n{error[-4000:]}")


def _addresses(count):
    """Free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _curves(runs):
    """The columns of the history of the one folder that is left."""
    (path,) = pathlib.Path(runs).glob("*/history.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {column: [float(row[column]) for row in rows] for column in rows[0]}


if __name__ == "__main__":
    main()
