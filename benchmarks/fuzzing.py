"""How often readers of files were given spoiled ones, and what they did about it.

    KERAS_BACKEND=jax python benchmarks/fuzzing.py --seconds 3600 --output fuzzing.json

Each reader takes its share of the seconds, in turns. A finding is whatever is neither read nor refused with a
ValueError of one line, or takes more seconds than `--slow`; the edits that lead to it are printed, for a test.
"""

import argparse
import pathlib
import random
import resource
import sys
import tempfile
import time
import warnings

import measure

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

import mutations

_TURN = 2.0  # seconds
_SHOWN = 20


def main():
    """Spoil files of every kind until the time is over, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of all readers together (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--slow", type=float, default=10.0, help="seconds that are a finding (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="READER", help="readers whose names begin so (default: all)")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, of damaged files
    readers = mutations.readers()
    names = [name for name in readers if not options.only or name.startswith(tuple(options.only))]
    tallies = {name: {"executions": 0, "seconds": 0.0, "findings": []} for name in names}
    draws, end = random.Random(options.seed), time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            for name in names:
                turn = min(_TURN, options.seconds / len(names), end - time.monotonic())
                _take_turn(readers[name], tallies[name], draws, folder, options.slow, turn)
    for name, tally in tallies.items():
        tally["seconds"] = round(tally["seconds"], 1)
        print(f"{name:28} {tally['executions']:9,} executions, {len(tally['findings'])} findings")
    record = {
        "benchmark": "fuzzing",
        "date": measure.now(),
        **measure.environment(),
        "settings": {"seconds": options.seconds, "seed": options.seed},
        "executions": sum(tally["executions"] for tally in tallies.values()),
        "findings": sum(len(tally["findings"]) for tally in tallies.values()),
        "most_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "readers": tallies,
    }
    measure.write(record, options.output)


def _take_turn(reader, tally, draws, folder, slow, seconds):
    """Spoil one kind of file for some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        edits = [
            (draws.choice(mutations.EDITS), draws.getrandbits(32), draws.getrandbits(32))
            for _ in range(draws.randint(1, 4))
        ]
        start = time.monotonic()
        found = mutations.finding(reader, mutations.spoil(reader[0], edits), folder)
        took = time.monotonic() - start
        if found is None and took > slow:
            found = f"it took {took:.1f} s"
        tally["executions"] += 1
        tally["seconds"] += took
        if found is not None:
            print(f"finding: {found} {edits}", file=sys.stderr, flush=True)
            if len(tally["findings"]) < _SHOWN:
                tally["findings"].append({"what": found, "edits": edits})


if __name__ == "__main__":
    main()
