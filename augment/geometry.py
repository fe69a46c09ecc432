"""Operations that move pixels: crops, flips, rotation."""

import dataclasses
import math

from augment import arrays
from augment.operation import Operation
from augment.operation import check_probability
from augment.operation import check_range
from augment.operation import register

MODES = ("reflect", "edge", "constant")


@register
@dataclasses.dataclass(frozen=True)
class PadCrop(Operation):
    """Pad, then crop at an offset of its own for each image.

    Shifts by exact integers; all offsets are equally likely. Outside training, a centre crop.

    Args:
        padding: int. Pixels added on each side. Defaults to 4.
        size: int or (height, width) of the crop, or None for the size of the image. Defaults to None.
        mode: one of "reflect" (without repeating the edge), "edge", "constant". Defaults to "reflect".
        fill: float, in the units of the pixels. Value outside the image, for "constant".
            Defaults to 0.

    Raises:
        ValueError: for a negative padding, an unknown mode, or a crop larger than the padded image.

    Example:

    >>> import numpy as np
    >>> PadCrop(1).apply(np.arange(3)[None, None, :, None] + np.zeros((1, 3, 1, 1)),
    ...     {"top": np.array([[1]]), "left": np.array([[0]])})[0, 0, :, 0]
    array([1., 0., 1.])

    Reference:
        The augmentation of CIFAR-10 in https://arxiv.org/abs/1409.5185
    """

    padding: int = 4
    size: int | tuple | None = None
    mode: str = "reflect"
    fill: float = 0

    def __post_init__(self):
        if not isinstance(self.padding, int) or isinstance(self.padding, bool) or self.padding < 0:
            raise ValueError(f"`padding` must be an integer, at least 0. Received: padding={self.padding!r}")
        if self.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={self.mode!r}")
        sides = self.size if isinstance(self.size, (tuple, list)) else (self.size,) * 2
        positive = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
        if self.size is not None and not (positive and len(sides) == 2):
            raise ValueError(f"`size` must be a positive integer or a pair of them. Received: size={self.size!r}")

    def draw(self, stream, image_shape):
        height, width, _ = image_shape
        new_height, new_width = self._crop_sides(image_shape)
        return {
            "top": stream.integers(height + 2 * self.padding - new_height + 1),
            "left": stream.integers(width + 2 * self.padding - new_width + 1),
        }

    def apply(self, images, choice):
        xp = arrays.namespace(images)
        height, width = self._crop_sides(arrays.shape(images)[1:])
        rows = choice["top"] + xp.arange(height, dtype="int32") - self.padding
        columns = choice["left"] + xp.arange(width, dtype="int32") - self.padding
        return gather_pixels(images, rows[:, :, None], columns[:, None, :], self.mode, self.fill)

    def evaluate(self, images):
        height, width, _ = arrays.shape(images)[1:]
        new_height, new_width = self._crop_sides((height, width, None))
        if self.size is None:
            return images
        xp = arrays.namespace(images)
        first = xp.arange(arrays.shape(images)[0], dtype="int32")[:, None] * 0 + self.padding
        return self.apply(images, {"top": first + (height - new_height) // 2, "left": first + (width - new_width) // 2})

    def output_shape(self, image_shape):
        return (*self._crop_sides(image_shape), image_shape[2])

    def _crop_sides(self, image_shape):
        height, width, _ = image_shape
        if self.size is None:
            sides = (height, width)
        else:
            sides = tuple(self.size) if isinstance(self.size, (tuple, list)) else (self.size, self.size)
        for side, new_side in zip((height, width), sides):
            if not (isinstance(side, int) and isinstance(new_side, int)):
                continue  # unknown while tracing
            if new_side > side + 2 * self.padding:
                raise ValueError(
                    f"{self} needs images of at least {new_side - 2 * self.padding} pixels a side. "
                    f"Received: {height} x {width}"
                )
            if self.mode == "reflect" and self.padding >= side:
                raise ValueError(
                    f"{self} cannot reflect more than {side - 1} pixels of images of {height} x {width}. "
                    'Use a smaller `padding` or mode="edge".'
                )
        return sides


@register
@dataclasses.dataclass(frozen=True)
class CropPad(Operation):
    """Crop, then pad back: the mistake of experiment 001, kept to reproduce it.

    The crop loses up to `2 * padding` rows and columns of the object, and reflections take their
    place. Use `PadCrop`.

    Args:
        padding: int. Pixels that are cut in all from two opposite sides, halved, and added again on
            each side. Defaults to 4.

    Raises:
        ValueError: if `padding` is no integer, at least 0.

    Example:

    >>> CropPad(4).output_shape((32, 32, 3))
    (32, 32, 3)
    """

    padding: int = 4

    def __post_init__(self):
        PadCrop(self.padding)

    def draw(self, stream, image_shape):
        for side in image_shape[:2]:
            if isinstance(side, int) and side <= 3 * self.padding:
                raise ValueError(
                    f"{self} needs images of more than {3 * self.padding} pixels a side. "
                    f"Received: {image_shape[0]} x {image_shape[1]}"
                )
        return {"top": stream.integers(2 * self.padding + 1), "left": stream.integers(2 * self.padding + 1)}

    def apply(self, images, choice):
        xp = arrays.namespace(images)
        _, height, width, _ = arrays.shape(images)
        rows = _mirror(xp, xp.arange(height, dtype="int32") - self.padding, height - 2 * self.padding)
        columns = _mirror(xp, xp.arange(width, dtype="int32") - self.padding, width - 2 * self.padding)
        return gather_pixels(images, (choice["top"] + rows)[:, :, None], (choice["left"] + columns)[:, None, :])


@register
@dataclasses.dataclass(frozen=True)
class HorizontalFlip(Operation):
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

    def apply(self, images, choice):
        rows, columns = _positions(images)
        return gather_pixels(images, rows, _turn(columns, choice["flip"], arrays.shape(images)[2]))


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
        rows, columns = _positions(images)
        return gather_pixels(images, _turn(rows, choice["flip"], arrays.shape(images)[1]), columns)


@register
@dataclasses.dataclass(frozen=True)
class Rotation(Operation):
    """Rotate about the centre, by an angle of its own for each image, with bilinear sampling.

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
        if self.mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={self.mode!r}")
        check_probability("probability", self.probability)
        check_range("degrees", self.degrees, -360, around_zero=True)

    def _range(self):
        return self.degrees if isinstance(self.degrees, (tuple, list)) else (-self.degrees, self.degrees)

    def draw(self, stream, image_shape):
        return {"degrees": stream.uniform(*self._range()) * stream.switch(self.probability)}

    def apply(self, images, choice):
        xp = arrays.namespace(images)
        _, height, width, _ = arrays.shape(images)
        angle = choice["degrees"][:, :, None] * (math.pi / 180)
        middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
        y = (xp.cast(xp.arange(height, dtype="int32"), "float32") - middle_y)[None, :, None]
        x = (xp.cast(xp.arange(width, dtype="int32"), "float32") - middle_x)[None, None, :]
        source_y = xp.cos(angle) * y + xp.sin(angle) * x + middle_y
        source_x = xp.cos(angle) * x - xp.sin(angle) * y + middle_x
        return _sample(images, source_y, source_x, self.mode, self.fill)


def gather_pixels(images, rows, columns, mode="reflect", fill=0):
    """Read pixels at integer positions, which may lie outside the image.

    Args:
        images: `(batch, height, width, channels)`.
        rows: int32 `(batch, new_height, new_width)`, or with 1 in place of the last.
        columns: int32 of the same shape, or with 1 in place of the second.
        mode: one of "reflect", "edge", "constant".
        fill: float, for "constant".

    Returns:
        `(batch, new_height, new_width, channels)`.
    """
    xp = arrays.namespace(images)
    batch, height, width, channels = arrays.shape(images)
    bring_inside = _mirror if mode == "reflect" else _clip
    first_row = (xp.arange(batch, dtype="int32") * height)[:, None, None]
    position = (first_row + bring_inside(xp, rows, height)) * width + bring_inside(xp, columns, width)
    pixels = xp.take(xp.reshape(images, (-1, channels)), position)
    if mode != "constant":
        return pixels
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return xp.where(inside[..., None], pixels, xp.cast(fill, images.dtype))


def _positions(images):
    """Row and column of each pixel, in the form that `gather_pixels` takes."""
    xp = arrays.namespace(images)
    _, height, width, _ = arrays.shape(images)
    return xp.arange(height, dtype="int32")[None, :, None], xp.arange(width, dtype="int32")[None, None, :]


def _turn(position, turned, side):
    """Count from the other end where `turned`, bool `(batch, 1)`, says so."""
    return arrays.namespace(turned).where(turned[:, :, None], side - 1 - position, position)


def _sample(images, y, x, mode, fill):
    """Bilinear interpolation at float positions `(batch, height, width)`."""
    xp = arrays.namespace(images)
    y0, x0 = xp.floor(y), xp.floor(x)
    total = 0
    for rows, weight_y in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for columns, weight_x in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            pixels = gather_pixels(images, xp.cast(rows, "int32"), xp.cast(columns, "int32"), mode, fill)
            total = total + xp.cast(pixels, "float32") * (weight_y * weight_x)[..., None]
    return arrays.cast_like(total, images)


def _mirror(xp, position, side):
    """Reflect positions at the first and last pixel, without repeating those."""
    period = 2 * side - 2 if not isinstance(side, int) else max(2 * side - 2, 1)
    position = xp.abs(position) % period
    return xp.minimum(position, period - position)


def _clip(xp, position, side):
    return xp.minimum(xp.maximum(position, 0), side - 1)
