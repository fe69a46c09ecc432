"""Operations that mix images of a batch, and their labels."""

import dataclasses

from augment import arrays
from augment.operation import Operation
from augment.operation import register

PER = ("image", "batch")


@register
@dataclasses.dataclass(frozen=True)
class Mixup(Operation):
    """Blend each image, and its label, with those of another image of the batch.

    The weight of the image itself is drawn from Beta(alpha, alpha). Partners are a random
    permutation of the batch. Images become float32; labels must be one-hot or soft.

    Args:
        alpha: float > 0. Defaults to 0.2.
        per: "image" draws a weight for each image, "batch" one for all, as the paper's code does.
            Defaults to "image".

    Raises:
        ValueError: if `alpha` is not positive or `per` is unknown; on use, for labels that are integers.

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

    def __post_init__(self):
        if (
            isinstance(self.alpha, bool)
            or not isinstance(self.alpha, (int, float))
            or not 0 < self.alpha < float("inf")
        ):
            raise ValueError(f"`alpha` must be a positive number. Received: alpha={self.alpha!r}")
        if self.per not in PER:
            raise ValueError(f"`per` must be one of {PER}. Received: per={self.per!r}")

    def draw(self, stream, image_shape):
        weight = stream.beta(self.alpha)
        order = stream.words()[:, 0]
        if self.per == "batch":
            weight = weight[:1] + weight * 0
        return {"weight": weight, "partner": arrays.namespace(order).argsort(order)}

    def apply(self, images, choice):
        return _blend(arrays.namespace(images).cast(images, "float32"), choice)

    def evaluate(self, images):
        return arrays.namespace(images).cast(images, "float32")

    def apply_labels(self, labels, choice):
        if len(labels.shape) < 2 or arrays.is_integer(labels):
            raise ValueError(
                "Mixup needs one-hot or soft labels, as floats of shape (batch, classes). "
                f"Received: shape={tuple(labels.shape)}, dtype={labels.dtype}. Use keras.ops.one_hot."
            )
        return _blend(labels, choice)


def _blend(values, choice):
    xp = arrays.namespace(values)
    weight = xp.cast(xp.reshape(choice["weight"], (-1,) + (1,) * (len(values.shape) - 1)), values.dtype)
    return values * weight + xp.take(values, choice["partner"]) * (1 - weight)
