"""Batches of images of mixed sizes with their objects, for training and evaluation."""

import concurrent.futures

import numpy as np

from augment import EpochGenerator
from augment import draws
from augment import transform
from augment.operation import check_operations
from recipes.data import decoding
from recipes.data.detection import fill_rows
from recipes.data.detection import large_enough
from recipes.data.framing import IMAGENET_MEAN
from recipes.data.framing import IMAGENET_STD
from recipes.data.framing import Framing
from recipes.data.framing import join_shapes

_GROUPS = draws.MIXUP_GENERATOR - 1  # the stream of random numbers that batches are drawn by


class DetectionBatches(EpochGenerator):
    """Images scaled by their sides and padded together, with their boxes.

    Batches hold images of like aspect, other ones in every epoch. A batch is a pure function of (seed,
    epoch, step), an image of (seed, epoch, its position). No image comes twice in an epoch, and none is
    left out unless `drop_last` asks for it. As every shape of a batch is compiled anew on JAX, and by
    TensorFlow's XLA, there are few of them.

    A batch is `(images, targets)`: float32 `(batch, height, width, 3)`, normalised, zeros below and to the right of
    an image; and a dict of "boxes", float32 `(batch, rows, 4)` in pixels of the batch, "labels", int32
    `(batch, rows)`, -1 for no object and -2 for a crowd, and "sizes", float32 `(batch, 2)`, height and width
    without the padding.

    Args:
        split: a `recipes.data.detection.DetectionSplit`.
        operations: list of `augment.Operation` that are applied to each scaled image by itself, before it
            is normalised. Outside training what they do there. Defaults to none.
        batch_size: int.
        min_side: int, as for `recipes.data.framing.Framing`. Defaults to 608.
        max_side: int, likewise. Defaults to 1024.
        image_size: (height, width), or None, likewise. Defaults to None.
        multiple: int, likewise. Defaults to 32.
        mean: float or three of them, likewise. Defaults to that of ImageNet.
        std: float or three of them, likewise. Defaults to that of ImageNet.
        shapes: int, into how many shapes the images are sorted, or None for one of each size. As many again
            at most come from batches between two. Defaults to 8.
        rows: int, how many boxes each image has, or None for as many as the image of most objects has.
            Defaults to None.
        seed: int. Defaults to 0.
        drop_last: bool. Whether to leave out a batch that is smaller: other images in every epoch.
            Defaults to False.
        training: bool. False has nothing random; `order(0)` then says which image comes when.
            Defaults to True.
        threads: int, that decode and change images, or None for what Python thinks fit. Defaults to None.
        workers: int. Threads that make batches ahead. Defaults to 1.

    Raises:
        ValueError: for no images, a batch size that leaves no batch, operations that mix images or are
            none, and as `Framing`.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> from recipes.data.detection import DetectionSplit
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "1.png")
    ...     Image.new("RGB", (50, 40)).save(path)
    ...     split = DetectionSplit([path], np.array([[40, 50]], "int32"), [1])
    ...     images, targets = DetectionBatches(split, batch_size=1, min_side=80)[0]
    >>> images.shape, targets["sizes"].tolist(), targets["labels"].tolist()
    ((1, 96, 128, 3), [[80.0, 100.0]], [[-1]])
    """

    def __init__(
        self,
        split,
        operations=(),
        *,
        batch_size,
        min_side=608,
        max_side=1024,
        image_size=None,
        multiple=32,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        shapes=8,
        rows=None,
        seed=0,
        drop_last=False,
        training=True,
        threads=None,
        workers=1,
    ):
        _check(split, batch_size, drop_last)
        self.framing = Framing(min_side, max_side, image_size, multiple, mean, std)
        self.split, self.training = split, training
        self.operations = check_operations(operations)
        mixing = [operation for operation in self.operations if operation.changes_labels()]
        if mixing:
            raise ValueError(f"`operations` must change each image by itself. Received: {mixing[0]}")
        self.rows = split.most_objects if rows is None else rows
        fill_rows([split.objects(position) for position in range(len(split))], self.rows)  # refuses too few
        self._sizes = self.framing.scaled(split.sizes)
        own = self.framing.padded(_sides_after(self.operations, self._sizes))
        self.shapes, self._shape_of = join_shapes(own, len(own) if shapes is None else shapes)
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        super().__init__(len(split), batch_size, seed, training, drop_last, workers)

    @property
    def paths(self):
        """list of paths of the images."""
        return self.split.paths

    def order(self, epoch):
        """Positions of the images in the order in which an epoch visits them.

        Images of one shape are drawn together; a smaller batch comes last, and holds images of any shape.

        Args:
            epoch: int.

        Returns:
            int32 `(images,)`.
        """
        order = super().order(epoch)
        order = order[np.argsort(self._shape_of[order], kind="stable")]
        full, rest = divmod(self.samples, self.batch_size)
        if not self.shuffle or not full:
            return order
        stream = draws.Stream(self.seed, epoch, np.arange(full + 1, dtype="int32"), _GROUPS)
        *turns, place = stream.uniform()[:, 0]
        first = int(place * (full + 1)) * self.batch_size
        last, order = order[first : first + rest], np.delete(order, np.s_[first : first + rest])
        return np.concatenate([order.reshape(full, -1)[np.argsort(turns)].ravel(), last])

    def load(self, epoch, index):
        found = list(self._pool.map(lambda position: self._sample(epoch, int(position)), index))
        images = [image for image, _, _ in found]
        sizes = np.array([image.shape[:2] for image in images], "float32")
        boxes, labels = fill_rows([(boxes, labels) for _, boxes, labels in found], self.rows)
        shape = np.maximum(self.shapes[self._shape_of[index]].max(0), self.framing.padded(sizes).max(0))
        return self.framing.stack(images, shape), {"boxes": boxes, "labels": labels, "sizes": sizes}

    def _sample(self, epoch, position):
        """An image with its boxes and labels, as they are shown in an epoch."""
        height, width = (int(side) for side in self._sizes[position])
        image = decoding.read_image(self.split.paths[position], (height, width))
        boxes, labels = self.split.objects(position)
        own_height, own_width = self.split.sizes[position]
        boxes = boxes * np.float32((width / own_width, height / own_height) * 2)
        if self.operations:
            index, settings = np.array([position], "int32"), {"seed": self.seed, "training": self.training}
            image, _, boxes = transform(
                self.operations, image[None], None, boxes[None], index=index, epoch=epoch, **settings
            )
            image, boxes = image[0], boxes[0]
        kept = large_enough(boxes)
        return image, boxes[kept], labels[kept]


def _check(split, batch_size, drop_last):
    if not len(split):
        raise ValueError("`split` must hold images. Received: none")
    if type(batch_size) is not int or batch_size < 1 or (drop_last and batch_size > len(split)):
        raise ValueError(f"`batch_size` must leave a batch of {len(split)} images. Received: batch_size={batch_size!r}")


def _sides_after(operations, sizes):
    """The sizes of images after the operations."""
    distinct, own = np.unique(sizes, axis=0, return_inverse=True)
    sides = []
    for height, width in distinct.tolist():
        image_shape = (height, width, 3)
        for operation in operations:
            image_shape = operation.output_shape(image_shape)
        sides.append(image_shape[:2])
    return np.array(sides)[own.reshape(-1)]
