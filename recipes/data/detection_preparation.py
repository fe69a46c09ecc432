"""How image files are made ready for a trained detector: kept beside it."""

import dataclasses
import os
import typing

import numpy as np

from recipes.data import decoding
from recipes.data.framing import Framing
from recipes.data.preparation import Stored
from recipes.data.preparation import check_names


class FramedImages(typing.NamedTuple):
    """Images that were padded together, and what their boxes have to be scaled by.

    Args:
        images: float32 `(images, height, width, 3)`, normalised, zeros beside them.
        sizes: float32 `(images, 2)`. Height and width of each, in the upper left corner.
        originals: int32 `(images, 2)`. Those of the files.

    Example:

    >>> framed = FramedImages(np.zeros((1, 4, 4, 3)), np.array([[3, 4]]), np.array([[6, 8]]))
    >>> framed.restore(np.array([[[0, 1, 2, 3]]])).tolist()
    [[[0.0, 2.0, 4.0, 6.0]]]
    """

    images: np.ndarray
    sizes: np.ndarray
    originals: np.ndarray

    def restore(self, boxes):
        """Boxes in the pixels of the files.

        Args:
            boxes: `(images, count, 4)`, in those of the batch.

        Returns:
            float32 `(images, count, 4)`.
        """
        factors = (self.originals / self.sizes).astype("float32")[:, None, [1, 0, 1, 0]]
        return np.asarray(boxes, "float32") * factors


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionPreparation(Framing, Stored):
    """Sides, statistics, class names and category ids that go with a detector.

    Args:
        class_names: list of str, by label.
        category_ids: list of int, by label: what predictions are written with.
        min_side: int, as for `recipes.data.framing.Framing`. Defaults to 608.
        max_side: int, likewise. Defaults to 1024.
        image_size: (height, width), or None, likewise. Defaults to None.
        multiple: int, likewise. Defaults to 32.
        mean: float or three of them, likewise. Defaults to that of ImageNet.
        std: float or three of them, likewise. Defaults to that of ImageNet.

    Raises:
        ValueError: for sides, statistics, names or ids that are none.

    Example:

    >>> preparation = DetectionPreparation(class_names=["RBC", "WBC"], category_ids=[1, 2], min_side=480)
    >>> DetectionPreparation.from_dict(preparation.to_dict()) == preparation
    True
    """

    class_names: list
    category_ids: list

    KIND = "detection"

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "class_names", check_names(self.class_names))
        ids = list(self.category_ids) if isinstance(self.category_ids, (list, tuple)) else []
        if len(ids) != len(self.class_names) or len(set(ids)) < len(ids) or any(type(each) is not int for each in ids):
            raise ValueError(
                f"`category_ids` must be {len(self.class_names)} different integers, as many as classes. "
                f"Received: {self.category_ids!r}"
            )
        object.__setattr__(self, "category_ids", ids)

    def read(self, paths):
        """Read image files, each scaled by the rule, as one batch.

        Args:
            paths: a path, or a list of them.

        Returns:
            `FramedImages`.

        Raises:
            ValueError: that names every file that cannot be read.
        """
        paths = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        originals, problems = decoding.read_sizes(paths)
        decoding.refuse(problems)
        return self._framed(paths, originals)

    def batches(self, paths, batch_size=8):
        """Read image files of mixed sizes, those of like shape together.

        Args:
            paths: list of paths.
            batch_size: int. Defaults to 8.

        Yields:
            `(positions, framed)`: int `(batch,)` in the list, and `FramedImages`.

        Raises:
            ValueError: that names every file that cannot be read; for a size that is none.
        """
        if type(batch_size) is not int or batch_size < 1:
            raise ValueError(f"`batch_size` must be a positive integer. Received: batch_size={batch_size!r}")
        paths = list(paths)
        originals, problems = decoding.read_sizes(paths)
        decoding.refuse(problems)
        height, width = self.padded(self.scaled(originals)).T
        order = np.lexsort((height, width / height))
        for positions in np.split(order, range(batch_size, len(order), batch_size)):
            if len(positions):
                yield positions, self._framed([paths[position] for position in positions], originals[positions])

    def _framed(self, paths, originals):
        sizes = self.scaled(originals)
        shape = self.padded(sizes).max(0, initial=0)
        images = self.stack(decoding.read_sized(paths, sizes), shape)
        return FramedImages(images, sizes.astype("float32"), originals)
