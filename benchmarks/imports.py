"""Seconds that our packages add to `import keras`.

    python benchmarks/imports.py --output imports.json

Each import runs in a fresh process. The difference to `import keras` in the same round is what a
package itself costs.
"""

import argparse
import sys

import measure

_STATEMENTS = {
    "keras": "import keras",
    "zoo": "import keras, zoo",
    "augment": "import keras, augment",
    "recipes": "import keras, recipes",
    "cifar10_davidnet": "import keras, recipes.cifar10_davidnet",
}


def main():
    """Time the imports, and print what each adds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options = measure.add_options(parser, rounds=7).parse_args()
    for name in _STATEMENTS:
        _seconds(name)  # the first import reads from the disk
    seconds = measure.interleave(_STATEMENTS, options.rounds, _seconds)
    added = {
        f"{name} adds": [total - base for total, base in zip(seconds[name], seconds["keras"])]
        for name in _STATEMENTS
        if name != "keras"
    }
    record = {
        "benchmark": "imports",
        "date": measure.now(),
        **measure.environment(),
        "settings": {"rounds": options.rounds},
        "statements": _STATEMENTS,
        "seconds": {name: measure.spread(figures) for name, figures in seconds.items()},
        "added_seconds": {name: measure.spread(figures) for name, figures in added.items()},
    }
    measure.report(record["seconds"], record["added_seconds"])
    measure.write(record, options.output)


def _seconds(name):
    """Seconds of an import in a fresh process, without the start of Python."""
    clock = "import time; start = time.perf_counter()"
    return measure.run_json([sys.executable, "-c", f"{clock}; {_STATEMENTS[name]}; print(time.perf_counter() - start)"])


if __name__ == "__main__":
    main()
