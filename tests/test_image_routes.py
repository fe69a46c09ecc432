"""Mapped files and images that are decoded on indexing train as arrays do: the same pixels on every route."""

import keras
import numpy as np
import pytest
from batches import SEED
from batches import SHIFTS
from batches import to_numpy
from PIL import Image

import augment
from recipes.data import cache
from recipes.data import files
from recipes.training import memory


@pytest.fixture
def kept(tmp_path):
    """The same ten images in memory, in a mapped file, and as files."""
    rng = np.random.default_rng(0)
    (tmp_path / "files").mkdir()
    for number in range(10):
        Image.fromarray(rng.integers(256, size=(8, 9, 3), dtype="uint8")).save(tmp_path / "files" / f"{number}.png")
    paths = files.files_below(tmp_path / "files")
    return {name: cache.load_images(paths, (8, 9), cache=name, cache_dir=tmp_path)[0] for name in cache.CACHES[1:]}


class Counted:
    """Images of which only rows can be had, and which count them."""

    ndim, dtype = 4, np.dtype("uint8")

    def __init__(self, images):
        self.images, self.shape, self.asked = images, images.shape, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        assert index == slice(None, 1), "only looked at"
        return self.images[index]

    def rows(self, index):
        self.asked.append(len(index))
        return self.images[index]


def arrays(data):
    return to_numpy([[part.numpy() for part in batch] for batch in data])


def test_pipelines_and_generators_give_the_same_pixels(kept):
    pytest.importorskip("tensorflow")
    labels = np.arange(10)
    arguments = {"batch_size": 4, "seed": SEED}
    expected = arrays(augment.pipeline(kept["memory"], labels, SHIFTS, epochs=2, **arguments))
    for images in (kept["disk"], kept["none"], Counted(kept["memory"])):
        data = augment.pipeline(images, labels, SHIFTS, epochs=2, **arguments)
        assert data.element_spec[0].shape == (None, 8, 9, 3)
        for one, other in zip(arrays(data), expected):
            np.testing.assert_array_equal(one, other)
    for images in kept.values():
        data = augment.ArrayGenerator(images, labels, SHIFTS, **arguments)
        for one, other in zip(to_numpy([data[step] for step in range(3)]), expected):
            np.testing.assert_array_equal(one, other[:10])


def test_a_pipeline_reads_the_rows_of_its_batches_alone(kept):
    pytest.importorskip("tensorflow")
    images = Counted(kept["memory"])
    data = augment.pipeline(images, batch_size=4, training=False)
    assert images.asked == []
    np.testing.assert_array_equal(np.concatenate([batch.numpy() for batch in data]), kept["memory"])
    assert sorted(images.asked) == [2, 4, 4]  # in parallel, so in any order


def test_a_file_that_vanishes_during_training_is_named(kept, tmp_path):
    pytest.importorskip("tensorflow")
    (tmp_path / "files" / "7.png").unlink()
    with pytest.raises(Exception, match="7.png: no such file"):
        list(augment.pipeline(kept["none"], batch_size=4, training=False))
    with pytest.raises(ValueError, match="7.png: no such file"):
        augment.ArrayGenerator(kept["none"], batch_size=10, workers=0)[0]


def test_training_in_memory_gives_the_same_weights(kept):
    weights = []
    for images in kept.values():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        data = memory.InMemoryData(images, np.arange(10), [augment.Normalize((127.0,), (60.0,))], batch_size=5)
        memory.fit(model, data, epochs=2)
        weights.append(keras.ops.convert_to_numpy(model.weights[0]))
    assert np.isfinite(weights[0]).all()
    for each in weights[1:]:
        np.testing.assert_array_equal(each, weights[0])
