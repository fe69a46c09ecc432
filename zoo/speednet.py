"""SpeedNet, the network of airbench, which trains to 94%, 95% or 96% on CIFAR-10 fastest."""

import sys

import keras

from zoo.activation import Activation
from zoo.builder import channel_axis
from zoo.builder import check_arguments
from zoo.builder import check_numbers
from zoo.builder import check_weights
from zoo.builder import finish
from zoo.builder import get_by
from zoo.builder import images_input
from zoo.convolution import Conv2D
from zoo.initializers import Dirac
from zoo.normalization import BatchNormalization

# By the accuracy on CIFAR-10, in percent, that each was made for.
SIZES = {
    94: {"widths": (64, 256, 256)},
    95: {"widths": (128, 384, 384)},
    96: {"widths": (128, 384, 512), "convolutions": 3, "batch_normalization_momentum": 0.9},
}


def SpeedNet(
    include_top=True,
    weights=None,
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=10,
    classifier_activation="softmax",
    name="speednet",
    *,
    widths=(64, 256, 256),
    convolutions=2,
    activation="gelu",
    whitening_size=2,
    whitening_bias=True,
    whitening_bias_initializer="zeros",
    batch_normalization_momentum=0.6,
    epsilon=1e-12,
    logit_scale=1 / 9,
    kernel_initializer=None,
    head_initializer=None,
):
    """SpeedNet: a whitening convolution, then three groups of convolutions, each halving the images.

    The defaults are the network of airbench94: 1,971,640 parameters, of which the kernel of the layer
    "whiten" is frozen; `zoo.whiten` sets it from the images. The other published sizes are
    `SpeedNet(**zoo.speednet.SIZES[95])` and 96. Scales of batch normalisation are 1. The weights fit
    images of any size, so training may begin on small ones. airbench94_muon begins with
    `whitening_bias_initializer=None`, a `head_initializer` of standard deviation 1, and has
    `logit_scale=1 / 256`.

    Args:
        include_top: bool. Whether to end in the classifier. Defaults to True.
        weights: path of a weights file, or None for random weights. Defaults to None.
        input_tensor: Keras tensor of images that the network begins with, or None for a new input.
            Defaults to None.
        input_shape: tuple `(height, width, channels)`, None for any height or width; or
            `(channels, height, width)` where that is Keras's image data format. Defaults to 32x32 RGB.
        pooling: one of None, "avg", "max": what follows the last feature map when
            `include_top=False`. Defaults to None.
        classes: int. Number of classes. Defaults to 10.
        classifier_activation: str or callable; None returns logits. Defaults to "softmax".
        name: str. Name of the model. Defaults to "speednet".
        widths: tuple of ints. Filters of each group. Defaults to (64, 256, 256).
        convolutions: int. Convolutions in each group; from 3 on, those after the first are a residual
            branch. Defaults to 2.
        activation: str or callable. Defaults to "gelu", the exact one.
        whitening_size: int. Side of the whitening kernel, of which there are twice as many filters as it
            has entries. Defaults to 2.
        whitening_bias: bool. Whether a trainable bias follows the whitening. Defaults to True.
        whitening_bias_initializer: of that bias; None for torch's: uniform within 1 / sqrt(fan_in).
            Defaults to "zeros".
        batch_normalization_momentum: float, in Keras's sense: 1 minus torch's. Defaults to 0.6.
        epsilon: float. Of batch normalisation. Defaults to 1e-12.
        logit_scale: float. Factor of the logits. Defaults to 1 / 9.
        kernel_initializer: of the convolutions. Defaults to `zoo.Dirac()`.
        head_initializer: of the classifier. Defaults to torch's: uniform within 1 / sqrt(fan_in).

    Returns:
        A `keras.Model`: images `(batch, 32, 32, 3)` to probabilities `(batch, classes)`, in float32
        under any dtype policy. Without the top: to features `(batch, 3, 3, 256)`, or `(batch, 256)`
        with `pooling`.

    Raises:
        ValueError: for an argument out of range, or weights that do not fit.

    Example:

    >>> import zoo
    >>> model = zoo.SpeedNet(classifier_activation=None)
    >>> model.count_params()  # of which 2,304 are statistics of batch normalisation
    1973944

    Reference:
        https://arxiv.org/abs/2404.00498
        https://github.com/KellerJordan/cifar10-airbench
    """
    check_arguments(
        pooling=pooling,
        classes=classes,
        classifier_activation=classifier_activation,
        batch_normalization_momentum=batch_normalization_momentum,
    )
    activation = get_by(keras.activations.get, "activation", activation, 'activation, such as "gelu"')
    check_numbers(0, 1, epsilon=epsilon)
    check_numbers(-sys.float_info.max, sys.float_info.max, logit_scale=logit_scale)
    _check_sizes(widths, convolutions, whitening_size)
    torchs = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
    kernel_initializer = _initializer("kernel_initializer", kernel_initializer, Dirac())
    head_initializer = _initializer("head_initializer", head_initializer, torchs)
    least_side = whitening_size - 1 + 2 ** len(widths)
    images = images_input(input_tensor, input_shape, default_side=32, least_side=least_side)
    check_weights("SpeedNet", weights)

    def convolve(x, filters, name, pool=False):
        """Convolution, a maximum over 2x2 where asked, batch normalisation."""
        x = Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            pool_size=2 if pool else 1,
            kernel_initializer=kernel_initializer.clone(),
            name=f"{name}_conv",
        )(x)
        if pool:
            x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        return BatchNormalization(
            axis=channel_axis(),
            momentum=batch_normalization_momentum,
            epsilon=epsilon,
            scale=False,
            name=f"{name}_bn",
        )(x)

    def activate(x, name):
        return Activation(activation, name=f"{name}_activation")(x)

    def group(x, filters, name):
        x = shortcut = activate(convolve(x, filters, f"{name}_1", pool=True), f"{name}_1")
        for number in range(2, convolutions + 1):
            x = convolve(x, filters, f"{name}_{number}")
            if number == convolutions > 2:
                x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
            x = activate(x, f"{name}_{number}")
        return x

    fan_in = whitening_size**2 * images.shape[channel_axis()]
    x = keras.layers.Conv2D(
        2 * fan_in, whitening_size, use_bias=False, kernel_initializer=torchs, trainable=False, name="whiten"
    )(images)
    if whitening_bias:
        torchs_bias = keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)
        initializer = _initializer("whitening_bias_initializer", whitening_bias_initializer, torchs_bias)
        x = Bias(initializer, name="whiten_bias")(x)
    x = activate(x, "whiten")
    for number, filters in enumerate(widths, 1):
        x = group(x, filters, f"group{number}")

    if include_top:
        # Of 32x32 images 3x3 are left, which the published network pools; of other sizes, others.
        x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
        x = keras.layers.Dense(
            classes, use_bias=False, kernel_initializer=head_initializer.clone(), dtype="float32", name="head"
        )(x)
        x = keras.layers.Rescaling(logit_scale, dtype="float32", name="logit_scale")(x)
        x = keras.layers.Activation(classifier_activation, dtype="float32", name="classifier_activation")(x)
    return finish("SpeedNet", images, x, include_top=include_top, pooling=pooling, weights=weights, name=name)


@keras.saving.register_keras_serializable(package="zoo")
class Bias(keras.layers.Layer):
    """Add a trainable number to each channel: the bias of a layer whose kernel is frozen.

    Setting its attribute `frozen` ends the training of the bias in every step that is compiled later;
    where nothing below is trained, the gradient then goes no further down than here.

    Args:
        initializer: of the numbers. Defaults to "zeros".
        data_format: one of "channels_last", "channels_first"; None takes Keras's image data format.
            Defaults to None.
        **kwargs: of `keras.layers.Layer`.

    Example:

    >>> layer = Bias("ones")
    >>> float(layer(keras.ops.zeros((1, 2, 2, 3)))[0, 0, 0, 0])
    1.0
    """

    def __init__(self, initializer="zeros", data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.frozen = False
        self.initializer = keras.initializers.get(initializer)
        self.data_format = data_format or keras.config.image_data_format()

    def build(self, input_shape):
        channels = input_shape[1 if self.data_format == "channels_first" else -1]
        self.bias = self.add_weight(shape=(channels,), initializer=self.initializer, name="bias")

    def call(self, inputs):
        bias = keras.ops.convert_to_tensor(self.bias)
        if self.frozen:
            bias = keras.ops.stop_gradient(bias)
        if self.data_format == "channels_first":
            bias = keras.ops.reshape(bias, (-1, *[1] * (len(inputs.shape) - 2)))
        return inputs + bias

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), "initializer": initializer, "data_format": self.data_format}


def _initializer(argument, given, default):
    if given is None:
        return default
    return get_by(keras.initializers.get, argument, given, 'initializer, such as "glorot_uniform"')


def _check_sizes(widths, convolutions, whitening_size):
    whole = isinstance(widths, (tuple, list)) and all(type(width) is int and width > 0 for width in widths)
    if not whole or not widths:
        raise ValueError(f"`widths` must be positive integers, one for each group. Received: widths={widths!r}")
    for name, value in (("convolutions", convolutions), ("whitening_size", whitening_size)):
        if type(value) is not int or value < 1:
            raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
