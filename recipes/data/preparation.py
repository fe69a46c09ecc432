"""How image files are made ready for a trained model: kept beside it, so that predictions see what training saw."""

import dataclasses
import json
import numbers
import os
import pathlib

import numpy as np

from recipes.atomic import write_text
from recipes.data import decoding
from recipes.data.texts import read_json

FILE = "preparation.json"


class Stored:
    """What is kept beside a model: statistics, and whatever else the fields of a dataclass say.

    Example:

    >>> Preparation(96, "crop", 127.5, 51.0, ["RBC"]).to_dict()["image_size"]
    [96, 96]
    """

    KIND = None

    def normalize(self, images):
        """Subtract the mean and divide by the standard deviation.

        Args:
            images: array `(..., 3)`, from 0 to 255.

        Returns:
            float32 array of the same shape.
        """
        return normalize(images, self.mean, self.std)

    def to_dict(self):
        """What JSON can hold.

        Returns:
            dict.
        """
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return values if self.KIND is None else {"kind": self.KIND, **values}

    @classmethod
    def from_dict(cls, values):
        """The opposite of `to_dict`.

        Args:
            values: dict.

        Returns:
            An instance.

        Raises:
            ValueError: if values are missing, unknown or wrong.
        """
        names = {field.name for field in dataclasses.fields(cls)} | ({"kind"} if cls.KIND else set())
        if not isinstance(values, dict) or set(values) != names:
            received = sorted(values) if isinstance(values, dict) else values
            raise ValueError(f"A preparation has {', '.join(sorted(names))}. Received: {received}")
        return cls(**{name: value for name, value in values.items() if name != "kind"})

    def write(self, folder):
        """Write `preparation.json`.

        Args:
            folder: path of a folder, that of a run.

        Returns:
            pathlib.Path of the file.
        """
        path = pathlib.Path(folder) / FILE
        write_text(path, json.dumps(self.to_dict(), indent=2) + "\n")
        return path


@dataclasses.dataclass(frozen=True)
class Preparation(Stored):
    """Size, fit, statistics and class names that go with a model.

    Args:
        image_size: int or (height, width), to which files are read.
        fit: "stretch", "crop", "pad" or "center_crop", as `recipes.data.decoding.read_image` explains.
        mean: float or three of them, from 0 to 255. Taken from each pixel.
        std: float or three of them, positive. By which the pixels are then divided.
        class_names: list of str, in the order of the model's outputs.
        crop_size: int or (height, width) of the middle that the model is shown, or None for all of an image.
            Defaults to None.

    Raises:
        ValueError: for a size, a crop larger than it, a fit, statistics or names that are none.

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
    crop_size: tuple | None = None

    def __post_init__(self):
        decoding.check_fit(self.fit)
        checked = {
            "image_size": decoding.check_size(self.image_size),
            "mean": check_channels("mean", self.mean, least=0),
            "std": check_channels("std", self.std, least=1e-6),
            "class_names": check_names(self.class_names),
        }
        if self.crop_size is not None:
            checked["crop_size"] = decoding.check_size(self.crop_size)
            if any(part > side for part, side in zip(checked["crop_size"], checked["image_size"])):
                raise ValueError(
                    f"`crop_size` must be at most `image_size`, {checked['image_size']}. Received: {self.crop_size!r}"
                )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def shown_size(self):
        """(height, width) of what the model is shown."""
        return self.crop_size or self.image_size

    @classmethod
    def from_dict(cls, values):
        return super().from_dict({"crop_size": None, **values} if isinstance(values, dict) else values)

    def crop(self, images):
        """Cut out the middle that the model is shown.

        Args:
            images: array `(..., height, width, 3)`, at least as large as the crop.

        Returns:
            An array of the same dtype; where nothing is cut out, the same.
        """
        if self.crop_size is None:
            return images
        height, width = self.crop_size
        top, left = (images.shape[-3] - height) // 2, (images.shape[-2] - width) // 2
        return images[..., top : top + height, left : left + width, :]

    def normalize(self, images):
        return super().normalize(self.crop(images))

    def read(self, paths):
        """Read image files as the model was shown them, but for the normalisation.

        Args:
            paths: a path, or a list of them.

        Returns:
            uint8 `(height, width, 3)`, or for a list `(files, height, width, 3)`; the middle alone, where there
            is a `crop_size`.

        Raises:
            ValueError: that names every file that cannot be read.
        """
        if isinstance(paths, (str, os.PathLike)):
            return self.crop(decoding.read_image(paths, self.image_size, self.fit))
        return self.crop(decoding.read_images(list(paths), self.image_size, self.fit))


def read_preparation(folder):
    """Read what `Preparation.write` or `DetectionPreparation.write` wrote.

    Args:
        folder: path of the folder, that of a run.

    Returns:
        A `Preparation`, or a `recipes.data.detection_preparation.DetectionPreparation`.

    Raises:
        ValueError: if there is none, it is damaged, or of a kind that is not known.

    Example:

    >>> read_preparation("nowhere")
    Traceback (most recent call last):
    ValueError: nowhere holds no preparation.json. Give the folder of a run on images.
    """
    from recipes.data.detection_preparation import DetectionPreparation

    path = pathlib.Path(folder) / FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no {FILE}. Give the folder of a run on images.")
    try:
        values = read_json(path)
        kind = values.get("kind") if isinstance(values, dict) else None
        kinds = {each.KIND: each for each in (Preparation, DetectionPreparation)}
        if kind not in tuple(kinds):
            raise ValueError(f"the kind {kind!r:.100} is not one of {', '.join(filter(None, kinds))}")
        return kinds[kind].from_dict(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def normalize(images, mean, std):
    """Subtract the mean and divide by the standard deviation.

    Args:
        images: array `(..., 3)`.
        mean: float, or three of them.
        std: float, or three of them.

    Returns:
        float32 array of the same shape.

    Example:

    >>> normalize(np.full((1, 1, 3), 255, "uint8"), 127.5, 51.0).max()
    np.float32(2.5)
    """
    return (np.asarray(images, "float32") - np.float32(mean)) / np.float32(std)


def check_channels(name, value, least):
    """Refuse what is no number for each channel.

    Args:
        name: str. The argument.
        value: its value: float, or three of them.
        least: float.

    Returns:
        tuple of three floats.

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_channels("mean", 127.5, least=0)
    (127.5, 127.5, 127.5)
    """
    values = tuple(value) if isinstance(value, (tuple, list, np.ndarray)) else (value,) * 3
    fitting = all(isinstance(each, numbers.Real) and least <= each < np.inf for each in values)
    if len(values) != 3 or not fitting:
        raise ValueError(f"`{name}` must be a number, or three, at least {least}. Received: {name}={value!r}")
    return tuple(float(each) for each in values)


def check_names(names):
    """Refuse what is no list of class names.

    Args:
        names: list of str.

    Returns:
        list of str.

    Raises:
        ValueError: if it is none, or empty.

    Example:

    >>> check_names(("RBC", "WBC"))
    ['RBC', 'WBC']
    """
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`class_names` must be a list of str. Received: {names!r}")
    return list(names)
