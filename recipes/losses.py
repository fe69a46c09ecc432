"""Losses of detectors: focal loss of the classes, smooth L1 of the boxes, over matched anchors."""

import math
import sys

import keras

from recipes.replicas import count_replicas
from recipes.replicas import mean_over_replicas
from zoo import boxes

NORMALIZATIONS = ("image", "batch")


def focal_loss(targets, logits, alpha=0.25, gamma=2.0):
    """Binary cross-entropy that cares little for what is known already; element by element.

    It is computed in float32 from the logits, and nothing is cut off: also where a probability is 1 to
    the last digit, the loss and its gradient are right.

    Args:
        targets: bool or numbers 0 and 1, of the shape of `logits`, or one that broadcasts to it.
        logits: float of any dtype.
        alpha: float in [0, 1]. Weight of the targets 1; those of 0 have `1 - alpha`. Defaults to 0.25.
        gamma: float, at least 0, which is weighted cross-entropy. Defaults to 2.

    Returns:
        float32 of the shape of `logits`.

    Raises:
        ValueError: if `alpha` or `gamma` is out of range.

    Example:

    >>> keras.ops.convert_to_numpy(focal_loss([True, False], [0.0, 0.0])).round(4)
    array([0.0433, 0.13  ], dtype=float32)

    Reference:
        https://arxiv.org/abs/1708.02002
    """
    _check_range("alpha", alpha, 0, 1, "in [0, 1]")
    _check_range("gamma", gamma, 0, math.inf, "of at least 0")
    targets = keras.ops.cast(targets, "bool")
    logits = keras.ops.cast(logits, "float32")
    margins = keras.ops.where(targets, logits, -logits)
    # 1 - p of the right answer, to the power of gamma: safe where p is 1, whatever gamma is.
    doubts = keras.ops.exp(-gamma * keras.ops.softplus(margins))
    return keras.ops.where(targets, alpha, 1 - alpha) * doubts * keras.ops.softplus(-margins)


def smooth_l1(differences, beta=1 / 9):
    """Square near 0, absolute value farther off; element by element, with a slope of at most 1.

    Args:
        differences: float of any dtype.
        beta: float above 0. Where the square ends. Defaults to 1 / 9.

    Returns:
        float32 of the shape of `differences`.

    Raises:
        ValueError: if `beta` is out of range.

    Example:

    >>> keras.ops.convert_to_numpy(smooth_l1([0.0, 0.5, 2.0], beta=1.0)).tolist()
    [0.0, 0.125, 1.5]

    Reference:
        https://arxiv.org/abs/1504.08083
    """
    _check_range("beta", beta, sys.float_info.min, math.inf, "above 0")
    differences = keras.ops.cast(differences, "float32")
    sizes = keras.ops.abs(differences)
    return keras.ops.where(sizes <= beta, 0.5 / beta * keras.ops.square(differences), sizes - 0.5 * beta)


class DetectionLoss:
    """Loss of a detector by anchors: of the classes over all but ignored anchors, of the boxes over the positive.

    Args:
        alpha: float. Of `focal_loss`. Defaults to 0.25.
        gamma: float. Of `focal_loss`. Defaults to 2.
        beta: float. Of `smooth_l1`. Defaults to 1 / 9.
        normalization: one of "image", the mean over images of each one's sum by its positive anchors, as
            published; "batch", the sum over the batch by the positive anchors of the batch, where images of
            few objects do not count as much as those of many. Defaults to "image".
        anchors: dict of arguments of `zoo.boxes.anchors`, such as `sizes`. Defaults to None, its own.
        std: tuple of four. Of `zoo.boxes.encode`. Defaults to that of `zoo.boxes.encode`.
        positive, negative, best: of `zoo.boxes.match`. Default to 0.5, 0.4 and False.

    Raises:
        ValueError: for an argument out of range; on a call, if there are not as many outputs as anchors.

    Example:

    >>> import numpy as np
    >>> loss = DetectionLoss(anchors={"sizes": (16,), "strides": (16,), "ratios": (1.0,), "scales": (1.0,)})
    >>> targets = {"boxes": np.array([[[0.0, 0.0, 16.0, 16.0]]], "float32"), "labels": np.array([[1]])}
    >>> outputs = {"boxes": np.zeros((1, 2, 4), "float32"), "classes": np.zeros((1, 2, 2), "float32")}
    >>> {name: round(float(value), 4) for name, value in loss(targets, outputs, (16, 32)).items()}
    {'class_loss': 0.4332, 'box_loss': 0.0}

    Reference:
        https://arxiv.org/abs/1708.02002
    """

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        beta=1 / 9,
        normalization="image",
        anchors=None,
        std=boxes.coding.STD,
        positive=0.5,
        negative=0.4,
        best=False,
    ):
        _check_range("alpha", alpha, 0, 1, "in [0, 1]")
        _check_range("gamma", gamma, 0, math.inf, "of at least 0")
        _check_range("beta", beta, sys.float_info.min, math.inf, "above 0")
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"`normalization` must be one of {NORMALIZATIONS}. Received: {normalization!r}")
        self.alpha = alpha
        self.gamma = gamma
        self.beta = beta
        self.normalization = normalization
        self.anchors = dict(anchors or {})
        self.std = std
        self.matching = {"positive": positive, "negative": negative, "best": best}

    def __call__(self, targets, outputs, image_shape):
        """Compare the outputs of a batch with its objects.

        Args:
            targets: dict of "boxes", `(batch, count, 4)`, "labels", int `(batch, count)`, as `zoo.boxes.match`
                takes them, and, where images are padded, "sizes", `(batch, 2)`.
            outputs: dict of "boxes", `(batch, anchors, 4)`, and "classes", logits `(batch, anchors, classes)`.
            image_shape: `(height, width)` of the batch, as `zoo.boxes.anchors` takes it.

        Returns:
            dict of "class_loss" and "box_loss", float32 scalars.
        """
        anchors = boxes.anchors(image_shape, **self.anchors)
        _check_counts(anchors, outputs, image_shape)
        index, state = boxes.match(anchors, targets["boxes"], targets["labels"], targets.get("sizes"), **self.matching)
        positive = state == 1
        labels = keras.ops.where(positive, _rows(targets["labels"], index), boxes.NOTHING)
        wanted = boxes.encode(_rows(targets["boxes"], index), anchors, self.std)
        sums = {
            "class_loss": self._class_loss(outputs["classes"], labels, state),
            "box_loss": self._box_loss(outputs["boxes"], wanted, positive),
        }
        return self._normalize(sums, keras.ops.sum(keras.ops.cast(positive, "float32"), axis=1))

    def _class_loss(self, logits, labels, state):
        """The sum of each image; the targets are made where they are used, from the label of each anchor."""
        targets = labels[:, :, None] == keras.ops.arange(logits.shape[-1], dtype=labels.dtype)
        losses = focal_loss(targets, logits, self.alpha, self.gamma)
        return keras.ops.sum(keras.ops.where(state[:, :, None] >= 0, losses, 0.0), axis=(1, 2))

    def _box_loss(self, regressions, wanted, positive):
        """The sum of each image, where an anchor counts the mean of its four numbers."""
        differences = keras.ops.cast(regressions, "float32") - wanted
        differences = keras.ops.where(positive[:, :, None], differences, 0.0)
        return keras.ops.sum(smooth_l1(differences, self.beta), axis=(1, 2)) / 4

    def _normalize(self, sums, counts):
        if self.normalization == "batch":
            # Of several replicas each has some images: those of all share their count.
            count = keras.ops.maximum(mean_over_replicas(keras.ops.sum(counts)), 1.0 / count_replicas())
            return {name: keras.ops.sum(each) / count for name, each in sums.items()}
        counts = keras.ops.maximum(counts, 1.0)
        return {name: keras.ops.mean(each / counts) for name, each in sums.items()}


def _rows(values, index):
    """For each anchor, what its object has."""
    values = keras.ops.convert_to_tensor(values)
    samples, count = keras.ops.shape(values)[:2]
    first = keras.ops.arange(samples, dtype=index.dtype)[:, None] * count
    return keras.ops.take(keras.ops.reshape(values, (-1, *values.shape[2:])), index + first, axis=0)


def _check_range(name, value, low, high, bounds):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"`{name}` must be a number {bounds}. Received: {name}={value!r}")


def _check_counts(anchors, outputs, image_shape):
    counts = {name: outputs[name].shape[1] for name in ("boxes", "classes")}
    if any(None not in (count, anchors.shape[0]) and count != anchors.shape[0] for count in counts.values()):
        raise ValueError(
            f"Images of {tuple(image_shape)} have {anchors.shape[0]} anchors: the network needs as many "
            "`anchors_per_cell` as there are ratios and scales in `anchors`, and a grid for each of the strides. "
            f"Received: outputs for {counts}"
        )
