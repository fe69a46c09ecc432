"""Batch normalisation by the backend's fused kernel."""

import keras


@keras.saving.register_keras_serializable(package="zoo")
class BatchNormalization(keras.layers.BatchNormalization):
    """Normalise over the batch, in one fused kernel where Keras takes several passes.

    A drop-in for `keras.layers.BatchNormalization`: the same arguments, weights and results. On
    TensorFlow and torch, training on 4D images of channels-last layout (torch: any layout) calls
    the fused kernel; everything else is Keras's own. On two CPU cores the training step
    of DavidNet in bfloat16 was 1.5 times as fast (see benchmarks/).

    On several devices the statistics are those of the whole batch, whatever `synchronized` says: on
    TensorFlow in a replica of a `tf.distribute` strategy, on JAX under a `keras.distribution`. A mask or
    `renorm` leaves this to Keras.

    Args:
        *args: of `keras.layers.BatchNormalization`.
        frozen_statistics: bool. Whether to normalise by the running statistics in training too, and leave
            them as they are. Other than with `trainable=False`, gamma and beta are trained. Defaults to
            False.
        **kwargs: of `keras.layers.BatchNormalization`.

    Example:

    >>> layer = BatchNormalization(momentum=0.9, epsilon=1e-5)
    >>> tuple(layer(keras.ops.ones((2, 4, 4, 3)), training=True).shape)
    (2, 4, 4, 3)

    Reference:
        https://arxiv.org/abs/1502.03167
    """

    def __init__(self, *args, frozen_statistics=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.frozen_statistics = frozen_statistics

    def call(self, inputs, training=None, mask=None):
        training = training and not self.frozen_statistics
        if training and self.trainable and mask is None and not self.renorm and _in_replica():
            return self._over_replicas(inputs)
        fused = _fused_kernel(self, inputs) if mask is None else None
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        arguments = (inputs, *self._gamma_beta(inputs), self.epsilon, self._channel_axis(inputs))
        if not (training and self.trainable):
            statistics = (keras.ops.convert_to_tensor(each) for each in (self.moving_mean, self.moving_variance))
            return fused(*arguments, *statistics)[0]
        outputs, mean, variance = fused(*arguments)
        self._follow(mean, variance)
        return outputs

    def _over_replicas(self, inputs):
        """Normalise the share that this replica has of a batch by the statistics of all of it."""
        ops = keras.ops
        images = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        axis = self._channel_axis(inputs)
        axes = [each for each in range(len(inputs.shape)) if each != axis]
        shape = [1 if each in axes else -1 for each in range(len(inputs.shape))]
        # First the mean, then the differences from it: a difference of mean squares would lose digits.
        count, total = _sum_over_replicas(ops.sum(ops.ones_like(images), axes), ops.sum(images, axes))
        mean = total / count
        differences = images - ops.reshape(mean, shape)
        variance = _sum_over_replicas(ops.sum(ops.square(differences), axes))[0] / count
        self._follow(mean, variance)
        gamma, beta = self._gamma_beta(inputs)
        outputs = ops.batch_normalization(images, mean, variance, axis, offset=beta, scale=gamma, epsilon=self.epsilon)
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, mean, variance):
        for statistic, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            statistic.assign(statistic * self.momentum + keras.ops.cast(value, statistic.dtype) * (1 - self.momentum))

    def get_config(self):
        return {**super().get_config(), "frozen_statistics": self.frozen_statistics}

    def _channel_axis(self, inputs):
        return self.axis % len(inputs.shape)

    def _gamma_beta(self, inputs):
        channels = (inputs.shape[self._channel_axis(inputs)],)
        gamma = self.gamma if self.scale else keras.ops.ones(channels, self.moving_mean.dtype)
        beta = self.beta if self.center else keras.ops.zeros(channels, self.moving_mean.dtype)
        return keras.ops.convert_to_tensor(gamma), keras.ops.convert_to_tensor(beta)


def _in_replica():
    """Whether this is the step of one replica of several, on TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def _sum_over_replicas(*values):
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(values))


def _fused_kernel(layer, inputs):
    """The kernel for these inputs, or None."""
    if layer.renorm or layer.synchronized or len(inputs.shape) != 4 or layer.moving_mean.dtype != "float32":
        return None
    if keras.backend.standardize_dtype(inputs.dtype) not in ("float16", "bfloat16", "float32"):
        return None
    if keras.backend.standardize_dtype(inputs.dtype) != layer.compute_dtype:
        return None
    if keras.backend.backend() == "tensorflow" and layer.axis in (-1, 3):
        return _tensorflow
    if keras.backend.backend() == "torch" and inputs.device.type != "meta":
        return _torch
    return None


def _tensorflow(inputs, gamma, beta, epsilon, axis, mean=None, variance=None):
    import tensorflow as tf

    learns = mean is None
    mean, variance = ([], []) if learns else (mean, variance)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon, is_training=learns
    )
    # The kernel returns the unbiased variance; Keras keeps the biased one.
    count = tf.cast(tf.size(inputs) // tf.shape(inputs)[axis], "float32")
    return outputs, mean, variance * (count - 1) / count


def _torch(inputs, gamma, beta, epsilon, axis, mean=None, variance=None):
    import torch

    images = inputs.movedim(axis, 1)
    learns = mean is None
    if learns:
        # With a momentum of 1 the kernel leaves the batch's own statistics in these, the variance unbiased.
        mean, variance = torch.zeros_like(gamma), torch.zeros_like(gamma)
    outputs = torch.nn.functional.batch_norm(images, mean, variance, gamma, beta, learns, 1.0, epsilon)
    count = inputs.numel() / inputs.shape[axis]
    return outputs.movedim(1, axis), mean, variance * (count - 1) / count
