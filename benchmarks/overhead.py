"""What a training step costs beside its arithmetic: `fit`, and our trainer for data in memory.

    KERAS_BACKEND=tensorflow python benchmarks/overhead.py --output overhead.json

A tiny model, images of 8x8 and batches of 8: what is timed is Keras, the compiler's runtime, the input
pipeline. `fit` is given the same shuffled and augmented batches by the route of its backend: tf.data on
TensorFlow, arrays on the device as batches elsewhere. Epochs are timed from one epoch's end to the next,
after the first, which compiles.
"""

import argparse
import time

import measure
import numpy as np

_BATCH_SIZE = 8
_RATIOS = [("memory", "fit"), ("memory", "fit_several"), ("memory", "fit_batches")]
_NOTES = [
    "speeds are of a model whose arithmetic costs next to nothing: a ratio is one of overheads",
    "fit: augment.pipeline on TensorFlow, augment.ArrayGenerator elsewhere; steps_per_execution=1",
    "fit_several: the same with steps_per_execution, for Keras's best; torch has none",
    "fit_batches: fit on ready-made batches, without shuffling or augmentation",
    "memory: recipes.training.memory.fit; shuffling and augmentation included",
]


def train_memory(options):
    """Time our trainer."""
    from recipes.training import memory

    data = memory.InMemoryData(*_data(options), _operations(), batch_size=_BATCH_SIZE)
    return _time(options, lambda model, **arguments: memory.fit(model, data, **arguments))


def train_fit(options, **compile_arguments):
    """Time `fit`, a step at a time."""
    import keras

    import augment

    route = augment.pipeline if keras.backend.backend() == "tensorflow" else augment.ArrayGenerator
    data = route(*_data(options), _operations(), batch_size=_BATCH_SIZE)
    return _time(options, lambda model, **arguments: _fit(model, data, options.steps, arguments), **compile_arguments)


def train_fit_several(options):
    """Time `fit` with several steps in one execution."""
    return train_fit(options, steps_per_execution=options.steps_per_execution)


def train_fit_batches(options):
    """Time `fit` on batches that need no more work."""
    import keras

    images, labels = _data(options)
    images = images.astype("float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(_BATCH_SIZE).cache().repeat()
    else:
        data = _endless(images.reshape(-1, _BATCH_SIZE, 8, 8, 3), labels.reshape(-1, _BATCH_SIZE))
    return _time(options, lambda model, **arguments: _fit(model, data, options.steps, arguments))


def _fit(model, data, steps, arguments):
    import keras

    steps = None if isinstance(data, keras.utils.PyDataset) else steps
    return model.fit(data, steps_per_epoch=steps, shuffle=False, verbose=0, **arguments)


def _endless(images, labels):
    import keras

    batches = [tuple(map(keras.ops.convert_to_tensor, batch)) for batch in zip(images, labels)]
    while True:
        yield from batches


def _time(options, fit, **compile_arguments):
    import keras

    from recipes.training import session

    class Ends(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.times = []

        def on_epoch_end(self, epoch, logs=None):
            self.times.append(time.perf_counter())

    keras.utils.set_random_seed(0)
    model = _model()
    jit_compile = session.choose_jit_compile(None)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile, **compile_arguments)
    ends = Ends()
    history = fit(model, epochs=1 + options.epochs, callbacks=[ends])
    seconds = (ends.times[-1] - ends.times[0]) / (options.epochs * options.steps)
    return {
        "images_per_second": _BATCH_SIZE / seconds,
        "seconds_per_step": float(f"{seconds:.4g}"),
        "loss": round(float(history.history["loss"][-1]), 4),
        "compiled": jit_compile,
    }


def _model():
    import keras

    layers = keras.layers
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(8, activation="relu"), layers.Dense(10)]
    )


def _operations():
    import augment

    return [augment.HorizontalFlip(), augment.Normalize((127.5,) * 3, (64.0,) * 3)]


def _data(options):
    rng = np.random.default_rng(0)
    samples = options.steps * _BATCH_SIZE
    return rng.integers(0, 256, (samples, 8, 8, 3), "uint8"), rng.integers(10, size=samples)


_CONTENDERS = {
    "memory": train_memory,
    "fit": train_fit,
    "fit_several": train_fit_several,
    "fit_batches": train_fit_batches,
}


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of all contenders."
    )
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--steps", type=int, default=1000, help="steps in an epoch (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="timed epochs in a round (default: %(default)s)")
    parser.add_argument(
        "--steps-per-execution", type=int, default=100, help="Keras's, of fit_several (default: %(default)s)"
    )
    measure.race(__file__, parser.parse_args(), _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
