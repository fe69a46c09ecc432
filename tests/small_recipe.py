"""A recipe of two phases that trains in no time on any route, and may be told to end in between."""

import os
import signal

import keras
import numpy as np

from recipes.callbacks import EarlyStopping
from recipes.data.dataset import Dataset
from recipes.optimizers import Adam
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe
from recipes.training.routes import Route

EXPERIMENTS = {"demo": Experiment({"epochs": 4})}
end = {}  # the number of a step of the whole training, and the signal that comes then


class _End(keras.callbacks.Callback):
    by_dispatch = True
    made = 0

    def on_train_batch_end(self, batch, logs=None):
        _End.made += 1
        if _End.made == end.get("step"):
            os.kill(os.getpid(), end["signal"])


@recipe(EXPERIMENTS, default="demo")
def train(run, *, route: Route, epochs: int = 4, batch_size: int = 4):
    """Tell light images from dark ones, first by the head alone.

    Args:
        epochs: int. Defaults to 4.
        batch_size: int. Defaults to 4.
    """
    _End.made = 0
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (26, 4, 4, 3)).astype("uint8"), rng.integers(2, size=26)
    dataset = Dataset("noise", images, labels, images[:8], labels[:8], ["dark", "light"])
    layers = keras.layers
    network = [layers.Conv2D(3, 2, name="body"), layers.Dropout(0.3), layers.Flatten(), layers.Dense(2, name="head")]
    model = keras.Sequential([keras.Input((4, 4, 3)), *network])
    for begin, finish in ((0, epochs // 2), (epochs // 2, epochs)):
        model.get_layer("body").trainable = begin > 0
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(Adam(0.01), loss, metrics=["accuracy"], jit_compile=run.jit_compile)
        data = route.batches(dataset, [], batch_size=batch_size, seed=run.seed, initial_epoch=begin)
        validation = dataset.validation_images / 255, dataset.one_hot(dataset.validation_labels)
        callbacks = [EarlyStopping("val_loss"), _End()]
        given = {"validation_data": validation, "callbacks": callbacks, "shuffle": False}
        history = run.fit(model, data, epochs=finish, initial_epoch=begin, steps_per_epoch=6, **given)
    samples = images[:2], ["dark", "light"]
    return run.finish(model, history, dataset, learning_rates=[0.01] * 6 * epochs, samples=samples)


def be_killed(runs, step, route):
    """Train in a process that ends itself."""
    end.update(step=step, signal=signal.SIGKILL)
    train(runs=runs, precision="float32", quiet=True, save_steps=2, pipeline=route)
