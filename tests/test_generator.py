"""NumPy generators: order, epochs, workers, imgaug and functions."""

import imgaug
import keras
import numpy as np
import pytest
from batches import INTEGERS
from batches import SAMPLES
from batches import one_hot
from batches import recording_model
from batches import reference
from batches import some_images
from batches import to_numpy

import augment
from augment import draws


# Keras visits the batches of a PyDataset in a random order of its own unless `fit` is told not to shuffle.
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_fit_sees_the_pixels_of_each_epoch(workers):
    data = augment.ArrayGenerator(some_images(), one_hot(), INTEGERS, batch_size=2, seed=4, workers=workers)
    model, recorder = recording_model(batches=15)
    model.fit(data, epochs=2, shuffle=False, verbose=0)
    assert data.epoch == 2
    model.fit(data, epochs=1, shuffle=False, verbose=0)  # goes on
    seen = keras.ops.convert_to_numpy(recorder.seen).reshape(3, SAMPLES, 6, 7, 3)
    for epoch, images in enumerate(seen):
        order = draws.permutation(4, epoch, np.arange(SAMPLES, dtype="int32"))
        assert np.array_equal(images, reference(some_images(), one_hot(), INTEGERS, 4, epoch, order)[0])


def test_fit_sees_each_sample_once_an_epoch_in_another_order():
    images = np.arange(SAMPLES, dtype="float32")[:, None, None, None] + np.zeros((SAMPLES, 2, 2, 1), "float32")
    model, recorder = recording_model(batches=15)
    model.fit(augment.ArrayGenerator(images, one_hot(), batch_size=2), epochs=3, verbose=0)
    orders = keras.ops.convert_to_numpy(recorder.seen)[..., 0, 0, 0].reshape(3, SAMPLES).astype(int).tolist()
    assert all(sorted(order) == list(range(SAMPLES)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize(("batch_size", "tell"), [(1, False), (1, True), (5, True), (10, True)])
def test_fit_trains_each_epoch_once_whatever_keras_looks_at_before(batch_size, tell, monkeypatch):
    monkeypatch.setattr("random.shuffle", list.reverse)  # Keras looks at the last batch first
    data = augment.ArrayGenerator(some_images(), one_hot(), batch_size=batch_size)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=data.set_epoch)] if tell else []
    epochs = []
    callbacks.append(keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: epochs.append(data.epoch)))
    model = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(SAMPLES)])
    model.compile("sgd", "mse")
    model.fit(data, epochs=3, verbose=0, callbacks=callbacks)
    steps = SAMPLES // batch_size
    assert epochs == [0] * steps + [1] * steps + [2] * steps


def test_generator_goes_on_from_an_epoch():
    model, recorder = recording_model(batches=5)
    data = augment.ArrayGenerator(some_images(), one_hot(), INTEGERS, batch_size=2, seed=4)
    data.epoch = 7
    model.fit(data, initial_epoch=7, epochs=8, shuffle=False, verbose=0)
    order = draws.permutation(4, 7, np.arange(SAMPLES, dtype="int32"))
    seen = keras.ops.convert_to_numpy(recorder.seen).reshape(SAMPLES, 6, 7, 3)
    assert np.array_equal(seen, reference(some_images(), one_hot(), INTEGERS, 4, 7, order)[0])


def test_generator_does_not_depend_on_workers():
    passes = []
    for workers in (0, 1, 3):
        data = augment.ArrayGenerator(some_images(), np.arange(SAMPLES), INTEGERS, batch_size=3, workers=workers)
        batches = []
        for _ in range(3):
            data.on_epoch_begin()
            batches += [data[step] for step in range(len(data))]
            data.on_epoch_end()
        passes.append(to_numpy(batches))
    for images, labels in passes[1:]:
        assert np.array_equal(images, passes[0][0])
        assert np.array_equal(labels, passes[0][1])


def test_generator_does_not_depend_on_the_order_of_requests():
    data = augment.ArrayGenerator(some_images(), np.arange(SAMPLES), INTEGERS, batch_size=3, workers=2)
    forth = [data[step][0] for step in range(4)]
    back = [data[step][0] for step in (3, 2, 1, 0)]
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(forth, back[::-1]))


def test_generator_stays_in_its_epoch_until_the_pass_is_complete():
    data = augment.ArrayGenerator(some_images(), batch_size=5)
    data[0]
    data.on_epoch_end()
    assert data.epoch == 0
    data[0], data[1]
    data.on_epoch_end()
    assert data.epoch == 1


@pytest.mark.parametrize(("drop_remainder", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_generator_keeps_or_drops_the_remainder(drop_remainder, sizes):
    data = augment.ArrayGenerator(some_images(), one_hot(), batch_size=4, drop_remainder=drop_remainder)
    assert [len(data[step][0]) for step in range(len(data))] == sizes
    assert data.num_batches == len(sizes)
    with pytest.raises(IndexError, match=str(len(sizes))):
        data[len(sizes)]


def test_generator_is_in_order_and_not_random_outside_training():
    operations = [*INTEGERS[2:], augment.Normalize((100.0,), (2.0,))]
    data = augment.ArrayGenerator(some_images(), np.arange(SAMPLES), operations, batch_size=4, training=False)
    for _ in range(2):
        images, labels = to_numpy([data[step] for step in range(3)])
        assert np.array_equal(labels, np.arange(SAMPLES))
        np.testing.assert_allclose(images, (some_images().astype("float32") - 100) / 2)
        data.on_epoch_end()


def test_generator_without_labels_gives_images():
    data = augment.ArrayGenerator(some_images(), None, INTEGERS[:1], batch_size=5, shuffle=False)
    (images,) = data[1]
    expected, _ = augment.transform(INTEGERS[:1], some_images()[5:], index=np.arange(5, 10))
    assert np.array_equal(images, expected)


def by_sample(operations, batch_size, epoch=0, seed=0):
    """The image that a shuffling generator makes of each sample."""
    data = augment.ArrayGenerator(
        some_images(), np.arange(SAMPLES), operations, batch_size=batch_size, seed=seed, workers=2
    )
    data.epoch = epoch
    images, labels = to_numpy([data[step] for step in range(len(data))])
    return images[np.argsort(labels)]


def noisy(image, rng):
    return image + rng.integers(0, 50, image.shape).astype("uint8")


def augmenter():
    return imgaug.augmenters.Sequential(
        [imgaug.augmenters.Affine(rotate=(-20, 20)), imgaug.augmenters.AdditiveGaussianNoise(scale=(5, 20))]
    )


@pytest.mark.parametrize(
    "operation", [augmenter(), noisy, augment.get_random_eraser(p=1.0)], ids=("imgaug", "function", "eraser")
)
def test_functions_and_imgaug_are_reproducible_per_sample(operation):
    first = by_sample([augment.PadCrop(2), operation], batch_size=3)
    assert first.dtype == np.uint8
    for batch_size in (1, 5, 10):
        assert np.array_equal(by_sample([augment.PadCrop(2), operation], batch_size), first)
    assert not np.array_equal(by_sample([augment.PadCrop(2), operation], 3, epoch=1), first)
    assert not np.array_equal(by_sample([augment.PadCrop(2), operation], 3, seed=1), first)


def test_imgaug_draws_for_each_sample():
    data = augment.ArrayGenerator(some_images()[[0] * 5], None, [augmenter()], batch_size=5)
    (images,) = data[0]
    assert len(np.unique(images.reshape(5, -1), axis=0)) == 5


def test_functions_change_each_image():
    assert np.array_equal(by_sample([lambda image: 255 - image], batch_size=4), 255 - some_images())


def test_functions_get_random_numbers_of_their_own():
    data = augment.ArrayGenerator(some_images()[[0] * 5], None, [noisy, noisy], batch_size=5)
    (images,) = data[0]
    noise = images - some_images()[:1]
    assert len(np.unique(noise.reshape(5, -1), axis=0)) == 5
    assert (noise % 2 == 1).any()  # twice the same noise would be even


def test_two_functions_at_different_places_follow_one_another():
    result = by_sample([lambda image: image // 2, augment.HorizontalFlip(1.0), lambda image: image + 1], batch_size=4)
    assert np.array_equal(result, some_images()[:, :, ::-1] // 2 + 1)
