"""What an operation is, and how a list of operations changes a batch."""

import dataclasses
import math

import keras
import numpy as np

from augment import arrays
from augment import draws


class Operation:
    """One random change to a batch of images: a draw, and its application.

    Subclasses are frozen dataclasses. `draw` makes every random choice, `apply` makes none, so a
    test (or a user) can inject a choice and see exact pixels. Both take whole batches, of NumPy
    arrays or of tensors of any backend. To write your own, define both: it then works on tf.data,
    as a layer, and in NumPy generators.

    Example:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Invert(Operation):
    ...     probability: float = 0.5
    ...     def draw(self, stream, image_shape):
    ...         return {"invert": stream.chance(self.probability)}
    ...     def apply(self, images, choice):
    ...         where = arrays.namespace(images).where
    ...         return where(choice["invert"][:, :, None, None], 255 - images, images)
    """

    def draw(self, stream, image_shape):
        """Choose, for each image.

        Args:
            stream: an `augment.draws.Stream`, the random numbers of these samples.
            image_shape: tuple `(height, width, channels)`.

        Returns:
            dict of arrays whose first axis is the batch.
        """
        return {}

    def apply(self, images, choice):
        """Change the images as chosen.

        Args:
            images: `(batch, height, width, channels)`, uint8 or float.
            choice: what `draw` returned.

        Returns:
            Images of the same dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `apply`.")

    def apply_labels(self, labels, choice):
        """Change the labels as chosen; most operations leave them alone.

        Args:
            labels: `(batch, ...)`.
            choice: what `draw` returned.

        Returns:
            Labels.
        """
        return labels

    def evaluate(self, images):
        """What becomes of images outside training; most operations leave them alone.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            Images.
        """
        return images

    def output_shape(self, image_shape):
        """Sides of the images that `apply` and `evaluate` return.

        Args:
            image_shape: tuple `(height, width, channels)`.

        Returns:
            A tuple of the same form.
        """
        return tuple(image_shape)

    def get_config(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config):
        # json knows no tuples
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in config.items()})


def transform(operations, images, labels=None, *, index, seed=0, epoch=0, training=True):
    """Apply operations to a batch: the one way that every route takes.

    The result for a sample depends on (seed, epoch, its index, its pixels) only; where an
    operation mixes samples, on its partner in the batch as well.

    Args:
        operations: list of `Operation`, applied in this order.
        images: `(batch, height, width, channels)`, uint8 or float: a NumPy array, a TensorFlow
            tensor, or a tensor of the Keras backend.
        labels: `(batch, ...)`, or None.
        index: int32 `(batch,)`. Position of each sample in its data set.
        seed: int. Defaults to 0.
        epoch: int or scalar tensor. Defaults to 0.
        training: bool. Outside training nothing is random. Defaults to True.

    Returns:
        `(images, labels)`.

    Raises:
        ValueError: if an operation is none or does not fit, changes labels and there are none, or the
            seed is none.

    Example:

    >>> import augment, numpy as np
    >>> images = np.zeros((2, 32, 32, 3), "uint8")
    >>> images, _ = augment.transform([augment.PadCrop(4)], images, index=np.arange(2))
    >>> images.shape
    (2, 32, 32, 3)
    """
    draws.check_seed(seed)
    for position, operation in enumerate(check_operations(operations)):
        if not training:
            images = operation.evaluate(images)
        else:
            stream = draws.Stream(seed, epoch, index, position)
            images, labels = _change(operation, stream, images, labels)
    return images, labels


def _change(operation, stream, images, labels):
    choice = operation.draw(stream, arrays.shape(images)[1:])
    images = operation.apply(images, choice)
    if labels is not None:
        labels = operation.apply_labels(labels, choice)
    elif type(operation).apply_labels is not Operation.apply_labels:
        raise ValueError(f"{operation} changes labels as well as images. Pass labels, too.")
    return images, labels


def check_operations(operations):
    """Refuse what is no list of operations.

    Args:
        operations: list or tuple of `Operation`, or a single one.

    Returns:
        list of `Operation`.

    Raises:
        ValueError: if `operations` is no list or tuple of `Operation`.
    """
    if isinstance(operations, Operation):
        operations = [operations]
    if not isinstance(operations, (list, tuple)):
        raise ValueError(f"`operations` must be a list such as [augment.PadCrop(4)]. Received: {operations!r}")
    for operation in operations:
        if not isinstance(operation, Operation):
            raise ValueError(
                "`operations` must hold instances of augment.Operation, such as augment.HorizontalFlip(). "
                f"Received: {operation!r}"
            )
    return list(operations)


def try_operations(operations, images, labels=None):
    """Apply operations to the first sample, so that what does not fit is found at once.

    Args:
        operations: list of `Operation`.
        images: array `(samples, height, width, channels)`.
        labels: array `(samples, ...)`, or None. Defaults to None.

    Raises:
        ValueError: if an operation does not fit the images or labels.
    """
    first = slice(0, 1)
    index = np.zeros(1, "int32")
    transform(operations, np.asarray(images[first]), None if labels is None else np.asarray(labels[first]), index=index)


def register(operation):
    """Make an operation known to `keras.saving`, for layers that hold it.

    Args:
        operation: a subclass of `Operation`.

    Returns:
        The same.
    """
    return keras.saving.register_keras_serializable(package="augment")(operation)


def check_probability(name, value):
    """Refuse what is no probability.

    Args:
        name: str. The argument.
        value: its value.

    Raises:
        ValueError: if `value` is outside [0, 1].
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}")


def check_range(name, value, lowest, around_zero=False):
    """Refuse what is no pair (low, high).

    Args:
        name: str. The argument.
        value: its value.
        lowest: float. What the pair may go down to.
        around_zero: bool. Whether a number that is not negative stands for a pair. Defaults to False.

    Raises:
        ValueError: if `value` is no pair of finite numbers, if low > high, or low < `lowest`.
    """
    if around_zero and isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return
    numbers = isinstance(value, (tuple, list)) and all(isinstance(end, (int, float)) for end in value)
    if not numbers or len(value) != 2 or not lowest <= value[0] <= value[1] < math.inf or value[0] == -math.inf:
        form = "a number, at least 0, or a pair" if around_zero else "a pair"
        raise ValueError(
            f"`{name}` must be {form} (low, high) with {lowest} <= low <= high. Received: {name}={value!r}"
        )
