"""Convolution that computes less, and its kernel gradient as one product of matrices, where that is faster."""

import keras

# Up to this height and width, and from so many filters on, the product is faster than oneDNN's own kernel: the
# step of a layer with 256 filters, on one CPU core, 1.1 times at 15x15, 1.4 at 7x7, 2.9 at 3x3 (see
# benchmarks/layers.py). The matrix of what the kernel sees is made for as many images at a time as the cache holds.
_LARGEST_SIDE = 15
_FEWEST_FILTERS = 256
_BYTES_AT_A_TIME = 4 * 2**20


@keras.saving.register_keras_serializable(package="zoo")
class Conv2D(keras.layers.Conv2D):
    """2D convolution that trains faster in bfloat16 on CPUs, and leaves out what a pooling does not read.

    A drop-in for `keras.layers.Conv2D`: the same arguments, weights and results. The gradient of a
    kernel is the product of two matrices, what the kernel saw at each place and the gradient of the outputs
    there. On TensorFlow and a CPU, that of many filters on small images in bfloat16 is computed so;
    everything else is Keras's own.

    Args:
        *args: of `keras.layers.Conv2D`.
        pool_size: int. Height and width of the pooling that follows, with valid padding and strides as large:
            what it leaves out, the last rows and columns, is not computed, so that outputs `(15, 15)` become
            `(14, 14)` of 2. Defaults to 1.
        **kwargs: of `keras.layers.Conv2D`.

    Raises:
        ValueError: for a `pool_size` below 1, or above 1 with strides, dilation or another padding than "same".

    Example:

    >>> layer = Conv2D(8, 3, padding="same")
    >>> tuple(layer(keras.ops.ones((2, 7, 7, 3))).shape)
    (2, 7, 7, 8)
    >>> layer = Conv2D(8, 3, padding="same", pool_size=2)
    >>> tuple(layer(keras.ops.ones((2, 7, 7, 3))).shape)
    (2, 6, 6, 8)
    """

    def __init__(self, *args, pool_size=1, **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(pool_size, bool) or not isinstance(pool_size, int) or pool_size < 1:
            raise ValueError(f"`pool_size` must be a positive integer. Received: pool_size={pool_size!r}")
        plain = self.padding == "same" and {*self.strides, *self.dilation_rate} == {1}
        if pool_size > 1 and not plain:
            raise ValueError(
                '`pool_size` above 1 needs padding="same", and strides and dilation of 1. Received: '
                f"padding={self.padding!r}, strides={self.strides}, dilation_rate={self.dilation_rate}"
            )
        self.pool_size = pool_size

    def convolution_op(self, inputs, kernel):
        sides = [inputs.shape[axis] for axis in self._axes]
        if self.pool_size == 1 or not any(side is None or side % self.pool_size for side in sides):
            return self._convolve(inputs, kernel, self.padding)
        if None in sides:
            return self._cut(self._convolve(inputs, kernel, self.padding))
        return self._convolve(self._frame(inputs), kernel, "valid")

    def _convolve(self, inputs, kernel, padding):
        if self._is_faster(inputs):
            return _convolve(inputs, kernel, padding.upper())
        return keras.ops.conv(inputs, kernel, list(self.strides), padding, self.data_format, self.dilation_rate)

    @property
    def _axes(self):
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def _cut(self, outputs):
        """The outputs that the pooling reads, of images whose size is not known beforehand."""
        for axis in self._axes:
            length = keras.ops.shape(outputs)[axis] // self.pool_size * self.pool_size
            outputs = outputs[(slice(None),) * axis + (slice(length),)]
        return outputs

    def _frame(self, images):
        """The part of the images that these outputs see, with the zeros around it."""
        widths = [(0, 0)] * 4
        for axis, size in zip(self._axes, self.kernel_size, strict=True):
            side, before = images.shape[axis], (size - 1) // 2
            seen = side // self.pool_size * self.pool_size + size - 1 - before
            if seen < side:
                images = images[(slice(None),) * axis + (slice(seen),)]
            widths[axis] = (before, max(seen - side, 0))
        return keras.ops.pad(images, widths)

    def _is_faster(self, inputs):
        if keras.backend.backend() != "tensorflow" or keras.backend.standardize_dtype(inputs.dtype) != "bfloat16":
            return False
        if self.data_format != "channels_last" or {self.groups, *self.strides, *self.dilation_rate} != {1}:
            return False
        if self.padding not in ("same", "valid") or not all(size % 2 for size in self.kernel_size):
            return False
        samples, *sides, _ = getattr(inputs, "shape", (None,) * 4)
        if samples is None or None in sides or self.filters < _FEWEST_FILTERS:
            return False
        return max(sides) - self.pool_size < _LARGEST_SIDE and _on_cpu()

    def compute_output_shape(self, input_shape):
        shape = list(super().compute_output_shape(input_shape))
        for axis in self._axes:
            if shape[axis] is not None:
                shape[axis] = shape[axis] // self.pool_size * self.pool_size
        return tuple(shape)

    def get_config(self):
        return {**super().get_config(), "pool_size": self.pool_size}


def _on_cpu():
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def _convolve(images, kernel, padding):
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(images, kernel):
        def gradient(upstream):
            to_images = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(images), filter=kernel, out_backprop=upstream, strides=[1] * 4, padding=padding
            )
            return to_images, _kernel_gradient(images, upstream, kernel.shape, padding)

        return tf.nn.conv2d(images, kernel, 1, padding), gradient

    # A variable would be asked for beside the arguments; Keras gives it in the dtype to compute in.
    return convolve(images, tf.convert_to_tensor(kernel))


def _kernel_gradient(images, upstream, shape, padding):
    """The sum over samples and places, some samples at a time: as many as the cache holds."""
    import tensorflow as tf

    height, width, channels, filters = shape
    samples, rows, columns, _ = upstream.shape
    around = [[size // 2] * 2 if padding == "SAME" else [0, 0] for size in (height, width)]

    def product(first, count):
        part, gradient = (tf.slice(each, [first, 0, 0, 0], [count, *each.shape[1:]]) for each in (images, upstream))
        framed = tf.pad(part, [[0, 0], *around, [0, 0]])
        views = [framed[:, y : y + rows, x : x + columns] for y in range(height) for x in range(width)]
        seen = tf.reshape(tf.concat(views, -1), (-1, height * width * channels))
        return tf.cast(tf.matmul(tf.reshape(gradient, (-1, filters)), seen, transpose_a=True), "float32")

    bytes_each = rows * columns * height * width * channels * images.dtype.size
    count = min(samples, max(1, _BYTES_AT_A_TIME // bytes_each))
    total = product(samples - samples % count, samples % count)  # zeros where none are left over
    _, total = tf.while_loop(
        lambda first, total: first + count <= samples,
        lambda first, total: (first + count, total + product(first, count)),
        (0, total),
        parallel_iterations=1,
    )
    return tf.cast(tf.reshape(tf.transpose(total), shape), images.dtype)


@keras.saving.register_keras_serializable(package="zoo")
class StandardizedConv2D(Conv2D):
    """2D convolution by a kernel whose filters have mean 0 and variance 1, at every step.

    The weights are as they were trained; what the images are convolved with is computed from them, in
    float32, and differentiated through. The variance is the biased one, plus `epsilon`.

    Args:
        *args: of `keras.layers.Conv2D`.
        epsilon: float. Under the root, beside the variance. Defaults to 1e-10.
        **kwargs: of `keras.layers.Conv2D`.

    Example:

    >>> layer = StandardizedConv2D(8, 3, padding="same", use_bias=False)
    >>> tuple(layer(keras.ops.ones((2, 7, 7, 3))).shape)
    (2, 7, 7, 8)

    Reference:
        https://arxiv.org/abs/1903.10520
    """

    def __init__(self, *args, epsilon=1e-10, **kwargs):
        super().__init__(*args, **kwargs)
        self.epsilon = epsilon

    def add_weight(self, *args, **kwargs):
        # In half precision the filters would be standardised after they were rounded.
        return super().add_weight(*args, **kwargs | ({"autocast": False} if kwargs.get("name") == "kernel" else {}))

    def convolution_op(self, inputs, kernel):
        kernel = _standardize(keras.ops.convert_to_tensor(kernel), self.epsilon)
        return super().convolution_op(inputs, keras.ops.cast(kernel, inputs.dtype))

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def _standardize(kernel, epsilon):
    """Each filter to mean 0 and variance 1: the kernels of batch normalisation do the same to channels."""
    backend = keras.backend.backend()
    if backend == "tensorflow" and keras.backend.standardize_dtype(kernel.dtype) == "float32" and _on_cpu():
        return _standardize_tensorflow(kernel, epsilon)
    if backend == "torch" and kernel.device.type != "meta":
        return _standardize_torch(kernel, epsilon)
    axes = tuple(range(len(kernel.shape) - 1))
    centred = kernel - keras.ops.mean(kernel, axes, keepdims=True)
    return centred * keras.ops.rsqrt(keras.ops.mean(keras.ops.square(centred), axes, keepdims=True) + epsilon)


def _standardize_tensorflow(kernel, epsilon):
    import tensorflow as tf

    scale, offset = tf.ones(kernel.shape[-1:]), tf.zeros(kernel.shape[-1:])
    return tf.raw_ops.FusedBatchNormV3(
        x=kernel, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon, is_training=True
    ).y


def _standardize_torch(kernel, epsilon):
    import torch

    columns = kernel.reshape(-1, kernel.shape[-1])
    return torch.nn.functional.batch_norm(columns, None, None, training=True, eps=epsilon).reshape(kernel.shape)
