"""Where the images of a recipe come from: the arguments that all recipes on a user's images have in common."""

import dataclasses
from typing import Literal

from recipes.data.cache import CACHES
from recipes.data.decoding import median_size
from recipes.data.digits import load_digits
from recipes.data.images import load_image_dataset
from recipes.data.layouts import LAYOUTS
from recipes.data.layouts import find_splits


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """A folder or csv of images, or the embedded digits, and how to read them.

    A parameter of a recipe with this annotation stands for all of these arguments.

    Args:
        data: one of "images" (in `data_dir`), "digits" (embedded). Defaults to "images".
        data_dir: str. Folder or csv of the images. Defaults to None.
        layout: one of "auto", "folders", "csv": what in the folder is read. Defaults to "auto".
        path_column: str. Column of a csv with the paths, or None to look for it. Defaults to None.
        label_column: str. Column with the classes, or None to look for it. Defaults to None.
        group_column: str. Column with the patients, who are not divided by a split. Defaults to None.
        image_dir: str. Folder in which the paths of a csv begin, besides its own. Defaults to None.
        validation_fraction: float. Split off the training where no validation is given. Defaults to 0.2.
        validation_as_test: bool. Whether a validation that is given is the test, and another one is split off
            the training. Defaults to False.
        skip_bad: bool. Whether to leave out what cannot be read. Defaults to False.
        cache: one of "auto", "memory", "disk", "none": where decoded images are kept. Defaults to "auto".
        cache_dir: str. Folder of the cache on the disk, or None for the user's. Defaults to None.

    Example:

    >>> source = ImageSource("digits")
    >>> source.load(32).train_images.shape, source.measure()
    ((1437, 32, 32, 3), (1437, (8, 8)))
    """

    data: Literal["images", "digits"] = "images"
    data_dir: str | None = None
    layout: Literal[LAYOUTS] = "auto"
    path_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    image_dir: str | None = None
    validation_fraction: float = 0.2
    validation_as_test: bool = False
    skip_bad: bool = False
    cache: Literal[CACHES] = "auto"
    cache_dir: str | None = None

    def load(self, image_size, *, fit="stretch", seed=0, train_size=None):
        """Load the images.

        Args:
            image_size: int, height and width in pixels.
            fit: "stretch", "crop", "pad" or "center_crop": what becomes of other sizes. Defaults to "stretch".
            seed: int, of a split. Defaults to 0.
            train_size: int, height and width of the training images, where these are cropped after they
                were turned; None for `image_size`. Defaults to None.

        Returns:
            A `recipes.data.dataset.Dataset`.

        Raises:
            ValueError: as `recipes.data.images.load_image_dataset`.
        """
        if self.data == "digits":
            return load_digits(image_size)
        reading = {"cache": self.cache, "cache_dir": self.cache_dir, "skip_bad": self.skip_bad}
        return load_image_dataset(
            self.data_dir, image_size, fit=fit, train_size=train_size, **reading, **self._where(seed)
        )

    def measure(self, seed=0):
        """How many images there are for training, and how large, before any is loaded.

        Args:
            seed: int, of a split. Defaults to 0.

        Returns:
            `(count, (height, width))`, the median size.

        Raises:
            ValueError: as `recipes.data.layouts.find_splits`.
        """
        if self.data == "digits":
            return len(load_digits(8).train_images), (8, 8)
        train = find_splits(self.data_dir, **self._where(seed))["train"]
        return len(train), median_size(train.paths)

    def _where(self, seed):
        names = ("layout", "path_column", "label_column", "group_column", "image_dir")
        names += ("validation_fraction", "validation_as_test")
        return {"seed": seed, **{name: getattr(self, name) for name in names}}
