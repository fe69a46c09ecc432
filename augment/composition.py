"""Operations made of operations: some of the time, in random order, one of several; for each image."""

import dataclasses

import keras
import numpy as np

from augment import arrays
from augment.operation import Operation
from augment.operation import check_operations
from augment.operation import check_probability
from augment.operation import register
from augment.selection import change_where
from augment.selection import select


class _Composition(Operation):
    """What they share: parts, each with a choice of its own, and where each of them acts."""

    def __post_init__(self):
        object.__setattr__(self, "operations", tuple(check_operations(self.operations)))
        if not self.operations:
            raise ValueError(f"`operations` must hold at least one operation. Received: {self.operations!r}")

    def changes_labels(self):
        return any(operation.changes_labels() for operation in self.operations)

    def get_config(self):
        config = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parts = [keras.saving.serialize_keras_object(operation) for operation in self.operations]
        return {**config, "operations": parts}

    @classmethod
    def from_config(cls, config):
        parts = [keras.saving.deserialize_keras_object(operation) for operation in config["operations"]]
        return super().from_config({**config, "operations": parts})

    def _draw_parts(self, stream, image_shape):
        return tuple(operation.draw(stream, image_shape) for operation in self.operations)

    def _check_sides(self, image_shape):
        """Refuse operations that change the sides, where an image may go without them."""
        for operation in self.operations:
            if _known(operation.output_shape(image_shape)) != _known(image_shape):
                raise ValueError(
                    f"{type(self).__name__} cannot hold {operation}, which makes images of another size: "
                    "all images of a batch must have one. Put it beside, not inside."
                )


@register
@dataclasses.dataclass(frozen=True)
class RandomApply(_Composition):
    """Apply operations to some of the images.

    Args:
        operations: an `Operation`, or a list of them, which act together, in this order.
        probability: float in [0, 1]. Defaults to 0.5.

    Raises:
        ValueError: for what is no operation or probability; on use, for operations that change the
            sides of images.

    Example:

    >>> from augment import GaussianBlur
    >>> RandomApply(GaussianBlur(2.0), probability=0.1).probability
    0.1
    """

    operations: tuple
    probability: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        check_probability("probability", self.probability)

    def draw(self, stream, image_shape):
        self._check_sides(image_shape)
        return {"apply": stream.chance(self.probability), "parts": self._draw_parts(stream, image_shape)}

    def apply(self, images, choice):
        for operation, part in zip(self.operations, choice["parts"]):
            images = _change(operation, "apply", choice["apply"], images, images, part)
        return images

    def apply_labels(self, labels, choice):
        for operation, part in zip(self.operations, choice["parts"]):
            labels = _change(operation, "apply_labels", choice["apply"], labels, labels, part)
        return labels

    def apply_boxes(self, boxes, choice, image_shape):
        for operation, part in zip(self.operations, choice["parts"]):
            boxes = _change(operation, "apply_boxes", choice["apply"], boxes, boxes, part, image_shape)
        return boxes

    def evaluate(self, images):
        return _as_result(self.operations, images)


@register
@dataclasses.dataclass(frozen=True)
class RandomOrder(_Composition):
    """Apply all operations, in an order of its own for each image.

    Args:
        operations: list of `Operation`.

    Raises:
        ValueError: for what is no operation; on use, for operations that change the sides of images.

    Example:

    >>> from augment import HorizontalFlip, Rotation
    >>> len(RandomOrder([Rotation(20), HorizontalFlip()]).operations)
    2
    """

    operations: tuple

    def draw(self, stream, image_shape):
        self._check_sides(image_shape)
        words = stream.words(len(self.operations))
        order = arrays.namespace(words).argsort(words)
        return {"order": order, "parts": self._draw_parts(stream, image_shape)}

    def apply(self, images, choice):
        return self._in_order("apply", images, choice)

    def apply_labels(self, labels, choice):
        return self._in_order("apply_labels", labels, choice)

    def apply_boxes(self, boxes, choice, image_shape):
        return self._in_order("apply_boxes", boxes, choice, image_shape)

    def evaluate(self, images):
        for operation in self.operations:
            images = operation.evaluate(images)
        return images

    def _in_order(self, change, values, choice, *arguments):
        def one_turn(turn, before):
            now, values = choice["order"][:, turn, None], before
            for number, (operation, part) in enumerate(zip(self.operations, choice["parts"])):
                values = _change(operation, change, now == number, before, values, part, *arguments)
            return values

        return arrays.repeat(len(self.operations), one_turn, values)


@register
@dataclasses.dataclass(frozen=True)
class OneOf(_Composition):
    """Apply one of several operations, drawn for each image.

    Outside training, what the first of them does there.

    Args:
        operations: list of `Operation`. All must give images of the same size.
        weights: list of floats, how likely each is, relative to the others; or None for equally
            likely. Defaults to None.

    Raises:
        ValueError: for what is no operation, or weights that are not as many, negative or all zero; on
            use, for operations that give images of different sizes.

    Example:

    >>> from augment import CutMix, Mixup
    >>> OneOf([Mixup(0.2), CutMix(1.0)], weights=[3, 1]).weights
    (3, 1)
    """

    operations: tuple
    weights: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.weights is None:
            return
        weights = tuple(self.weights) if isinstance(self.weights, (tuple, list)) else (None,)
        sound = all(isinstance(each, (int, float)) and 0 <= each < float("inf") for each in weights)
        if len(weights) != len(self.operations) or not sound or not sum(weights) > 0:
            raise ValueError(
                "`weights` must be a number for each operation, none negative and not all 0. "
                f"Received: weights={self.weights!r} for {len(self.operations)} operations"
            )
        object.__setattr__(self, "weights", weights)

    def draw(self, stream, image_shape):
        sides = {_known(operation.output_shape(image_shape)) for operation in self.operations}
        if len(sides) > 1:
            raise ValueError(
                f"{self} gives images of different sizes, {', '.join(map(str, sides))}. They must be the same."
            )
        weights = np.asarray(self.weights or [1] * len(self.operations), "float64")
        ends = (np.cumsum(weights) / weights.sum()).tolist()[:-1]
        number = stream.uniform()
        xp = arrays.namespace(number)
        chosen = sum((xp.cast(number >= end, "int32") for end in ends), xp.cast(number * 0, "int32"))
        return {"chosen": chosen, "parts": self._draw_parts(stream, image_shape)}

    def apply(self, images, choice):
        image_shape = arrays.shape(images)[1:]
        if _known(self.output_shape(image_shape)) == _known(image_shape):
            return self._chosen("apply", images, images, choice)
        # No image remains as it was: begin with those of the first operation.
        first = self.operations[0].apply(images, choice["parts"][0])
        return self._chosen("apply", images, first, choice)

    def apply_labels(self, labels, choice):
        return self._chosen("apply_labels", labels, labels, choice)

    def apply_boxes(self, boxes, choice, image_shape):
        return self._chosen("apply_boxes", boxes, boxes, choice, image_shape)

    def evaluate(self, images):
        return _as_result(self.operations, self.operations[0].evaluate(images))

    def evaluate_boxes(self, boxes, image_shape):
        return self.operations[0].evaluate_boxes(boxes, image_shape)

    def output_shape(self, image_shape):
        return self.operations[0].output_shape(image_shape)

    def _chosen(self, change, values, result, choice, *arguments):
        for number, (operation, part) in enumerate(zip(self.operations, choice["parts"])):
            result = _change(operation, change, choice["chosen"] == number, values, result, part, *arguments)
        return result


def _change(operation, change, chosen, values, into, part, *arguments):
    """Let an operation change the chosen samples of `values`; the others are those of `into`."""

    def act(values, part):
        return getattr(operation, change)(values, part, *arguments)

    if operation.changes_labels():  # samples mix: it needs them all
        return select(chosen, act(values, part), into)
    return change_where(chosen, act, values, part, into=into)


def _known(image_shape):
    """The sides; 0 stands for one that is unknown while tracing."""
    return tuple(side if isinstance(side, int) else 0 for side in image_shape)


def _as_result(operations, images):
    """Images in the dtype that they have after training's changes."""
    for operation in operations:
        if operation.evaluate(images[:1]).dtype != images.dtype:
            return arrays.namespace(images).cast(images, "float32")
    return images
