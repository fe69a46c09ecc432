"""What saving the state of a training costs: the same steps with and without it, in turns, in one process.

States are saved far more often than by default, so that a short measurement holds some; what a save takes is what it
takes, and the ratio at the default interval follows from it.
"""

import argparse
import pathlib
import tempfile
import time

import measure
import numpy as np

_DEFAULT_SECONDS = 300.0


def main():
    """Train in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend.")
    parser.add_argument("--model", default="ResNet50", help="a builder of zoo (default: %(default)s)")
    parser.add_argument("--side", type=int, default=32, help="pixels (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=30, help="in each turn (default: %(default)s)")
    parser.add_argument("--saves", type=int, default=3, help="in each turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind (default: %(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write; nothing is written without it")
    options = parser.parse_args()
    seconds, saves, size = _race(options)
    saves = [float(f"{each:.4g}") for each in saves]
    ratios = [mine / other for mine, other in zip(seconds["with"], seconds["without"])]
    save = float(np.median(saves))
    record = {
        "benchmark": "saving",
        "date": measure.now(),
        **measure.environment(),
        "settings": {name: value for name, value in vars(options).items() if name != "output"},
        "megabytes_of_a_state": round(size / 1e6, 1),
        "seconds_of_a_save": measure.spread(saves),
        "seconds_of_a_turn": {name: measure.spread(each) for name, each in seconds.items()},
        "ratios": {f"with {options.saves} saves / without": measure.spread(ratios)},
        "ratio_at_the_default_interval": float(f"{1 + save / _DEFAULT_SECONDS:.6g}"),
    }
    measure.report(record["ratios"], {"seconds of a save": record["seconds_of_a_save"]})
    ratio = record["ratio_at_the_default_interval"]
    print(f"{record['megabytes_of_a_state']} MB; ratio at {_DEFAULT_SECONDS:g} s: {ratio}")
    measure.write(record, options.output)


def _race(options):
    """Seconds of turns with and without saving, of each save, and the bytes of a state."""
    import keras

    import augment
    import zoo
    from recipes.training.beginning import fit_from
    from recipes.training.state import RunState

    class Timed(RunState):
        def save(self):
            start = time.perf_counter()
            super().save()
            saves.append(time.perf_counter() - start)

    samples = options.steps * options.batch_size
    images = np.random.default_rng(0).integers(0, 256, (samples, options.side, options.side, 3), "uint8")
    data = augment.ArrayGenerator(images, np.arange(samples) % 10, [], batch_size=options.batch_size, shuffle=False)
    model = getattr(zoo, options.model)(classes=10, input_shape=(options.side, options.side, 3))
    model.compile("adam", "sparse_categorical_crossentropy")
    seconds, saves = {"with": [], "without": []}, []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds + 1):
            for kind, times in seconds.items():
                steps = max(1, options.steps // options.saves) if kind == "with" else None
                saving = Timed(folder if kind == "with" else None, save_steps=steps)
                start = time.perf_counter()
                fit_from(model, data, saving, epochs=1)
                keras.ops.convert_to_numpy(model.weights[0])  # until the device has done it
                times.append(time.perf_counter() - start)
            if not turn:  # compiling, and the first pages of the files
                saves.clear()
        size = max(path.stat().st_size for path in pathlib.Path(folder).iterdir())
    return {kind: times[1:] for kind, times in seconds.items()}, saves, size


if __name__ == "__main__":
    main()
