"""Whitening: a first convolution whose outputs are uncorrelated, computed from the images."""

import numpy as np

_CHUNK = 500  # images whose patches are in memory at once
_LEAST = 1e-7  # of the largest eigenvalue; what is below is rounding


def whitening_kernel(images, kernel_size=2, epsilon=5e-4):
    """Compute the kernel of a convolution that whitens patches of images.

    The filters are the eigenvectors of the second moment of all patches, each divided by the root of
    its eigenvalue, in rising order of these; then their negations, so that no activation that cuts
    off one side loses anything. The mean is not subtracted.

    Directions in which patches do not vary, such as those between the channels of gray images, are no filters:
    the others are repeated in their place. A channel that is the same everywhere would come out of each batch
    normalisation with a gradient `epsilon ** -0.5` times as large, and in bfloat16 drown all others.

    Args:
        images: float array `(samples, height, width, channels)`, normalised. Some thousands are enough.
        kernel_size: int. Height and width of a patch. Defaults to 2.
        epsilon: float. Added to the eigenvalues, which bounds what is amplified. Defaults to 5e-4.

    Returns:
        float32 array `(kernel_size, kernel_size, channels, 2 * kernel_size**2 * channels)`.

    Raises:
        ValueError: for images that are not finite floats or smaller than a patch, or an argument out of
            range.

    Example:

    >>> images = np.random.default_rng(0).normal(size=(10, 32, 32, 3)).astype("float32")
    >>> whitening_kernel(images).shape
    (2, 2, 3, 24)

    Reference:
        https://github.com/KellerJordan/cifar10-airbench
    """
    images = np.asarray(images)
    _check(images, kernel_size, epsilon)
    moment = _second_moment(images, kernel_size)
    if not np.isfinite(moment).all():
        raise ValueError("`images` must be finite. Received: images with NaN, or numbers beyond float32")
    eigenvalues, eigenvectors = np.linalg.eigh(moment)
    # Rounding may leave the least of them below 0.
    filters = eigenvectors * _signs(eigenvectors) / np.sqrt(np.maximum(eigenvalues, 0) + epsilon)
    filters = _varying(filters, eigenvalues)
    kernel = np.concatenate([filters, -filters], axis=1)
    return kernel.reshape(kernel_size, kernel_size, images.shape[-1], -1).astype("float32")


def whiten(model, images, epsilon=5e-4, layer="whiten"):
    """Set the whitening layer of a model from images like those that it will see.

    Args:
        model: a `keras.Model`, such as `zoo.SpeedNet()`.
        images: float array `(samples, height, width, channels)`, normalised. Some thousands are enough.
        epsilon: float. See `whitening_kernel`. Defaults to 5e-4.
        layer: str. Name of the layer, a convolution. Defaults to "whiten".

    Raises:
        ValueError: if there is no such layer, the kernel does not fit it, or for images as for
            `whitening_kernel`.

    Example:

    >>> import zoo
    >>> model = zoo.SpeedNet()
    >>> whiten(model, np.random.default_rng(0).normal(size=(10, 32, 32, 3)).astype("float32"))
    """
    convolution = model.get_layer(layer)
    shape = tuple(convolution.kernel.shape)
    kernel = whitening_kernel(images, shape[0], epsilon)
    if kernel.shape != shape:
        raise ValueError(
            f"The images give a whitening kernel of shape {kernel.shape}. "
            f"Received: the layer {layer!r} with a kernel of shape {shape}"
        )
    convolution.kernel.assign(kernel)


def _check(images, kernel_size, epsilon):
    if isinstance(kernel_size, bool) or not isinstance(kernel_size, int) or kernel_size < 1:
        raise ValueError(f"`kernel_size` must be a positive integer. Received: kernel_size={kernel_size!r}")
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"`epsilon` must be a positive number. Received: epsilon={epsilon!r}")
    if images.ndim != 4 or images.dtype.kind != "f" or not len(images) or min(images.shape[1:3]) < kernel_size:
        raise ValueError(
            "`images` must be normalised floats, (samples, height, width, channels), at least "
            f"{kernel_size} pixels a side. Received: {images.dtype} of shape {images.shape}"
        )


def _second_moment(images, kernel_size):
    """Mean of the outer products of all patches, `(size, size)`, in float64."""
    size = kernel_size**2 * images.shape[-1]
    total, count = np.zeros((size, size)), 0
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].astype("float32")
        patches = np.lib.stride_tricks.sliding_window_view(chunk, (kernel_size, kernel_size), axis=(1, 2))
        patches = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size)
        total += patches.T @ patches
        count += len(patches)
    return total / count


def _varying(filters, eigenvalues):
    """The filters, those that see nothing replaced by the others in turn."""
    blind = np.flatnonzero(eigenvalues < _LEAST * eigenvalues[-1])
    filters = filters.copy()
    if len(blind) < len(eigenvalues):
        filters[:, blind] = filters[:, len(blind) + np.arange(len(blind)) % (len(eigenvalues) - len(blind))]
    return filters


def _signs(vectors):
    """Signs that make the first large entry of each column positive, whatever LAPACK gave."""
    large = np.abs(vectors) > 0.5 * np.abs(vectors).max(axis=0)
    return np.sign(vectors[large.argmax(axis=0), np.arange(vectors.shape[1])])
