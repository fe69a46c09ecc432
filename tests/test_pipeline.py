"""The tf.data pipeline: order, epochs, threads."""

import keras
import numpy as np
import pytest
from batches import INTEGERS
from batches import SAMPLES
from batches import SHIFTS
from batches import one_hot
from batches import recording_model
from batches import reference
from batches import some_images
from batches import to_numpy

import augment
from augment import draws


def epochs_of(data, epochs, steps):
    batches = [[part.numpy() for part in batch] for batch in data.take(epochs * steps)]
    return [to_numpy(batches[first : first + steps]) for first in range(0, epochs * steps, steps)]


def test_pipeline_visits_every_sample_once_an_epoch_in_another_order():
    pytest.importorskip("tensorflow")
    data = augment.pipeline(some_images(), np.arange(SAMPLES), batch_size=4)
    orders = [labels.tolist() for _, labels in epochs_of(data, 3, 3)]
    assert all(sorted(order) == list(range(SAMPLES)) for order in orders)
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_pipeline_does_not_depend_on_threads_or_the_iteration():
    tf = pytest.importorskip("tensorflow")
    images = np.repeat(some_images(), 4, axis=0)
    operations = [augment.PadCrop(2), augment.Rotation(30)]
    data = augment.pipeline(images, np.arange(40), operations, batch_size=2, seed=1, epochs=1)
    runs = [to_numpy([[part.numpy() for part in batch] for batch in data])]
    for threads in (1, 8):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        runs.append(to_numpy([[part.numpy() for part in batch] for batch in data.with_options(options)]))
    assert len(runs[0][0]) == 40
    for images, labels in runs[1:]:
        assert np.array_equal(images, runs[0][0])
        assert np.array_equal(labels, runs[0][1])


def test_pipeline_begins_with_the_initial_epoch():
    pytest.importorskip("tensorflow")
    arguments = (some_images(), np.arange(SAMPLES), SHIFTS)
    whole = epochs_of(augment.pipeline(*arguments, batch_size=4), 5, 3)
    late = epochs_of(augment.pipeline(*arguments, batch_size=4, initial_epoch=3), 2, 3)
    for ours, theirs in zip(late, whole[3:]):
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
    assert not np.array_equal(whole[0][0], whole[3][0])


def test_pipeline_begins_with_any_batch():
    pytest.importorskip("tensorflow")
    data = augment.pipeline(some_images(), np.arange(SAMPLES), SHIFTS, batch_size=4, initial_epoch=1, epochs=4)
    for count in (2, 3, 7):
        rest = data.after(1).after(count - 1)
        assert len(rest) == len(data) - count
        for ours, theirs in zip(to_numpy(list(rest)), to_numpy(list(data.skip(count)))):
            assert np.array_equal(ours, theirs)
    with pytest.raises(ValueError, match="`initial_step` must be from 0 to less than 3"):
        augment.pipeline(some_images(), batch_size=4, initial_step=3)


@pytest.mark.parametrize(("drop_remainder", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_pipeline_keeps_or_drops_the_remainder(drop_remainder, sizes):
    tf = pytest.importorskip("tensorflow")
    arguments = {"batch_size": 4, "drop_remainder": drop_remainder, "shuffle": False}
    data = augment.pipeline(some_images(), one_hot(), epochs=2, **arguments)
    assert [len(images) for images, _ in data] == sizes * 2
    assert data.steps_per_epoch == len(sizes)
    assert data.cardinality() == 2 * len(sizes)
    endless = augment.pipeline(some_images(), one_hot(), **arguments)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert [len(images) for images, _ in endless.take(3 * len(sizes))] == sizes * 3


def test_pipeline_is_in_order_and_not_random_outside_training():
    pytest.importorskip("tensorflow")
    operations = [*INTEGERS[2:], augment.PadCrop(0, size=(4, 5)), augment.Normalize((100.0,), (2.0,))]
    data = augment.pipeline(some_images(), np.arange(SAMPLES), operations, batch_size=4, training=False)
    images, labels = to_numpy([[part.numpy() for part in batch] for batch in data])
    assert np.array_equal(labels, np.arange(SAMPLES))
    np.testing.assert_allclose(images, (some_images()[:, 2:6, 2:7].astype("float32") - 100) / 2)


def test_pipeline_without_labels_gives_images():
    pytest.importorskip("tensorflow")
    data = augment.pipeline(some_images(), None, SHIFTS, batch_size=5, shuffle=False)
    expected, _ = augment.transform(SHIFTS, some_images()[:5], index=np.arange(5))
    assert np.array_equal(next(iter(data)).numpy(), expected)


def test_pipeline_trains_a_model():
    pytest.importorskip("tensorflow")
    model, recorder = recording_model(batches=10)
    data = augment.pipeline(some_images(), one_hot(), SHIFTS, batch_size=2, seed=4)
    model.fit(data, steps_per_epoch=data.steps_per_epoch, epochs=2, verbose=0)
    seen = keras.ops.convert_to_numpy(recorder.seen).reshape(2, SAMPLES, 8, 9, 3)
    for epoch, images in enumerate(seen):
        order = draws.permutation(4, epoch, np.arange(SAMPLES, dtype="int32"))
        assert np.array_equal(images, reference(some_images(), one_hot(), SHIFTS, 4, epoch, order)[0])
