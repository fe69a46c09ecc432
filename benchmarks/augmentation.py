"""Augmentation speed on 32x32 images: our three routes, each beside its peers.

    KERAS_BACKEND=tensorflow python benchmarks/augmentation.py --data-dir cifar-10-batches-py --output augmentation.json

The work is that of the CIFAR-10 recipe: pad by 4 with reflection and crop back, mirror half of the
images, cover a square of 8x8; with choices of its own for each image. Before it is timed, each
contender shows on a batch of equal images that it does that.
"""

import argparse
import itertools

import measure
import numpy as np

import augment

_PADDING, _SIDE, _SQUARE = 4, 32, 8
_RATIOS = [
    ("pipeline_ours", "pipeline_keras_unbatched"),
    ("pipeline_ours", "pipeline_keras_mixed"),
    ("device_ours", "device_keras_translation"),
    ("device_ours", "device_keras_crop"),
    ("array_ours", "array_imgaug"),
]
_NOTES = [
    "pipeline: tf.data on the CPU, in order; device: batches that lie on the device; array: NumPy, one thread",
    "pipeline_keras_unbatched: all layers on single images; pipeline_keras_mixed: only RandomCrop, others on batches",
    "device_keras_translation: offsets in rounded fractions of a pixel, and reflections that repeat the edge",
    "device_keras_crop: the same crop, RandomCrop on one image after another, in a compiled loop on TensorFlow only",
    "array_imgaug: squares are clipped at the edges; pipeline_ours, device_ours, array_ours keep them inside",
    "ours and imgaug keep uint8; Keras's layers compute and return float32",
]


def pipeline_ours(images, batch_size):
    """Our tf.data pipeline."""
    data = augment.pipeline(images, None, _operations(), batch_size=batch_size, shuffle=False, drop_remainder=True)
    return iter(data)


def pipeline_keras_unbatched(images, batch_size):
    """Keras's layers in tf.data on single images, since RandomCrop draws once for all that it is given."""
    crop, *others = _keras_layers()

    def change(image):
        return _apply(others, crop(_pad_one(image), training=True))

    return _keras_pipeline(images, lambda data: _parallel(data, change).batch(batch_size))


def pipeline_keras_mixed(images, batch_size):
    """The same with only RandomCrop on single images: the fastest that Keras's layers allow."""
    crop, *others = _keras_layers()

    def batches(data):
        cropped = _parallel(data, lambda image: crop(_pad_one(image), training=True))
        return _parallel(cropped.batch(batch_size), lambda batch: _apply(others, batch))

    return _keras_pipeline(images, batches)


def device_ours(images, batch_size):
    """Our layer on whole batches, in the backend's compiled function."""
    return map(_compiled([augment.Augmentation(_operations())]), _batches_on_device(images, batch_size))


def device_keras_translation(images, batch_size):
    """Keras's layers on whole batches, with the only one that shifts each image by itself."""
    import keras

    shift = _PADDING / _SIDE
    translation = keras.layers.RandomTranslation(
        shift, shift, fill_mode="reflect", interpolation="nearest", dtype="float32"
    )
    return map(_compiled([translation, *_keras_layers()[1:]]), _batches_on_device(images, batch_size))


def device_keras_crop(images, batch_size):
    """Keras's layers with RandomCrop on one image after another: exact, and slow."""
    import keras

    crop, *others = _keras_layers()
    margins = [(0, 0), (_PADDING, _PADDING), (_PADDING, _PADDING), (0, 0)]

    def change(batch):
        padded = keras.ops.pad(batch, margins, mode="reflect")
        if keras.backend.backend() == "tensorflow":
            cropped = keras.ops.map(lambda image: crop(image, training=True), padded)
        else:  # where a crop is drawn, JAX cannot compile RandomCrop; vectorized_map draws one crop for all
            cropped = keras.ops.stack([crop(image, training=True) for image in padded])
        return _apply(others, cropped)

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        change = tf.function(change)
    return map(change, _batches_on_device(images, batch_size))


def array_ours(images, batch_size):
    """Our NumPy generator, without threads of its own."""
    data = augment.ArrayGenerator(
        images, None, _operations(), batch_size=batch_size, shuffle=False, drop_remainder=True, workers=0
    )
    return (data[step][0] for step in itertools.cycle(range(len(data))))


def array_imgaug(images, batch_size):
    """The imgaug sequence, on whole batches."""
    import imgaug.augmenters as iaa

    sequence = iaa.Sequential(
        [
            iaa.Pad(px=_PADDING, pad_mode="reflect", keep_size=False),
            iaa.CropToFixedSize(_SIDE, _SIDE),
            iaa.Fliplr(0.5),
            iaa.Cutout(1, position="uniform", size=_SQUARE / _SIDE, fill_mode="constant", cval=0),
        ]
    )
    # Augmenters that change the size return lists.
    return (np.stack(sequence(images=batch)) for batch in _batches(images, batch_size))


def _operations():
    return [augment.PadCrop(_PADDING), augment.HorizontalFlip(), augment.Cutout(_SQUARE)]


def _keras_layers():
    """RandomCrop, RandomFlip, RandomErasing; in float32, whatever the global policy is."""
    import keras

    area = (_SQUARE / _SIDE) ** 2
    return [
        keras.layers.RandomCrop(_SIDE, _SIDE, dtype="float32"),
        keras.layers.RandomFlip("horizontal", dtype="float32"),
        # A factor of 1.0 would mean a probability that is itself drawn from 0 to 1.
        keras.layers.RandomErasing(factor=(1.0, 1.0), scale=(area, area), fill_value=0, dtype="float32"),
    ]


def _apply(layers, images):
    for layer in layers:
        images = layer(images, training=True)
    return images


def _pad_one(image):
    import tensorflow as tf

    return tf.pad(image, [(_PADDING, _PADDING), (_PADDING, _PADDING), (0, 0)], mode="REFLECT")


def _parallel(data, function):
    import tensorflow as tf

    return data.map(function, num_parallel_calls=tf.data.AUTOTUNE)


def _keras_pipeline(images, batches):
    import tensorflow as tf

    with tf.device("cpu"):
        data = tf.data.Dataset.from_tensor_slices(images).repeat()
    return iter(batches(data).prefetch(tf.data.AUTOTUNE))


def _compiled(layers):
    """Layers as one function of a batch, compiled as the backend does it; torch runs it as it is."""
    import keras

    model = keras.Sequential(layers)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda images: _apply(layers, images))
    if keras.backend.backend() != "jax":
        return lambda images: _apply(layers, images)
    import jax

    step = jax.jit(lambda state, images: model.stateless_call([], state, images, training=True))

    def change(images):
        if not model.built:
            model.build(images.shape)
        outputs, state = step([variable.value for variable in model.non_trainable_variables], images)
        for variable, value in zip(model.non_trainable_variables, state):
            variable.assign(value)
        return outputs

    return change


def _batches(images, batch_size):
    """Batches in order, without end."""
    return itertools.cycle(images[first : first + batch_size] for first in range(0, len(images), batch_size))


def _batches_on_device(images, batch_size):
    import keras

    return itertools.cycle(
        [keras.ops.convert_to_tensor(batch) for batch in itertools.islice(_batches(images, batch_size), 8)]
    )


def _load(data_dir, batch_size):
    """At least 16,384 real images, in whole batches."""
    if data_dir is None:
        from recipes.data.digits import load_digits

        images = load_digits().train_images
        images = np.tile(images, (-(-16_384 // len(images)), 1, 1, 1))
    else:
        from recipes.data.cifar10 import load_cifar10

        images = load_cifar10(data_dir).train_images
    return images[: len(images) // batch_size * batch_size]


def _demonstrate(contender):
    """Show on equal images that each gets a crop, a mirroring and a square of its own.

    Each pixel holds its row and its column, and 255 where it is not covered; so the offset of an
    image can be read in its middle, where no reflection reaches.
    """
    middle, count = _SIDE // 2, 256
    image = np.full((_SIDE, _SIDE, 3), 255, "uint8")
    image[..., 0], image[..., 1] = 8 + np.indices((_SIDE, _SIDE))
    outputs = _to_numpy(next(contender(np.repeat(image[None], count, axis=0), count)))
    rows = outputs[:, middle, :, 0].max(axis=1).round()
    columns = outputs[:, :, middle, 1].max(axis=1).round()
    mirrored = outputs[:, :, middle - 2, 1].max(axis=1) > outputs[:, :, middle + 2, 1].max(axis=1)
    covered = (outputs[..., 2] == 0).sum(axis=(1, 2))
    shown = {
        "output_dtype": str(outputs.dtype),
        "distinct_rows": len(np.unique(rows)),
        "distinct_columns": len(np.unique(columns[~mirrored])),
        "mirrored": round(float(mirrored.mean()), 3),
        "covered_pixels": round(float(covered.mean()), 1),
    }
    offsets = 2 * _PADDING + 1
    enough = min(shown["distinct_rows"], shown["distinct_columns"]) >= offsets - 1
    if not enough or not 0.3 < shown["mirrored"] < 0.7 or not 0.6 < shown["covered_pixels"] / _SQUARE**2 < 1.1:
        raise ValueError(f"{contender.__name__} does not augment each image by itself: {shown}")
    return shown


def _to_numpy(batch):
    """A batch in memory, of NumPy, TensorFlow (whatever the backend is) or the backend."""
    import keras

    return np.asarray(keras.ops.convert_to_numpy(batch)) if not hasattr(batch, "numpy") else batch.cpu().numpy()


def _measure(contender, options):
    """Speed of one contender, after the demonstration."""
    shown = _demonstrate(contender)
    batches = contender(_load(options.data_dir, options.batch_size), options.batch_size)

    def step():
        # Reading one pixel waits for the whole batch, and copies no more than that from the device.
        return float(next(batches)[0, 0, 0, 0])

    speed = measure.images_per_second(step, options.batch_size, options.batches, options.warm_up)
    return {"images_per_second": speed, **shown}


def _contender(function):
    return lambda options: _measure(function, options)


_CONTENDERS = {
    function.__name__: _contender(function)
    for function in (
        pipeline_ours,
        pipeline_keras_unbatched,
        pipeline_keras_mixed,
        device_ours,
        device_keras_translation,
        device_keras_crop,
        array_ours,
        array_imgaug,
    )
}


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND chooses the backend of the device route."
    )
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--data-dir", help="folder of CIFAR-10 as published; without it, scikit-learn's digits")
    parser.add_argument("--batch-size", type=int, default=512, help="images in a batch (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=60, help="timed batches in a round (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=6, help="batches before the clock starts (default: %(default)s)")
    options = parser.parse_args()
    images = "CIFAR-10" if options.data_dir else "scikit-learn's digits, repeated"
    measure.race(__file__, options, _CONTENDERS, _RATIOS, [f"images: {images}", *_NOTES])


if __name__ == "__main__":
    main()
