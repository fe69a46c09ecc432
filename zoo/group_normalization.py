"""Group normalisation by the backend's fused kernels."""

import keras


@keras.saving.register_keras_serializable(package="zoo")
class GroupNormalization(keras.layers.GroupNormalization):
    """Normalise each image over groups of channels, in a few fused kernels where Keras takes many passes.

    A drop-in for `keras.layers.GroupNormalization`: the same arguments, weights and results, and
    float32 statistics of images in half precision. On torch, and on TensorFlow on CPUs with 4D images
    of channels-last layout, fused kernels compute it, the gradients too; everything else is Keras's own.

    Args:
        **kwargs: of `keras.layers.GroupNormalization`.

    Example:

    >>> layer = GroupNormalization(groups=32, epsilon=1e-5)
    >>> tuple(layer(keras.ops.ones((2, 4, 4, 64))).shape)
    (2, 4, 4, 64)

    Reference:
        https://arxiv.org/abs/1803.08494
    """

    def call(self, inputs):
        fused = _fused(self, inputs)
        if fused is None:
            return super().call(inputs)
        channels = (inputs.shape[self.axis],)
        gamma = self.gamma if self.scale else keras.ops.ones(channels, "float32")
        beta = self.beta if self.center else keras.ops.zeros(channels, "float32")
        gamma, beta = (keras.ops.convert_to_tensor(each) for each in (gamma, beta))
        return fused(inputs, gamma, beta, self.groups, self.epsilon, self.axis)


def _fused(layer, inputs):
    """The function for these inputs, or None."""
    if layer.variable_dtype != "float32" or keras.backend.standardize_dtype(inputs.dtype) != layer.compute_dtype:
        return None
    if keras.backend.backend() == "torch" and inputs.device.type != "meta":
        return _torch
    if keras.backend.backend() != "tensorflow" or len(inputs.shape) != 4 or layer.axis not in (-1, 3):
        return None
    return _tensorflow if layer.compute_dtype in ("bfloat16", "float32") and _on_cpu() else None


def _torch(inputs, gamma, beta, groups, epsilon, axis):
    import torch

    images = inputs.movedim(axis, 1)
    if images.device.type != "cpu":  # where the kernel wants one dtype for all
        images = images.float()
    return torch.nn.functional.group_norm(images, groups, gamma, beta, epsilon).to(inputs.dtype).movedim(1, axis)


def _on_cpu():
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def _tensorflow(inputs, gamma, beta, groups, epsilon, axis):
    import tensorflow as tf

    @tf.custom_gradient
    def normalize(images, gamma, beta):
        columns = _columns(images)
        mean, variance = _statistics(columns, images, groups)
        outputs = _affine(columns, mean, variance, _each(images, gamma), _each(images, beta), epsilon)

        def gradient(upstream):
            to_columns, to_gamma, to_beta = _gradient(images, upstream, gamma, mean, variance, groups, epsilon)
            return _images(to_columns, images), to_gamma, to_beta

        return _images(outputs, images), gradient

    # A variable would be asked for beside the arguments.
    return normalize(inputs, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


# The kernels of batch normalisation normalise columns over rows. An image's channel is a column here:
# (1, pixels, 1, images * channels), so that every image has statistics of its own.
def _columns(images):
    import tensorflow as tf

    samples, height, width, channels = _shape(images)
    pixels = tf.transpose(tf.reshape(images, (samples, height * width, channels)), (1, 0, 2))
    return tf.reshape(pixels, (1, height * width, 1, samples * channels))


def _images(columns, images):
    import tensorflow as tf

    samples, height, width, channels = _shape(images)
    pixels = tf.reshape(columns, (height * width, samples, channels))
    outputs = tf.reshape(tf.transpose(pixels, (1, 0, 2)), (samples, height, width, channels))
    return tf.ensure_shape(outputs, images.shape)


def _shape(images):
    import tensorflow as tf

    known, traced = images.shape, tf.shape(images)
    return [traced[axis] if side is None else side for axis, side in enumerate(known)]


def _each(images, values):
    """A number for each channel, for every image."""
    import tensorflow as tf

    return tf.tile(values, [_shape(images)[0]])


def _grouped(columns, images, groups):
    """The mean over each group of channels of a number for each column; one for each column again."""
    import tensorflow as tf

    size = images.shape[-1] // groups
    return tf.repeat(tf.reduce_mean(tf.reshape(columns, (-1, size)), 1), size)


def _statistics(columns, images, groups):
    """Mean and variance of each column's group, from those of the columns."""
    import tensorflow as tf

    ones = tf.ones(_shape(columns)[-1:], "float32")
    _, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=columns, scale=ones, offset=ones, mean=[], variance=[], is_training=True
    )
    pixels = tf.cast(_shape(columns)[1], "float32")
    variance = variance * (pixels - 1) / pixels  # the kernel returns the unbiased one
    middle = _grouped(mean, images, groups)
    return middle, _grouped(variance + tf.square(mean - middle), images, groups)


def _affine(columns, mean, variance, scale, offset, epsilon):
    """Columns that are normalised by given statistics, times the scale, plus the offset."""
    import tensorflow as tf

    return tf.raw_ops.FusedBatchNormV3(
        x=columns, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    ).y


def _gradient(images, upstream, gamma, mean, variance, groups, epsilon):
    import tensorflow as tf

    columns, scale, inverse = _columns(images), _each(images, gamma), tf.math.rsqrt(variance + epsilon)
    scaled, to_scale, to_offset, *_ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=_columns(upstream),
        x=columns,
        scale=scale,
        reserve_space_1=mean,
        reserve_space_2=variance,
        reserve_space_3=[],
        epsilon=epsilon,
        is_training=False,
    )
    # What the images lose by their own part in the mean and in the variance of the group.
    pixels = tf.cast(_shape(columns)[1], "float32")
    by_mean = _grouped(to_offset * scale, images, groups) / pixels
    by_variance = _grouped(to_scale * scale, images, groups) / pixels
    own = _affine(columns, mean, variance, -by_variance * inverse, -by_mean * inverse, epsilon)
    channels = (-1, images.shape[-1])
    sums = (tf.reduce_sum(tf.reshape(each, channels), 0) for each in (to_scale, to_offset))
    return scaled + own, *sums
