"""All benchmarks in one command: a table of ratios, and a record of each in `results/`.

    python benchmarks/run.py --data-dir cifar-10-batches-py
    python benchmarks/run.py --quick --only imports memory

Backends whose package is not installed are left out.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

_HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A script, and how it is called.

    Args:
        script: str. Its name.
        backends: tuple of Keras backends that it runs on, one after another; () where it chooses itself.
        quick: list of str. Options for a few minutes rather than an hour.
        data: bool. Whether it needs CIFAR-10.
    """

    script: str
    backends: tuple = ()
    quick: list = dataclasses.field(default_factory=list)
    data: bool = False


BENCHMARKS = [
    Benchmark("imports", quick=["--rounds", "1"]),
    Benchmark("overhead", ("tensorflow", "jax", "torch"), ["--rounds", "1", "--steps", "50", "--epochs", "1"]),
    Benchmark("layers", ("tensorflow",), ["--rounds", "1", "--steps", "1", "--warm-up", "1"]),
    Benchmark("memory", ("tensorflow",), ["--batch-size", "64", "--steps", "2"]),
    Benchmark("image_folder", quick=["--rounds", "1", "--images", "64", "--steps", "5", "--warm-up", "4"]),
    Benchmark(
        "training_step", ("tensorflow",), ["--rounds", "1", "--batch-size", "8", "--steps", "2", "--warm-up", "1"]
    ),
    Benchmark("suppression", quick=["--rounds", "1", "--candidates", "2000", "--repetitions", "1"]),
    Benchmark(
        "feature_cache",
        ("tensorflow",),
        ["--rounds", "1", "--architecture", "ResNet18", "--image-size", "32", "--images", "64", "--epochs", "2"],
    ),
    Benchmark("operations", quick=["--rounds", "1", "--seconds", "0.05", "--works", "pad-crop, flip, cutout, mixup"]),
    Benchmark("time_to_accuracy", data=True, quick=["--seeds", "1"]),
]


def main():
    """Run the benchmarks in turn, then print all ratios."""
    names = [benchmark.script for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="(all)")
    parser.add_argument("--quick", action="store_true", help="small works, one round: whether all runs, not how fast")
    parser.add_argument("--data-dir", type=pathlib.Path, help="CIFAR-10; without it, no time_to_accuracy")
    parser.add_argument(
        "--results", type=pathlib.Path, default=_HERE / "results", help="folder of the records (default: results/)"
    )
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    records, failed = [], []
    for benchmark in BENCHMARKS:
        if benchmark.script not in options.only:
            continue
        if benchmark.data and not options.data_dir:
            print(f"{benchmark.script}: needs --data-dir", file=sys.stderr)
            continue
        for backend in benchmark.backends or (None,):
            if backend and not importlib.util.find_spec(backend):
                continue
            output = options.results / f"{benchmark.script}{'-' + backend if backend else ''}-{_device()}.json"
            if _run(benchmark, backend, output, options):
                records.append(output)
            else:
                failed.append(output.stem)
    for path in records:
        _show(path)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(benchmark, backend, output, options):
    """Run one script. True if it succeeded: one that fails stops no other."""
    command = [sys.executable, str(_HERE / f"{benchmark.script}.py"), "--output", str(output)]
    command += benchmark.quick if options.quick else []
    command += ["--data-dir", str(options.data_dir)] if benchmark.data else []
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **({"KERAS_BACKEND": backend} if backend else {})}
    environment["PYTHONPATH"] = os.pathsep.join([str(_HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    print(f"== {benchmark.script}{f', {backend}' if backend else ''}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    process = subprocess.run(command, env=environment)
    print(f"== {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return process.returncode == 0


def _device():
    """What the names of records end in."""
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return "gpu"
    return "cpu"


def _show(path):
    """Print the ratios of a record, and the seconds of imports."""
    record = json.loads(path.read_text())
    rows = record.get("ratios") or record.get("added_seconds") or _operations(record)
    print(f"\n{path.stem}: {record['date'][:10]}, {_described(record)}")
    width = max(map(len, rows), default=0)
    for name, row in rows.items():
        print(f"  {name:{width}}  {row['median']:g}  (from {row['min']:g} to {row['max']:g})")


def _described(record):
    return record.get("device") or next(iter(record["contenders"].values()))["device"]


def _operations(record):
    return {
        f"{name}, {route}: ours / {rows['ours']['best_peer']}": rows["ours"]["ratio"]
        for name, work in record.get("works", {}).items()
        for route, rows in work["routes"].items()
        if "ratio" in rows.get("ours", {})
    }


if __name__ == "__main__":
    main()
