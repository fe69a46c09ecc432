"""What an operation is, and how a list of operations changes a batch."""

import dataclasses
import difflib
import math
import numbers

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

    def apply_boxes(self, boxes, choice, image_shape):
        """Change the boxes as chosen; operations that move no pixels leave them alone.

        Args:
            boxes: `(batch, count, 4)`, as `augment.boxes` describes them.
            choice: what `draw` returned.
            image_shape: tuple `(height, width, channels)` before the change.

        Returns:
            float32 boxes.
        """
        return boxes

    def apply_labels(self, labels, choice):
        """Change the labels as chosen; most operations leave them alone.

        Args:
            labels: `(batch, ...)`.
            choice: what `draw` returned.

        Returns:
            Labels.
        """
        return labels

    def changes_labels(self):
        """Whether labels must be there: where images are mixed, or labels depend on the choice otherwise.

        Returns:
            bool.
        """
        return type(self).apply_labels is not Operation.apply_labels

    def evaluation_choice(self, image_shape):
        """The choice that stands for all outside training; most operations then do nothing.

        Args:
            image_shape: tuple `(height, width, channels)`.

        Returns:
            dict of integers, or None for images left alone.
        """

    def evaluate(self, images):
        """What becomes of images outside training; most operations leave them alone.

        Args:
            images: `(batch, height, width, channels)`.

        Returns:
            Images.
        """
        choice = self._evaluation_choice(images, arrays.shape(images)[1:])
        return images if choice is None else self.apply(images, choice)

    def evaluate_boxes(self, boxes, image_shape):
        """What becomes of boxes outside training.

        Args:
            boxes: `(batch, count, 4)`.
            image_shape: tuple `(height, width, channels)` before the change.

        Returns:
            Boxes.
        """
        choice = self._evaluation_choice(boxes, image_shape)
        return boxes if choice is None else self.apply_boxes(boxes, choice, image_shape)

    def _evaluation_choice(self, like, image_shape):
        """The same as arrays of the library of `like`, one row for the whole batch."""
        choice = self.evaluation_choice(image_shape)
        xp = arrays.namespace(like)
        return choice and {name: xp.reshape(xp.cast(value, "int32"), (1, 1)) for name, value in choice.items()}

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


def transform(operations, images, labels=None, boxes=None, *, index, seed=0, epoch=0, training=True, choices=None):
    """Apply operations to a batch: the one way that every route takes.

    The result for a sample depends on (seed, epoch, its index, its pixels) only; where an
    operation mixes samples, on its partner in the batch as well.

    Args:
        operations: list of `Operation`, applied in this order.
        images: `(batch, height, width, channels)`, uint8 or float: a NumPy array, a TensorFlow
            tensor, or a tensor of the Keras backend.
        labels: `(batch, ...)`, or None.
        boxes: `(batch, count, 4)`, as `augment.boxes` describes them, or None. Defaults to None.
        index: int32 `(batch,)`. Position of each sample in its data set.
        seed: int. Defaults to 0.
        epoch: int or scalar tensor. Defaults to 0.
        training: bool. Outside training nothing is random. Defaults to True.
        choices: list of what the operations drew for these samples already, or None for one that has
            yet to draw. Defaults to None for all.

    Returns:
        `(images, labels)`, or `(images, labels, boxes)` where boxes were given.

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
    if len(images.shape) != 4:
        raise ValueError(f"`images` must be (batch, height, width, channels). Received: shape={tuple(images.shape)}")
    for position, operation in enumerate(check_operations(operations)):
        image_shape = arrays.shape(images)[1:]
        if not training:
            images = operation.evaluate(images)
            boxes = None if boxes is None else operation.evaluate_boxes(boxes, image_shape)
            continue
        if labels is None and operation.changes_labels():
            raise ValueError(f"{operation} changes labels as well as images. Pass labels, too.")
        choice = choices[position] if choices else None
        if choice is None:
            choice = operation.draw(draws.Stream(seed, epoch, index, position), image_shape)
        images = operation.apply(images, choice)
        labels = None if labels is None else operation.apply_labels(labels, choice)
        boxes = None if boxes is None else operation.apply_boxes(boxes, choice, image_shape)
    return (images, labels) if boxes is None else (images, labels, boxes)


def check_operations(operations):
    """Refuse what is no list of operations.

    Args:
        operations: list or tuple of `Operation`, or a single one.

    Returns:
        list of `Operation`.

    Raises:
        ValueError: if `operations` is no list or tuple of `Operation`.

    Example:

    >>> from augment import HorizontalFlip
    >>> check_operations(HorizontalFlip())
    [HorizontalFlip(probability=0.5)]
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


def try_operations(operations, images, labels=None, boxes=None):
    """Apply operations to the first sample, so that what does not fit is found at once.

    Args:
        operations: list of `Operation`.
        images: array `(samples, height, width, channels)`.
        labels: array `(samples, ...)`, or None. Defaults to None.
        boxes: array `(samples, count, 4)`, or None. Defaults to None.

    Raises:
        ValueError: if an operation does not fit the images, labels or boxes.

    Example:

    >>> from augment import PadCrop
    >>> try_operations([PadCrop(4)], np.zeros((10, 32, 32, 3), "uint8"))
    """
    first = [None if each is None else np.asarray(each[:1]) for each in (images, labels, boxes)]
    transform(operations, *first, index=np.zeros(1, "int32"))


def register(operation):
    """Make an operation known to `keras.saving`, for layers that hold it.

    Args:
        operation: a subclass of `Operation`.

    Returns:
        The same.

    Example:

    >>> from augment import Cutout
    >>> keras.saving.get_registered_name(Cutout)
    'augment>Cutout'
    """
    return keras.saving.register_keras_serializable(package="augment")(operation)


def check_choice(name, value, choices):
    """Refuse what is none of the choices.

    Args:
        name: str. The argument.
        value: its value.
        choices: tuple of str.

    Raises:
        ValueError: if `value` is none of them.

    Example:

    >>> check_choice("mode", "edge", ("edge", "constant"))
    """
    if value not in choices:
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f". Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}{hint}")


def check_number(name, value, low=-math.inf, high=math.inf):
    """Refuse what is no finite number.

    Args:
        name: str. The argument.
        value: its value.
        low: number that it must be at least. Defaults to any.
        high: number that it must be at most. Defaults to any.

    Raises:
        ValueError: if `value` is none.

    Example:

    >>> check_number("fill", 0.5)
    """
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not low <= value <= high or not math.isfinite(value):
        limits = "" if (low, high) == (-math.inf, math.inf) else f" from {low} to {high}"
        raise ValueError(f"`{name}` must be a finite number{limits}. Received: {name}={value!r}")


def check_probability(name, value):
    """Refuse what is no probability.

    Args:
        name: str. The argument.
        value: its value.

    Raises:
        ValueError: if `value` is outside [0, 1].

    Example:

    >>> check_probability("probability", 0.5)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1. Received: {name}={value!r}")


def check_pair(name, value, kinds=(int,), least=1):
    """Refuse what is neither a number nor a pair of them, for height and width.

    Args:
        name: str. The argument.
        value: its value.
        kinds: tuple of types. Defaults to integers alone.
        least: number. Defaults to 1.

    Returns:
        A tuple, `(height, width)`.

    Raises:
        ValueError: if `value` is none of these.

    Example:

    >>> check_pair("size", 24)
    (24, 24)
    """
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(type(side) not in kinds or not least <= side < math.inf for side in pair):
        kind = "an integer" if kinds == (int,) else "a number"
        raise ValueError(f"`{name}` must be {kind}, at least {least}, or a pair of them. Received: {name}={value!r}")
    return pair


def check_range(name, value, lowest, highest=math.inf, around_zero=False):
    """Refuse what is no pair (low, high).

    Args:
        name: str. The argument.
        value: its value.
        lowest: float. What the pair may go down to.
        highest: float. What it may go up to. Defaults to any finite number.
        around_zero: bool. Whether a number that is not negative stands for a pair. Defaults to False.

    Raises:
        ValueError: if `value` is no pair of finite numbers, if low > high, or beyond the limits.

    Example:

    >>> check_range("area", (0.1, 0.4), lowest=0)
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if around_zero and number and 0 <= value <= highest and value < math.inf:
        return
    numbers = isinstance(value, (tuple, list)) and all(isinstance(end, (int, float)) for end in value)
    if not numbers or len(value) != 2 or not lowest <= value[0] <= value[1] <= highest or math.inf in map(abs, value):
        form = "a number, at least 0, or a pair" if around_zero else "a pair"
        limit = "" if highest == math.inf else f" <= {highest}"
        raise ValueError(
            f"`{name}` must be {form} (low, high) with {lowest} <= low <= high{limit}. Received: {name}={value!r}"
        )
