"""An epoch of a new head on a frozen network: on features that were computed once, and on images.

    KERAS_BACKEND=tensorflow python benchmarks/feature_cache.py --output feature_cache.json

Both contenders train the head of experiment 003 (2,048 units) on the same random backbone, images, order and
seed, by the code of `recipes/nature12k_finetune.py`, without validation. Accuracies are those of the head on other
images after the last epoch: they must agree, as both train the same weights on the same numbers.
"""

import argparse
import statistics
import time

import measure
import numpy as np

_RATIOS = [("cached", "backbone")]
_NOTES = [
    "images/s of an epoch, the median of all but the first one of each round, which compiles",
    "the features are computed before the first epoch: seconds_of_features, once for all epochs",
    "digits of 8x8 pixels, enlarged; random weights; nothing is random in the images; no dropout, whose masks differ",
]


def train_cached(options):
    """Train on features."""
    return _train(options, cached=True)


def train_backbone(options):
    """Train on images, through the frozen network."""
    return _train(options, cached=False)


def _train(options, cached):
    import keras

    import augment
    from recipes import fine_tuning
    from recipes.data.digits import load_digits
    from recipes.optimizers import Adam
    from recipes.training import session

    data, count = load_digits(options.image_size), options.images
    normalize = augment.Normalize(data.mean, data.std)
    images, labels = data.train_images[:count], data.one_hot(data.train_labels[:count])
    batches = {"batch_size": options.batch_size, "seed": 0}
    with session.session(0, "float32"):
        backbone = fine_tuning.load_backbone(options.architecture, None, (options.image_size, options.image_size, 3))
        model = fine_tuning.replace_head(backbone, 10, dropout=0.0)
        parts = fine_tuning.freeze_below(model)
        start = time.perf_counter()
        if cached:
            views = [fine_tuning.features(parts.below, images, [normalize], **batches)]
            batches = fine_tuning.FeatureBatches(views, labels, **batches, drop_remainder=True)
        else:
            batches = augment.ArrayGenerator(images, labels, [normalize], **batches, drop_remainder=True)
        prepared = time.perf_counter() - start
        network = parts.above if cached else parts.model
        network.compile(
            Adam(1e-4),
            keras.losses.CategoricalCrossentropy(from_logits=True),
            jit_compile=session.choose_jit_compile(None),
        )
        clock = _Epochs()
        network.fit(batches, epochs=options.epochs, shuffle=False, verbose=0, callbacks=[clock.callback()])
        logits = fine_tuning.features(model, data.validation_images, [normalize], training=False)
    seconds = statistics.median(clock.seconds[1:])
    return {
        "images_per_second": len(batches) * options.batch_size / seconds,
        "seconds_of_epoch": float(f"{seconds:.4g}"),
        "seconds_of_features": float(f"{prepared:.4g}") if cached else 0.0,
        "accuracy": round(float(np.mean(logits.argmax(-1) == data.validation_labels)), 4),
    }


class _Epochs:
    """Seconds of each epoch."""

    def __init__(self):
        self.seconds = []

    def callback(self):
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_begin=self._begin, on_epoch_end=self._end)

    def _begin(self, epoch, logs):
        self._start = time.perf_counter()

    def _end(self, epoch, logs):
        self.seconds.append(time.perf_counter() - self._start)


_CONTENDERS = {"cached": train_cached, "backbone": train_backbone}


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument("--architecture", default="ResNet50", help="as of the recipe (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=128, help="a multiple of 8 (default: %(default)s)")
    parser.add_argument("--images", type=int, default=512, help="(default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="at least 2 (default: %(default)s)")
    measure.race(__file__, parser.parse_args(), _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
