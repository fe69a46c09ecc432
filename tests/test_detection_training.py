"""Training of detectors: the whole chain, averaged weights, figures of epochs, the recipe."""

import json

import keras
import numpy as np
import pytest

import augment
import recipes.coco_retinanet
import zoo
from recipes.callbacks import AveragedWeights
from recipes.callbacks import EarlyStopping
from recipes.callbacks import MeasureEpochs
from recipes.data.coco import load_coco
from recipes.data.detection import DetectionPreparation
from recipes.data.detection import in_memory
from recipes.data.shapes import draw_shapes
from recipes.losses import DetectionLoss
from recipes.optimizers import SGD
from recipes.optimizers import Adam
from recipes.optimizers import Grouped
from recipes.training.detection import DetectionModel
from recipes.training.detection import evaluate
from recipes.training.memory import InMemoryData
from recipes.training.memory import fit


def small_network(classes=3, **arguments):
    """RetinaNet on a backbone that trains in seconds."""
    inputs = x = keras.Input((None, None, 3))
    for stride, filters in ((4, 16), (8, 32), (16, 48), (32, 64)):
        x = keras.layers.Conv2D(filters, 4 if stride == 4 else 3, strides=4 if stride == 4 else 2, padding="same")(x)
        x = keras.layers.BatchNormalization(momentum=0.8)(x)
        x = keras.layers.ReLU(name=f"stride{stride}")(x)
    body, taps = keras.Model(inputs, x), ("stride8", "stride16", "stride32")
    return zoo.RetinaNet(body, taps=taps, classes=classes, channels=32, head_depth=1, frozen_statistics=False)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Eight images with one to three objects, and two of validation."""
    return load_coco(draw_shapes(tmp_path_factory.mktemp("shapes"), train=8, validation=2, test=0, image_size=64))


def test_the_whole_chain_overfits_eight_images(shapes):
    arrays = in_memory(shapes.train, (64, 64))
    statistics = {"mean": 127.5, "std": 51.0}
    operations = [augment.HorizontalFlip(), augment.Normalize(**statistics)]
    data = InMemoryData(arrays["images"], arrays["labels"], operations, boxes=arrays["boxes"], batch_size=8)
    names = {"class_names": shapes.class_names, "category_ids": shapes.category_ids}
    preparation = DetectionPreparation(image_size=(64, 64), **statistics, **names)
    model = DetectionModel(small_network(), DetectionLoss(normalization="batch"))
    model.compile(
        Adam(keras.optimizers.schedules.CosineDecay(5e-3, 400), global_clipnorm=1.0),
        jit_compile=keras.backend.backend() == "jax",
    )
    history = fit(model, data, epochs=400).history
    assert history["loss"][-1] == pytest.approx(history["class_loss"][-1] + history["box_loss"][-1], rel=1e-4)
    assert evaluate(model, shapes.train, preparation).metrics()["AP"] >= 0.9
