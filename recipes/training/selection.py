"""Training on the samples that are hardest: most of what is seen again and again is known already."""

import keras
import numpy as np

from recipes.training import session
from recipes.training.memory import InMemoryData


@keras.saving.register_keras_serializable(package="recipes")
class SampleLosses(keras.metrics.Metric):
    """The loss of each sample, in the order in which they are seen; as a figure, their mean.

    Args:
        samples: int. How many are remembered: the last ones.
        loss: `keras.losses.Loss`.
        name: str. Defaults to "sample_loss".
        **kwargs: of `keras.metrics.Metric`.

    Example:

    >>> metric = SampleLosses(4, keras.losses.MeanSquaredError())
    >>> metric.update_state(np.array([[0.0], [0.0]]), np.array([[1.0], [3.0]]))
    >>> float(metric.result()), keras.ops.convert_to_numpy(metric.losses)
    (5.0, array([1., 9., 0., 0.], dtype=float32))
    """

    def __init__(self, samples, loss, name="sample_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.samples = samples
        self.loss = keras.losses.get(loss)
        self.losses = self.add_variable((samples,), "zeros", name="losses")
        self.seen = self.add_variable((), "zeros", dtype="int32", name="seen")

    def update_state(self, y_true, y_pred, sample_weight=None):
        ops = keras.ops
        losses = ops.cast(self.loss.call(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)), self.dtype)
        count = ops.shape(losses)[0]
        losses = ops.mean(ops.reshape(losses, (count, -1)), axis=-1)
        index = (self.seen + ops.arange(count, dtype="int32")) % self.samples
        self.losses.assign(ops.scatter_update(self.losses, index[:, None], losses))
        self.seen.assign(self.seen + count)

    def result(self):
        seen = keras.ops.clip(self.seen, 1, self.samples)
        return keras.ops.sum(self.losses) / keras.ops.cast(seen, self.dtype)

    def get_config(self):
        loss = keras.losses.serialize(self.loss)
        return {**super().get_config(), "samples": self.samples, "loss": loss}


class HardestSamples(keras.callbacks.Callback):
    """Train, in each epoch, on a fraction of the samples: on those with the highest loss.

    Of each sample, the loss is what it was when the sample was last trained on, so that to know it
    costs nothing. One that is left out keeps its loss while those of the others fall, and so comes
    back. The metric must be among those that the model is compiled with, and the training that of
    `recipes.training.memory`, each epoch in one dispatch.

    Statistics of batch normalisation become those of hard samples; on CIFAR-10 those were the better
    ones.

    Args:
        data: a `recipes.training.memory.InMemoryData`.
        fractions: list of floats in (0, 1], one for each epoch; further epochs take the last one.
        loss: `keras.losses.Loss` by which samples are ranked.

    Raises:
        ValueError: for other data, fractions out of range, or one that leaves no batch; from `fit`, if
            the metric is not the model's.

    Example:

    >>> images, targets = np.zeros((8, 2, 2, 1), "uint8"), np.arange(8.0)[:, None]
    >>> data = InMemoryData(images, targets, batch_size=2)
    >>> hardest = HardestSamples(data, [1.0, 0.5], keras.losses.MeanSquaredError())
    >>> hardest.steps
    [4, 2]
    >>> model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[hardest.metric])
    >>> from recipes.training.memory import fit
    >>> history = fit(model, data, epochs=2, callbacks=[hardest])
    >>> history.history["loss"]  # the mean of all squares, and that of 4, 5, 6 and 7
    [17.5, 31.5]

    Reference:
        - [Online batch selection for faster training of neural networks](https://arxiv.org/abs/1511.06343)
        - [Accelerating deep learning by focusing on the biggest losers](https://arxiv.org/abs/1910.00762)
    """

    by_dispatch = True  # validation takes the metric for itself, before an epoch ends for callbacks

    def __init__(self, data, fractions, loss):
        super().__init__()
        if not isinstance(data, InMemoryData):
            raise ValueError(f"`data` must be InMemoryData(images, labels, ...). Received: {type(data).__name__}")
        if not len(fractions) or not all(0 < fraction <= 1 for fraction in fractions):
            raise ValueError(f"`fractions` must be more than 0, and at most 1, for each epoch. Received: {fractions!r}")
        self.data = data
        self.counts = [round(fraction * data.samples) for fraction in fractions]
        if not all(self.steps):
            raise ValueError(
                f"`fractions` must leave a batch of {data.batch_size} of {data.samples} samples. "
                f"Received: {fractions!r}"
            )
        self.losses = np.full(data.samples, np.inf, "float32")  # so that those not yet seen come first
        self.metric = SampleLosses(data.samples, loss)

    @property
    def steps(self):
        """list of int. The steps of each epoch."""
        return [self.data.steps(count) for count in self.counts]

    def on_train_begin(self, logs=None):
        if session.on_several_devices() and min(self.counts) < self.data.samples:
            raise ValueError("Samples are selected on one device: leave out `devices`, or the fractions.")

    def on_epoch_begin(self, epoch, logs=None):
        count = self.counts[min(epoch, len(self.counts) - 1)]
        hardest = np.argsort(-self.losses, kind="stable")[:count]
        self.data.select(None if count == self.data.samples else hardest)
        self._visited = self.data.order(epoch)

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model  # on JAX, whoever asks for the model finds its variables up to date
        seen = int(self.metric.seen)
        if not seen:
            raise ValueError("Compile the model with the metric of this callback: metrics=[..., hardest.metric].")
        self.losses[self._visited[:seen]] = keras.ops.convert_to_numpy(self.metric.losses)[:seen]

    def on_train_end(self, logs=None):
        self.data.select(None)
