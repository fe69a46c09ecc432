"""How image files are made ready for a trained model: kept beside it, so that predictions see what training saw."""

import dataclasses
import json
import numbers
import os
import pathlib

import numpy as np

from recipes.data import decoding

FILE = "preparation.json"


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Size, fit, statistics and class names that go with a model.

    Args:
        image_size: int or (height, width).
        fit: "stretch", "crop", "pad" or "center_crop", as `recipes.data.decoding.read_image` explains.
        mean: float or three of them, from 0 to 255. Taken from each pixel.
        std: float or three of them, positive. By which the pixels are then divided.
        class_names: list of str, in the order of the model's outputs.

    Raises:
        ValueError: for a size, fit, statistics or names that are none.

    Example:

    >>> preparation = Preparation(96, "crop", 127.5, 51.0, ["RBC", "WBC"])
    >>> preparation.normalize(np.full((1, 96, 96, 3), 255, "uint8")).max()
    np.float32(2.5)
    >>> Preparation.from_dict(preparation.to_dict()) == preparation
    True
    """

    image_size: tuple
    fit: str
    mean: tuple
    std: tuple
    class_names: list

    def __post_init__(self):
        decoding.check_fit(self.fit)
        checked = {
            "image_size": decoding.check_size(self.image_size),
            "mean": _channels("mean", self.mean, least=0),
            "std": _channels("std", self.std, least=1e-6),
            "class_names": _names(self.class_names),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def read(self, paths):
        """Read image files as the model was shown them, but for the normalisation.

        Args:
            paths: a path, or a list of them.

        Returns:
            uint8 `(height, width, 3)`, or for a list `(files, height, width, 3)`.

        Raises:
            ValueError: that names every file that cannot be read.
        """
        if isinstance(paths, (str, os.PathLike)):
            return decoding.read_image(paths, self.image_size, self.fit)
        return decoding.read_images(list(paths), self.image_size, self.fit)

    def normalize(self, images):
        """Subtract the mean and divide by the standard deviation.

        Args:
            images: array `(..., 3)`, from 0 to 255.

        Returns:
            float32 array of the same shape.
        """
        return (np.asarray(images, "float32") - np.float32(self.mean)) / np.float32(self.std)

    def to_dict(self):
        """What JSON can hold.

        Returns:
            dict.
        """
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values):
        """The opposite of `to_dict`.

        Args:
            values: dict.

        Returns:
            A `Preparation`.

        Raises:
            ValueError: if values are missing, unknown or wrong.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != names:
            received = sorted(values) if isinstance(values, dict) else values
            raise ValueError(f"A preparation has {', '.join(sorted(names))}. Received: {received}")
        return cls(**values)

    def write(self, folder):
        """Write `preparation.json`.

        Args:
            folder: path of a folder, that of a run.

        Returns:
            pathlib.Path of the file.
        """
        path = pathlib.Path(folder) / FILE
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path


def read_preparation(folder):
    """Read what `Preparation.write` wrote.

    Args:
        folder: path of the folder, that of a run.

    Returns:
        A `Preparation`.

    Raises:
        ValueError: if there is none, or it is damaged.

    Example:

    >>> read_preparation("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no preparation.json. Give the folder of a run on images.
    """
    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no {FILE}. Give the folder of a run on images.")
    try:
        return Preparation.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _channels(name, value, least):
    values = (value,) * 3 if isinstance(value, numbers.Real) else tuple(value)
    fitting = all(isinstance(each, numbers.Real) and least <= each < np.inf for each in values)
    if len(values) != 3 or not fitting:
        raise ValueError(f"`{name}` must be a number, or three, at least {least}. Received: {name}={value!r}")
    return tuple(float(each) for each in values)


def _names(names):
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or not names:
        raise ValueError(f"`class_names` must be a list of str. Received: {names!r}")
    return list(names)
