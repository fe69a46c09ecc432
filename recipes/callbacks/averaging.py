"""Evaluation by averaged weights."""

import keras

from recipes.optimizers.rates import innermost


class AveragedWeights(keras.callbacks.Callback):
    """Give evaluations the averaged weights of an optimizer that was made with `use_ema=True`.

    Training goes on with its own weights; what looks at the model at the end of an epoch, `fit`'s
    validation and the callbacks after this one, finds the averages. `EarlyStopping` keeps and gives
    back these, and `fit` ends with them, as it does with `use_ema` alone.

    `keras.callbacks.SwapEMAWeights` puts the weights of the training in the place of the averages, so
    that `fit` ends with these where an epoch was not the last it was to make; it puts them back
    before other callbacks see the model; and it does not know `Grouped`.

    Statistics of batch normalization are not averaged: `refresh_batch_statistics` makes them fit.

    Raises:
        ValueError: from `fit`, for an optimizer that averages nothing.

    Example:

    >>> import numpy as np
    >>> from recipes.optimizers import SGD
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(SGD(0.1, use_ema=True, ema_momentum=0.9), "mse")
    >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0, callbacks=[AveragedWeights()])
    """

    measures = True

    def __init__(self):
        super().__init__()
        self._own = None

    def on_train_begin(self, logs=None):
        self._own = None
        if not any(getattr(each, "use_ema", False) for each in innermost(self.model.optimizer)):
            raise ValueError(
                "AveragedWeights needs averages: make the optimizer with `use_ema=True`. "
                f"Received: {self.model.optimizer.name!r}"
            )

    def on_test_begin(self, logs=None):
        self._show()

    def on_epoch_end(self, epoch, logs=None):
        self._show()

    def on_epoch_begin(self, epoch, logs=None):
        if self._own is not None:
            for (variable, _), value in zip(self._pairs(), self._own):
                variable.assign(value)
            self._own = None

    def _show(self):
        if self._own is None:
            pairs = self._pairs()
            self._own = [keras.ops.convert_to_numpy(variable).copy() for variable, _ in pairs]
            for variable, average in pairs:
                variable.assign(keras.ops.copy(average))  # JAX would share the array, and cannot donate it twice

    def _pairs(self):
        """Each weight and its average."""
        optimizers = [each for each in innermost(self.model.optimizer) if getattr(each, "use_ema", False)]
        return [
            pair
            for each in optimizers
            for pair in zip(each._trainable_variables, each._model_variables_moving_average, strict=True)
        ]
