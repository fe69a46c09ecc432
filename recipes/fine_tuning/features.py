"""What a frozen network makes of images, computed once and trained on many times."""

import numpy as np

from augment import ArrayGenerator
from augment import EpochGenerator


def features(model, images, operations=(), *, batch_size=64, seed=0, epoch=0, training=True):
    """The outputs of a model for images, as an array in memory.

    Args:
        model: a `keras.Model`, such as `freeze_below(...).below`.
        images: array-like `(samples, height, width, channels)`.
        operations: list of `augment` operations that look at each image alone. Defaults to none.
        batch_size: int. Defaults to 64.
        seed: int, of the operations. Defaults to 0.
        epoch: int, of the operations: the augmented copies are those that a training with this seed would see in
            this epoch. Defaults to 0.
        training: bool. Whether the operations are applied as in training; else with nothing random. Defaults to True.

    Returns:
        float32 array `(samples, ...)`.

    Raises:
        ValueError: if there are no images, or the operations are none.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D()])
    >>> features(model, np.ones((5, 4, 4, 3)), batch_size=2).shape
    (5, 3)
    """
    size = min(batch_size, max(1, len(images)))
    data = ArrayGenerator(
        images, None, list(operations), batch_size=size, seed=seed, shuffle=False, training=training, workers=0
    )
    found = np.empty((len(images), *model.output_shape[1:]), "float32")
    for start in range(0, len(images), size):
        index = np.arange(start, min(start + size, len(images)), dtype="int32")
        (batch,) = data.load(epoch, np.resize(index, size))  # a smaller batch would be compiled anew
        found[index] = np.asarray(model.predict_on_batch(batch), "float32")[: len(index)]
    return found


class FeatureBatches(EpochGenerator):
    """Batches of features and labels, in the order in which `augment.ArrayGenerator` would give the images.

    Args:
        views: list of arrays `(samples, ...)`, as of `features`: augmented copies of the same samples. Epochs take
            one after another, then the first again.
        labels: array `(samples, ...)`.
        batch_size: int. Defaults to 32.
        seed: int, of the order. Defaults to 0.
        shuffle: bool. Defaults to True.
        drop_remainder: bool. Whether to leave out a last batch that is smaller. Defaults to False.

    Raises:
        ValueError: if features and labels are not as many, or make no batch.

    Example:

    >>> data = FeatureBatches([np.zeros((5, 8)), np.ones((5, 8))], np.arange(5), batch_size=2)
    >>> len(data), data[0][0].shape
    (3, (2, 8))
    """

    def __init__(self, views, labels, *, batch_size=32, seed=0, shuffle=True, drop_remainder=False):
        lengths = [len(view) for view in views]
        if not lengths or any(length != len(labels) for length in lengths):
            raise ValueError(f"`views` and `labels` must be as many. Received: {lengths} and {len(labels)}")
        if not batch_size >= 1 or (drop_remainder and batch_size > len(labels)) or not len(labels):
            raise ValueError(f"{len(labels)} samples make no batch of {batch_size}. Use another `batch_size`.")
        super().__init__(len(labels), batch_size, seed, shuffle, drop_remainder, workers=0)
        self.views, self.labels = list(views), labels

    def load(self, epoch, index):
        return self.views[epoch % len(self.views)][index], self.labels[index]
