"""Layers made for speed beside Keras's own: forward, and the gradients to inputs and weights, in bfloat16.

    KERAS_BACKEND=tensorflow python benchmarks/layers.py --output benchmarks/results/layers-tensorflow-cpu.json

The works are those of SpeedNet, whose step they are most of: 500 images, each layer at the sizes at which the
network has it, on one of two cores, as ghost batches are computed side by side. On TensorFlow, where ours differ
from Keras's own.
"""

import argparse
import dataclasses
import functools

import measure
import numpy as np

_IMAGES = 500
_NOTES = [
    "a work is one layer, compiled without XLA around it, as a training step on a CPU is",
    "Conv2D: 3x3; what ours computes otherwise is the gradient of the kernel, a third of the arithmetic",
    "Conv2D before pooling: with the 2x2 maximum that follows, of whose inputs the last row and column are not read",
]


@dataclasses.dataclass(frozen=True)
class Work:
    """A layer, and the images that it is given.

    Args:
        layer: str. Its name in `zoo` and in `keras.layers`.
        shape: tuple. Of the images: height, width, channels.
        arguments: tuple. Of the layer.
        pools: bool. Whether a pooling follows, and ours is told so.
    """

    layer: str
    shape: tuple
    arguments: tuple = ()
    pools: bool = False


WORKS = {
    **{
        f"Conv2D, {side}x{side}, 256 to 256": Work("Conv2D", (side, side, 256), (256, 3, 1, "same"))
        for side in (15, 11, 7, 5, 3)
    },
    "Conv2D before pooling, 15x15, 64 to 256": Work("Conv2D", (15, 15, 64), (256, 3, 1, "same"), pools=True),
    "Conv2D before pooling, 31x31, 24 to 64": Work("Conv2D", (31, 31, 24), (64, 3, 1, "same"), pools=True),
    "Activation, GELU, 15x15x256": Work("Activation", (15, 15, 256), ("gelu",)),
    "Activation, SiLU, 15x15x256": Work("Activation", (15, 15, 256), ("silu",)),
    "BatchNormalization, 15x15x256": Work("BatchNormalization", (15, 15, 256)),
}


def train(work, library, options):
    """Time a layer of ours, or Keras's own."""
    import keras
    import tensorflow as tf

    import zoo
    from recipes.training import session

    session.side_by_side(options.side_by_side)
    ours = library == "ours"
    own = {"pool_size": 2} if work.pools and ours else {}
    layer = getattr(zoo if ours else keras.layers, work.layer)(*work.arguments, **own, dtype="mixed_bfloat16")
    pooling = keras.layers.MaxPooling2D(2, dtype="mixed_bfloat16") if work.pools else lambda images: images
    draw = np.random.default_rng(0).standard_normal
    images = tf.cast(draw((_IMAGES, *work.shape), "float32"), "bfloat16")
    upstream = tf.cast(draw(pooling(layer(images)).shape, "float32"), "bfloat16")

    @tf.function(jit_compile=session.choose_jit_compile(None))
    def step(images, upstream):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = pooling(layer(images, training=True) if layer.non_trainable_weights else layer(images))
        return tape.gradient(outputs, [images, *layer.trainable_weights], upstream)

    return {
        "images_per_second": measure.images_per_second(
            lambda: step(images, upstream), _IMAGES, options.steps, options.warm_up
        )
    }


_CONTENDERS = {
    f"{name}, {library}": functools.partial(train, work, library)
    for name, work in WORKS.items()
    for library in ("ours", "keras")
}
_RATIOS = [(f"{name}, ours", f"{name}, keras") for name in WORKS]


def main():
    """Race the contenders."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="KERAS_BACKEND must be tensorflow, where ours differ from Keras's."
    )
    measure.add_options(parser, rounds=3, contenders=_CONTENDERS)
    parser.add_argument(
        "--side-by-side",
        type=int,
        default=2,
        help="operations that share the cores, of which one is timed: 1 gives it all of them (default: %(default)s)",
    )
    parser.add_argument("--steps", type=int, default=10, help="timed steps in a round (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="steps before the clock starts (default: %(default)s)")
    measure.race(__file__, parser.parse_args(), _CONTENDERS, _RATIOS, _NOTES)


if __name__ == "__main__":
    main()
