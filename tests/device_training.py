"""Trains the same on one device and on several, and prints what it found as JSON: a program of its own.

Devices must be made before anything is computed, so each number of them, and each worker, is a process.
"""

import argparse
import contextlib
import json
import pathlib

import keras
import numpy as np

import augment
import zoo
from recipes import optimizers
from recipes.losses import DetectionLoss
from recipes.training.detection import DetectionModel
from recipes.training.devices import choose_devices
from recipes.training.evaluation import predict_views
from recipes.training.memory import InMemoryData
from recipes.training.recipe import Experiment
from recipes.training.run import Run

SAMPLES, BATCH, EPOCHS = 64, 16, 2


def images():
    """Images of 8 x 8 and their classes, which can be told apart."""
    labels = np.arange(SAMPLES) % 4
    noise = np.random.default_rng(0).integers(0, 120, (SAMPLES, 8, 8, 3))
    return (noise + 40 * labels[:, None, None, None] // 2).astype("uint8"), np.eye(4, dtype="float32")[labels]


def network():
    """A network with batch normalization of images, of vectors, and a penalty."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, name="conv", kernel_regularizer=keras.regularizers.L2(1e-3)),
            zoo.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(8, name="dense"),
            zoo.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(4, name="head", dtype="float32"),
        ]
    )


def everything():
    """All optimizers that stand around others, with clipping, averages, and a loss scale that overflows at first."""
    inner = optimizers.SGD(0.05, momentum=0.9, nesterov=True, l2=1e-3, global_clipnorm=0.1, use_ema=True)
    grouped = optimizers.Grouped([("(conv|dense)/kernel$", optimizers.Muon(0.02, dtype="float32"))], inner)
    accumulated = optimizers.Accumulated(optimizers.Lookahead(grouped, period=2), steps=2)
    return keras.optimizers.LossScaleOptimizer(accumulated, initial_scale=2.0**127)


OPTIMIZERS = {
    "everything": everything,
    "sgd": lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True, l2=1e-3),
    "wrapped": lambda: optimizers.Lookahead(
        optimizers.Grouped([("(conv|dense)/kernel$", optimizers.Muon(0.02, dtype="float32"))], optimizers.SGD(0.05)),
        period=3,
    ),
    "accumulated": lambda: optimizers.Accumulated(optimizers.Adam(1e-2), steps=3),
    "clipped": lambda: optimizers.SGD(0.1, global_clipnorm=0.1, use_ema=True, ema_momentum=0.9),
    "overflow": lambda: keras.optimizers.LossScaleOptimizer(optimizers.SGD(0.05), initial_scale=2.0**127),
}
OPERATIONS = [augment.PadCrop(2), augment.HorizontalFlip(), augment.Normalize((100.0,) * 3, (50.0,) * 3)]


class Losses(keras.callbacks.Callback):
    """The loss after every step."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["loss"]))


class Stop(keras.callbacks.Callback):
    """Ends a training after a step, counted from 1, as an error would."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise RuntimeError("stopped")

    def get_state(self):
        """Nothing: what goes on is not to stop."""
        return {}

    def set_state(self, state):
        """Nothing."""


def train(runs, devices, optimizer="sgd", pipeline="numpy", epochs=EPOCHS, stop=0, folder=None):
    """Losses of the steps, history, and weights, of a classifier."""
    with _run(runs, devices, optimizer, folder) as run:
        arrays, labels = images()
        settings = {"batch_size": BATCH, "seed": run.seed, "drop_remainder": True}
        make = augment.pipeline if pipeline == "tf.data" else augment.ArrayGenerator
        data = make(arrays, labels, OPERATIONS, **settings)
        model = network()
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(OPTIMIZERS[optimizer](), loss, metrics=["accuracy"], jit_compile=run.jit_compile)
        losses = Losses()
        shown, normalize = arrays[:22], OPERATIONS[-1]  # 22 does not divide, and the 6 of the last batch less so
        validation = normalize.evaluate(shown), labels[:22]
        if pipeline == "tf.data":
            validation = augment.ArrayGenerator(shown, labels[:22], [normalize], batch_size=BATCH, training=False)
        history = run.fit(
            model,
            data,
            epochs=epochs,
            steps_per_epoch=SAMPLES // BATCH,
            validation_data=validation,
            validation_batch_size=BATCH,
            shuffle=False,
            callbacks=[losses, Stop(stop)],
        )
        predicted = predict_views(model, normalize.evaluate(shown), views=1, batch_size=BATCH)
        return _found(run, model, history, losses, predicted)


def detect(runs, devices):
    """The same of a detector, whose loss is divided by the objects of the batch."""
    with _run(runs, devices, "detection") as run:
        arrays, _ = images()
        rng = np.random.default_rng(1)
        corners = rng.integers(0, 12, (SAMPLES, 3, 2)).astype("float32")
        boxes = np.concatenate([corners, corners + 20], -1)
        labels = rng.integers(-1, 2, (SAMPLES, 3)).astype("int32")  # some have no object
        large = np.repeat(np.repeat(arrays, 4, 1), 4, 2)
        data = InMemoryData(
            large,
            labels,
            [augment.Normalize((100.0,) * 3, (50.0,) * 3)],
            boxes=boxes,
            batch_size=BATCH,
            drop_remainder=True,
        )
        inputs = keras.Input((32, 32, 3))
        features = zoo.BatchNormalization()(keras.layers.Conv2D(8, 8, strides=8)(inputs))
        outputs = {
            name: keras.layers.Reshape((-1, size))(keras.layers.Conv2D(size, 1, dtype="float32")(features))
            for name, size in (("boxes", 4), ("classes", 2))
        }
        anchors = {"sizes": (16,), "strides": (8,), "ratios": (1.0,), "scales": (1.0,)}
        loss = DetectionLoss(anchors=anchors, normalization="batch", positive=0.2, negative=0.1)
        model = DetectionModel(keras.Model(inputs, outputs), loss)
        model.compile(optimizers.SGD(0.01, momentum=0.9), jit_compile=run.jit_compile)
        losses = Losses()
        history = run.fit(model, data, epochs=EPOCHS, steps_per_epoch=len(data), shuffle=False, callbacks=[losses])
        return _found(run, model, history, losses, model.predict(large[:BATCH], verbose=0)["boxes"])


def pixels(devices):
    """What each device gets of a batch of equal images."""
    images = np.repeat(np.arange(48, dtype="uint8").reshape(1, 4, 4, 3), BATCH, 0)
    operations = [augment.PadCrop(3), augment.Rotation(30.0)]
    batch = augment.ArrayGenerator(images, np.arange(BATCH), operations, batch_size=BATCH, seed=1)[0]
    found = choose_devices(devices)
    if keras.backend.backend() == "tensorflow":
        data = augment.pipeline(images, np.arange(BATCH), operations, batch_size=BATCH, seed=1)
        shared = next(iter(found.strategy.experimental_distribute_dataset(data)))[0]
        shares = [each.numpy() for each in found.strategy.experimental_local_results(shared)]
    else:
        found.distribution.whole = False
        layout = found.distribution.get_data_layout(batch[0].shape).backend_layout
        import jax

        shares = [
            np.asarray(each.data)
            for each in jax.make_array_from_process_local_data(layout, batch[0]).addressable_shards
        ]
        found.distribution.whole = True
    return {"shares": [each.tolist() for each in shares], "whole": batch[0].tolist()}


def _run(runs, devices, name, folder=None):
    arguments = {"recipe": "trial", "experiment": name, "arguments": {"batch_size": BATCH}, "seed": 3, "quiet": True}
    arguments |= {"experiments": {name: Experiment({})}, "precision": "float32", "jit_compile": None, "runs": str(runs)}
    return Run(**arguments, devices=devices, tensorboard=False, save_steps=3, folder=folder)


def _found(run, model, history, losses, predicted):
    return {
        "devices": run.devices.count,
        "losses": losses.values,
        "history": {name: list(map(float, values)) for name, values in history.history.items()},
        "weights": [keras.ops.convert_to_numpy(each).ravel().tolist() for each in model.weights],
        "predicted": np.asarray(predicted).ravel().tolist(),
        "folder": str(run.folder),
    }


def main():
    """Train what the command line asks for; a line of JSON for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("devices", help="an int, or workers")
    parser.add_argument("runs", type=pathlib.Path)
    parser.add_argument("cases", nargs="+")
    options = parser.parse_args()
    devices = int(options.devices) if options.devices.isdigit() else options.devices
    for case in options.cases:
        name, _, pipeline = case.partition("/")
        if name == "pixels":
            found = pixels(devices)
        elif name == "detection":
            found = detect(options.runs, devices)
        elif name == "stopped":
            with contextlib.suppress(RuntimeError):
                train(options.runs, devices, "sgd", stop=7)
            found = {"folder": str(max(options.runs.glob("trial-sgd-*")))}
        elif name == "left":  # one that was stopped, on other devices
            found = train(options.runs, devices, "sgd", folder=pathlib.Path(pipeline))
        elif name == "endless":
            train(options.runs, devices, epochs=10**6)
        else:
            found = train(options.runs, devices, name, pipeline or "numpy")
        print(json.dumps({"case": case, **found}), flush=True)


if __name__ == "__main__":
    main()
