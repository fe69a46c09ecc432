"""Operations that cover parts of an image: cutout, random erasing."""

import dataclasses
import math

from augment import arrays
from augment.draws import first_accepted
from augment.operation import Operation
from augment.operation import check_number
from augment.operation import check_probability
from augment.operation import check_range
from augment.operation import register
from augment.selection import paste
from augment.selection import paste_noise


@register
@dataclasses.dataclass(frozen=True)
class Cutout(Operation):
    """Cover squares of each image.

    Args:
        size: int. Side of the squares, in pixels. Defaults to 8.
        count: int. Squares for each image; they may overlap. Defaults to 1.
        fill: float, in the units of the pixels: 0 is the mean of normalised images. Defaults to 0.
        inside: bool. True keeps the squares inside the image, all positions equally likely; False
            draws their centres, and clips what sticks out, as the paper does. Defaults to True.

    Raises:
        ValueError: if `size` or `count` is no positive integer, or the square is larger than the image.

    Example:

    >>> import numpy as np
    >>> choice = {"top": np.array([[0]]), "left": np.array([[1]])}
    >>> Cutout(1, fill=7).apply(np.zeros((1, 2, 2, 1), "uint8"), choice)[0, :, :, 0]
    array([[0, 7],
           [0, 0]], dtype=uint8)

    Reference:
        DeVries and Taylor, 2017. https://arxiv.org/abs/1708.04552
    """

    size: int = 8
    count: int = 1
    fill: float = 0
    inside: bool = True

    def __post_init__(self):
        for name in ("size", "count"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        check_number("fill", self.fill)

    def draw(self, stream, image_shape):
        height, width, _ = image_shape
        if self.inside:
            for side in (height, width):
                if isinstance(side, int) and self.size > side:
                    raise ValueError(f"{self} does not fit into images of {height} x {width}. Use a smaller `size`.")
            return {
                "top": stream.integers(height - self.size + 1, self.count),
                "left": stream.integers(width - self.size + 1, self.count),
            }
        return {
            "top": stream.integers(height, self.count) - self.size // 2,
            "left": stream.integers(width, self.count) - self.size // 2,
        }

    def apply(self, images, choice):
        if arrays.is_integer(images) and not 0 <= self.fill <= 255:
            raise ValueError(f"`fill` must be from 0 to 255 for integer images. Received: fill={self.fill!r}")
        return paste(images, self.fill, choice["top"], choice["left"], self.size, self.size)


@register
@dataclasses.dataclass(frozen=True)
class RandomErasing(Operation):
    """Cover a rectangle of random area, aspect, place and value.

    Exactly the eraser of experiment 001: area and aspect are uniform, sides are rounded down, the
    corner is uniform over the image, and all four are drawn again until the rectangle fits.

    Args:
        probability: float in [0, 1]. Defaults to 0.5.
        area: (low, high), as fractions of the image's. Defaults to (0.02, 0.4).
        aspect: (low, high), height over width. Defaults to (0.3, 1 / 0.3).
        value: (low, high), in the units of the pixels. Defaults to (0, 255).
        per_pixel: bool. A value for each pixel and channel, or one for the rectangle. Defaults to True.

    Raises:
        ValueError: for ranges that are none, areas outside (0, 1], or shapes that cannot fit.

    Example:

    >>> RandomErasing(probability=1.0, value=(0, 1)).value
    (0, 1)

    Reference:
        Zhong et al., 2017. https://arxiv.org/abs/1708.04896
        https://github.com/yu4u/cutout-random-erasing
    """

    probability: float = 0.5
    area: tuple = (0.02, 0.4)
    aspect: tuple = (0.3, 1 / 0.3)
    value: tuple = (0, 255)
    per_pixel: bool = True

    # The chance that none of so many proposals fits is 1e-10 with the default ranges.
    PROPOSALS = 64

    def __post_init__(self):
        check_probability("probability", self.probability)
        check_range("area", self.area, 0, 1)
        check_range("aspect", self.aspect, 1e-6)
        check_range("value", self.value, -math.inf)
        squarest = min(max(1.0, self.aspect[0]), self.aspect[1])
        if self.area[0] * max(squarest, 1 / squarest) >= 1:
            raise ValueError(
                "No rectangle of these fits into a square image. "
                f"Received: `area`={self.area!r}, `aspect`={self.aspect!r}"
            )

    def draw(self, stream, image_shape):
        height, width, _ = image_shape
        (area, aspect), (y, x) = stream.pairs(self.PROPOSALS), stream.pairs(self.PROPOSALS)
        xp = arrays.namespace(area)
        area = (self.area[0] + (self.area[1] - self.area[0]) * area) * xp.cast(height * width, "float32")
        aspect = self.aspect[0] + (self.aspect[1] - self.aspect[0]) * aspect
        proposals = {
            "height": xp.cast(xp.sqrt(area * aspect), "int32"),
            "width": xp.cast(xp.sqrt(area / aspect), "int32"),
            "top": xp.cast(y * xp.cast(height, "float32"), "int32"),
            "left": xp.cast(x * xp.cast(width, "float32"), "int32"),
        }
        fits = (proposals["top"] + proposals["height"] <= height) & (proposals["left"] + proposals["width"] <= width)
        choice = first_accepted(proposals, fits)
        # A rectangle of no height leaves the image as it is.
        choice["height"] = choice["height"] * xp.cast(stream.chance(self.probability), "int32")
        if self.per_pixel:
            return {**choice, "noise": stream.words(2)}
        return {**choice, "value": stream.uniform(*self.value)}

    def apply(self, images, choice):
        box = choice["top"], choice["left"], choice["height"], choice["width"]
        if self.per_pixel:
            return paste_noise(images, choice["noise"], *self.value, *box)
        value = arrays.namespace(images).cast(choice["value"], images.dtype)
        return paste(images, value[:, :, None, None], *box)
