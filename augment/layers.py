"""Our operations as a Keras layer, for the device that trains, on any backend."""

import keras

from augment import draws
from augment.operation import check_operations
from augment.operation import transform
from augment.selection import numbers_may_vary


@keras.saving.register_keras_serializable(package="augment")
class Augmentation(keras.layers.Layer):
    """Augment batches on the device, with choices of its own for each image.

    Active in training only. Images keep their dtype and exact values whatever the global dtype
    policy is. Without `index` and `epoch`, the choices for an image depend on the seed, on how many
    training batches the layer has seen, and on the image's place in its batch; with them, on
    (seed, epoch, index) alone, as on the other routes.

    Args:
        operations: list of `Operation`, applied in this order.
        seed: int. Defaults to 0.
        **kwargs: of `keras.layers.Layer`, such as `name`.

    Call arguments:
        images: `(batch, height, width, channels)`, uint8 or float.
        labels: `(batch, ...)`, or None. Defaults to None.
        boxes: `(batch, count, 4)`, as `augment.boxes` describes them, or None. Defaults to None.
        index: int32 `(batch,)`, the position of each sample in its data set, or None. Defaults to None.
        epoch: int32 scalar, or None. Defaults to None.
        training: bool.

    Returns:
        The images; with labels, boxes, or both, a tuple of images and of what was given.

    Raises:
        ValueError: if `operations` or `seed` are none.

    Example:

    >>> import augment, numpy as np
    >>> layer = augment.Augmentation([augment.PadCrop(4), augment.HorizontalFlip()], seed=1)
    >>> tuple(layer(np.zeros((2, 32, 32, 3), "uint8"), training=True).shape)
    (2, 32, 32, 3)
    """

    def __init__(self, operations, seed=0, **kwargs):
        kwargs.pop("dtype", None)
        super().__init__(dtype="float32", autocast=False, **kwargs)
        draws.check_seed(seed)
        self.operations = check_operations(operations)
        self.seed = seed
        self.supports_jit = not numbers_may_vary(keras.ops.zeros(()))  # XLA must know every shape
        # A weight, not a SeedGenerator: Keras does not save those, and a loaded layer must go on where it was.
        self.batches = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False, name="batches")

    def call(self, images, labels=None, boxes=None, index=None, epoch=None, training=False):
        if training and epoch is None:
            epoch = keras.ops.convert_to_tensor(self.batches)
            self.batches.assign(epoch + 1)
        if index is None:
            index = keras.ops.arange(keras.ops.shape(images)[0], dtype="int32")
        batch = transform(
            self.operations, images, labels, boxes, index=index, seed=self.seed, epoch=epoch, training=training
        )
        given = tuple(part for part in batch if part is not None)
        return given if len(given) > 1 else given[0]

    def get_config(self):
        operations = [keras.saving.serialize_keras_object(operation) for operation in self.operations]
        config = {**super().get_config(), "operations": operations, "seed": self.seed}
        del config["dtype"]
        return config

    @classmethod
    def from_config(cls, config):
        operations = [keras.saving.deserialize_keras_object(operation) for operation in config["operations"]]
        return cls(**{**config, "operations": operations})
