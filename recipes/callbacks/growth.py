"""A larger effective batch from some epochs on."""

import itertools

import keras

from recipes.optimizers import Accumulated
from recipes.optimizers import scale_learning_rate
from recipes.schedules.schedule import check_choice
from recipes.schedules.schedule import check_positive

EPOCH_ENDS = ("keep", "update", "drop")


class BatchGrowth(keras.callbacks.Callback):
    """AdaBatch: multiply the effective batch after some epochs, by accumulating gradients.

    The optimizer is an `Accumulated`, whose `steps`, as it was made, are those of the first epochs.
    Nothing is compiled anew. `accumulation_steps` goes into the history.

    The paper doubles the batch every 20 epochs and multiplies the learning rate by 0.75 with it, to
    have for each sample what a factor of 0.375 gives at a fixed batch. Its factor for learning rates
    that are to have the same effect for each sample as before is that of the batch: "linear". With a
    schedule in the optimizer, whose steps are updates, the factor must be 1; `updates` says how long
    to make it.

    A training that goes on from a later epoch, with new optimizer or loaded one, has the steps and
    the learning rate of that epoch: the rate changes exactly when the steps do.

    Args:
        factors: dict of the number of epochs made, an int, to the factor that the effective batch is
            multiplied by then, an int: `{20: 2, 40: 2}`.
        learning_rate_factor: float, by which the learning rate is multiplied at each growth; or
            "linear", the factor of the batch. Defaults to 1.
        epoch_end: what becomes of batches at the end of an epoch that are too few for an update. One
            of "keep", they count for the next; "update", they make one, as the smaller last batch of
            an epoch does; "drop", they are left out, as with `drop_remainder`. The update comes
            before the validation of the epoch. Defaults to "keep".

    Raises:
        ValueError: for epochs or factors that are none; from `fit`, for an optimizer that is no
            `Accumulated`, steps that this growth never sets, or a rate that cannot be changed.

    Example:

    >>> growth = BatchGrowth({20: 2, 40: 2}, learning_rate_factor=0.75)
    >>> growth.factor(19), growth.factor(20), growth.factor(50)
    (1, 2, 4)

    Reference:
        Devarakonda, Naumov and Garland, 2017. https://arxiv.org/abs/1712.02029
    """

    def __init__(self, factors, learning_rate_factor=1.0, epoch_end="keep"):
        super().__init__()
        self.factors = _checked(factors)
        if learning_rate_factor != "linear":
            try:
                check_positive("learning_rate_factor", learning_rate_factor)
            except TypeError as error:
                raise ValueError(
                    '`learning_rate_factor` must be a positive number, or "linear". '
                    f"Received: learning_rate_factor={learning_rate_factor!r}"
                ) from error
        check_choice("epoch_end", epoch_end, EPOCH_ENDS)
        self.learning_rate_factor = learning_rate_factor
        self.epoch_end = epoch_end

    def factor(self, epoch):
        """By how much the effective batch of an epoch is larger than that of the first.

        Args:
            epoch: int, from 0.

        Returns:
            int.
        """
        return self._products[sum(each <= epoch for each in self.factors)]

    def updates(self, epochs, steps_per_epoch, accumulation_steps=1):
        """How many updates a training makes: the steps of a schedule.

        Args:
            epochs: int. Epochs from the first on.
            steps_per_epoch: int. Batches in an epoch.
            accumulation_steps: int. Those of the optimizer in the first epoch. Defaults to 1.

        Returns:
            int.

        Example:

        >>> [BatchGrowth({1: 4}, epoch_end=end).updates(3, steps_per_epoch=10) for end in ("keep", "update", "drop")]
        [15, 16, 14]
        """
        made = pending = 0
        for epoch in range(epochs):
            steps = accumulation_steps * self.factor(epoch)
            due, pending = self._first_updates(pending, steps, steps_per_epoch)
            made += due + (self.epoch_end == "update" and pending > 0)
            pending = pending if self.epoch_end == "keep" else 0
        return made

    @staticmethod
    def _first_updates(pending, steps, batches):
        return divmod(pending + batches, steps)

    @property
    def _products(self):
        return list(itertools.accumulate(self.factors.values(), lambda one, other: one * other, initial=1))

    @property
    def optimizer(self):
        """The `Accumulated` of the model."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not isinstance(optimizer, Accumulated):
            raise ValueError(
                "BatchGrowth sets the steps of a recipes.optimizers.Accumulated: compile the model with "
                f"Accumulated(optimizer). Received: {optimizer.name!r}, a {type(optimizer).__name__}"
            )
        return optimizer

    def on_epoch_begin(self, epoch, logs=None):
        optimizer = self.optimizer
        now, due = optimizer.steps, optimizer.initial_steps * self.factor(epoch)
        if now == due:
            return
        if self.learning_rate_factor != 1:
            scale_learning_rate(optimizer, self._rate(due) / self._rate(now))
        optimizer.steps = due

    def _rate(self, steps):
        """What the learning rate of the first epochs is multiplied by at a number of steps."""
        possible = [self.optimizer.initial_steps * product for product in self._products]
        if steps not in possible:
            raise ValueError(
                f"The optimizer accumulates {steps} batches, which this growth never does: it has {possible}. "
                "Do not set the steps elsewhere."
            )
        growths = possible.index(steps)
        return self._products[growths] if self.learning_rate_factor == "linear" else self.learning_rate_factor**growths

    def on_test_begin(self, logs=None):
        self._end_epoch()

    def on_epoch_end(self, epoch, logs=None):
        self._end_epoch()
        if logs is not None:
            logs["accumulation_steps"] = self.optimizer.steps

    def _end_epoch(self):
        if self.epoch_end == "update":
            self.optimizer.flush()
        elif self.epoch_end == "drop":
            self.optimizer.clear()


def _checked(factors):
    try:
        factors = dict(sorted(factors.items()))
        fits = all(isinstance(each, int) for pair in factors.items() for each in pair)
        fits = fits and all(epoch >= 1 and factor >= 2 for epoch, factor in factors.items())
    except (AttributeError, TypeError):
        fits = False
    if not fits:
        raise ValueError(
            "`factors` must be a dict of epochs made, at least 1, to whole factors of the batch, at least 2, such as "
            f"{{20: 2, 40: 2}}. Received: factors={factors!r}"
        )
    return factors
