"""Operations that mix images of a batch, and their labels."""

import dataclasses
import math

from augment import arrays
from augment.operation import Operation
from augment.operation import check_choice
from augment.operation import register
from augment.selection import paste

PER = ("image", "batch")


class _Mixing(Operation):
    """What mixup and cutmix share: a weight from Beta(alpha, alpha), a partner, mixed labels."""

    def __post_init__(self):
        number = isinstance(self.alpha, (int, float)) and not isinstance(self.alpha, bool)
        if not number or not 0 < self.alpha < math.inf:
            raise ValueError(f"`alpha` must be a positive number. Received: alpha={self.alpha!r}")
        check_choice("per", self.per, PER)

    def draw(self, stream, image_shape):
        weight = stream.beta(self.alpha)
        order = stream.words()[:, 0]
        return {"weight": self._shared(weight), "partner": arrays.namespace(order).argsort(order)}

    def apply_boxes(self, boxes, choice, image_shape):
        raise ValueError(f"{type(self).__name__} mixes images, and has no meaning for boxes. Leave it out.")

    def apply_labels(self, labels, choice):
        if len(labels.shape) < 2 or arrays.is_integer(labels):
            raise ValueError(
                f"{type(self).__name__} needs one-hot or soft labels, as floats of shape (batch, classes). "
                f"Received: shape={tuple(labels.shape)}, dtype={labels.dtype}. Use keras.ops.one_hot."
            )
        return _blend(labels, choice)

    def _shared(self, values):
        """One value for all, where `per` says so."""
        return values[:1] + values * 0 if self.per == "batch" else values


@register
@dataclasses.dataclass(frozen=True)
class Mixup(_Mixing):
    """Blend each image, and its label, with those of another image of the batch.

    The weight of the image itself is drawn from Beta(alpha, alpha). Partners are a random
    permutation of the batch. Images become float32; labels must be one-hot or soft.

    Args:
        alpha: float > 0. Defaults to 0.2.
        per: "image" draws a weight for each image, "batch" one for all, as the paper's code does.
            Defaults to "image".

    Raises:
        ValueError: if `alpha` is not positive or `per` is unknown; on use, for labels that are
            integers, or boxes.

    Example:

    >>> import numpy as np
    >>> mixup = Mixup(0.2)
    >>> choice = {"weight": np.full((2, 1), 0.75, "float32"), "partner": np.array([1, 0])}
    >>> mixup.apply_labels(np.eye(2, dtype="float32"), choice)
    array([[0.75, 0.25],
           [0.25, 0.75]], dtype=float32)

    Reference:
        Zhang et al., 2017. https://arxiv.org/abs/1710.09412
    """

    alpha: float = 0.2
    per: str = "image"

    def apply(self, images, choice):
        return _blend(images, choice)

    def evaluate(self, images):
        return arrays.namespace(images).cast(images, "float32")


@register
@dataclasses.dataclass(frozen=True)
class CutMix(_Mixing):
    """Replace a rectangle of each image by that of another image of the batch.

    The rectangle has the image's proportions and a share of its area of 1 - w, where w is drawn
    from Beta(alpha, alpha); its centre is uniform over the image, and what sticks out is cut off.
    Labels are mixed by the area that was replaced, to the pixel.

    Args:
        alpha: float > 0. Defaults to 1, for which w is uniform.
        per: "image" draws a rectangle for each image, "batch" one for all, as the paper's code does.
            Defaults to "image".

    Raises:
        ValueError: if `alpha` is not positive or `per` is unknown; on use, for labels that are
            integers, or boxes.

    Example:

    >>> import numpy as np
    >>> box = {"top": 0, "left": 1, "height": 1, "width": 2}
    >>> choice = {name: np.full((2, 1), value) for name, value in box.items()} | {"partner": np.array([1, 0])}
    >>> images = np.array([1, 2])[:, None, None, None] + np.zeros((2, 1, 3, 1), int)
    >>> CutMix().apply(images, choice)[:, 0, :, 0]
    array([[1, 2, 2],
           [2, 1, 1]])

    Reference:
        Yun et al., 2019. https://arxiv.org/abs/1905.04899
    """

    alpha: float = 1.0
    per: str = "image"

    def draw(self, stream, image_shape):
        choice = super().draw(stream, image_shape)
        xp = arrays.namespace(choice["weight"])
        share = xp.sqrt(1 - choice.pop("weight"))
        area = 1
        for first, length, side in zip(("top", "left"), ("height", "width"), image_shape):
            whole = xp.cast(side, "int32")
            wanted = xp.cast(share * xp.cast(side, "float32"), "int32")
            start = self._shared(stream.integers(side)) - wanted // 2
            end = xp.minimum(start + wanted, whole)
            choice[first] = xp.maximum(start, 0)
            choice[length] = end - choice[first]
            area = area * choice[length]
        pixels = xp.cast(image_shape[0] * image_shape[1], "float32")
        return {**choice, "weight": 1 - xp.cast(area, "float32") / pixels}

    def apply(self, images, choice):
        partners = arrays.namespace(images).take(images, choice["partner"])
        return paste(images, partners, choice["top"], choice["left"], choice["height"], choice["width"])


def _blend(values, choice):
    """Floats between samples and their partners."""
    xp = arrays.namespace(values)
    dtype = "float32" if arrays.is_integer(values) else values.dtype
    partners = xp.take(values, choice["partner"])  # before the cast: integers are a quarter of the bytes
    values, partners = xp.cast(values, dtype), xp.cast(partners, dtype)
    weight = xp.cast(xp.reshape(choice["weight"], (-1,) + (1,) * (len(values.shape) - 1)), dtype)
    return xp.lerp(partners, values, weight)
