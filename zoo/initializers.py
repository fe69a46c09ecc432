"""Initial weights that Keras lacks."""

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="zoo")
class Dirac(keras.initializers.VarianceScaling):
    """Begin a convolution as the identity, as far as its filters go.

    The first filters, one for each input channel, copy that channel; the others are random. By default
    these are as torch draws them: uniform within 1 / sqrt(fan_in).

    Args:
        scale: float. Of `keras.initializers.VarianceScaling`, for the other filters. Defaults to 1 / 3.
        mode: str. The same. Defaults to "fan_in".
        distribution: str. The same. Defaults to "uniform".
        seed: int, `keras.random.SeedGenerator`, or None. Defaults to None.
        **kwargs: of `keras.initializers.VarianceScaling`.

    Raises:
        ValueError: on use, for what is no kernel `(height, width, inputs, filters)`.

    Example:

    >>> keras.ops.convert_to_numpy(Dirac()((3, 3, 2, 2)))[1, 1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]

    Reference:
        https://arxiv.org/abs/1706.00388
    """

    def __init__(self, scale=1 / 3, mode="fan_in", distribution="uniform", seed=None, **kwargs):
        super().__init__(scale, mode, distribution, seed, **kwargs)

    def __call__(self, shape, dtype=None, **kwargs):
        if len(shape) != 4:
            raise ValueError(
                "`Dirac` is for the kernels of two-dimensional convolutions, (height, width, inputs, filters). "
                f"Received: shape={tuple(shape)}"
            )
        height, width, inputs, filters = shape
        identity = np.zeros(shape, "float32")
        copied = np.arange(min(inputs, filters))
        identity[height // 2, width // 2, copied, copied] = 1
        values = super().__call__(shape, dtype, **kwargs)
        return keras.ops.where(np.arange(filters) < inputs, keras.ops.cast(identity, values.dtype), values)
