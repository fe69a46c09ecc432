"""Training of detectors: the loss on the boxes of whole images, beside any of Keras's optimizers and callbacks."""

import keras


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
        return sum([*terms.values(), *map(keras.ops.sum, self.losses)])

    def save(self, filepath, **options):
        """Save the network.

        Args:
            filepath: path, as of `keras.Model.save`.
            **options: likewise.
        """
        self.network.save(filepath, **options)


def _there(targets):
    """The targets, in which an object that left the image is none: `augment` leaves its label, and a box of zeros."""
    boxes, labels = keras.ops.cast(targets["boxes"], "float32"), keras.ops.cast(targets["labels"], "int32")
    empty = keras.ops.logical_or(boxes[..., 2] <= boxes[..., 0], boxes[..., 3] <= boxes[..., 1])
    none = keras.ops.logical_and(empty, labels >= 0)
    return {**targets, "boxes": boxes, "labels": keras.ops.where(none, keras.ops.full_like(labels, -1), labels)}
