"""Operations that show a part of the image: crops."""

import dataclasses
import math

from augment import arrays
from augment import boxes as box_sides
from augment.draws import below
from augment.draws import first_accepted
from augment.operation import Operation
from augment.operation import check_number
from augment.operation import check_pair
from augment.operation import check_range
from augment.operation import register
from augment.sampling import check_mode
from augment.sampling import gather_pixels
from augment.sampling import mirror
from augment.sampling import resize


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
        check_mode(self.mode)
        check_number("fill", self.fill)
        if self.size is not None:
            check_pair("size", self.size)

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

    def apply_boxes(self, boxes, choice, image_shape):
        height, width = self._crop_sides(image_shape)
        down, right = self.padding - choice["top"], self.padding - choice["left"]
        return box_sides.shift(boxes, down, right, (0, 0, width, height))

    def evaluation_choice(self, image_shape):
        if self.size is None:
            return None
        new_height, new_width = self._crop_sides(image_shape)
        return {
            "top": self.padding + (image_shape[0] - new_height) // 2,
            "left": self.padding + (image_shape[1] - new_width) // 2,
        }

    def output_shape(self, image_shape):
        return (*self._crop_sides(image_shape), image_shape[2])

    def _crop_sides(self, image_shape):
        height, width, _ = image_shape
        sides = (height, width) if self.size is None else check_pair("size", self.size)
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
        rows = mirror(xp, xp.arange(height, dtype="int32") - self.padding, height - 2 * self.padding)
        columns = mirror(xp, xp.arange(width, dtype="int32") - self.padding, width - 2 * self.padding)
        return gather_pixels(images, (choice["top"] + rows)[:, :, None], (choice["left"] + columns)[:, None, :])

    def apply_boxes(self, boxes, choice, image_shape):
        height, width, _ = image_shape
        down, right = self.padding - choice["top"], self.padding - choice["left"]
        kept = (self.padding, self.padding, width - self.padding, height - self.padding)
        return box_sides.shift(boxes, down, right, kept)


@register
@dataclasses.dataclass(frozen=True)
class CenterCrop(Operation):
    """Cut out the middle, in training and outside it; smaller images are padded.

    Args:
        size: int or (height, width).
        fill: float, in the units of the pixels: around smaller images. Defaults to 0.

    Raises:
        ValueError: if `size` is no positive integer, nor a pair of them.

    Example:

    >>> import numpy as np
    >>> CenterCrop(2).evaluate(np.arange(16).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5,  6],
           [ 9, 10]])
    """

    size: int | tuple
    fill: float = 0

    def __post_init__(self):
        check_pair("size", self.size)
        check_number("fill", self.fill)

    def apply(self, images, choice):
        xp = arrays.namespace(images)
        (height, top), (width, left) = self._sides(arrays.shape(images)[1:])
        if all(isinstance(first, int) and first >= 0 for first in (top, left)):
            return images[:, top : top + height, left : left + width]
        rows = xp.arange(height, dtype="int32") + top
        columns = xp.arange(width, dtype="int32") + left
        return gather_pixels(images, rows[None, :, None], columns[None, None, :], "constant", self.fill)

    def apply_boxes(self, boxes, choice, image_shape):
        (height, top), (width, left) = self._sides(image_shape)
        return box_sides.shift(boxes, -top, -left, (0, 0, width, height))

    def evaluation_choice(self, image_shape):
        return {}

    def output_shape(self, image_shape):
        return (*check_pair("size", self.size), image_shape[2])

    def _sides(self, image_shape):
        """New side and first row, or column, of the crop; negative where it begins outside the image."""
        return [(new, (side - new) // 2) for new, side in zip(check_pair("size", self.size), image_shape)]


@register
@dataclasses.dataclass(frozen=True)
class Resize(Operation):
    """Scale images to one size, whatever their aspect, in training and outside it; bilinear.

    Args:
        size: int or (height, width) of the result.
        antialias: bool. Whether a pixel of a smaller image is a mean of all that it covers. Defaults to True.

    Raises:
        ValueError: if `size` is no positive integer, nor a pair of them.

    Example:

    >>> import numpy as np
    >>> Resize((1, 2)).evaluate(np.array([[[[0], [2], [4], [6]]]], "uint8"))[0, :, :, 0]
    array([[1, 5]], dtype=uint8)
    """

    size: int | tuple
    antialias: bool = True

    def __post_init__(self):
        check_pair("size", self.size)

    def apply(self, images, choice):
        part = self._evaluation_choice(images, arrays.shape(images)[1:])
        return resize(images, *part.values(), check_pair("size", self.size), self.antialias)

    def apply_boxes(self, boxes, choice, image_shape):
        height, width = check_pair("size", self.size)
        return box_sides.scale(boxes, height / image_shape[0], width / image_shape[1], (0, 0, width, height))

    def evaluation_choice(self, image_shape):
        return {"top": 0, "left": 0, "height": image_shape[0], "width": image_shape[1]}

    def output_shape(self, image_shape):
        return (*check_pair("size", self.size), image_shape[2])


@register
@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(Operation):
    """Cut out a part of random area and aspect, and scale it to one size: the augmentation of ImageNet.

    As in torchvision: of up to ten proposals the first that fits is taken, else the largest centred
    part of a permitted aspect; bilinear, anti-aliased. Outside training, the largest centred part
    of the aspect of `size`, scaled to it.

    Args:
        size: int or (height, width) of the result.
        scale: (low, high), area of the part as a fraction of the image's. Defaults to (0.08, 1).
        ratio: (low, high), width over height; drawn on a logarithmic scale. Defaults to (3 / 4, 4 / 3).
        antialias: bool. Whether a pixel of a smaller image is a mean of all that it covers. Defaults to True.

    Raises:
        ValueError: if `size` is none, or a range is empty or not positive.

    Example:

    >>> RandomResizedCrop(224).output_shape((480, 640, 3))
    (224, 224, 3)

    Reference:
        Szegedy et al., 2014. https://arxiv.org/abs/1409.4842
    """

    size: int | tuple
    scale: tuple = (0.08, 1.0)
    ratio: tuple = (3 / 4, 4 / 3)
    antialias: bool = True

    PROPOSALS = 10

    def __post_init__(self):
        check_pair("size", self.size)
        check_range("scale", self.scale, 1e-6, 1)
        check_range("ratio", self.ratio, 1e-6)

    def draw(self, stream, image_shape):
        return self.first_that_fits(self.proposals(stream), image_shape)

    def proposals(self, stream):
        """Draw all that is random, whatever the shape of the images.

        Args:
            stream: an `augment.draws.Stream`.

        Returns:
            float32 `(4, batch, 10)`: area as a fraction of the image's, width over height, and the place between
            the image's sides in [0, 1), from the top and from the left.
        """
        area = stream.uniform(*self.scale, count=self.PROPOSALS)
        xp = arrays.namespace(area)
        ratio = xp.exp(stream.uniform(*map(math.log, self.ratio), count=self.PROPOSALS))
        top, left = stream.uniform(count=self.PROPOSALS), stream.uniform(count=self.PROPOSALS)
        return xp.stack([area, ratio, top, left])

    def first_that_fits(self, proposals, image_shape):
        """Choose the part of each image.

        Args:
            proposals: what `proposals` returned.
            image_shape: (height, width, channels), the sides integers or integer tensors.

        Returns:
            dict of "top", "left", "height" and "width" to int32 `(batch, 1)`.
        """
        height, width, _ = image_shape
        xp = arrays.namespace(proposals)
        area, ratio = proposals[0] * xp.cast(height * width, "float32"), proposals[1]
        new_width = xp.cast(xp.round(xp.sqrt(area * ratio)), "int32")
        new_height = xp.cast(xp.round(xp.sqrt(area / ratio)), "int32")
        fits = (new_width > 0) & (new_width <= width) & (new_height > 0) & (new_height <= height)
        choices = {
            "top": below(proposals[2], xp.maximum(height - new_height + 1, 1)),
            "left": below(proposals[3], xp.maximum(width - new_width + 1, 1)),
            "height": new_height,
            "width": new_width,
        }
        return first_accepted(choices, fits, self._centred(image_shape, *self.ratio))

    def apply(self, images, choice):
        part = choice["top"], choice["left"], choice["height"], choice["width"]
        return resize(images, *part, check_pair("size", self.size), self.antialias)

    def apply_boxes(self, boxes, choice, image_shape):
        height, width = check_pair("size", self.size)
        part = box_sides.shift(boxes, -choice["top"], -choice["left"], (0, 0, choice["width"], choice["height"]))
        return box_sides.scale(part, height / choice["height"], width / choice["width"], (0, 0, width, height))

    def evaluation_choice(self, image_shape):
        height, width = check_pair("size", self.size)
        return self._centred(image_shape, width / height, width / height)

    def output_shape(self, image_shape):
        return (*check_pair("size", self.size), image_shape[2])

    def _centred(self, image_shape, narrowest, widest):
        """The largest part in the middle whose width over height lies between the two."""
        height, width, _ = image_shape
        new_height, new_width = _scaled(width, 1 / narrowest, height), _scaled(height, widest, width)
        return {
            "top": (height - new_height) // 2,
            "left": (width - new_width) // 2,
            "height": new_height,
            "width": new_width,
        }


def _scaled(side, factor, limit):
    """The product as an integer from 1 to a limit; sides may be unknown while tracing."""
    if isinstance(side, int) and isinstance(limit, int):
        return min(max(round(side * factor), 1), limit)
    xp = arrays.namespace(limit if isinstance(side, int) else side)
    product = xp.cast(xp.round(xp.cast(side, "float32") * factor), "int32")
    return xp.minimum(xp.maximum(product, 1), limit)
