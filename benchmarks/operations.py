"""Every operation by every route, beside Keras's layers, imgaug and kornia, on the same work in one run.

    python benchmarks/operations.py --output benchmarks/results/operations-cpu.json

One process for each backend, and one for NumPy, builds its contenders, shows on equal images that
each is changed by itself, and then waits. Rounds are interleaved: all contenders of a work are
timed one after another, again and again; a ratio is formed within a round.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import measure

# route: the process it runs in, and who takes part
ROUTES = {
    "tf.data": ("tensorflow", ("ours", "Keras")),
    "device, TensorFlow": ("tensorflow", ("ours", "Keras")),
    "device, JAX": ("jax", ("ours", "Keras")),
    "device, PyTorch": ("torch", ("ours", "Keras", "kornia", "kornia, own layout")),
    "NumPy": ("numpy", ("ours", "imgaug")),
}
_NOTES = [
    "real pictures, channels last, from 0 to 255: uint8 in tf.data and NumPy, as they are decoded, and for the "
    "combinations everywhere; single operations on the device from float32, as Keras's layers and kornia compute",
    "kornia: between such batches, so with the conversion to channels first and from 0 to 1, and back; own layout: "
    "between batches that are so already, which is no peer in the ratio",
    "tf.data: in parallel and in order, with batches or single images as the peer's layers need; device: batches that "
    "lie on the device, in a compiled function on TensorFlow and JAX, as it is on PyTorch; NumPy: one thread",
    "ours and imgaug keep uint8; Keras's layers return float32",
    "distinct: how many different results came of 64 equal images; anew: whether the next batches came out different",
]


class Worker:
    """A process that holds the contenders of one backend.

    Args:
        name: str. A backend of Keras, or "numpy".
    """

    def __init__(self, name):
        environment = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            **os.environ,
            "KERAS_BACKEND": "jax" if name == "numpy" else name,
        }
        command = [sys.executable, str(pathlib.Path(__file__).with_name("contenders.py"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, *question):
        """Send a question and wait for the answer.

        Args:
            *question: what `contenders.answer` takes.

        Returns:
            What it returned.
        """
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The process that was asked {question} has ended.")
        return json.loads(line)

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def race(work, workers, routes, rounds, seconds):
    """Time all contenders of one work.

    Args:
        work: str.
        workers: dict of name to `Worker`.
        routes: list of str.
        rounds: int.
        seconds: float. Least time of each measurement.

    Returns:
        dict of route to a dict of library to its figures.
    """
    shown, failed = {}, {}
    for route in routes:
        process, libraries = ROUTES[route]
        for library in libraries:
            answer = workers[process].ask("prepare", work, route, library)
            if "fails" in answer:
                failed[route, library] = answer
            elif "absent" not in answer:
                shown[route, library] = answer
    speeds = {contender: [] for contender in shown}
    for _ in range(rounds):
        for route, library in shown:
            speeds[route, library].append(workers[ROUTES[route][0]].ask("time", work, route, library, seconds))
    for process in workers.values():
        process.ask("forget")
    table = {}
    for (route, library), figures in speeds.items():
        row = {"images_per_second": measure.spread(figures), **shown[route, library]}
        table.setdefault(route, {})[library] = row
    for rows in table.values():
        _add_ratio(rows)
    for (route, library), answer in failed.items():
        table[route][library] = answer
    return table


def _add_ratio(rows):
    """Ours over the best peer of the route, round by round."""
    peers = [library for library in rows if library != "ours" and not library.endswith("own layout")]
    if "ours" not in rows or not peers:
        return
    best = max(peers, key=lambda library: rows[library]["images_per_second"]["median"])
    ours, theirs = (rows[name]["images_per_second"]["rounds"] for name in ("ours", best))
    rows["ours"]["best_peer"] = best
    rows["ours"]["ratio"] = measure.spread([mine / other for mine, other in zip(ours, theirs)])


def _speed(row):
    return "fails" if "fails" in row else f"{row['images_per_second']['median']:,.0f}"


def _show(work, table):
    for route, rows in table.items():
        figures = "  ".join(f"{name} {_speed(row):>9}" for name, row in rows.items())
        ratio = rows.get("ours", {}).get("ratio")
        ratio = f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})" if ratio else ""
        print(f"{work:32} {route:20} {ratio:30} {figures}", flush=True)


def main():
    """Race the contenders, work by work."""
    import works

    names = [work.name for work in works.WORKS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    measure.add_options(parser, rounds=3)
    parser.add_argument("--works", nargs="+", default=names, choices=names, metavar="WORK", help="all")
    parser.add_argument("--routes", nargs="+", default=list(ROUTES), choices=ROUTES, metavar="ROUTE", help="all")
    parser.add_argument("--seconds", type=float, default=0.3, help="least time of a measurement (default: 0.3)")
    options = parser.parse_args()
    start = time.perf_counter()
    workers = {name: Worker(name) for name in sorted({ROUTES[route][0] for route in options.routes})}
    tables = {}
    for work in options.works:
        tables[work] = race(work, workers, options.routes, options.rounds, options.seconds)
        _show(work, tables[work])
    described = {work.name: work for work in works.WORKS}
    record = {
        "benchmark": "operations",
        "date": measure.now(),
        **next(iter(workers.values())).ask("environment"),
        "settings": {"rounds": options.rounds, "seconds": options.seconds},
        "notes": _NOTES,
        "works": {
            name: {
                "image": [described[name].side, described[name].side, 3],
                "batch_size": works.BATCH_SIZES[described[name].side],
                "operations": [repr(operation) for operation in described[name].operations],
                "note": described[name].note,
                "routes": table,
            }
            for name, table in tables.items()
        },
        "seconds": round(time.perf_counter() - start),
    }
    for worker in workers.values():
        worker.close()
    measure.write(record, options.output)
    print(f"{record['seconds']} s")


if __name__ == "__main__":
    main()
