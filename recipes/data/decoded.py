"""Images that are decoded where they are indexed."""

import dataclasses
import pathlib

import numpy as np

from recipes.data import decoding


@dataclasses.dataclass(frozen=True)
class DecodedImages:
    """Image files as an array that is decoded, in threads, where it is indexed.

    Args:
        paths: list of paths.
        image_size: int or (height, width).
        fit: as for `read_image`. Defaults to "stretch".

    Example:

    >>> DecodedImages(["1.png", "2.png"], 32).shape
    (2, 32, 32, 3)
    """

    paths: list
    image_size: object
    fit: str = "stretch"

    ndim = 4
    dtype = np.dtype("uint8")

    def __post_init__(self):
        decoding.check_fit(self.fit)
        object.__setattr__(self, "image_size", decoding.check_size(self.image_size))

    @property
    def shape(self):
        return (len(self.paths), *self.image_size, 3)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        index = np.arange(len(self))[index]
        if index.ndim == 0:
            return decoding.read_image(self.paths[index], self.image_size, self.fit)
        return self.rows(index)

    def rows(self, index):
        """Decode some of the images.

        Args:
            index: int `(some,)`. Their positions.

        Returns:
            uint8 `(some, height, width, 3)`.
        """
        return decoding.read_images([self.paths[position] for position in index], self.image_size, self.fit)

    def __array__(self, dtype=None, copy=None):
        images = self[:]
        return images if dtype is None else images.astype(dtype, copy=False)

    def contents(self):
        """What stands for the pixels in a fingerprint: sizes, and the bytes of the files.

        Yields:
            bytes.
        """
        yield repr((self.shape, self.fit)).encode()
        for path in self.paths:
            yield pathlib.Path(path).read_bytes()
