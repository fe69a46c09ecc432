"""A recipe on one device, on several, by two workers on loopback, and begun on some and ended on others, side by side.

The same command but for `--devices`, each in processes of its own; on CPUs several devices are virtual. Compared are
the curves of `history.csv`, the final figures of the record, the probabilities of `predictions.csv` and the weights of
the model. Draws are those of one device, so that nothing but the order of sums differs; training makes more of that
with every step, the more the higher the learning rate. A training that ends elsewhere is told to end by SIGTERM when
half of its epochs are over; of workers the second is killed by SIGKILL, which the first must notice. Times on one
machine's CPUs say nothing.
"""

import argparse
import csv
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import measure

_RECIPE = "nature12k_cnn --demo --precision=float32 --filters=4 --batch-size=64 --learning-rate=1e-4"
_BOUND = 180  # seconds in which a worker that is left must end


def main():
    """Train in all ways, print the curves and the largest differences, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--recipe", default=_RECIPE, help="arguments of `zoo run`, as one word (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", help="only these, by name, beside one device")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    options = parser.parse_args()
    several, workers = [str(options.devices)], ["workers"] * 2
    ways = {
        "one": [["auto"]],
        f"{options.devices} devices": [several],
        "2 workers": [workers],
        f"{options.devices} devices, then one": [several, ["auto"]],
        f"one, then {options.devices} devices": [["auto"], several],
        "2 workers, one killed, then 2": [workers, workers],
        "2 workers, one killed, then one": [workers, ["auto"]],
    }
    found, arguments = {}, [*options.recipe.split(), f"--epochs={options.epochs}"]
    known = {"benchmark": "devices", "date": measure.now(), **measure.environment()}
    known |= {"recipe": options.recipe, "epochs": options.epochs}
    for name, stages in ways.items():
        if options.ways and name not in ("one", *options.ways):
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as runs:
            ends = _train(pathlib.Path(runs), arguments, stages, options.epochs)
            found[name] = {**_results(runs), **ends}
        measure.write(_record(known, found), options.output)  # after each: the next one may fail
    _show(found, _record(known, found)["largest_differences"])


def _record(known, found):
    differences = {name: _differences(each, found["one"]) for name, each in found.items() if name != "one"}
    ways = {
        name: {part: {column: each[part][column] for column in _columns(each)} for part in ("curves", "final")}
        | ({"ended": each["ended"]} if "ended" in each else {})
        for name, each in found.items()
    }
    return {**known, "largest_differences": differences, "ways": ways}


def _train(runs, arguments, stages, epochs):
    """Train on the devices of each stage, one after the other; how the workers that were not killed have ended."""
    ends = {}
    for number, devices in enumerate(stages):
        begun = [f"--resume={next(runs.iterdir())}"] if number else [*arguments, f"--runs={runs}"]
        processes = [_start(begun, way, each, len(devices)) for each, way in enumerate(_with_addresses(devices))]
        try:
            if number + 1 < len(stages):
                _wait(runs, epochs // 2, processes)
                ends |= _kill(processes, runs) if len(processes) > 1 else _interrupt(processes[0])
            else:
                for process in processes:
                    error = process.communicate()[1]
                    if process.returncode:
                        raise RuntimeError(f"{' '.join(process.args)} failed:\n{error[-4000:]}")
        finally:
            for process in processes:
                process.kill()
    return ends


def _start(arguments, way, number, count):
    devices, addresses = way
    command = [sys.executable, "-m", "recipes", "run", *arguments, f"--devices={devices}", "--quiet"]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    if devices == "workers":
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": number}}
        known = {"JOB_ADDRESSES": addresses[0], "NUM_PROCESSES": str(count), "PROCESS_ID": str(number)}
        environment |= {f"KERAS_DISTRIBUTION_{name}": value for name, value in known.items()}
        environment["TF_CONFIG"] = json.dumps(task)
    return subprocess.Popen(command, env=environment, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)


def _with_addresses(devices):
    """Each with the addresses of all: free ports of this machine."""
    sockets = [socket.socket() for _ in devices]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        return [(each, addresses) for each in devices]
    finally:
        for each in sockets:
            each.close()


def _wait(runs, epochs, processes):
    """Until so many epochs are written and saved."""
    while True:
        rows = [len(path.read_text().splitlines()) - 1 for path in runs.glob("*/history.csv")]
        if rows and rows[0] >= epochs:
            return
        for process in processes:
            if process.poll() is not None:
                raise RuntimeError(f"{' '.join(process.args)} ended:\n{process.communicate()[1][-4000:]}")
        time.sleep(0.05)


def _interrupt(process):
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=_BOUND)[1]
    if process.returncode != 143:
        raise RuntimeError(f"SIGTERM ended the training with {process.returncode}:\n{error[-4000:]}")
    return {}


def _kill(processes, runs):
    """Kill the last one; how the first one ends."""
    first, *_, last = processes
    last.send_signal(signal.SIGKILL)
    last.communicate()
    begin = time.monotonic()
    error = first.communicate(timeout=_BOUND)[1]
    lines = [line for line in error.splitlines() if line.startswith("zoo: ")]
    seconds = round(time.monotonic() - begin, 1)
    if first.returncode != 1 or len(lines) != 1:
        raise RuntimeError(f"The worker that was left ended with {first.returncode}:\n{error[-4000:]}")
    return {"ended": {"status": first.returncode, "seconds": seconds, "line": lines[0].replace(str(runs), "runs")}}


def _results(runs):
    """What is compared of the one folder that is left."""
    import keras

    import zoo  # registers layers

    (folder,) = pathlib.Path(runs).iterdir()
    rows, predicted = ([*csv.DictReader((folder / f"{name}.csv").open())] for name in ("history", "predictions"))
    record = json.loads((folder / "record.json").read_text())
    model = zoo.keras_files.load_model(folder / "model.keras")
    return {
        "curves": {column: [float(row[column]) for row in rows] for column in rows[0]},
        "final": record["metrics"]["final"],
        "probabilities": [float(row[name]) for row in predicted for name in row if name.startswith("probability/")],
        "weights": [float(value) for each in model.weights for value in keras.ops.convert_to_numpy(each).ravel()],
    }


def _differences(found, one):
    """The largest differences of the columns that are shown, of the final figures, probabilities and weights."""
    pairs = {column: (found["curves"][column], one["curves"][column]) for column in _columns(one)}
    names = [name for name in one["final"] if name in found["final"]]
    pairs["final"] = [[each["final"][name] for name in names] for each in (found, one)]
    pairs |= {part: (found[part], one[part]) for part in ("probabilities", "weights")}
    return {name: max(abs(mine - other) for mine, other in zip(*pair, strict=True)) for name, pair in pairs.items()}


def _columns(found):
    return [name for name in ("loss", "accuracy", "val_loss", "val_accuracy") if name in found["curves"]]


def _show(found, differences):
    for column in _columns(found["one"]):
        print(column)
        for name, each in found.items():
            print(f"  {name:32}" + "  ".join(f"{value:10.7f}" for value in each["curves"][column]))
    for name, figures in differences.items():
        print(f"{name}: " + ", ".join(f"{part} {figure:.1e}" for part, figure in figures.items()))
    for name, each in found.items():
        if "ended" in each:
            print(f"{name}: {each['ended']['status']} after {each['ended']['seconds']} s: {each['ended']['line']}")


if __name__ == "__main__":
    main()
