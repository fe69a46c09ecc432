"""Operations on the values of pixels: normalisation, blur."""

import dataclasses
import math

import numpy as np

from augment import arrays
from augment.operation import Operation
from augment.operation import check_number
from augment.operation import check_probability
from augment.operation import check_range
from augment.operation import register
from augment.sampling import blur


@register
@dataclasses.dataclass(frozen=True)
class GaussianBlur(Operation):
    """Blur with a sigma of its own for each image.

    The kernel reaches three sigmas of the largest blur; edges are reflected.

    Args:
        sigma: float, or (low, high), in pixels. A float s stands for (0, s). Defaults to 0.5.
        probability: float in [0, 1]. Defaults to 1.

    Raises:
        ValueError: for a negative or empty range, or a probability that is none.

    Example:

    >>> GaussianBlur((0.1, 2.0)).radius
    6
    """

    sigma: float | tuple = 0.5
    probability: float = 1

    def __post_init__(self):
        check_probability("probability", self.probability)
        check_range("sigma", self.sigma, 0, around_zero=True)

    def _range(self):
        return self.sigma if isinstance(self.sigma, (tuple, list)) else (0.0, self.sigma)

    @property
    def radius(self):
        """int. Pixels that the kernel reaches on each side."""
        return max(1, math.ceil(3 * self._range()[1]))

    def draw(self, stream, image_shape):
        return {"sigma": stream.uniform(*self._range()) * stream.switch(self.probability)}

    def apply(self, images, choice):
        _, height, width, _ = arrays.shape(images)
        for side in (height, width):
            if isinstance(side, int) and side <= self.radius:
                raise ValueError(
                    f"{self} needs images of more than {self.radius} pixels a side. Received: {height} x {width}"
                )
        return blur(images, choice["sigma"], self.radius)


@register
@dataclasses.dataclass(frozen=True)
class Normalize(Operation):
    """Subtract a mean and divide by a standard deviation, for each channel; not random.

    Args:
        mean: tuple of floats, one for each channel (or one for all), in the units of the pixels.
        std: likewise.

    Returns:
        float32 images.

    Raises:
        ValueError: if a standard deviation is not positive.

    Example:

    >>> import numpy as np
    >>> Normalize((127.5,), (127.5,)).evaluate(np.full((1, 1, 1, 3), 255, "uint8")).ravel()
    array([1., 1., 1.], dtype=float32)
    """

    mean: tuple
    std: tuple

    def __post_init__(self):
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or not values:
                raise ValueError(f"`{name}` must be a tuple, a number for each channel. Received: {name}={values!r}")
            for value in values:
                check_number(name, value)
        if len(self.mean) != len(self.std):
            raise ValueError(f"`mean` and `std` must be as long. Received: mean={self.mean!r}, std={self.std!r}")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"`std` must be positive. Received: std={self.std!r}")

    def apply(self, images, choice):
        return self.evaluate(images)

    def evaluate(self, images):
        xp = arrays.namespace(images)
        channels = arrays.shape(images)[-1]
        if isinstance(channels, int) and len(self.mean) not in (1, channels):
            raise ValueError(f"{self} is for {len(self.mean)} channels. Received: images of {channels} channels")
        mean, std = (np.asarray(values, "float64") for values in (self.mean, self.std))
        # One multiplication and one sum: a division takes several times as long. And along whole rows:
        # libraries are slow where the last axis is as short as that of channels.
        factor, offset = (xp.asarray(values.astype("float32")) for values in (1 / std, -mean / std))
        _, height, width, channels = arrays.shape(images)
        row = xp.zeros((width, channels), "float32")
        factor, offset = (xp.reshape(row + values, (-1,)) for values in (factor, offset))
        values = xp.cast(xp.reshape(images, (-1, height, width * channels)), "float32")
        return xp.reshape(values * factor + offset, (-1, height, width, channels))
