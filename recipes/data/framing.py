"""How images of mixed sizes become a batch: scaled by their sides, normalised, and padded together."""

import dataclasses

import numpy as np

from recipes.data import decoding
from recipes.data.preparation import check_channels
from recipes.data.preparation import normalize

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
_SHAPES = 256  # more are joined roughly before they are joined well


@dataclasses.dataclass(frozen=True)
class Framing:
    """Sides and statistics of the images that a detector takes.

    Args:
        min_side: int, of the shorter side. Defaults to 608.
        max_side: int, which the longer side may not exceed, even if the shorter one then falls short.
            Defaults to 1024.
        image_size: (height, width) that all images are stretched to, without padding, or None for the rule by
            sides. Defaults to None.
        multiple: int. Sides of a batch are padded to a multiple of it. Defaults to 32.
        mean: float or three of them, from 0 to 255. Defaults to that of ImageNet.
        std: float or three of them, positive. Defaults to that of ImageNet.

    Raises:
        ValueError: for sides, a size, a multiple or statistics that are none.

    Example:

    >>> Framing(600, 1000).scaled([[480, 640], [300, 900]]).tolist()
    [[600, 800], [333, 1000]]
    """

    min_side: int = 608
    max_side: int = 1024
    image_size: tuple | None = None
    multiple: int = 32
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD

    def __post_init__(self):
        for name in ("min_side", "max_side", "multiple"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
        if self.min_side > self.max_side:
            raise ValueError(f"`min_side` must be at most `max_side`. Received: {self.min_side} and {self.max_side}")
        if self.image_size is not None:
            object.__setattr__(self, "image_size", decoding.check_size(self.image_size))
        object.__setattr__(self, "mean", check_channels("mean", self.mean, least=0))
        object.__setattr__(self, "std", check_channels("std", self.std, least=1e-6))

    def scaled(self, sizes):
        """The sizes that images are scaled to.

        Args:
            sizes: int `(images, 2)`. Height and width.

        Returns:
            int32 `(images, 2)`.
        """
        sizes = np.asarray(sizes, "float64").reshape(-1, 2)
        if self.image_size is not None:
            return np.broadcast_to(np.int32(self.image_size), sizes.shape).copy()
        factors = np.minimum(self.min_side / sizes.min(1), self.max_side / sizes.max(1))
        return np.maximum(np.rint(sizes * factors[:, None]), 1).astype("int32")

    def padded(self, sizes):
        """The sides that hold images, rounded up.

        Args:
            sizes: int `(images, 2)`, after scaling.

        Returns:
            int32 `(images, 2)`, for each image alone.
        """
        sizes = np.asarray(sizes, "int32").reshape(-1, 2)
        return sizes if self.image_size is not None else -(-sizes // self.multiple) * self.multiple

    def stack(self, images, shape):
        """Normalise images, and lay them into the upper left corners of a batch of zeros.

        Args:
            images: list of arrays `(height, width, 3)`, from 0 to 255.
            shape: (height, width) of the batch.

        Returns:
            float32 `(images, height, width, 3)`.
        """
        batch = np.zeros((len(images), *map(int, shape), 3), "float32")
        for room, image in zip(batch, images):
            room[: image.shape[0], : image.shape[1]] = normalize(image, self.mean, self.std)
        return batch


def join_shapes(shapes, most):
    """Few shapes that hold many, wasting the least area.

    Neighbours in the order of their aspects are joined.

    Args:
        shapes: int `(images, 2)`. Height and width.
        most: int. How many shapes there may be.

    Returns:
        `(joined, group)`: int32 `(shapes, 2)`, in the order of their aspects; int `(images,)`, which of them
        holds each image.

    Example:

    >>> joined, group = join_shapes([[4, 8], [8, 4], [8, 5], [4, 8]], 2)
    >>> joined.tolist(), group.tolist()
    ([[8, 5], [4, 8]], [1, 0, 0, 1])
    """
    distinct, own, counts = np.unique(
        np.asarray(shapes).reshape(-1, 2), axis=0, return_inverse=True, return_counts=True
    )
    order = np.lexsort((distinct[:, 0], distinct[:, 1] / distinct[:, 0]))
    pieces = np.array_split(order, min(len(order), max(_SHAPES, most)))
    sides = np.array([distinct[piece].max(0) for piece in pieces])
    ends = _best_ends(sides, np.array([counts[piece].sum() for piece in pieces]), most)
    groups = np.split(np.arange(len(pieces)), ends)
    of_shape = np.empty(len(distinct), int)
    for number, group in enumerate(groups):
        of_shape[np.concatenate([pieces[piece] for piece in group])] = number
    return np.array([sides[group].max(0) for group in groups], "int32"), of_shape[own.reshape(-1)]


def _best_ends(sides, counts, most):
    """Where to cut a row of shapes: by the areas that the images of each run take, in its largest sides."""
    number = len(sides)
    cost = np.full((number + 1, number), np.inf)  # of the run from a first to a last shape
    for first in range(number):
        area = np.maximum.accumulate(sides[first:], axis=0).astype("float64").prod(1)
        cost[first, first:] = area * np.cumsum(counts[first:])
    best, cuts = cost[0], []
    for _ in range(min(most, number) - 1):
        total = best[:, None] + cost[1:]
        cuts.append(np.argmin(np.vstack([total, cost[0]]), axis=0))
        best = np.minimum(total.min(0), cost[0])
    ends, last = [], number - 1
    for cut in reversed(cuts):
        if cut[last] == number:  # one run holds all that is left
            break
        ends.append(int(cut[last]) + 1)
        last = cut[last]
    return ends[::-1]
