"""Input pipelines on tf.data, for arrays: in memory, in mapped files, or made where they are indexed."""

import numpy as np

from augment import draws
from augment.generator import as_batch
from augment.generator import check_arrays
from augment.operation import check_operations
from augment.operation import transform
from augment.operation import try_operations
from augment.selection import on_cpu

_ENDLESS = 2**31 - 1  # epochs


def pipeline(
    images,
    labels=None,
    operations=(),
    *,
    boxes=None,
    batch_size,
    seed=0,
    epochs=None,
    initial_epoch=0,
    initial_step=0,
    shuffle=True,
    drop_remainder=False,
    training=True,
):
    """Build a tf.data pipeline that shuffles, batches and augments.

    Whole batches are gathered and augmented at once, in parallel. The order of an epoch depends on
    (seed, epoch) alone, and the pixels of a sample on (seed, epoch, its position in `images`), so
    the stream is the same however many threads make it. It is a stream of epochs: pass its
    `steps_per_epoch` to `fit`.

    Arrays become tensors. Of a mapped file, a `numpy.memmap`, and of an object that has a method
    `rows(index)` beside `shape`, `dtype`, a length and slices, only the samples of each batch are read, by
    NumPy, in the threads of the pipeline.

    Args:
        images: array-like `(samples, height, width, channels)`, uint8 or float.
        labels: array `(samples, ...)`, or None. Defaults to None.
        operations: list of `Operation`, applied in this order. Defaults to none.
        boxes: array `(samples, count, 4)`, as `augment.boxes` describes them, or None. Defaults to None.
        batch_size: int.
        seed: int. Defaults to 0.
        epochs: int, after which the stream ends, or None for an endless one. Outside training
            always 1. Defaults to None.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        initial_step: int. The batch of that epoch to begin with; those before it are not made. Defaults to 0.
        shuffle: bool. Outside training always False. Defaults to True.
        drop_remainder: bool. Whether to leave out a last batch that is smaller. Defaults to False.
        training: bool. False gives one pass in order, with nothing random. Defaults to True.

    Returns:
        A `tf.data.Dataset` of `(images, labels)` or `images`; with boxes, of `(images, targets)`, where
        targets is a dict of "boxes" and, if given, "labels". It has an attribute `steps_per_epoch`, and a
        method `after(batches)`: the same stream without its first batches, which are not made.

    Raises:
        ValueError: for arrays of different lengths, a batch size that leaves no batch, no epochs, a
            seed that is none, or operations that are none or do not fit.

    Example:

    >>> import augment, numpy as np
    >>> images, labels = np.zeros((10, 32, 32, 3), "uint8"), np.arange(10)
    >>> data = augment.pipeline(images, labels, [augment.PadCrop(4)], batch_size=4, seed=1)
    >>> data.steps_per_epoch
    3
    >>> next(iter(data))[0].shape
    TensorShape([4, 32, 32, 3])
    """
    import tensorflow as tf

    steps = check_arrays(images, labels, batch_size, drop_remainder, boxes=boxes)
    operations = check_operations(operations)
    draws.check_seed(seed)
    try_operations(operations, images, labels, boxes)
    if initial_epoch < 0 or (epochs is not None and epochs <= initial_epoch):
        raise ValueError(f"`epochs` must be more than `initial_epoch`. Received: {epochs} and {initial_epoch}")
    if not 0 <= initial_step < steps:
        raise ValueError(f"`initial_step` must be from 0 to less than {steps}. Received: initial_step={initial_step!r}")
    own = {"boxes": boxes, "batch_size": batch_size, "seed": seed, "epochs": epochs}
    own |= {"shuffle": shuffle, "drop_remainder": drop_remainder, "training": training}

    def after(count):
        epoch, step = divmod(initial_epoch * steps + initial_step + count, steps)
        return pipeline(images, labels, operations, **own, initial_epoch=epoch, initial_step=step)

    if not training:
        epochs, shuffle = initial_epoch + 1, False
    with tf.device("cpu"):
        gather = [None if each is None else _gather(each) for each in (images, labels, boxes)]

    def batches(epoch):
        order = tf.range(len(images))
        if shuffle:
            order = draws.permutation(seed, epoch, order)
        order = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder)
        if initial_step:
            order = order.skip(tf.where(epoch == initial_epoch, tf.constant(initial_step, tf.int64), 0))
        return order.map(lambda index: (epoch, index))

    def load(epoch, index):
        batch = [None if each is None else each(index) for each in gather]
        with on_cpu():
            batch = transform(operations, *batch, index=index, seed=seed, epoch=epoch, training=training)
        return as_batch(*batch)

    data = tf.data.Dataset.range(initial_epoch, epochs or _ENDLESS, output_type=tf.int32).flat_map(batches)
    data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
    cardinality = steps * (epochs - initial_epoch) - initial_step if epochs else tf.data.INFINITE_CARDINALITY
    data = data.apply(tf.data.experimental.assert_cardinality(cardinality))
    data.steps_per_epoch, data.after = steps, after
    return data


def _gather(array):
    """A function from positions to samples."""
    import tensorflow as tf

    rows = array.__getitem__ if isinstance(array, np.memmap) else getattr(array, "rows", None)
    if rows is None:
        tensor = tf.convert_to_tensor(array)
        return lambda index: tf.gather(tensor, index)

    def read(index):
        samples = tf.numpy_function(rows, [index], array.dtype, stateful=False)
        return tf.ensure_shape(samples, (None, *array.shape[1:]))

    return read
