"""Pooling to a given size."""

import keras


@keras.saving.register_keras_serializable(package="zoo")
class AdaptiveAveragePooling2D(keras.layers.Layer):
    """Average images of any size to maps of one size, as torch's `AdaptiveAvgPool2d` does.

    Keras's own layer fails on TensorFlow, in graphs, where images are smaller than the maps.

    Args:
        output_size: int. Height and width of the maps.
        data_format: one of "channels_last", "channels_first"; None takes Keras's image data format.
            Defaults to None.
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> layer = AdaptiveAveragePooling2D(6)
    >>> tuple(layer(keras.ops.ones((2, 13, 1, 4))).shape)
    (2, 6, 6, 4)
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.output_size = output_size
        self.data_format = data_format or keras.config.image_data_format()

    def call(self, inputs):
        height, width = (2, 3) if self.data_format == "channels_first" else (1, 2)
        shape = keras.ops.shape(inputs)
        outputs = keras.ops.cast(inputs, "float32")
        for axis in (height, width):
            weights = _window_weights(shape[axis], self.output_size)
            outputs = keras.ops.moveaxis(keras.ops.tensordot(outputs, weights, [[axis], [0]]), -1, axis)
        return keras.ops.cast(outputs, inputs.dtype)

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_first":
            return (*input_shape[:2], self.output_size, self.output_size)
        return (input_shape[0], self.output_size, self.output_size, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "output_size": self.output_size, "data_format": self.data_format}


def _window_weights(size, output_size):
    """Matrix `(size, output_size)` that averages pixels floor(i size / n) to ceil((i + 1) size / n)."""
    pixels = keras.ops.arange(size, dtype="int32")[:, None]
    windows = keras.ops.arange(output_size, dtype="int32")[None]
    starts = windows * size // output_size
    ends = -(-(windows + 1) * size // output_size)
    inside = keras.ops.logical_and(pixels >= starts, pixels < ends)
    return keras.ops.cast(inside, "float32") / keras.ops.cast(ends - starts, "float32")
