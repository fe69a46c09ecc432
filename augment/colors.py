"""Operations on colours: brightness, contrast, saturation, hue, grayscale."""

import dataclasses
import math

import numpy as np

from augment import arrays
from augment import opencv
from augment.arrays import in_numpy
from augment.composition import RandomOrder
from augment.operation import Operation
from augment.operation import check_probability
from augment.operation import check_range
from augment.operation import register
from augment.selection import change_where


class _Blend(Operation):
    """Away from, or towards, a reference image: `factor * image + (1 - factor) * reference`."""

    reference = "black"

    def __post_init__(self):
        check_range("factor", self.factor, 0, around_zero=True)
        check_value_range(self.value_range)

    def draw(self, stream, image_shape):
        return {"factor": stream.uniform(*around_one(self.factor))}

    def apply(self, images, choice):
        _is_gray(images)  # refuses other numbers of channels
        return _blend(images, choice["factor"], self.reference, tuple(self.value_range))


@register
@dataclasses.dataclass(frozen=True)
class Brightness(_Blend):
    """Multiply the pixels of each image by a factor of its own.

    Args:
        factor: float, or (low, high). A float f stands for (max(0, 1 - f), 1 + f). Defaults to 0.2.
        value_range: (lowest, highest) value of a pixel; results are kept within. Defaults to (0, 255).

    Raises:
        ValueError: for a negative or empty range.

    Example:

    >>> import numpy as np
    >>> Brightness().apply(np.full((1, 1, 1, 1), 100, "uint8"), {"factor": np.array([[1.5]], "float32")}).item()
    150
    """

    factor: float | tuple = 0.2
    value_range: tuple = (0, 255)


@register
@dataclasses.dataclass(frozen=True)
class Contrast(_Blend):
    """Move the pixels of each image away from, or towards, the mean of its gray values.

    Args:
        factor: float, or (low, high). A float f stands for (max(0, 1 - f), 1 + f). Defaults to 0.2.
        value_range: (lowest, highest) value of a pixel; results are kept within. Defaults to (0, 255).

    Raises:
        ValueError: for a negative or empty range.

    Example:

    >>> import numpy as np
    >>> image = np.array([100, 200], "uint8").reshape(1, 1, 2, 1)
    >>> Contrast().apply(image, {"factor": np.array([[0.5]], "float32")}).ravel()
    array([125, 175], dtype=uint8)
    """

    factor: float | tuple = 0.2
    value_range: tuple = (0, 255)

    reference = "mean"


@register
@dataclasses.dataclass(frozen=True)
class Saturation(_Blend):
    """Move the pixels of each image away from, or towards, their gray value; gray images stay as they are.

    Args:
        factor: float, or (low, high). A float f stands for (max(0, 1 - f), 1 + f). Defaults to 0.2.
        value_range: (lowest, highest) value of a pixel; results are kept within. Defaults to (0, 255).

    Raises:
        ValueError: for a negative or empty range.

    Example:

    >>> import numpy as np
    >>> image = np.array([200, 100, 100], "uint8").reshape(1, 1, 1, 3)
    >>> Saturation().apply(image, {"factor": np.array([[0.0]], "float32")}).ravel()
    array([130, 130, 130], dtype=uint8)
    """

    factor: float | tuple = 0.2
    value_range: tuple = (0, 255)

    reference = "gray"


@register
@dataclasses.dataclass(frozen=True)
class Hue(Operation):
    """Turn the hue of each image by an angle of its own; gray images stay as they are.

    Args:
        shift: float in [0, 0.5], or (low, high) in [-0.5, 0.5], as a fraction of the full circle. A
            float s stands for (-s, s). Defaults to 0.1.

    Raises:
        ValueError: for a range that is empty or goes beyond half the circle.

    Example:

    >>> import numpy as np
    >>> red = np.array([255, 0, 0], "uint8").reshape(1, 1, 1, 3)
    >>> Hue().apply(red, {"shift": np.array([[1 / 3]], "float32")}).ravel()
    array([  0, 255,   0], dtype=uint8)
    """

    shift: float | tuple = 0.1

    def __post_init__(self):
        check_range("shift", self.shift, -0.5, 0.5, around_zero=True)

    def _range(self):
        return self.shift if isinstance(self.shift, (tuple, list)) else (-self.shift, self.shift)

    def draw(self, stream, image_shape):
        return {"shift": stream.uniform(*self._range())}

    def apply(self, images, choice):
        return images if _is_gray(images) else _turn_hue(images, choice["shift"])


@register
@dataclasses.dataclass(frozen=True)
class ColorJitter(Operation):
    """Change brightness, contrast, saturation and hue, in an order of its own for each image.

    The arguments of torchvision. What is 0 is left out. Gray images keep saturation and hue.

    Args:
        brightness: float, or (low, high). A float f stands for (max(0, 1 - f), 1 + f). Defaults to 0.
        contrast: likewise. Defaults to 0.
        saturation: likewise. Defaults to 0.
        hue: float in [0, 0.5], or (low, high) in [-0.5, 0.5], as a fraction of the full circle. A
            float h stands for (-h, h). Defaults to 0.
        value_range: (lowest, highest) value of a pixel; results are kept within. Defaults to (0, 255).

    Raises:
        ValueError: for a negative or empty range, or a hue beyond 0.5.

    Example:

    >>> ColorJitter(brightness=0.4, hue=0.1).operations
    (Brightness(factor=0.4, value_range=(0, 255)), Hue(shift=0.1))
    """

    brightness: float | tuple = 0
    contrast: float | tuple = 0
    saturation: float | tuple = 0
    hue: float | tuple = 0
    value_range: tuple = (0, 255)

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation"):
            check_range(name, getattr(self, name), 0, around_zero=True)
        check_range("hue", self.hue, -0.5, 0.5, around_zero=True)
        check_value_range(self.value_range)

    @property
    def operations(self):
        """tuple of `Operation`. What is applied, in random order."""
        blends = {Brightness: self.brightness, Contrast: self.contrast, Saturation: self.saturation}
        wanted = [kind(factor, self.value_range) for kind, factor in blends.items() if factor != 0]
        return (*wanted, *([Hue(self.hue)] if self.hue != 0 else []))

    def draw(self, stream, image_shape):
        return RandomOrder(self.operations).draw(stream, image_shape) if self.operations else {}

    def apply(self, images, choice):
        return RandomOrder(self.operations).apply(images, choice) if self.operations else images


@register
@dataclasses.dataclass(frozen=True)
class Grayscale(Operation):
    """Take the colours away, and keep the channels.

    Args:
        probability: float in [0, 1]. Defaults to 0.1.

    Raises:
        ValueError: if `probability` is none.

    Example:

    >>> import numpy as np
    >>> pixel = np.array([200, 100, 100], "uint8").reshape(1, 1, 1, 3)
    >>> Grayscale().apply(pixel, {"gray": np.array([[True]])}).ravel()
    array([130, 130, 130], dtype=uint8)
    """

    probability: float = 0.1

    def __post_init__(self):
        check_probability("probability", self.probability)

    def draw(self, stream, image_shape):
        return {"gray": stream.chance(self.probability)}

    def apply(self, images, choice):
        _is_gray(images)
        none = arrays.namespace(images).cast(choice["gray"], "float32") * 0
        return change_where(choice["gray"], _take_colors, images, none)


def around_one(factor):
    """The range that a factor stands for.

    Args:
        factor: float, or (low, high).

    Returns:
        `(low, high)`.

    Example:

    >>> around_one(0.25)
    (0.75, 1.25)
    """
    return tuple(factor) if isinstance(factor, (tuple, list)) else (max(0.0, 1 - factor), 1 + factor)


def check_value_range(value_range):
    """Refuse what is no range of pixels.

    Args:
        value_range: `(lowest, highest)`.

    Raises:
        ValueError: if it is no pair, or empty.

    Example:

    >>> check_value_range((0, 1))
    """
    check_range("value_range", value_range, -math.inf)
    if not value_range[0] < value_range[1]:
        raise ValueError(f"`value_range` must have lowest < highest. Received: value_range={value_range!r}")


def _is_gray(images):
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"Colours need images of 3 channels, or 1. Received: {channels} channels")
    return channels == 1


def _take_colors(images, none):
    return _blend(images, none, "gray", None)


@in_numpy(opencv.blend)
def _blend(images, factor, reference, value_range):
    xp = arrays.namespace(images)
    values, factor = xp.cast(images, "float32"), factor[:, :, None, None]
    blended = values * factor
    if reference == "gray":
        blended = blended + (1 - factor) * _gray(values)
    elif reference == "mean":
        blended = blended + (1 - factor) * _mean_gray(values)
    if value_range not in (None, arrays.limits(images)):
        blended = xp.clip(blended, *value_range)
    return arrays.cast_like(blended, images)


def _gray(values):
    """The gray value of each pixel, `(batch, height, width, 1)`."""
    if _is_gray(values):
        return values
    return sum(weight * values[..., channel : channel + 1] for channel, weight in enumerate(opencv.LUMA))


def _mean_gray(values):
    """The mean gray value of each image, `(batch, 1, 1, 1)`."""
    xp = arrays.namespace(values)
    _, height, width, channels = arrays.shape(values)
    pixels = height * width
    # As a product with a vector: several times as fast as a sum over rows and columns.
    weights = xp.asarray(np.asarray([1.0] if _is_gray(values) else opencv.LUMA, "float32"))
    weights = xp.reshape(weights / xp.cast(pixels, "float32") + xp.zeros((pixels, 1), "float32"), (-1, 1))
    return xp.reshape(xp.matmul(xp.reshape(values, (-1, pixels * channels)), weights), (-1, 1, 1, 1))


@in_numpy(opencv.hue)
def _turn_hue(images, shift):
    xp = arrays.namespace(images)
    values = xp.cast(images, "float32")
    red, green, blue = (values[..., channel] for channel in range(3))
    highest = xp.maximum(xp.maximum(red, green), blue)
    chroma = highest - xp.minimum(xp.minimum(red, green), blue)
    unit = xp.maximum(chroma, 1e-12)  # gray pixels have no hue, and need none
    sector = xp.where(
        highest == red,
        (green - blue) / unit,
        xp.where(highest == green, 2 + (blue - red) / unit, 4 + (red - green) / unit),
    )
    sector = sector + 6 * shift[:, :, None]
    turned = []
    for place in (5, 3, 1):  # of red, green and blue on the circle, in the formula from hue back to colour
        distance = sector + place
        distance = distance - 6 * xp.floor(distance / 6)
        turned.append(highest - chroma * xp.clip(xp.minimum(distance, 4 - distance), 0.0, 1.0))
    return arrays.cast_like(arrays.join_channels(turned), images)
