"""What the benchmarks share: a fresh process for each figure, interleaved rounds, ratios within a round."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

_NOT_SETTINGS = ("output", "only", "contender", "data_dir")
_PACKAGES = ("keras-zoo", "keras", "tensorflow", "jax", "torch", "numpy", "imaug", "kornia")


def add_options(parser, rounds, contenders=()):
    """Add the options that every benchmark has.

    Args:
        parser: an `argparse.ArgumentParser`.
        rounds: int. The default of `--rounds`.
        contenders: names to choose from; none for a benchmark that has no choice.

    Returns:
        The parser.
    """
    parser.add_argument(
        "--rounds", type=_positive, default=rounds, help="rounds A B C A B C ... (default: %(default)s)"
    )
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    if contenders:
        known = list(contenders)
        parser.add_argument("--only", nargs="+", choices=known, default=known, help="contenders of the race (all)")
        parser.add_argument("--contender", choices=known, help="measure one, once, in this process, and print JSON")
    return parser


def race(script, options, contenders, ratios, notes):
    """Measure one contender, or all of them in interleaved rounds of fresh processes.

    Each process has the machine to itself: Keras has one backend a process, and the thread pools of
    two libraries in one process fight. Interleaving gives all contenders the same share of whatever
    else slows the machine; so only ratios within a round are worth reading.

    Args:
        script: path of the benchmark, which runs itself with `--contender`.
        options: what its parser returned.
        contenders: dict of name to a function `options -> dict` with "images_per_second" in it.
        ratios: list of pairs of names. The first's speed over the second's is reported.
        notes: list of str. What a reader of the record must know.
    """
    if options.contender:
        print(json.dumps({**contenders[options.contender](options), **environment()}))
        return
    results = interleave(options.only, options.rounds, lambda name: _run_contender(script, name))
    speeds = {name: [result.pop("images_per_second") for result in results[name]] for name in results}
    versions = [result.pop("versions") for runs in results.values() for result in runs]  # the same in all
    record = {
        "benchmark": pathlib.Path(script).stem,
        "date": now(),
        "versions": versions[0],
        "settings": {name: value for name, value in vars(options).items() if name not in _NOT_SETTINGS},
        "notes": notes,
        "contenders": {name: {"images_per_second": spread(speeds[name]), **results[name][0]} for name in options.only},
        "ratios": {
            f"{ours} / {peer}": spread([mine / other for mine, other in zip(speeds[ours], speeds[peer])])
            for ours, peer in ratios
            if ours in speeds and peer in speeds
        },
    }
    report(record["contenders"], record["ratios"])
    write(record, options.output)


def interleave(names, rounds, run):
    """Run every contender once a round.

    Args:
        names: list of str.
        rounds: int.
        run: a function of a name.

    Returns:
        dict of name to the list of what `run` returned, one for each round.
    """
    results = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            results[name].append(run(name))
    return results


def run_json(command):
    """Run a command whose last line of output is JSON.

    Args:
        command: list of str.

    Returns:
        What the line holds.

    Raises:
        RuntimeError: if the command fails.
    """
    process = subprocess.run(command, capture_output=True, text=True, env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ})
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{process.stderr[-4000:]}")
    return json.loads(process.stdout.splitlines()[-1])


def images_per_second(step, images, steps, warm_up, wait=lambda: None):
    """Time a step, over many.

    Args:
        step: a function without arguments.
        images: int. How many a step takes.
        steps: int. How many are timed.
        warm_up: int. Steps before the clock starts: compilation, caches, filled buffers.
        wait: a function that returns when the device has done everything it was given.

    Returns:
        float.
    """
    for _ in range(warm_up):
        step()
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return images * steps / (time.perf_counter() - start)


def spread(figures):
    """Summarise the rounds.

    Args:
        figures: list of floats, one for each round.

    Returns:
        dict of min, median, max and the rounds themselves, to four digits.
    """
    figures = [float(f"{figure:.4g}") for figure in figures]
    return {
        "min": min(figures),
        "median": float(f"{statistics.median(figures):.4g}"),
        "max": max(figures),
        "rounds": figures,
    }


def environment():
    """Say what this process computes on, and with.

    Returns:
        dict of backend, device and versions.
    """
    import keras

    from recipes.training import session

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # extras are extra
    return {"backend": keras.backend.backend(), "device": session.describe_device(), "versions": versions}


def now():
    """The date and time of a record, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def report(*tables):
    """Print the spread of each row, aligned.

    Args:
        *tables: dicts of name to a spread, or to a dict that has one under "images_per_second".
    """
    width = max(len(name) for table in tables for name in table)
    for table in tables:
        for name, row in table.items():
            row = row.get("images_per_second", row)
            print(f"{name:{width}}  median {row['median']:g}  (from {row['min']:g} to {row['max']:g})")


def write(record, path):
    """Write a record as JSON.

    Args:
        record: dict.
        path: a `pathlib.Path`, or None to write nothing.
    """
    if path:
        path.write_text(json.dumps(record, indent=2) + "\n")


def _run_contender(script, name):
    return run_json([sys.executable, str(script), *sys.argv[1:], "--contender", name])


def _positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number
