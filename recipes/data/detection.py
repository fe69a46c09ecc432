"""Images with their objects: splits, a data set of them, and arrays of one size."""

import dataclasses
import hashlib
import pathlib

import numpy as np

from recipes.data import decoding

NO_OBJECT = -1  # the label of a row that fills up an image of few objects
CROWD = -2  # the label of a region that training passes over
_LEAST = 1  # pixel: objects that are less wide or high are not trained on


@dataclasses.dataclass(frozen=True)
class DetectionSplit:
    """Paths of images, with the objects in them as they were annotated.

    Args:
        paths: list of str.
        sizes: int32 `(images, 2)`. Height and width.
        image_ids: list of int or str, as the annotations name the images.
        boxes: for each image float64 `(objects, 4)`, (left, top, right, bottom) in pixels, in a list; or
            None where nothing is annotated, as in a test set. Defaults to None.
        labels: for each image int32 `(objects,)`, in a list, or None. Defaults to None.
        crowds: for each image bool `(objects,)`, whether a box holds many objects that are not told
            apart, in a list, or None. Defaults to None.
        areas: for each image float64 `(objects,)`, those of the annotations, by which evaluation tells
            small from large, in a list, or None. Defaults to None.

    Example:

    >>> boxes, labels = [np.array([[1.0, 2.0, 9.0, 8.0]])], [np.array([4])]
    >>> split = DetectionSplit(["1.jpg"], np.array([[10, 20]]), [1], boxes, labels, [np.array([False])], [48.0])
    >>> split.objects(0)
    (array([[1., 2., 9., 8.]], dtype=float32), array([4], dtype=int32))
    """

    paths: list
    sizes: np.ndarray
    image_ids: list
    boxes: list | None = None
    labels: list | None = None
    crowds: list | None = None
    areas: list | None = None

    def __len__(self):
        return len(self.paths)

    @property
    def annotated(self):
        """bool. Whether it is known what the images show."""
        return self.boxes is not None

    @property
    def most_objects(self):
        """int. Objects of the image that has most of them to train on, at least 1."""
        return max([1, *(len(self.objects(position)[1]) for position in range(len(self)))])

    def take(self, index):
        """Some of the images.

        Args:
            index: int `(some,)`. Their positions.

        Returns:
            A `DetectionSplit`.
        """
        lists = {name: value for name, value in vars(self).items() if name != "sizes"}
        taken = {name: value and [value[position] for position in index] for name, value in lists.items()}
        return DetectionSplit(sizes=self.sizes[np.asarray(index, int)], **taken)

    def objects(self, position):
        """What training sees of an image: boxes within it of at least a pixel each way, crowds marked.

        Args:
            position: int. Of the image.

        Returns:
            `(boxes, labels)`: float32 `(objects, 4)` in pixels, and int32 `(objects,)`, of which -2 is a crowd.
        """
        if not self.annotated:
            return np.zeros((0, 4), "float32"), np.zeros(0, "int32")
        height, width = self.sizes[position]
        boxes = np.clip(self.boxes[position], 0, (width, height, width, height)).astype("float32")
        labels = np.where(self.crowds[position], CROWD, self.labels[position]).astype("int32")
        kept = large_enough(boxes)
        return boxes[kept], labels[kept]


@dataclasses.dataclass(frozen=True)
class DetectionDataset:
    """Images with their objects, for training, validation and, where there are some, test.

    Args:
        name: str.
        train: a `DetectionSplit`.
        validation: a `DetectionSplit`.
        class_names: list of str, by label.
        category_ids: list of int, by label: the numbers that the annotations have for the classes.
        test: a `DetectionSplit`, annotated or not, or None. Defaults to None.
        skipped: tuple of str. Files that were left out, and why. Defaults to none.

    Example:

    >>> split = DetectionSplit([], np.zeros((0, 2), "int32"), [])
    >>> DetectionDataset("none", split, split, ["cell"], [1]).describe()["train"]
    0
    """

    name: str
    train: DetectionSplit
    validation: DetectionSplit
    class_names: list
    category_ids: list
    test: DetectionSplit | None = None
    skipped: tuple = ()

    @property
    def splits(self):
        """dict from "train", "validation" and, where there is one, "test" to a `DetectionSplit`."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    def describe(self):
        """What a record says of the data.

        Returns:
            dict of name, numbers of images, of annotated objects and of classes, how many files were left
            out if any were, and a fingerprint: SHA-256 over all annotations, and the names and lengths of
            the image files.
        """
        splits = self.splits
        digest = hashlib.sha256(repr((self.class_names, self.category_ids)).encode())
        for name, split in splits.items():
            for part in _contents(name, split):
                digest.update(part)
        objects = {name: sum(map(len, split.labels)) for name, split in splits.items() if split.annotated}
        skipped = {"skipped": len(self.skipped)} if self.skipped else {}
        sizes = {name: len(split) for name, split in splits.items()}
        classes = {"classes": len(self.class_names)}
        return {"name": self.name, **sizes, "objects": objects, **skipped, **classes, "sha256": digest.hexdigest()}


def in_memory(split, image_size, rows=None):
    """All images of a split at one size, with their objects: what `recipes.training.memory.InMemoryData` takes.

    Images are stretched to the size, boxes with them.

    Args:
        split: a `DetectionSplit`.
        image_size: int or (height, width).
        rows: int, how many boxes each image has, filled up with zeros; None for as many as the image of most
            objects has. Defaults to None.

    Returns:
        dict of "images", uint8 `(images, height, width, 3)`; "boxes", float32 `(images, rows, 4)` in
        pixels of the new size; "labels", int32 `(images, rows)`, -1 for no object and -2 for a crowd.

    Raises:
        ValueError: that names every file that cannot be read; for a size that is none, or too few rows.

    Example:

    >>> in_memory(DetectionSplit([], np.zeros((0, 2), "int32"), []), (48, 64), rows=3)["boxes"].shape
    (0, 3, 4)
    """
    height, width = size = decoding.check_size(image_size)
    found = []
    for position, (own_height, own_width) in enumerate(split.sizes):
        boxes, labels = split.objects(position)
        factors = np.float32((width / own_width, height / own_height) * 2)
        found.append((boxes * factors, labels))
    boxes, labels = fill_rows(found, split.most_objects if rows is None else rows)
    return {"images": decoding.read_images(split.paths, size), "boxes": boxes, "labels": labels}


def fill_rows(objects, rows):
    """Boxes and labels of several images as arrays, filled up with rows of no object.

    Args:
        objects: list of `(boxes, labels)`, as `DetectionSplit.objects` returns.
        rows: int.

    Returns:
        `(boxes, labels)`: float32 `(images, rows, 4)`, int32 `(images, rows)`.

    Raises:
        ValueError: if an image has more objects than rows.

    Example:

    >>> fill_rows([(np.ones((1, 4)), np.array([3]))], 2)[1]
    array([[ 3, -1]], dtype=int32)
    """
    most = max([0, *(len(labels) for _, labels in objects)])
    if type(rows) is not int or rows < max(most, 1):
        raise ValueError(f"`rows` must be at least {max(most, 1)}, the objects of an image. Received: rows={rows!r}")
    boxes = np.zeros((len(objects), rows, 4), "float32")
    labels = np.full((len(objects), rows), NO_OBJECT, "int32")
    for position, (some_boxes, some_labels) in enumerate(objects):
        boxes[position, : len(some_labels)] = some_boxes
        labels[position, : len(some_labels)] = some_labels
    return boxes, labels


def large_enough(boxes):
    """Which boxes are at least a pixel wide and high.

    Args:
        boxes: float `(..., 4)`.

    Returns:
        bool `(...)`.

    Example:

    >>> large_enough(np.array([[0, 0, 1, 1], [0, 0, 9, 0.5]]))
    array([ True, False])
    """
    return ((boxes[..., 2:] - boxes[..., :2]) >= _LEAST).all(-1)


def _contents(name, split):
    """The bytes of a split's annotations, and the names and lengths of its files."""
    files = [(pathlib.Path(path).name, pathlib.Path(path).stat().st_size) for path in split.paths]
    yield repr((name, files, split.image_ids)).encode()
    for arrays in ([split.sizes], split.boxes, split.labels, split.crowds, split.areas):
        for array in arrays or ():
            yield str((array.shape, array.dtype.str)).encode() + np.ascontiguousarray(array).tobytes()
