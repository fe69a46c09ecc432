"""Evaluation between the steps of an epoch, and of what Keras does not measure at its end."""

import keras

from recipes.callbacks.monitors import Monitor
from recipes.replicas import read
from recipes.replicas import whole_batches


class EvaluateEvery(keras.callbacks.Callback):
    """Evaluate every so many steps of a training, and once more when it ends between two evaluations.

    What is measured has the names that `fit` gives it: "val_loss" and so on. It is in `history`, with
    the "step"; and that of the last evaluation in the logs of each epoch, where `fit` validates
    nothing itself. Put it before callbacks that read these. Training is the same with and without it.

    It is told of every batch, so that a dispatch of `recipes.training.memory.fit` is one step.

    Args:
        steps: int. Batches from one evaluation to the next.
        validation_data: `(images, labels)`, dataset or `keras.utils.PyDataset`, as `evaluate` takes it.
        callbacks: list of `EarlyStopping`, `ReduceLROnPlateau` and other `Monitor`s, that look at these
            evaluations instead of the ends of epochs: not to be given to `fit` too. Defaults to none.
        batch_size: int or None. Of the evaluation. Defaults to None.

    Raises:
        ValueError: for steps below 1, or callbacks that are no monitors.

    Example:

    >>> import numpy as np
    >>> data = np.ones((8, 1)), np.zeros((8, 1))
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> evaluations = EvaluateEvery(3, data)
    >>> history = model.fit(*data, batch_size=1, verbose=0, callbacks=[evaluations])
    >>> evaluations.history["step"]
    [3, 6, 8]
    """

    not_saved = ("data",)  # by `recipes.training.state`: images are no state

    def __init__(self, steps, validation_data, callbacks=(), batch_size=None):
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"`steps` must be a whole number of batches, at least 1. Received: steps={steps!r}")
        for callback in callbacks:
            if not isinstance(callback, Monitor):
                raise ValueError(
                    "`callbacks` must be EarlyStopping, ReduceLROnPlateau or other monitors of recipes.callbacks; "
                    f"others belong into those of `fit`. Received: {callback!r}"
                )
        self.steps = steps
        self.data = validation_data if isinstance(validation_data, (list, tuple)) else (validation_data,)
        self.batch_size = batch_size
        self.callbacks = list(callbacks)
        self.history = {"step": []}
        self.step = 0

    def set_model(self, model):
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def on_train_begin(self, logs=None):
        self.history = {"step": []}
        self.step = self._before = 0
        for callback in self.callbacks:
            callback.on_train_begin()

    def on_epoch_begin(self, epoch, logs=None):
        self._before = self.step

    def on_train_batch_end(self, batch, logs=None):
        # With several steps per execution, batches are left out.
        before, self.step = self.step, self._before + batch + 1
        if self.step // self.steps > before // self.steps:
            self._evaluate()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            for name, values in self.history.items():
                if values and name != "step":
                    logs.setdefault(name, values[-1])

    def on_train_end(self, logs=None):
        if self.step and self.history["step"][-1:] != [self.step]:
            self._evaluate()
        for callback in self.callbacks:
            callback.on_train_end()

    def _evaluate(self):
        model = self.model
        # Training goes on in the middle of an epoch, whose metrics `evaluate` resets.
        variables = model.metrics_variables
        values = [read(variable) for variable in variables]
        given = {} if self.batch_size is None else {"batch_size": self.batch_size}
        with whole_batches():
            figures = model.evaluate(*self.data, verbose=0, return_dict=True, **given)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        if keras.backend.backend() == "torch":
            model.train()
        logs = {f"val_{name}": value for name, value in figures.items()}
        for name, value in {"step": self.step, **logs}.items():
            self.history.setdefault(name, []).append(value)
        for callback in self.callbacks:
            callback.on_evaluation(self.step, logs)


class MeasureEpochs(keras.callbacks.Callback):
    """Measure something of the model at the ends of epochs, which then stands in the history.

    It measures after the first epoch, every so many, and the last; in between, the logs have the
    figures of before. Put it before callbacks that read these. For what Keras's metrics cannot measure
    batch by batch, such as average precision.

    Args:
        measure: function without arguments that returns a dict of name to float.
        every: int. Epochs from one measurement to the next. Defaults to 1.
        prefix: str. Of the names in the history. Defaults to `"val_"`.

    Raises:
        ValueError: for `every` below 1.

    Example:

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> measured = MeasureEpochs(lambda: {"weights": len(model.weights)}, every=2)
    >>> data = np.ones((8, 1)), np.zeros((8, 1))
    >>> model.fit(*data, epochs=3, verbose=0, callbacks=[measured]).history["val_weights"]
    [2.0, 2.0, 2.0]
    >>> measured.epochs
    [1, 2, 3]
    """

    measures = True

    def __init__(self, measure, every=1, prefix="val_"):
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"`every` must be a whole number of epochs, at least 1. Received: every={every!r}")
        self.measure = measure
        self.every = every
        self.prefix = prefix

    def on_train_begin(self, logs=None):
        self.epochs = []
        self._figures = {}

    def on_epoch_end(self, epoch, logs=None):
        model = self.model  # on JAX, whoever asks for the model finds its variables up to date
        last = epoch + 1 == self.params["epochs"] or model.stop_training
        if not self.epochs or (epoch + 1) % self.every == 0 or last:
            self._figures = {f"{self.prefix}{name}": float(value) for name, value in self.measure().items()}
            self.epochs.append(epoch + 1)
            if keras.backend.backend() == "torch":
                model.train()
        logs.update(self._figures)
