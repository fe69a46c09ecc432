"""Training on the hardest samples: which they are, when they come back, and that all routes agree."""

import keras
import numpy as np
import pytest

from recipes.training.memory import InMemoryData
from recipes.training.memory import fit
from recipes.training.selection import HardestSamples
from recipes.training.selection import SampleLosses

SQUARES = keras.losses.MeanSquaredError()


def line(learning_rate=0.0, metrics=()):
    """A model of one weight, 0 at first."""
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"))
    model.compile(keras.optimizers.SGD(learning_rate), SQUARES, metrics=list(metrics))
    return model


def data(count=8, **settings):
    images = np.ones((count, 1, 1, 1), "float32")
    return InMemoryData(images, np.arange(count, dtype="float32")[:, None], **({"batch_size": 2} | settings))


class Visits(keras.callbacks.Callback):
    """Keeps what each epoch visits."""

    def __init__(self, data):
        super().__init__()
        self.data, self.epochs = data, []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(np.sort(self.data.order(epoch)).tolist())


def test_an_epoch_visits_the_samples_whose_loss_was_highest():
    samples = data()
    hardest = HardestSamples(samples, [1.0, 0.5, 0.25], SQUARES)
    visits = Visits(samples)
    fit(line(metrics=[hardest.metric]), samples, epochs=4, callbacks=[hardest, visits])
    assert visits.epochs == [list(range(8)), [4, 5, 6, 7], [6, 7], [6, 7]]
    np.testing.assert_allclose(hardest.losses, np.arange(8.0) ** 2)
    assert len(samples) == 4  # afterwards all are there again


def test_what_was_left_out_comes_back_when_the_others_have_become_easier():
    """After one step on the mean of 2 and 3 the model gives 2.5; 0 and 1, whose losses are old, are hardest then."""
    samples = data(4, batch_size=2)
    hardest = HardestSamples(samples, [0.5], SQUARES)
    hardest.losses[:] = [0.9, 0.8, 4.0, 9.0]
    model, visits = line(0.5, [hardest.metric]), Visits(samples)
    fit(model, samples, epochs=3, callbacks=[hardest, visits])
    assert visits.epochs[:2] == [[2, 3], [2, 3]]
    np.testing.assert_allclose(hardest.losses[2:], [0.25, 0.25])
    assert visits.epochs[2] == [0, 1]


def test_the_order_among_the_hardest_is_that_among_all():
    samples = data(100)
    whole = samples.order(3)
    samples.select([5, 9, 80])
    np.testing.assert_array_equal(samples.order(3), [each for each in whole if each in (5, 9, 80)])
    samples.select(None)
    np.testing.assert_array_equal(samples.order(3), whole)


def test_validation_does_not_disturb_what_is_remembered():
    samples = data()
    hardest = HardestSamples(samples, [1.0, 0.5], SQUARES)
    validation = np.ones((20, 1, 1, 1), "float32"), np.full((20, 1), 100.0)
    model = line(metrics=[hardest.metric])
    history = fit(model, samples, epochs=2, validation_data=validation, callbacks=[hardest])
    np.testing.assert_allclose(hardest.losses, np.arange(8.0) ** 2)
    np.testing.assert_allclose(history.history["val_sample_loss"], 1e4)
    np.testing.assert_allclose(history.history["sample_loss"], [17.5, 31.5])


def test_the_same_samples_give_the_same_training_as_those_samples_alone():
    """Selected samples, and a data set of no others: the same steps, to the last bit of the loss."""
    chosen = data(6, shuffle=False)
    chosen.select([1, 4, 5])
    alone = InMemoryData(chosen.images[[1, 4, 5]], chosen.labels[[1, 4, 5]], batch_size=2, shuffle=False)
    histories = [fit(line(0.1), each, epochs=3).history["loss"] for each in (chosen, alone)]
    assert histories[0] == histories[1]


def test_the_loss_of_each_sample_is_kept_in_order():
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    metric = SampleLosses(5, loss)
    labels, logits = np.eye(4, dtype="float32"), np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    expected = [float(loss(labels[i : i + 1], logits[i : i + 1])) for i in range(4)]
    metric.update_state(labels[:3], logits[:3])
    metric.update_state(labels[3:], logits[3:])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(metric.losses), [*expected, 0.0], rtol=1e-5)
    np.testing.assert_allclose(float(metric.result()), np.mean(expected), rtol=1e-5)
    again = SampleLosses.from_config(metric.get_config())
    again.update_state(labels, logits)
    np.testing.assert_allclose(float(again.result()), np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"fractions": []}, r"`fractions`.*\[\]"),
        ({"fractions": [1.0, 0.0]}, "`fractions`.*more than 0"),
        ({"fractions": [1.2]}, "`fractions`.*at most 1.*1.2"),
        ({"data": np.zeros(4)}, "`data` must be InMemoryData.*ndarray"),
        ({"data": data(8, batch_size=4, drop_remainder=True), "fractions": [0.25]}, "batch of 4 of 8 samples"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    arguments = {"data": data(), "fractions": [1.0], "loss": SQUARES} | settings
    with pytest.raises(ValueError, match=message):
        HardestSamples(**arguments)


def test_a_model_without_the_metric_is_refused():
    samples = data()
    with pytest.raises(ValueError, match=r"metrics=\[..., hardest.metric\]"):
        fit(line(), samples, callbacks=[HardestSamples(samples, [0.5], SQUARES)])


def test_epochs_of_several_dispatches_cannot_change_their_length():
    samples = data()
    hardest = HardestSamples(samples, [1.0, 0.5], SQUARES)
    with pytest.raises(ValueError, match="takes 2 dispatches, the first one took 4"):
        fit(line(metrics=[hardest.metric]), samples, epochs=2, steps_per_dispatch=1, callbacks=[hardest])


def test_fewer_samples_than_a_batch_are_refused():
    samples = data(drop_remainder=True)
    with pytest.raises(ValueError, match="`index` must leave a batch of 2. Received: 1 samples"):
        samples.select([3])
