"""What tests of the routes share: some data, the three routes, a model that records what it sees."""

import keras
import numpy as np
import pytest

import augment

INTEGERS = [
    augment.PadCrop(2),
    augment.PadCrop(1, size=(6, 7), mode="constant", fill=3),
    augment.HorizontalFlip(),
    augment.AlternatingFlip(),
    augment.VerticalFlip(),
    augment.Translation(2),
    augment.Cutout(3, count=2, fill=128, inside=False),
]


FLOATS = [
    augment.ColorJitter(0.4, 0.4, 0.4, 0.1, value_range=(0, 1)),
    augment.RandomResizedCrop((8, 9), scale=(0.3, 1.0)),
    augment.GaussianBlur(1.0),
    augment.RandomErasing(0.7, value=(0, 1)),
    augment.ScaleJitter((0.6, 1.6), fill=0.5),
    augment.Normalize((0.5,), (0.25,)),
]


SHIFTS = [augment.PadCrop(2)]  # what is enough where any operation will do: graphs of many take long to build


SAMPLES = 10


SEED = 2**40 + 7


LIKELY = 1e-4  # the seeds are fixed: a test of this level passes always or never


def some_images(dtype="uint8", samples=SAMPLES):
    images = np.random.default_rng(0).integers(0, 256, (samples, 8, 9, 3))
    return images.astype("uint8") if dtype == "uint8" else (images / 255).astype(dtype)


def one_hot(samples=SAMPLES):
    return np.eye(samples, dtype="float32")


def to_numpy(batches):
    """The images and the labels of all batches."""
    return tuple(np.concatenate([keras.ops.convert_to_numpy(part) for part in parts]) for parts in zip(*batches))


def reference(images, labels, operations, seed, epoch, index):
    """What every route should give: `transform` on NumPy arrays."""
    return augment.transform(operations, images[index], labels[index], index=index, seed=seed, epoch=epoch)


def compiled(function):
    """The function as the backend's compiler makes it; torch's needs a C++ compiler, and runs as it is."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


def from_pipeline(images, labels, operations, epoch):
    pytest.importorskip("tensorflow")
    options = {"seed": SEED, "initial_epoch": epoch, "epochs": epoch + 1, "shuffle": False}
    data = augment.pipeline(images, labels, operations, batch_size=5, **options)
    return to_numpy([[part.numpy() for part in batch] for batch in data])


def from_generator(images, labels, operations, epoch):
    data = augment.ArrayGenerator(images, labels, operations, batch_size=5, seed=SEED, shuffle=False)
    data.epoch = epoch
    return to_numpy([data[step] for step in range(len(data))])


def from_layer(images, labels, operations, epoch):
    layer = augment.Augmentation(operations, seed=SEED)

    @compiled
    def run(images, labels, index, epoch):
        return layer(images, labels, index=index, epoch=epoch, training=True)

    batches = np.split(np.arange(len(images), dtype="int32"), len(images) // 5)
    arrays = [(images[index], labels[index], index, np.array(epoch, "int32")) for index in batches]
    return to_numpy([run(*map(keras.ops.convert_to_tensor, batch)) for batch in arrays])


ROUTES = {"pipeline": from_pipeline, "generator": from_generator, "layer": from_layer}


class Recorder(keras.layers.Layer):
    """Keep the batches that training sees, in a variable: that works in graphs, too."""

    def __init__(self, batches):
        super().__init__(dtype="float32")
        self.batches = batches

    def build(self, shape):
        self.seen = self.add_weight(shape=(self.batches, 2, *shape[1:]), initializer="zeros", trainable=False)
        self.number = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)

    def call(self, images, training=False):
        images = keras.ops.cast(images, "float32")
        if training:
            number, seen = (keras.ops.convert_to_tensor(variable) for variable in (self.number, self.seen))
            here = keras.ops.equal(keras.ops.arange(self.batches), number)[:, None, None, None, None]
            self.seen.assign(keras.ops.where(here, images[None], seen))
            self.number.assign(number + 1)
        return images


def recording_model(batches):
    """A model that is not built: `fit` has to look at the data first."""
    recorder = Recorder(batches)
    model = keras.Sequential([recorder, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(SAMPLES)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    return model, recorder
