"""Operations that move pixels within the image: flips, translation, rotation."""

import dataclasses
import math

from augment import arrays
from augment import boxes as box_sides
from augment.operation import Operation
from augment.operation import check_number
from augment.operation import check_pair
from augment.operation import check_probability
from augment.operation import check_range
from augment.operation import register
from augment.sampling import check_mode
from augment.sampling import place
from augment.sampling import shift
from augment.sampling import turn
from augment.selection import change_where


class _LeftRight(Operation):
    """What is done where "flip" is chosen."""

    def apply(self, images, choice):
        return _flip(images, choice["flip"], 2)

    def apply_boxes(self, boxes, choice, image_shape):
        return box_sides.flip(boxes, choice["flip"], image_shape, "x")


@register
@dataclasses.dataclass(frozen=True)
class HorizontalFlip(_LeftRight):
    """Mirror left and right.

    Args:
        probability: float in [0, 1]. Defaults to 0.5.

    Raises:
        ValueError: if `probability` is none.

    Example:

    >>> import numpy as np
    >>> flip = HorizontalFlip()
    >>> flip.apply(np.array([[[[1], [2]]]]), {"flip": np.array([[True]])}).ravel()
    array([2, 1])
    """

    probability: float = 0.5

    def __post_init__(self):
        check_probability("probability", self.probability)

    def draw(self, stream, image_shape):
        return {"flip": stream.chance(self.probability)}


@register
@dataclasses.dataclass(frozen=True)
class AlternatingFlip(_LeftRight):
    """Mirror left and right every other epoch: one half of the images in even epochs, the other in odd ones.

    Which half an image is in, is drawn once. So two epochs show every image in both ways, which trains
    faster than a draw in each epoch. In the layer it needs `index` and `epoch`: without them a batch
    counts as an epoch.

    Example:

    >>> import numpy as np
    >>> from augment.draws import Stream
    >>> first, second = (AlternatingFlip().draw(Stream(0, epoch, np.arange(9)), None)["flip"] for epoch in (0, 1))
    >>> bool((first != second).all())
    True

    Reference:
        https://arxiv.org/abs/2404.00498
    """

    def draw(self, stream, image_shape):
        return {"flip": stream.of_all_epochs().chance(0.5) ^ (stream.epoch % 2 == 1)}


@register
@dataclasses.dataclass(frozen=True)
class VerticalFlip(HorizontalFlip):
    """Mirror top and bottom.

    Args:
        probability: float in [0, 1]. Defaults to 0.5.

    Raises:
        ValueError: if `probability` is none.

    Example:

    >>> VerticalFlip(probability=1.0)
    VerticalFlip(probability=1.0)
    """

    def apply(self, images, choice):
        return _flip(images, choice["flip"], 1)

    def apply_boxes(self, boxes, choice, image_shape):
        return box_sides.flip(boxes, choice["flip"], image_shape, "y")


@register
@dataclasses.dataclass(frozen=True)
class Translation(Operation):
    """Move by whole pixels, all offsets up to the largest equally likely.

    Args:
        shift: the largest offset, up or down, left or right: int, in pixels; float in [0, 1), as a fraction
            of the side; or a pair of either, (vertical, horizontal). Defaults to 0.1.
        mode: what lies outside the image: one of "reflect", "edge", "constant". Defaults to "constant".
        fill: float, in the units of the pixels, for "constant". Defaults to 0.
        probability: float in [0, 1]. Defaults to 1.

    Raises:
        ValueError: for a negative shift, a fraction of 1 or more, an unknown mode, or a probability that is none.

    Example:

    >>> import numpy as np
    >>> choice = {"down": np.array([[0]]), "right": np.array([[1]])}
    >>> Translation(1).apply(np.array([[[[1], [2], [3]]]]), choice).ravel()
    array([0, 1, 2])
    """

    shift: int | float | tuple = 0.1
    mode: str = "constant"
    fill: float = 0
    probability: float = 1

    def __post_init__(self):
        check_mode(self.mode)
        check_number("fill", self.fill)
        check_probability("probability", self.probability)
        for largest in check_pair("shift", self.shift, (int, float), least=0):
            if isinstance(largest, float) and largest >= 1:
                raise ValueError(
                    "`shift` as a float is a fraction of the side, less than 1; pixels are integers. "
                    f"Received: shift={self.shift!r}"
                )

    def draw(self, stream, image_shape):
        moved = stream.chance(self.probability)
        choice = {}
        for name, largest, side in zip(
            ("down", "right"), check_pair("shift", self.shift, (int, float), 0), image_shape
        ):
            largest = _fraction(moved, largest, side) if isinstance(largest, float) else largest
            offset = stream.integers(2 * largest + 1) - largest
            choice[name] = offset * arrays.namespace(moved).cast(moved, "int32")
        return choice

    def apply(self, images, choice):
        return shift(images, choice["down"], choice["right"], self.mode, self.fill)

    def apply_boxes(self, boxes, choice, image_shape):
        height, width, _ = image_shape
        return box_sides.shift(boxes, choice["down"], choice["right"], (0, 0, width, height))


@register
@dataclasses.dataclass(frozen=True)
class Rotation(Operation):
    """Rotate about the centre, by an angle of its own for each image, with bilinear sampling.

    OpenCV, which does it for NumPy arrays and for torch on a CPU, rounds positions to 1/32 of a pixel.

    Args:
        degrees: float, or (low, high). Angles are uniform in [-degrees, degrees] or [low, high];
            positive is counter-clockwise. Defaults to 15.
        mode: what lies outside the image: one of "reflect", "edge", "constant". Defaults to "constant".
        fill: float, in the units of the pixels, for "constant". Defaults to 0.
        probability: float in [0, 1]. Defaults to 1.

    Raises:
        ValueError: for an unknown mode, a range that is none, or a probability that is none.

    Example:

    >>> import numpy as np
    >>> image = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
    >>> Rotation(90).apply(image, {"degrees": np.full((1, 1), 90, "float32")})[0, :, :, 0].round()
    array([[2., 5., 8.],
           [1., 4., 7.],
           [0., 3., 6.]], dtype=float32)
    """

    degrees: float | tuple = 15
    mode: str = "constant"
    fill: float = 0
    probability: float = 1

    def __post_init__(self):
        check_mode(self.mode)
        check_number("fill", self.fill)
        check_probability("probability", self.probability)
        check_range("degrees", self.degrees, -360, around_zero=True)

    def _range(self):
        return self.degrees if isinstance(self.degrees, (tuple, list)) else (-self.degrees, self.degrees)

    def draw(self, stream, image_shape):
        return {"degrees": stream.uniform(*self._range()) * stream.switch(self.probability)}

    def apply(self, images, choice):
        return turn(images, *_direction(choice["degrees"]), self.mode, self.fill)

    def apply_boxes(self, boxes, choice, image_shape):
        return box_sides.rotate(boxes, *_direction(choice["degrees"]), image_shape)


@register
@dataclasses.dataclass(frozen=True)
class ScaleJitter(Operation):
    """Show objects larger or smaller, by a factor of its own for each image, whose size stays as it is.

    Of a larger image a random part is shown; a smaller one lies at a random place. Bilinear,
    anti-aliased.

    Args:
        scale: (low, high), of the uniform factor. Defaults to (0.8, 1.2).
        fill: float, in the units of the pixels: beside a smaller image. Defaults to 0.
        probability: float in [0, 1]. Defaults to 1.

    Raises:
        ValueError: for a range that is none or not positive, or a probability that is none.

    Example:

    >>> import numpy as np
    >>> choice = {name: np.array([[value]]) for name, value in zip(("top", "left", "height", "width"), (0, -1, 1, 4))}
    >>> ScaleJitter((0.5, 2.0)).apply(np.array([[[[0], [8]]]], "uint8"), choice).ravel()
    array([2, 6], dtype=uint8)

    Reference:
        Large scale jittering in https://arxiv.org/abs/2012.07177
    """

    scale: tuple = (0.8, 1.2)
    fill: float = 0
    probability: float = 1

    def __post_init__(self):
        check_range("scale", self.scale, 1e-2)
        check_number("fill", self.fill)
        check_probability("probability", self.probability)

    def draw(self, stream, image_shape):
        factor = 1 + (stream.uniform(*self.scale) - 1) * stream.switch(self.probability)
        xp, choice = arrays.namespace(factor), {}
        for first, length, side in zip(("top", "left"), ("height", "width"), image_shape):
            scaled = xp.cast(xp.round(xp.cast(side, "float32") * factor), "int32")
            choice[length] = scaled = xp.maximum(scaled, 1)
            spare = side - scaled
            choice[first] = stream.integers(xp.abs(spare) + 1) * xp.sign(spare)
        return choice

    def apply(self, images, choice):
        return place(images, choice["top"], choice["left"], choice["height"], choice["width"], self.fill)

    def apply_boxes(self, boxes, choice, image_shape):
        height, width, _ = image_shape
        new_height, new_width = choice["height"], choice["width"]
        xp = arrays.namespace(new_height)
        down = xp.cast(new_height, "float32") / xp.cast(height, "float32")
        right = xp.cast(new_width, "float32") / xp.cast(width, "float32")
        boxes = box_sides.scale(boxes, down, right, (0, 0, new_width, new_height))
        return box_sides.shift(boxes, choice["top"], choice["left"], (0, 0, width, height))


def _flip(images, chosen, axis):
    xp = arrays.namespace(images)
    batch, height, width, channels = arrays.shape(images)
    if axis == 1 and arrays.is_torch_on_cpu(images):  # whole rows are read as fast as they lie
        row = xp.arange(height, dtype="int32")[None, :]
        rows = xp.where(chosen, height - 1 - row, row) + xp.arange(batch, dtype="int32")[:, None] * height
        return xp.reshape(xp.take(xp.reshape(images, (batch * height, width * channels)), rows), images.shape)
    return change_where(chosen, lambda some: xp.flip(some, axis), images)


def _direction(degrees):
    xp = arrays.namespace(degrees)
    angle = degrees * (math.pi / 180)
    return xp.cos(angle), xp.sin(angle)


def _fraction(like, fraction, side):
    """A fraction of a side, rounded down; the side may be unknown while tracing."""
    if isinstance(side, int):
        return int(fraction * side)
    xp = arrays.namespace(like)
    return xp.cast(xp.floor(fraction * xp.cast(side, "float32")), "int32")
