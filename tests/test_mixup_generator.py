"""Generators under the names of experiment 001."""

import keras
import numpy as np
import pytest
import scipy.stats
from batches import LIKELY
from batches import SAMPLES
from batches import one_hot
from batches import recording_model
from batches import some_images
from batches import to_numpy

import augment
from augment import draws


def mixed(data, epoch=0):
    """Blended images, blended labels, weights and both partners; labels must be one-hot of all samples."""
    images, labels = to_numpy([data[step] for step in range(len(data))])
    order = draws.permutation(data.seed, epoch, np.arange(data.samples, dtype="int32"))
    order = order[: len(data) * data.batch_size].reshape(len(data), 2, -1)
    first, second = order[:, 0].ravel(), order[:, 1].ravel()
    return images, labels, labels[np.arange(len(labels)), first], first, second


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_mixup_generator_blends_the_first_half_with_the_second(dtype):
    images = some_images(dtype)
    data = augment.MixupGenerator(images, one_hot(), batch_size=2, alpha=0.8, seed=3)
    assert len(data) == 2
    blended, labels, weight, first, second = mixed(data)
    assert len({*first, *second}) == 8
    assert len(np.unique(weight)) == 4
    of_labels, of_images = weight[:, None], weight[:, None, None, None]
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(labels, one_hot()[first] * of_labels + one_hot()[second] * (1 - of_labels), atol=1e-6)
    expected = images[first] * of_images + images[second] * (1 - of_images)
    np.testing.assert_allclose(blended, expected, rtol=1e-4, atol=1e-4)


def test_mixup_generator_weighs_with_the_beta_distribution():
    images, labels = np.zeros((400, 1, 1, 1), "float32"), one_hot(400)
    weights = [mixed(augment.MixupGenerator(images, labels, 50, alpha=0.5, seed=seed))[2] for seed in range(5)]
    assert scipy.stats.kstest(np.concatenate(weights), scipy.stats.beta(0.5, 0.5).cdf).pvalue > LIKELY


def test_mixup_generator_takes_several_labels():
    labels = [one_hot(), one_hot()[::-1]]
    data = augment.MixupGenerator(some_images(), labels, batch_size=5, seed=3)
    _, (first, second) = data[0]
    assert np.array_equal(first[:, ::-1], second)
    assert np.array_equal(first, augment.MixupGenerator(some_images(), labels[0], batch_size=5, seed=3)[0][1])


class Datagen:
    """The two methods of Keras's former ImageDataGenerator; they do not commute."""

    def random_transform(self, image):
        return image[:, ::-1] * 2

    def standardize(self, image):
        return image - 1


def test_mixup_generator_transforms_and_then_standardizes_the_blend():
    options = {"batch_size": 3, "seed": 3}
    plain, labels = augment.MixupGenerator(some_images(), one_hot(), **options)[0]
    images, same_labels = augment.MixupGenerator(some_images(), one_hot(), datagen=Datagen(), **options)[0]
    np.testing.assert_allclose(images, plain[:, :, ::-1] * 2 - 1, rtol=1e-6)
    assert np.array_equal(labels, same_labels)


@pytest.mark.parametrize(
    "datagen", [augment.HorizontalFlip(1.0), [lambda image: image[:, ::-1]]], ids=("operation", "function")
)
def test_mixup_generator_takes_operations_and_functions(datagen):
    plain, _ = augment.MixupGenerator(some_images(), one_hot(), batch_size=3)[0]
    images, _ = augment.MixupGenerator(some_images(), one_hot(), batch_size=3, datagen=datagen)[0]
    assert np.array_equal(images, plain[:, :, ::-1])


def test_mixup_generator_draws_its_weights_and_its_operations_independently():
    images = np.zeros((2000, 1, 2, 1), "float32")
    images[:, :, 1] = 1
    weights, flipped = [], []
    for seed in range(2):
        data = augment.MixupGenerator(images, one_hot(2000), 500, 0.8, datagen=augment.HorizontalFlip(), seed=seed)
        blended, _, weight, _, _ = mixed(data)
        weights.append(weight)
        flipped.append(blended[:, 0, 0, 0] > 0.5)
    weights, flipped = np.concatenate(weights), np.concatenate(flipped)
    assert scipy.stats.ks_2samp(weights[flipped], weights[~flipped]).pvalue > LIKELY


def test_mixup_generator_works_as_a_python_generator():
    data = augment.MixupGenerator(some_images(), one_hot(), batch_size=2, seed=3)
    endless = data()
    batches = [next(endless) for _ in range(2 * len(data))]
    for epoch in range(2):
        data.epoch = epoch
        for step in range(len(data)):
            for ours, theirs in zip(batches[epoch * len(data) + step], data[step]):
                assert np.array_equal(ours, theirs)
    assert not np.array_equal(batches[0][0], batches[2][0])


def test_mixup_generator_without_shuffling_pairs_neighbours():
    _, labels = augment.MixupGenerator(some_images(), one_hot(), batch_size=5, shuffle=False)[0]
    for place, label in enumerate(labels):
        assert label[place] + label[place + 5] == pytest.approx(1)


def test_mixup_generator_trains_a_model():
    images, labels = some_images(samples=20), one_hot(20)[:, :SAMPLES]
    model, recorder = recording_model(batches=10)
    data = augment.MixupGenerator(images, labels, batch_size=2, seed=3)
    model.fit(data, epochs=2, shuffle=False, verbose=0)
    endless = data()
    for seen in keras.ops.convert_to_numpy(recorder.seen):
        np.testing.assert_allclose(seen, next(endless)[0], rtol=1e-6)


@pytest.mark.parametrize("pixel_level", [True, False])
def test_random_eraser_leaves_its_argument_alone(pixel_level):
    image = some_images()[0]
    erased = augment.get_random_eraser(p=1.0, pixel_level=pixel_level, seed=1)(image)
    assert np.array_equal(image, some_images()[0])
    assert not np.array_equal(erased, image)
    assert erased.shape == image.shape
    assert erased.dtype == image.dtype


def test_random_eraser_that_never_erases_still_returns_a_copy():
    image = some_images()[0]
    result = augment.get_random_eraser(p=0.0)(image)
    assert np.array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_random_eraser_is_reproducible():
    image = some_images()[0]
    eraser = augment.get_random_eraser(p=1.0, pixel_level=True)
    first, second, other = (eraser(image, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
    runs = [[eraser(image) for _ in range(3)] for eraser in map(seeded_eraser, (5, 5, 6))]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][0], runs[0][1])


def seeded_eraser(seed):
    return augment.get_random_eraser(p=1.0, pixel_level=True, seed=seed)


def test_random_eraser_fills_one_rectangle_with_values_of_the_range():
    image = np.full((20, 20, 3), -1.0, "float32")
    for pixel_level in (True, False):
        erased = augment.get_random_eraser(p=1.0, v_l=2, v_h=5, pixel_level=pixel_level, seed=3)(image)
        changed = (erased != -1).all(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        values = erased[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert values.size == 3 * changed.sum() > 3
        assert values.min() >= 2
        assert values.max() <= 5
        different = len(np.unique(values))  # of 2**16 that there are
        assert 0.97 * values.size < different if pixel_level else different == 1


def test_random_eraser_has_the_defaults_of_the_experiment():
    image = np.full((20, 20, 3), -1.0, "float32")
    erasers = [augment.get_random_eraser(seed=seed) for seed in range(40)]
    values = [image[image != -1] for image in (eraser(image) for eraser in erasers)]
    erased = [value for value in values if value.size]
    assert 10 < len(erased) < 30
    assert all(len(np.unique(value)) > 1 for value in erased)  # pixel_level=True
    assert 200 < np.concatenate(erased).max() <= 255
