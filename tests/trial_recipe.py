"""A recipe that trains in no time, for tests of what calls recipes."""

import keras
import numpy as np

from recipes.data.dataset import Dataset
from recipes.training.recipe import Experiment
from recipes.training.recipe import recipe

EXPERIMENTS = {"demo": Experiment({"epochs": 2})}


@recipe(EXPERIMENTS, default="demo")
def train(run, *, epochs: int = 20, peak_lr: float = 0.1):
    """Tell light images from dark ones.

    Args:
        epochs: int. Defaults to 20.
        peak_lr: float. Learning rate. Defaults to 0.1.
    """
    labels = np.arange(16) % 2
    images = np.broadcast_to((200 * labels).astype("uint8")[:, None, None, None], (16, 4, 4, 3))
    dataset = Dataset("lightness", images, labels, images, labels, ["dark", "light"])
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(peak_lr), loss, metrics=["accuracy"], jit_compile=run.jit_compile)
    run.record.arguments["batch_size"] = 16
    data = Lightness(images, labels)
    history = run.fit(model, data, epochs=epochs, steps_per_epoch=1, validation_data=data[0])
    samples = images[:2], ["dark", "light"]
    return run.finish(model, history, dataset, learning_rates=[peak_lr] * epochs, samples=samples)


class Lightness(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, images, labels):
        super().__init__()
        self.batch = images / 255, labels

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch
