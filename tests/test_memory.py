"""Training on data in memory: the same as `fit` on the same batches, with fewer ways through Python."""

import keras
import numpy as np
import pytest

import augment
from recipes import callbacks
from recipes import schedules
from recipes.cifar10_davidnet import train
from recipes.training import loops
from recipes.training import memory
from recipes.training.memory import InMemoryData

SAMPLES, BATCH = 26, 8
IMAGES = np.random.default_rng(0).integers(0, 256, (SAMPLES, 6, 6, 3)).astype("uint8")
LABELS = np.eye(3, dtype="float32")[np.random.default_rng(1).integers(3, size=SAMPLES)]
OPERATIONS = [augment.PadCrop(1), augment.Normalize((127.0,) * 3, (64.0,) * 3), augment.Mixup(0.5)]


def some_data(operations=OPERATIONS, **arguments):
    return InMemoryData(
        IMAGES, LABELS, operations, **{"batch_size": BATCH, "seed": 5, "drop_remainder": True, **arguments}
    )


# On torch, Keras draws dropout from torch's own numbers, of which its data loaders take some, too.
DROPOUT = 0.0 if keras.backend.backend() == "torch" else 0.3


def some_model(optimizer=None, dropout=DROPOUT, **compile_arguments):
    """A little of everything that has a state: statistics, a seed, momentum, metrics."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(3, dtype="float32"),
        ]
    )
    optimizer = optimizer or keras.optimizers.SGD(schedules.PiecewiseLinear([0, 3, 9], [0.0, 0.05, 0.0]), momentum=0.9)
    arguments = {"jit_compile": keras.backend.backend() == "jax", "metrics": ["accuracy"], **compile_arguments}
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), **arguments)
    return model


def batches_of(data, epochs):
    """The batches as the ordinary routes make them, one by one."""
    for epoch in range(epochs):
        for step in range(len(data)):
            yield data.load(epoch, data.order(epoch)[step * BATCH : (step + 1) * BATCH])


def fit_as_keras(model, data, epochs, **arguments):
    steps = len(data)
    return model.fit(batches_of(data, epochs), steps_per_epoch=steps, epochs=epochs, verbose=0, **arguments)


def assert_same(model, history, other, expected, tolerance=2e-4):
    assert list(history.history) == list(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=tolerance, err_msg=name)
    for weight, value in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_allclose(weight, value, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_history_and_weights_are_those_of_fit(drop_remainder):
    validation = {"validation_data": (IMAGES / 255, LABELS), "validation_batch_size": BATCH, "validation_freq": 2}
    model, other = some_model(), some_model()
    data = some_data(drop_remainder=drop_remainder)
    history = memory.fit(model, data, epochs=3, callbacks=[callbacks.LearningRateLogger()], **validation)
    expected = fit_as_keras(other, data, 3, callbacks=[callbacks.LearningRateLogger()], **validation)
    assert_same(model, history, other, expected)
    assert len(history.history["val_loss"]) == 1
    assert int(model.optimizer.iterations) == 3 * len(data)


def test_operations_may_follow_the_epoch():
    """Small images first, as two trainings one after the other: a model for images of any size."""

    def model():
        keras.utils.set_random_seed(3)
        layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D()]
        made = keras.Sequential(layers)
        made.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=keras.backend.backend() == "jax")
        return made

    normalize = augment.Normalize((127.0,) * 3, (64.0,) * 3)
    stages = [[augment.HorizontalFlip(), normalize, augment.Resize(4)], [augment.HorizontalFlip(), normalize]]
    at_once, in_parts = model(), model()
    data = some_data(lambda epoch: stages[epoch // 2])
    history = memory.fit(at_once, data, epochs=4).history["loss"]
    expected = memory.fit(in_parts, some_data(stages[0]), epochs=2).history["loss"]
    expected += memory.fit(in_parts, some_data(stages[1]), epochs=4, initial_epoch=2).history["loss"]
    assert history == expected
    assert data.load(1, np.arange(2))[0].shape == (2, 4, 4, 3)
    assert data.load(2, np.arange(2))[0].shape == (2, 6, 6, 3)


def test_the_number_of_steps_in_a_dispatch_changes_nothing():
    """Bit for bit; and so do two runs of one seed."""
    runs = []
    for steps in (None, None, 2, 1):
        model = some_model()
        history = memory.fit(model, some_data(), epochs=2, steps_per_dispatch=steps)
        runs.append((history.history, model.get_weights()))
    for history, weights in runs[1:]:
        assert history == runs[0][0]
        for weight, value in zip(weights, runs[0][1]):
            np.testing.assert_array_equal(weight, value)


class Recorder(keras.callbacks.Callback):
    """Every call that it gets."""

    def on_train_begin(self, logs=None):
        self.calls = [("train begin", self.params["steps"], self.params["epochs"])]

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("epoch begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("epoch end", epoch, sorted(logs)))
        self.model.stop_training = epoch == 1

    def on_train_end(self, logs=None):
        self.calls.append(("train end", sorted(logs)))


class BatchRecorder(Recorder):
    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(("batch begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(("batch end", batch, sorted(logs)))


@pytest.mark.parametrize("kind", [Recorder, BatchRecorder])
def test_callbacks_are_called_as_fit_calls_them(kind):
    """Those for batches at every batch; and `stop_training` ends it."""
    recorder, expected = kind(), kind()
    memory.fit(some_model(), some_data(), epochs=4, callbacks=[recorder])
    fit_as_keras(some_model(), some_data(), 4, callbacks=[expected])
    assert recorder.calls == expected.calls


def test_who_is_content_with_dispatches_is_told_their_last_step():
    recorder = BatchRecorder()
    recorder.by_dispatch = True
    memory.fit(some_model(), some_data(batch_size=4), callbacks=[recorder], steps_per_dispatch=4)
    names = ["loss", "accuracy"]
    batches = [call for call in recorder.calls if call[0].startswith("batch")]
    expected = [("batch begin", 0), ("batch end", 3, sorted(names)), ("batch begin", 4)]
    assert batches == [*expected, ("batch end", 5, sorted(names))]


def test_which_callbacks_need_batches(tmp_path):
    kinds = keras.callbacks
    path = str(tmp_path / "best.weights.h5")
    content = [kinds.EarlyStopping(), kinds.ModelCheckpoint(path, save_weights_only=True), kinds.CSVLogger(path)]
    content += [kinds.ReduceLROnPlateau(), callbacks.LearningRateLogger(), kinds.LambdaCallback(on_epoch_end=print)]
    eager = [kinds.TerminateOnNaN(), callbacks.OneCycle(0.1, 9), kinds.LambdaCallback(on_train_batch_end=print)]
    eager += [kinds.ModelCheckpoint(path, save_weights_only=True, save_freq=2)]
    assert [memory.needs_batches(callback) for callback in content] == [False] * len(content)
    assert [memory.needs_batches(callback) for callback in eager] == [True] * len(eager)


def test_callbacks_see_and_change_the_model_between_epochs(tmp_path):
    path = tmp_path / "last.weights.h5"
    model = some_model(keras.optimizers.SGD(0.1), steps_per_execution=1)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=1e9)
    checkpoint = keras.callbacks.ModelCheckpoint(str(path), save_weights_only=True)
    extra = [plateau, checkpoint, keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))]
    memory.fit(model, some_data(), epochs=3, callbacks=extra)
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.025)
    saved = some_model()
    saved.load_weights(path)
    for weight, value in zip(saved.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(weight, value)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4


def test_a_callback_sets_the_rate_of_every_step():
    callback, schedule = callbacks.PiecewiseLinear([0, 6], [0.1, 0.0]), schedules.PiecewiseLinear([0, 6], [0.1, 0.0])
    model, other = some_model(keras.optimizers.SGD(0.1)), some_model(keras.optimizers.SGD(schedule))
    memory.fit(model, some_data(), epochs=2, callbacks=[callback])
    memory.fit(other, some_data(), epochs=2)
    np.testing.assert_allclose(callback.history["learning_rate"], [0.1 * (1 - step / 6) for step in range(6)])
    for weight, value in zip(model.get_weights(), other.get_weights()):
        np.testing.assert_allclose(weight, value, atol=1e-5)


def test_loss_scaling_and_accumulation_are_those_of_fit(mixed_float16):
    optimizers = [keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2) for _ in range(2)]
    model, other = (some_model(optimizer, dropout=0.0) for optimizer in optimizers)
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    history = memory.fit(model, some_data(), epochs=2)
    expected = fit_as_keras(other, some_data(), 2)
    assert_same(model, history, other, expected, tolerance=5e-3)
    assert int(model.optimizer.iterations) == int(other.optimizer.iterations)


def test_an_own_training_step_decides_what_is_logged():
    class Own(keras.Model):
        def train_step(self, *arguments):
            result = super().train_step(*arguments)
            if isinstance(result, tuple):
                return {"own": result[0]["loss"] * 0 + 2.0}, result[1]
            return {"own": result["loss"] * 0 + 2.0}

    inputs = keras.Input((6, 6, 3))
    model = Own(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() == "jax")
    assert memory.fit(model, some_data(), epochs=2).history == {"own": [2.0, 2.0]}


def test_steps_of_an_epoch_may_be_fewer_or_more_than_the_data_have():
    """The data are then a stream, as tf.data pipelines are."""
    model, other, data = some_model(), some_model(), some_data()
    history = memory.fit(model, data, epochs=2, steps_per_epoch=4)
    stream = batches_of(data, 3)
    expected = other.fit(stream, epochs=2, steps_per_epoch=4, verbose=0)
    assert_same(model, history, other, expected)


def test_choices_of_an_epoch_are_drawn_together_unless_samples_mix(monkeypatch):
    """In chunks that leave a rest; and those that mix see their batch."""
    monkeypatch.setattr(loops, "_CHUNK", 9)
    mixing = [augment.OneOf([augment.Mixup(0.2), augment.CutMix(1.0)]), augment.Mixup(1.0, per="batch")]
    operations = [
        augment.RandomErasing(0.7),
        augment.ColorJitter(0.2, 0.2),
        *mixing,
        augment.CenterCrop(4),
        augment.Cutout(2),
    ]
    alone = [loops._draws_alone(operation, 0, (6, 6, 3)) for operation in operations]
    assert alone == [True, True, False, False, True, True]
    data, seen = some_data(operations), []

    class Look(keras.Model):
        def train_step(self, *arguments):
            seen.append([keras.ops.convert_to_numpy(part) for part in arguments[-1]])
            return ({}, *arguments[:-1]) if len(arguments) > 1 else {}

    inputs = keras.Input((4, 4, 3))
    model = Look(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    model.compile("sgd", "mse", run_eagerly=True)
    memory.fit(model, data, epochs=2)
    for (images, labels), expected in zip(seen, batches_of(data, 2), strict=True):
        np.testing.assert_allclose(images, expected[0], atol=1e-2)
        np.testing.assert_allclose(labels, expected[1], atol=1e-5)


def test_a_second_fit_goes_on_without_compiling_again():
    model, data, whole = some_model(), some_data(), some_model()
    memory.fit(model, data, epochs=1)
    loop = data.loop(model, 0)
    memory.fit(model, data, epochs=2, initial_epoch=1)
    assert data.loop(model, 0) is loop
    memory.fit(whole, some_data(), epochs=2)
    for weight, value in zip(model.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(weight, value)
    model.compile("sgd", "mse")
    assert data.loop(model, 0) is not loop


def test_the_model_is_left_as_it_was():
    model = some_model(steps_per_execution=1 if keras.backend.backend() == "torch" else 2)
    several = model.steps_per_execution
    memory.fit(model, some_data())
    assert (model.train_function, model.steps_per_execution) == (None, several)
    assert np.isfinite(fit_as_keras(model, some_data(), 1).history["loss"][0])


@pytest.mark.parametrize("compile_arguments", [{"run_eagerly": True}, {"jit_compile": True}])
def test_other_ways_to_compile_train_the_same(compile_arguments, backend):
    if backend == "torch" and "jit_compile" in compile_arguments:
        compile_arguments = {"jit_compile": False}  # torch.compile wants a C++ compiler
    model, other = some_model(dropout=0.0, **compile_arguments), some_model(dropout=0.0)  # XLA has other numbers
    operations = OPERATIONS[:2]
    history = memory.fit(model, some_data(operations))
    assert_same(model, history, other, memory.fit(other, some_data(operations)))


def test_xla_takes_the_whole_loop_where_it_can(backend):
    """On a CPU: without operations."""
    data = InMemoryData((IMAGES / 255).astype("float32"), LABELS, batch_size=BATCH, seed=5, drop_remainder=True)
    model, other = some_model(dropout=0.0, jit_compile=backend != "torch"), some_model(dropout=0.0)
    assert_same(model, memory.fit(model, data, epochs=2), other, fit_as_keras(other, data, 2))


def test_images_without_labels():
    class Autoencoder(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return keras.ops.mean(keras.ops.square(y_pred - x))

    inputs = keras.Input((6, 6, 3))
    model = Autoencoder(inputs, keras.layers.Dense(3)(inputs))
    model.compile("sgd", jit_compile=keras.backend.backend() == "jax")
    data = InMemoryData(IMAGES, None, OPERATIONS[:2], batch_size=BATCH, drop_remainder=True)
    losses = memory.fit(model, data, epochs=3).history["loss"]
    assert losses[2] < losses[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: memory.fit(some_model(), IMAGES), "`data` must be InMemoryData.*ndarray"),
        (lambda: memory.fit(keras.Sequential([keras.Input((1,))]), some_data()), "must be compiled"),
        (lambda: memory.fit(some_model(), some_data(), steps_per_dispatch=0), "`steps_per_dispatch`.*0"),
        (lambda: memory.fit(some_model(), some_data(), steps_per_epoch=2.5), "`steps_per_epoch`.*2.5"),
        (lambda: InMemoryData(IMAGES, LABELS[:5], batch_size=4), "as many.*26 and 5"),
        (lambda: InMemoryData(IMAGES, LABELS, [np.fliplr], batch_size=4), "operations"),
        (lambda: InMemoryData(IMAGES, LABELS, batch_size=40, drop_remainder=True), "no batch of 40"),
        (lambda: InMemoryData(IMAGES, None, OPERATIONS), "labels"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_recipe_trains_on_it(small_run, tmp_path):
    arguments = {"data": "digits", "epochs": 2, "batch_size": 80, "warmup_epochs": 1.0, "quiet": True}
    arguments |= {"runs": str(tmp_path), "precision": "float32", "mixup": 0.2}
    record, other = (train("demo", **arguments, pipeline=route) for route in ("memory", "numpy"))
    np.testing.assert_allclose(record.history["loss"][0], other.history["loss"][0], rtol=1e-3)
    assert list(record.history) == list(other.history)
    assert record.seconds["train"] > 0
    test = train.find_lr("demo", min_lr=1e-4, max_lr=1.0, steps=6, **arguments, pipeline="memory")
    assert len(test.losses) == 6 or test.diverged
    with pytest.raises(ValueError, match="imgaug"):
        train("demo", **arguments, pipeline="memory", augmenter="imgaug")
