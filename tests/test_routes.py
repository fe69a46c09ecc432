"""Routes: tf.data, the Keras layer and NumPy generators give the same pixels, and train."""

import imgaug
import keras
import numpy as np
import pytest
import scipy.stats

import augment
from augment import draws

INTEGERS = [
    augment.PadCrop(2),
    augment.PadCrop(1, size=(6, 7), mode="constant", fill=3),
    augment.HorizontalFlip(),
    augment.VerticalFlip(),
    augment.Cutout(3, count=2, fill=128, inside=False),
]
FLOATS = [
    augment.Rotation(30, mode="edge"),
    augment.GaussianBlur(1.0),
    augment.RandomErasing(0.7, value=(0, 1)),
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


# The same pixels on every route.


@pytest.mark.parametrize("route", ROUTES)
def test_integer_operations_give_equal_pixels_on_every_route(route):
    images, labels, epoch = some_images(), one_hot(), 3
    expected, expected_labels = reference(images, labels, INTEGERS, SEED, epoch, np.arange(SAMPLES))
    result, result_labels = ROUTES[route](images, labels, INTEGERS, epoch)
    assert result.dtype == np.uint8
    assert np.array_equal(result, expected)
    assert np.array_equal(result_labels, expected_labels)


@pytest.mark.parametrize("route", ROUTES)
def test_float_operations_give_close_pixels_on_every_route(route):
    images, labels = some_images("float32"), one_hot()
    expected, _ = reference(images, labels, FLOATS, SEED, 2, np.arange(SAMPLES))
    result, _ = ROUTES[route](images, labels, FLOATS, 2)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("per", ["image", "batch"])
def test_mixup_gives_close_images_and_labels_on_every_route(route, per):
    images, labels = some_images("float32"), one_hot()
    mixup = [augment.HorizontalFlip(), augment.Mixup(0.6, per)]
    batches = [reference(images, labels, mixup, SEED, 2, part) for part in (np.arange(5), np.arange(5, 10))]
    for result, expected in zip(ROUTES[route](images, labels, mixup, 2), to_numpy(batches)):
        np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(10,), (10, 2, 2)])
def test_labels_of_any_shape_pass_through(shape):
    labels = np.random.default_rng(0).normal(size=shape).astype("float32")
    for route in ROUTES.values():
        assert np.array_equal(route(some_images(), labels, [augment.HorizontalFlip()], 0)[1], labels)


def test_pipeline_and_generator_visit_samples_in_the_same_order():
    pytest.importorskip("tensorflow")
    images, labels = some_images(), np.arange(SAMPLES)
    options = {"batch_size": 4, "seed": -3}
    data = augment.pipeline(images, labels, SHIFTS, initial_epoch=5, epochs=6, **options)
    generator = augment.ArrayGenerator(images, labels, SHIFTS, **options)
    generator.epoch = 5
    for ours, theirs in zip(data, generator, strict=False):
        assert np.array_equal(ours[0].numpy(), theirs[0])
        assert np.array_equal(ours[1].numpy(), theirs[1])
    order = draws.permutation(-3, 5, np.arange(SAMPLES, dtype="int32"))
    assert np.array_equal(to_numpy([generator[step] for step in range(3)])[1], order)


# tf.data


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


# NumPy generators


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


@pytest.mark.parametrize("operation", [augmenter(), noisy, augment.get_random_eraser(p=1.0)], ids=str)
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


# Generators under the names of experiment 001


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


@pytest.mark.parametrize("datagen", [augment.HorizontalFlip(1.0), [lambda image: image[:, ::-1]]], ids=str)
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
        assert len(np.unique(values)) == (values.size if pixel_level else 1)


def test_random_eraser_has_the_defaults_of_the_experiment():
    image = np.full((20, 20, 3), -1.0, "float32")
    erasers = [augment.get_random_eraser(seed=seed) for seed in range(40)]
    values = [image[image != -1] for image in (eraser(image) for eraser in erasers)]
    erased = [value for value in values if value.size]
    assert 10 < len(erased) < 30
    assert all(len(np.unique(value)) > 1 for value in erased)  # pixel_level=True
    assert 200 < np.concatenate(erased).max() <= 255


# The Keras layer


def small_model(operations, shape=(8, 9, 3), dtype="uint8"):
    model = keras.Sequential(
        [
            keras.Input(shape, dtype=dtype),
            augment.Augmentation([*operations, augment.Normalize((127.5,), (127.5,))], seed=3),
            keras.layers.Flatten(),
            keras.layers.Dense(SAMPLES),
        ]
    )
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def functional_model(operations):
    images = keras.Input((8, 9, 3), dtype="uint8")
    values = augment.Augmentation([*operations, augment.Normalize((127.5,), (127.5,))], seed=3)(images)
    model = keras.Model(images, keras.layers.Dense(SAMPLES)(keras.layers.Flatten()(values)))
    model.compile(keras.optimizers.SGD(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def logits_without_augmentation(model, images):
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.layers[-1].weights)
    return ((images.astype("float32") - 127.5) / 127.5).reshape(len(images), -1) @ kernel + bias


@pytest.mark.parametrize("build", [small_model, functional_model])
def test_layer_trains_in_a_model_and_is_inactive_in_inference(build):
    model = build(SHIFTS)
    before = keras.ops.convert_to_numpy(model.layers[-1].kernel)
    history = model.fit(some_images(), one_hot(), batch_size=5, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert not np.array_equal(before, keras.ops.convert_to_numpy(model.layers[-1].kernel))
    expected = logits_without_augmentation(model, some_images())
    np.testing.assert_allclose(model.predict(some_images(), verbose=0), expected, atol=1e-4)
    augmented = keras.ops.convert_to_numpy(model(some_images(), training=True))
    assert np.abs(augmented - expected).max() > 0.1


@pytest.mark.parametrize("build", [small_model, functional_model])
def test_layer_survives_saving(build, tmp_path):
    model = build([augment.PadCrop(1, size=(8, 9)), augment.Rotation((-10, 5)), augment.RandomErasing(area=(0.1, 0.2))])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ours, theirs = (next(layer for layer in m.layers if "augmentation" in layer.name) for m in (model, loaded))
    assert theirs.operations == ours.operations
    assert theirs.seed == ours.seed == 3
    assert theirs.name == ours.name
    images = some_images()
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-5)
    for _ in range(2):  # the random numbers go on as they would have
        result, expected = (keras.ops.convert_to_numpy(layer(images, training=True)) for layer in (theirs, ours))
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_layer_goes_on_with_its_random_numbers_after_loading(tmp_path):
    model = small_model([augment.PadCrop(2)])
    model.fit(some_images(), one_hot(), batch_size=5, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    result, expected = (keras.ops.convert_to_numpy(m.layers[0](some_images(), training=True)) for m in (loaded, model))
    assert np.array_equal(result, expected)
    fresh = keras.ops.convert_to_numpy(small_model([augment.PadCrop(2)]).layers[0](some_images(), training=True))
    assert not np.array_equal(result, fresh)


def test_layer_draws_anew_for_each_batch_and_repeats_with_its_seed():
    layers = [augment.Augmentation([augment.PadCrop(2)], seed=seed) for seed in (1, 1, 2)]
    runs = [[keras.ops.convert_to_numpy(layer(some_images(), training=True)) for _ in range(3)] for layer in layers]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][1], runs[0][2])


@pytest.mark.parametrize("arguments", [{}, {"training": False}])
def test_layer_does_nothing_unless_it_trains(arguments):
    layer = augment.Augmentation([augment.PadCrop(2), augment.Rotation(30), augment.Cutout(3)])
    result = layer(some_images(), **arguments)
    assert keras.backend.standardize_dtype(result.dtype) == "uint8"
    assert np.array_equal(keras.ops.convert_to_numpy(result), some_images())


def test_layer_announces_its_output_shape():
    layer = augment.Augmentation([augment.PadCrop(2, size=(5, 6)), augment.Normalize((0.0,), (1.0,))])
    output = layer(keras.Input((8, 9, 3), dtype="uint8"), training=True)
    assert output.shape == (None, 5, 6, 3)
    assert output.dtype == "float32"


def test_layer_mixes_images_with_their_labels():
    images, labels = some_images("float32"), one_hot()
    layer = augment.Augmentation([augment.Mixup(0.5)])
    mixed_images, mixed_labels = (keras.ops.convert_to_numpy(part) for part in layer(images, labels, training=True))
    assert (mixed_labels.max(axis=1) < 1).any()
    np.testing.assert_allclose(mixed_labels.sum(axis=1), 1, rtol=1e-5)
    # Labels are one-hot of all samples: they say how the images were blended.
    np.testing.assert_allclose(mixed_images, np.tensordot(mixed_labels, images, axes=1), atol=1e-4)


def test_layer_needs_labels_to_mix():
    layer = augment.Augmentation([augment.Mixup()])
    with pytest.raises(ValueError, match="Pass labels"):
        layer(some_images(), training=True)
    assert np.array_equal(keras.ops.convert_to_numpy(layer(some_images())), some_images())


# Half precision


def test_half_precision_leaves_images_and_labels_exact_in_the_layer(mixed_float16):
    wide = np.random.default_rng(0).normal(1000, 1e5, (SAMPLES, 8, 9, 3)).astype("float32")
    labels = np.random.default_rng(1).dirichlet(np.ones(3), SAMPLES).astype("float32")
    index = np.arange(SAMPLES, dtype="int32")
    layer = augment.Augmentation([augment.PadCrop(2), augment.HorizontalFlip()])
    for images in (some_images(), wide):
        result, result_labels = layer(images, labels, index=index, epoch=0, training=True)
        assert keras.backend.standardize_dtype(result.dtype) == images.dtype
        expected, _ = augment.transform(layer.operations, images, index=index)
        assert np.array_equal(keras.ops.convert_to_numpy(result), expected)
        assert keras.backend.standardize_dtype(result_labels.dtype) == "float32"
        assert np.array_equal(keras.ops.convert_to_numpy(result_labels), labels)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_half_precision_leaves_images_exact_in_a_model(mixed_float16, dtype):
    inputs = keras.Input((8, 9, 3), dtype=dtype)
    model = keras.Model(inputs, augment.Augmentation([augment.HorizontalFlip()])(inputs))
    images = some_images(dtype)
    result = model(images, training=False)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    assert np.array_equal(keras.ops.convert_to_numpy(result), images)


def test_half_precision_leaves_images_and_labels_exact_in_the_pipeline(mixed_float16):
    pytest.importorskip("tensorflow")
    wide = np.random.default_rng(0).normal(1000, 1e5, (SAMPLES, 8, 9, 3)).astype("float32")
    labels = np.random.default_rng(1).dirichlet(np.ones(3), SAMPLES).astype("float32")
    operations = [augment.PadCrop(2), augment.HorizontalFlip()]
    for images in (some_images(), wide):
        result, result_labels = from_pipeline(images, labels, operations, 0)
        expected, _ = reference(images, labels, operations, SEED, 0, np.arange(SAMPLES))
        assert result.dtype == images.dtype
        assert np.array_equal(result, expected)
        assert result_labels.dtype == np.float32
        assert np.array_equal(result_labels, labels)


# Bad arguments


def build_pipeline(images, labels, operations, **options):
    pytest.importorskip("tensorflow")
    return augment.pipeline(images, labels, operations, **{"batch_size": 2, **options})


@pytest.mark.parametrize("build", [build_pipeline, augment.ArrayGenerator])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": np.zeros((10, 8, 8))}, r"`images`.*\(10, 8, 8\)"),
        ({"images": [1, 2, 3]}, "`images`.*list"),
        ({"labels": np.zeros(9)}, "`labels`.*10 and 9"),
        ({"batch_size": 0}, "`batch_size`.*batch_size=0"),
        ({"batch_size": 2.0}, r"`batch_size`.*batch_size=2\.0"),
        ({"batch_size": True}, "`batch_size`.*batch_size=True"),
        ({"batch_size": 11, "drop_remainder": True}, "`batch_size`|11"),
        ({"seed": 1.5}, r"`seed`.*seed=1\.5"),
        ({"seed": None}, "`seed`.*seed=None"),
        ({"operations": ["flip"]}, "`operations`.*'flip'"),
        ({"operations": 3}, "`operations`.*3"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name_and_value(build, changes, words):
    arguments = {"images": some_images(), "labels": one_hot(), "operations": [], **changes}
    with pytest.raises(ValueError, match=words):
        build(**arguments)


@pytest.mark.parametrize("build", [build_pipeline, augment.ArrayGenerator])
def test_a_single_operation_needs_no_list(build):
    build(some_images(), one_hot(), augment.PadCrop(2))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.arange(SAMPLES)}, "`y_train`.*one-hot"),
        ({"y_train": one_hot(9)}, "10 and 9"),
        ({"y_train": [one_hot(), one_hot(9)]}, "10 and 9"),
        ({"batch_size": 6}, "10 images make no batch of 12"),
        ({"batch_size": -1}, "`batch_size`.*batch_size=-1"),
        ({"batch_size": 1.5}, r"`batch_size`.*batch_size=1\.5"),
        ({"batch_size": True}, "`batch_size`.*batch_size=True"),
        ({"alpha": 0}, "`alpha`.*alpha=0"),
        ({"seed": "1"}, "`seed`.*seed='1'"),
        ({"datagen": 3}, "`operations`|`datagen`"),
    ],
    ids=str,
)
def test_mixup_generator_refuses_bad_arguments(changes, words):
    arguments = {"X_train": some_images(), "y_train": one_hot(), "batch_size": 2, **changes}
    with pytest.raises(ValueError, match=words):
        augment.MixupGenerator(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"p": 2}, "probability"), ({"s_l": 0.5}, "area"), ({"r_1": 0}, "aspect"), ({"v_l": 300}, "value")],
)
def test_random_eraser_refuses_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        augment.get_random_eraser(**arguments)


@pytest.mark.parametrize(
    ("arguments", "name"), [({"operations": ["flip"]}, "operations"), ({"operations": [], "seed": 0.5}, "seed")]
)
def test_layer_refuses_bad_arguments(arguments, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        augment.Augmentation(**arguments)


@pytest.mark.parametrize(("initial_epoch", "epochs"), [(3, 2), (0, 0), (-1, None)])
def test_pipeline_refuses_epochs_that_never_come(initial_epoch, epochs):
    with pytest.raises(ValueError, match="epoch"):
        build_pipeline(some_images(), one_hot(), [], initial_epoch=initial_epoch, epochs=epochs)
