"""Seconds to 94% on CIFAR-10: our recipe, and airbench in PyTorch, each as a process from its start to its end.

    python benchmarks/time_to_accuracy.py --data-dir cifar-10-batches-py --output time_to_accuracy.json

Processes run in turn, ours and the peer's, so that both share whatever slows the machine. Everything counts:
imports, data, compilation, training, the last evaluation, the files that a run leaves.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

import measure

_OURS = (
    "{python} -m recipes run {recipe} --experiment {experiment} --seed {seed} --data-dir {data_dir} "
    "--runs {folder} --quiet"
)
_PEER = "{python} {benchmarks}/airbench_torch.py --data-dir {data_dir} --seed {seed} --output {folder}/airbench.json"
_NOTES = [
    "seconds: of the whole process, from its start to its end",
    "a ratio is the mean seconds of torch over those of each of our runs; the runs took turns",
    "torch: the algorithm of airbench94_muon, written anew; see airbench_torch.py",
]


def main():
    """Race the two, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", type=pathlib.Path, required=True, help='the folder "cifar-10-batches-py"')
    parser.add_argument("--recipe", default="cifar10_speedrun", help="(default: %(default)s)")
    parser.add_argument("--experiment", default="cpu94", help="(default: %(default)s)")
    parser.add_argument("--metric", default="val_accuracy_tta", help="of the record (default: %(default)s)")
    parser.add_argument("--target", type=float, default=0.94, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of ours (default: %(default)s)")
    parser.add_argument("--peer-seeds", type=int, default=1, help="runs of the peer (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="of both (default: %(default)s)")
    parser.add_argument("--ours", default=_OURS, help="command (default: %(default)s)")
    parser.add_argument("--peer", default=_PEER, help="command (default: %(default)s)")
    parser.add_argument("--runs", type=pathlib.Path, help="folder in which the files of each run are kept")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write, anew after each run")
    options = parser.parse_args()
    if options.runs and options.runs.exists():
        parser.error(f"--runs must be a folder that is not there yet. Received: {options.runs}")
    runs = []
    for number in range(max(options.seeds, options.peer_seeds)):
        seed = options.first_seed + number
        for contender, seeds in (("ours", options.seeds), ("torch", options.peer_seeds)):
            if number < seeds:
                print(f"{contender}, seed {seed}", file=sys.stderr, flush=True)
                runs.append(run(contender, seed, options))
                print(f"{contender}: {runs[-1]['accuracy']:.4f} in {runs[-1]['seconds']:.0f} s", flush=True)
                record = summarize(runs, options)
                measure.write(record, options.output)  # after each: the next may take half an hour
    measure.report(record["seconds"], record["accuracy"], record["ratios"])


def run(contender, seed, options):
    """Run a process, and read what it left.

    Args:
        contender: "ours" or "torch".
        seed: int.
        options: what the parser returned.

    Returns:
        dict of contender, seed, seconds, accuracy, and the device and versions that the run recorded.

    Raises:
        RuntimeError: if the process fails.
    """
    command = options.ours if contender == "ours" else options.peer
    with _folder(contender, seed, options) as folder:
        named = {
            "python": sys.executable,
            "benchmarks": pathlib.Path(__file__).parent,
            "data_dir": options.data_dir.resolve(),
            "recipe": options.recipe,
            "experiment": options.experiment,
            "seed": seed,
            "folder": folder,
        }
        words = [word.format(**named) for word in shlex.split(command)]
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        start = time.perf_counter()
        process = subprocess.run(words, capture_output=True, text=True, env=environment)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"{shlex.join(words)} failed:\n{process.stderr[-4000:]}")
        name = "record.json" if contender == "ours" else "airbench.json"
        left = json.loads(next(pathlib.Path(folder).rglob(name)).read_text())
    inside = left["seconds"]
    return {
        "contender": contender,
        "seed": seed,
        "seconds": round(seconds, 2),
        "accuracy": left["metrics"]["final"][options.metric] if contender == "ours" else left["accuracy_tta"],
        "seconds_inside": inside if isinstance(inside, dict) else {"total": inside},
        "device": left["device"],
        "versions": left["versions"],
    }


def _folder(contender, seed, options):
    """Where a run leaves its files: until they are read, or for good."""
    if not options.runs:
        return tempfile.TemporaryDirectory()
    folder = options.runs.resolve() / f"{contender}-seed{seed}"
    folder.mkdir(parents=True)
    return contextlib.nullcontext(folder)


def summarize(runs, options):
    """The record of these runs.

    Args:
        runs: list of what `run` returned.
        options: what the parser returned.

    Returns:
        dict.
    """
    of = {name: [run for run in runs if run["contender"] == name] for name in ("ours", "torch")}
    seconds = {name: measure.spread([run["seconds"] for run in each]) for name, each in of.items() if each}
    accuracy = {name: measure.spread([run["accuracy"] for run in each]) for name, each in of.items() if each}
    ratios = {}
    if len(seconds) == 2:
        peer = _mean(of["torch"], "seconds")
        ratios["seconds, torch / ours"] = measure.spread([peer / run["seconds"] for run in of["ours"]])
    return {
        "benchmark": "time_to_accuracy",
        "date": measure.now(),
        "device": runs[0]["device"],
        "versions": {name: version for run in reversed(runs) for name, version in run["versions"].items()},
        "settings": {"recipe": options.recipe, "experiment": options.experiment, "target": options.target},
        "notes": _NOTES,
        "mean_accuracy": {name: round(_mean(each, "accuracy"), 5) for name, each in of.items() if each},
        "mean_seconds": {name: round(_mean(each, "seconds"), 2) for name, each in of.items() if each},
        "reached": {name: _mean(each, "accuracy") >= options.target for name, each in of.items() if each},
        "seconds": seconds,
        "accuracy": accuracy,
        "ratios": ratios,
        "runs": runs,
    }


def _mean(runs, name):
    return sum(run[name] for run in runs) / len(runs)


if __name__ == "__main__":
    main()
