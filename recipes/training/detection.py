"""Training of detectors: the loss on the boxes of whole images, beside any of Keras's optimizers and callbacks."""

import keras
import numpy as np

import augment
from recipes.data.detection import in_memory
from recipes.data.detection_batches import DetectionBatches
from recipes.replicas import count_replicas
from recipes.training.memory import InMemoryData


class DetectionModel(keras.Model):
    """A detector that trains on boxes, by `fit`, `recipes.training.memory.fit` and `Run.fit` alike.

    It shares the layers and weights of the network, and is saved as that network, which needs nothing
    of this to be loaded. Compile it without a loss. Beside the loss, the history has its terms.

    Args:
        network: a `keras.Model` from images `(batch, height, width, 3)` to a dict of "boxes", regressions
            `(batch, anchors, 4)`, and "classes", logits `(batch, anchors, classes)`, as `zoo.RetinaNet`.
        loss: function `(targets, outputs, image_shape)` to a dict of "class_loss" and "box_loss", scalars,
            as `recipes.losses.DetectionLoss`. Targets are a dict of "boxes" `(batch, count, 4)`, "labels"
            `(batch, count)`, and "sizes" `(batch, 2)` where images were padded.

    Example:

    >>> import numpy as np
    >>> import zoo
    >>> from recipes.losses import DetectionLoss
    >>> network = zoo.RetinaNet("resnet18", classes=3, channels=32, head_depth=1)
    >>> model = DetectionModel(network, DetectionLoss())
    >>> model.compile("adam")
    >>> targets = {"boxes": np.array([[[8, 8, 40, 40]]], "float32"), "labels": np.array([[2]], "int32")}
    >>> sorted(model.evaluate(np.zeros((1, 64, 64, 3)), targets, verbose=0, return_dict=True))
    ['box_loss', 'class_loss', 'loss']
    """

    TERMS = ("class_loss", "box_loss")

    def __init__(self, network, loss):
        super().__init__(network.input, network.output, name=network.name)
        self.detection_loss = loss
        self.terms = {name: keras.metrics.Mean(name) for name in self.TERMS}

    @property
    def network(self):
        """The plain `keras.Model`, of the same layers and weights."""
        return keras.Model(self.input, self.output, name=self.name)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        shape = keras.ops.shape(x)
        terms = self.detection_loss(_there(y), y_pred, shape[1:3])
        for name, term in terms.items():
            self.terms[name].update_state(term, sample_weight=shape[0])
        # As Keras's own losses, which are summed over replicas.
        return sum([*terms.values(), *map(keras.ops.sum, self.losses)]) / count_replicas()

    def save(self, filepath, **options):
        """Save the network.

        Args:
            filepath: path, as of `keras.Model.save`.
            **options: likewise.
        """
        self.network.save(filepath, **options)


def detection_batches(split, preparation, operations=(), *, batch_size, seed=0, drop_last=False, threads=None):
    """Shuffled, augmented batches of images with their objects.

    Args:
        split: a `recipes.data.detection.DetectionSplit`.
        preparation: a `recipes.data.detection_preparation.DetectionPreparation`. If it gives all images one
            size, they are kept in memory; else they are read when they are due.
        operations: list of `augment` operations. Defaults to none.
        batch_size: int.
        seed: int. Defaults to 0.
        drop_last: bool. Whether to leave out a smaller last batch. Defaults to False.
        threads: int. Threads that read images, where they are not in memory, or None. Defaults to None.

    Returns:
        An `InMemoryData` or a `DetectionBatches`: what `recipes.training.run.Run.fit` takes.

    Raises:
        ValueError: as these, or for files that cannot be read.

    Example:

    >>> import tempfile
    >>> from recipes.data.coco import load_coco
    >>> from recipes.data.detection_preparation import DetectionPreparation
    >>> from recipes.data.shapes import draw_shapes
    >>> data = load_coco(draw_shapes(tempfile.mkdtemp(), train=4, validation=1, test=0))
    >>> preparation = DetectionPreparation(class_names=data.class_names, category_ids=[1, 2, 3], image_size=(64, 64))
    >>> images, targets = detection_batches(data.train, preparation, batch_size=4)[0]
    >>> images.shape, sorted(targets)
    ((4, 64, 64, 3), ['boxes', 'labels'])
    """
    settings = {"batch_size": batch_size, "seed": seed}
    if preparation.image_size is None:
        framing = {name: getattr(preparation, name) for name in ("min_side", "max_side", "multiple", "mean", "std")}
        return DetectionBatches(split, operations, drop_last=drop_last, threads=threads, **framing, **settings)
    arrays = in_memory(split, preparation.image_size)
    operations = [*operations, augment.Normalize(preparation.mean, preparation.std)]
    return InMemoryData(
        arrays["images"], arrays["labels"], operations, boxes=arrays["boxes"], drop_remainder=drop_last, **settings
    )


def show_targets(images, targets, preparation, count=8):
    """Some images of a batch as the network is shown them, with the edges of their boxes.

    Args:
        images: float `(batch, height, width, 3)`, normalised.
        targets: dict of "boxes" `(batch, count, 4)` and "labels" `(batch, count)`.
        preparation: what they were normalised by, with `mean` and `std`.
        count: int. Images, at most. Defaults to 8.

    Returns:
        `(pixels, titles)`, the pixels from 0 to 1.

    Example:

    >>> from recipes.data.detection_preparation import DetectionPreparation
    >>> preparation = DetectionPreparation(class_names=["cell"], category_ids=[1])
    >>> targets = {"boxes": np.array([[[1, 1, 7, 7]]]), "labels": np.array([[0]])}
    >>> show_targets(np.zeros((1, 8, 8, 3)), targets, preparation)[1]
    ['1 objects']
    """
    images = np.asarray(images[:count]) * np.float32(preparation.std) + np.float32(preparation.mean)
    images, titles = np.clip(images / 255, 0, 1), []
    for image, boxes, labels in zip(images, *(np.asarray(targets[name]) for name in ("boxes", "labels"))):
        boxes = boxes[(labels >= 0) & (boxes[:, 2] > boxes[:, 0])]
        for left, top, right, bottom in boxes.astype(int):
            part = image[top : bottom + 1, left : right + 1]
            edge = np.ones(part.shape[:2], bool)
            edge[2:-2, 2:-2] = False
            part[edge] = (1.0, 0.9, 0.1)
        titles.append(f"{len(boxes)} objects")
    return images, titles


def _there(targets):
    """The targets, in which an object that left the image is none: `augment` leaves its label, and a box of zeros."""
    boxes, labels = keras.ops.cast(targets["boxes"], "float32"), keras.ops.cast(targets["labels"], "int32")
    empty = keras.ops.logical_or(boxes[..., 2] <= boxes[..., 0], boxes[..., 3] <= boxes[..., 1])
    none = keras.ops.logical_and(empty, labels >= 0)
    return {**targets, "boxes": boxes, "labels": keras.ops.where(none, keras.ops.full_like(labels, -1), labels)}
