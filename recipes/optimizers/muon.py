"""Muon: momentum, orthogonalised."""

import math

import keras

from recipes.optimizers.scheduled import CountsUpdates
from recipes.optimizers.scheduled import Scheduled
from recipes.schedules.schedule import check_choice

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


@keras.saving.register_keras_serializable(package="recipes")
class Muon(CountsUpdates, keras.optimizers.Optimizer):
    """Nesterov's momentum whose step is the nearest orthogonal matrix, for kernels of any layer.

    This is the form that trains CIFAR-10 fastest. A kernel is a matrix: its last axis, the outputs,
    by all others, so (height, width, inputs, outputs) of a convolution, and (inputs, outputs) of a
    dense layer. Before each step it is scaled to the norm that a kernel with rows of norm 1 has.

    `keras.optimizers.Muon` is another algorithm for this purpose: it takes matrices alone and gives
    every kernel of a convolution to AdamW, scales the step by the size of the matrix, does not scale
    the kernel, and computes in the precision of the weights.

    All weights it is given must have two axes or more. Others go to another optimizer, see `Grouped`.
    Not meant for embeddings, depthwise and transposed convolutions, whose last axis is not the outputs.

    Args:
        learning_rate: float or schedule. With `gradient_accumulation_steps` the schedule is given
            updates, not micro-steps. Defaults to 0.24.
        momentum: float in [0, 1], which `set_momentum` can change while it trains; or a schedule,
            or another function of the updates made, written with `keras.ops`. Defaults to 0.6.
        nesterov: bool. Defaults to True.
        steps: int. Iterations of Newton-Schulz. Defaults to 3.
        normalize: bool. Whether to scale a kernel to the norm sqrt(outputs) before each step.
            Defaults to True.
        dtype: one of "bfloat16", "float16", "float32". Of the iterations; the momentum keeps that of
            the weights. Defaults to "bfloat16".
        **kwargs: of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for a momentum outside [0, 1], for fewer iterations than one, for an unknown
            dtype, or when built with a weight that is no kernel.

    Example:

    >>> from recipes.optimizers import SGD, Grouped
    >>> optimizer = Grouped([("conv.*kernel$", Muon())], default=SGD(0.1, momentum=0.85))

    Reference:
        https://kellerjordan.github.io/posts/muon/ and https://github.com/KellerJordan/cifar10-airbench
    """

    momentum = Scheduled()
    cycled = "momentum"

    def __init__(
        self, learning_rate=0.24, momentum=0.6, nesterov=True, steps=3, normalize=True, dtype="bfloat16", **kwargs
    ):
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"`steps` must be a whole number, at least 1. Received: steps={steps!r}")
        check_choice("dtype", dtype, ("bfloat16", "float16", "float32"))
        super().__init__(learning_rate, **kwargs)
        self.momentum = momentum
        self.nesterov = nesterov
        self.steps = steps
        self.normalize = normalize
        self.dtype = dtype

    def build(self, variables):
        if self.built:
            return
        for variable in variables:
            if len(variable.shape) < 2:
                raise ValueError(
                    "Muon orthogonalises kernels, of two axes or more. Give other weights to another optimizer: "
                    'Grouped([("kernel$", Muon())], default=SGD(...)). '
                    f"Received: {variable.path} of shape {tuple(variable.shape)}"
                )
        super().build(variables)
        self.momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient, variable, learning_rate):
        ops = keras.ops
        gradient = ops.cast(gradient, variable.dtype)
        momentum = ops.cast(self.momentum, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        changed = ops.add(ops.multiply(velocity, momentum), gradient)
        self.assign(velocity, changed)
        direction = ops.add(ops.multiply(changed, momentum), gradient) if self.nesterov else changed
        outputs = variable.shape[-1]
        step = orthogonalize(ops.reshape(direction, (-1, outputs)), self.steps, self.dtype)
        step = ops.multiply(ops.reshape(step, variable.shape), ops.cast(learning_rate, variable.dtype))
        kernel = ops.convert_to_tensor(variable)
        if self.normalize:
            kernel = ops.multiply(kernel, math.sqrt(outputs) / ops.maximum(_norm(kernel), 1e-7))
        self.assign(variable, ops.subtract(kernel, step))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("nesterov", "steps", "normalize", "dtype")}
        return {**super().get_config(), **own}


def orthogonalize(matrix, steps=3, dtype="bfloat16"):
    """An orthogonal matrix near a given one, by iterations of Newton-Schulz.

    The singular values end up near 1, not at 1: the coefficients are those that lift small ones fastest.

    Args:
        matrix: tensor `(rows, columns)`.
        steps: int. Iterations. Defaults to 3.
        dtype: str. Of the iterations. Defaults to "bfloat16".

    Returns:
        Tensor of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> matrix = keras.ops.convert_to_tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    >>> values = keras.ops.svd(orthogonalize(matrix, steps=5, dtype="float32"), compute_uv=False)
    >>> bool(np.all(abs(keras.ops.convert_to_numpy(values) - 1) < 0.35))
    True

    Reference:
        https://kellerjordan.github.io/posts/muon/
    """
    ops = keras.ops
    a, b, c = COEFFICIENTS
    rows, columns = matrix.shape
    x = ops.cast(ops.divide(matrix, ops.add(_norm(matrix), 1e-7)), dtype)
    for _ in range(steps):
        # The smaller of the two Gram matrices; on its own side of x, which gives the same polynomial.
        if rows > columns:
            gram = ops.matmul(ops.transpose(x), x)
            x = a * x + ops.matmul(x, b * gram + c * ops.matmul(gram, gram))
        else:
            gram = ops.matmul(x, ops.transpose(x))
            x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.cast(x, matrix.dtype)


def _norm(tensor):
    return keras.ops.sqrt(keras.ops.sum(keras.ops.square(tensor)))
