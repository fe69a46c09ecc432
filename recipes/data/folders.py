"""Image files in one folder for each class, read as they are needed."""

import dataclasses
from functools import partial

import numpy as np

from augment import Operation
from augment import RandomResizedCrop
from augment import draws
from augment.operation import check_operations
from augment.operation import check_pair
from augment.operation import transform
from augment.operation import try_operations
from augment.selection import on_cpu
from recipes.data.files import ImageFiles as ImageFiles
from recipes.data.files import list_images as list_images

LABEL_MODES = ("int", "categorical")
_ENDLESS = 2**31 - 1  # epochs
_DRAWN_TOGETHER = 256  # images
_REDUCTIONS = (8, 4, 2)  # by which JPEGs can be decoded smaller


def image_pipeline(
    files,
    image_size=None,
    operations=(),
    *,
    batch_size,
    label_mode="int",
    crop_to_aspect_ratio=False,
    antialias=True,
    seed=0,
    epochs=None,
    initial_epoch=0,
    shuffle=True,
    drop_remainder=False,
    training=True,
):
    """Build a tf.data pipeline that reads, shuffles, batches and augments images.

    Only what is needed of a JPEG is decoded: at a half, quarter or eighth where the result is so much
    smaller, which moves the edges of a crop by up to half a pixel of the result, and of a random crop
    only that part. As with `augment.pipeline`, the order of an epoch
    depends on (seed, epoch) alone, and the pixels of an image on (seed, epoch, its position in
    `files`). It is a stream of epochs: pass its `steps_per_epoch` to `fit`. The orientation that a
    camera wrote beside the image is not looked at.

    Args:
        files: an `ImageFiles`.
        image_size: int or (height, width) of the images before the operations; None where the first of
            these is `augment.RandomResizedCrop`, which says it. Defaults to None.
        operations: list of `augment.Operation`, applied in this order. Defaults to none.
        batch_size: int.
        label_mode: "int" for numbers of classes, or "categorical" for one-hot rows, which mixing needs.
            Defaults to "int".
        crop_to_aspect_ratio: bool. Whether to cut off what is too long, where images have another aspect
            than `image_size`, rather than to stretch them. Defaults to False.
        antialias: bool. Whether a pixel of a smaller image is a mean of all that it covers: by area for
            JPEGs, in a triangle for other formats. Defaults to True.
        seed: int. Defaults to 0.
        epochs: int, after which the stream ends, or None for an endless one. Outside training
            always 1. Defaults to None.
        initial_epoch: int. The epoch to begin with. Defaults to 0.
        shuffle: bool. Outside training always False. Defaults to True.
        drop_remainder: bool. Whether to leave out a last batch that is smaller. Defaults to False.
        training: bool. False gives one pass in order, with nothing random. Defaults to True.

    Returns:
        A `tf.data.Dataset` of `(images, labels)`, uint8 unless an operation makes floats. It has an
        attribute `steps_per_epoch`.

    Raises:
        ValueError: for no files or sizes, a batch size that leaves no batch, no epochs, a seed that is
            none, or operations that are none or do not fit.

    Example:

    >>> import pathlib, tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         pathlib.Path(folder, name).mkdir()
    ...         Image.new("RGB", (40, 30)).save(pathlib.Path(folder, name, "1.jpg"))
    ...     data = image_pipeline(list_images(folder), 16, batch_size=2, training=False)
    ...     [tuple(array.shape) for array in next(iter(data))]
    [(2, 16, 16, 3), (2,)]
    """
    import tensorflow as tf

    operations = check_operations(operations)
    draws.check_seed(seed)
    crop, operations = _split(operations, image_size)
    size = check_pair("size", crop.size) if crop else check_pair("image_size", image_size)
    antialias = crop.antialias if crop else antialias
    labels = _labels(files, label_mode)
    steps = _steps(files, batch_size, drop_remainder)
    if initial_epoch < 0 or (epochs is not None and epochs <= initial_epoch):
        raise ValueError(f"`epochs` must be more than `initial_epoch`. Received: {epochs} and {initial_epoch}")
    try_operations(operations, np.zeros((1, *size, 3), "uint8"), labels[:1])
    if not training:
        epochs, shuffle = initial_epoch + 1, False
    with tf.device("cpu"):
        paths, labels = tf.constant(files.paths), tf.constant(labels)

    def samples(epoch):
        order = tf.range(len(files))
        if shuffle:
            order = draws.permutation(seed, epoch, order)
        missing = max(steps * batch_size - len(files), 0)  # batches are made behind the parallel reading
        order = tf.concat([order, tf.fill([missing], -1)], 0)[: steps * batch_size]
        samples = tf.data.Dataset.from_tensor_slices(order)
        if crop and training:  # drawn for one image alone, a crop would take half as long as reading the image
            samples = samples.batch(_DRAWN_TOGETHER).map(lambda index: (index, propose(epoch, index))).unbatch()
        return samples.map(lambda index, proposals=None: (epoch, index, proposals))

    def propose(epoch, index):
        with on_cpu():
            return tf.transpose(crop.proposals(draws.Stream(seed, epoch, index)), [1, 0, 2])

    def part(proposals, height, width):
        """Top, left, height and width of what is shown of an image."""
        choice = {"top": 0, "left": 0, "height": height, "width": width}
        if crop and training:
            choice = crop.first_that_fits(proposals[:, None], (height, width, 3))
        elif crop or crop_to_aspect_ratio:
            choice = RandomResizedCrop(size).evaluation_choice((height, width, 3))
        return [tf.reshape(choice[name], []) for name in ("top", "left", "height", "width")]

    def read(epoch, index, proposals):
        def decode():
            return _decode(tf.io.read_file(paths[index]), partial(part, proposals), size, antialias)

        image = tf.cond(index < 0, lambda: tf.zeros((*size, 3), tf.uint8), decode)
        return epoch, index, tf.ensure_shape(image, (*size, 3))

    def change(epoch, index, images):
        if steps * batch_size > len(files):
            images, index = (tf.boolean_mask(each, index >= 0) for each in (images, index))
        with on_cpu():
            return transform(
                operations, images, tf.gather(labels, index), index=index, seed=seed, epoch=epoch[0], training=training
            )

    data = tf.data.Dataset.range(initial_epoch, epochs or _ENDLESS, output_type=tf.int32).flat_map(samples)
    data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    data = data.batch(batch_size, drop_remainder=True)
    data = data.map(change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
    cardinality = steps * (epochs - initial_epoch) if epochs else tf.data.INFINITE_CARDINALITY
    data = data.apply(tf.data.experimental.assert_cardinality(cardinality))
    data.steps_per_epoch = steps
    return data


@dataclasses.dataclass(frozen=True)
class _Done(Operation):
    """Stands for the crop that was made while decoding, so that those after it draw what they always draw."""

    def apply(self, images, choice):
        return images


def _split(operations, image_size):
    """The crop that decoding makes, or None; and the operations for what is decoded."""
    if image_size is not None:
        return None, operations
    if not operations or not isinstance(operations[0], RandomResizedCrop):
        raise ValueError("`image_size` must be given, unless the first operation is augment.RandomResizedCrop.")
    return operations[0], [_Done(), *operations[1:]]


def _steps(files, batch_size, drop_remainder):
    if not len(files):
        raise ValueError("`files` must hold images. Received: none")
    if not isinstance(batch_size, int) or batch_size < 1 or (drop_remainder and batch_size > len(files)):
        raise ValueError(f"`batch_size` must leave a batch of {len(files)} images. Received: {batch_size}")
    return len(files) // batch_size if drop_remainder else -(-len(files) // batch_size)


def _labels(files, label_mode):
    if label_mode not in LABEL_MODES:
        raise ValueError(f"`label_mode` must be one of {LABEL_MODES}. Received: {label_mode!r}")
    if files.labels is None:
        raise ValueError("`files` must have labels. Received: a test set without them")
    if label_mode == "int":
        return files.labels
    return np.eye(len(files.class_names), dtype="float32")[files.labels]


def _decode(content, part, size, antialias):
    """A part of an image, scaled to `size`: uint8.

    Args:
        content: scalar string tensor. A file.
        part: a function `(height, width) -> (top, left, height, width)`.
        size: (height, width).
        antialias: bool.
    """
    import tensorflow as tf

    def jpeg():
        shape = tf.io.extract_jpeg_shape(content)[:2]
        corner, sides = window(shape)
        fits = [tf.reduce_all(sides >= reduction * tf.constant(size)) for reduction in _REDUCTIONS]
        branches = [lambda reduction=reduction: decode_at(reduction, corner, sides) for reduction in _REDUCTIONS]
        image = tf.case(list(zip(fits, branches)), default=lambda: decode_at(1, corner, sides))
        # The mean of the area under a pixel costs a quarter of a triangle over it.
        by_area = tf.reduce_all(sides >= size) & antialias
        return tf.cond(by_area, lambda: tf.image.resize(image, size, "area"), lambda: resize(image))

    def decode_at(reduction, corner, sides):
        """Decode a part, its edges the nearest between pixels of the smaller image."""
        first, end = ((2 * edge + reduction) // (2 * reduction) for edge in (corner, corner + sides))
        window = tf.concat([first, end - first], 0)
        return tf.raw_ops.DecodeAndCropJpeg(contents=content, crop_window=window, channels=3, ratio=reduction)

    def other():
        image = tf.io.decode_image(content, channels=3, expand_animations=False)
        corner, sides = window(tf.shape(image)[:2])
        return resize(tf.slice(image, tf.concat([corner, [0]], 0), tf.concat([sides, [3]], 0)))

    def window(shape):
        sides = [tf.cast(side, tf.int32) for side in part(shape[0], shape[1])]
        return tf.stack(sides[:2]), tf.stack(sides[2:])

    def resize(image):
        return tf.image.resize(image, size, antialias=antialias)

    image = tf.cond(tf.io.is_jpeg(content), jpeg, other)
    return tf.saturate_cast(tf.round(image), tf.uint8)
