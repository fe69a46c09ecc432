"""Images a second out of a folder of JPEGs: our pipeline, and `keras.utils.image_dataset_from_directory`.

    python benchmarks/image_folder.py --output image_folder.json

A folder of JPEGs of about 500x375 pixels is made; each contender reads it over and over, shuffled, at one target
size, with the same augmentation.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import measure
import numpy as np

_CLASSES, _HEIGHT, _WIDTH = 4, 375, 500
_RATIOS = [("ours", "keras"), ("ours, operations of Keras", "keras"), ("ours, random crops", "keras, random crops")]
_NOTES = [
    "JPEGs of 375x500 pixels, smooth noise with grain, quality 90",
    "ours and keras: scaled to the target size, flipped, and rotated by up to 15 degrees, by each one's own operations",
    "ours, operations of Keras: our reading, the layers of Keras",
    "random crops: ours of random area, decoding only the part; keras: RandomCrop, after reading a third larger",
    "keras scales bilinearly without anti-aliasing, its default; ours with anti-aliasing, its default (JPEGs by area)",
]


def read_ours(options, folder):
    """Our pipeline."""
    import augment

    return _pipeline(options, folder, options.size, [augment.HorizontalFlip(), augment.Rotation(15)])


def read_ours_keras(options, folder):
    """Our reading, and Keras's layers."""
    return _augmented(_pipeline(options, folder, options.size, []), _layers())


def read_keras(options, folder):
    """Keras's reading, and its layers."""
    return _augmented(_directory(options, folder, options.size), _layers())


def read_ours_crops(options, folder):
    """Random crops while decoding."""
    import augment

    return _pipeline(options, folder, None, [augment.RandomResizedCrop(options.size), augment.HorizontalFlip()])


def read_keras_crops(options, folder):
    """Random crops of what has been read."""
    import keras

    data = _directory(options, folder, options.size * 4 // 3)
    return _augmented(
        data, [keras.layers.RandomCrop(options.size, options.size), keras.layers.RandomFlip("horizontal")]
    )


def _pipeline(options, folder, size, operations):
    from recipes.data import folders

    files = folders.list_images(folder, check=False)
    return folders.image_pipeline(files, size, operations, batch_size=options.batch_size)


def _directory(options, folder, size):
    import keras

    data = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=options.batch_size, shuffle=True, seed=0, verbose=False
    )
    return data.repeat()


def _layers():
    import keras

    return [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(15 / 360, fill_mode="constant")]


def _augmented(data, layers):
    import tensorflow as tf

    def change(images, labels):
        for layer in layers:
            images = layer(images, training=True)
        return images, labels

    return data.map(change, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _make_folder(folder, images):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(images):
        coarse = Image.fromarray(rng.integers(256, size=(24, 32, 3), dtype="uint8"))
        pixels = np.asarray(coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC), "int16")
        pixels = np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype("uint8")
        path = pathlib.Path(folder, f"class{number % _CLASSES}", f"{number}.jpg")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def _read(contender, options):
    with tempfile.TemporaryDirectory() as folder:
        _make_folder(folder, options.images)
        step = iter(contender(options, folder)).__next__
        speed = measure.images_per_second(step, options.batch_size, options.steps, options.warm_up)
    return {"images_per_second": speed}


_CONTENDERS = {
    name: lambda options, contender=contender: _read(contender, options)
    for name, contender in {
        "ours": read_ours,
        "keras": read_keras,
        "ours, operations of Keras": read_ours_keras,
        "ours, random crops": read_ours_crops,
        "keras, random crops": read_keras_crops,
    }.items()
}


def main():
    """Race the contenders."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # layers in tf.data: the best for Keras
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--images", type=int, default=512, help="in the folder (default: %(default)s)")
    parser.add_argument("--size", type=int, default=160, help="target, in pixels a side (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=60, help="timed batches in a round (default: %(default)s)")
    parser.add_argument(
        "--warm-up", type=int, default=20, help="batches before the clock starts (default: %(default)s)"
    )
    measure.race(__file__, parser.parse_args(), _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    sys.exit(main())
