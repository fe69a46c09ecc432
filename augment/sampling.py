"""Reading pixels at other places: by integer positions, between pixels, by weighted rows and columns."""

from augment import arrays

MODES = ("reflect", "edge", "constant")


def check_mode(mode):
    """Refuse an unknown mode.

    Args:
        mode: what lies outside the image: one of "reflect" (without repeating the edge), "edge", "constant".

    Raises:
        ValueError: if `mode` is none of these.

    Example:

    >>> check_mode("edge")
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {MODES}. Received: mode={mode!r}")


def gather_pixels(images, rows, columns, mode="reflect", fill=0):
    """Read pixels at integer positions, which may lie outside the image.

    Args:
        images: `(batch, height, width, channels)`.
        rows: int32 `(batch, new_height, new_width)`, or with 1 in place of any of them.
        columns: likewise.
        mode: one of "reflect", "edge", "constant". Defaults to "reflect".
        fill: float, for "constant". Defaults to 0.

    Returns:
        `(batch, new_height, new_width, channels)`.

    Example:

    >>> import numpy as np
    >>> image = np.arange(3)[None, None, :, None]
    >>> gather_pixels(image, np.array([[[0]]]), np.array([[[-1, 0, 3]]]))[0, 0, :, 0]
    array([1, 0, 1])
    """
    xp = arrays.namespace(images)
    batch, height, width, channels = arrays.shape(images)
    bring_inside = mirror if mode == "reflect" else _clip
    first_row = (xp.arange(batch, dtype="int32") * height)[:, None, None]
    position = (first_row + bring_inside(xp, rows, height)) * width + bring_inside(xp, columns, width)
    pixels = xp.take(xp.reshape(images, (-1, channels)), position)
    if mode != "constant":
        return pixels
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return xp.where(inside[..., None], pixels, xp.cast(fill, images.dtype))


def interpolate(images, y, x, mode, fill):
    """Read between pixels, by bilinear interpolation.

    Args:
        images: `(batch, height, width, channels)`.
        y: float32 `(batch, new_height, new_width)`. 0 is the centre of the first row.
        x: likewise.
        mode: one of "reflect", "edge", "constant".
        fill: float, for "constant".

    Returns:
        `(batch, new_height, new_width, channels)`, of the dtype of `images`.

    Example:

    >>> import numpy as np
    >>> image = np.array([[[[2.0], [4.0]]]], "float32")
    >>> interpolate(image, np.zeros((1, 1, 1), "float32"), np.full((1, 1, 1), 0.5, "float32"), "edge", 0).item()
    3.0
    """
    xp = arrays.namespace(images)
    y0, x0 = xp.floor(y), xp.floor(x)
    total = 0
    for rows, weight_y in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for columns, weight_x in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            pixels = gather_pixels(images, xp.cast(rows, "int32"), xp.cast(columns, "int32"), mode, fill)
            total = total + xp.cast(pixels, "float32") * (weight_y * weight_x)[..., None]
    return arrays.cast_like(total, images)


def resample(images, rows, columns):
    """Make new rows, then new columns, as weighted sums of the old: two matrix products for each image.

    Args:
        images: `(batch, height, width, channels)`.
        rows: float32 `(batch, new_height, height)`, the weights of the old rows in each new one.
        columns: float32 `(batch, new_width, width)`.

    Returns:
        `(batch, new_height, new_width, channels)`, of the dtype of `images`.

    Example:

    >>> import numpy as np
    >>> image = np.arange(4, dtype="float32").reshape(1, 2, 2, 1)
    >>> resample(image, np.full((1, 1, 2), 0.5, "float32"), np.eye(2, dtype="float32")[None]).ravel()
    array([1., 2.], dtype=float32)
    """
    xp = arrays.namespace(images)
    _, height, width, channels = arrays.shape(images)
    new_height, new_width = arrays.shape(rows)[1], arrays.shape(columns)[1]
    values = xp.reshape(xp.cast(images, "float32"), (-1, height, width * channels))
    values = xp.reshape(xp.matmul(rows, values), (-1, new_height, width, channels))
    # Columns become rows, so that the second product has long rows, too.
    values = xp.reshape(xp.transpose(values, (0, 2, 1, 3)), (-1, width, new_height * channels))
    values = xp.reshape(xp.matmul(columns, values), (-1, new_width, new_height, channels))
    return arrays.cast_like(xp.transpose(values, (0, 2, 1, 3)), images)


def resize_weights(first, length, side, new_side, antialias=True):
    """The matrices, for `resample`, that scale a part of each image to a new length.

    Bilinear, with pixels as squares (half-pixel centres), as torch's `interpolate` and PIL do it.

    Args:
        first: int32 `(batch, 1)`. The first row (or column) of the part.
        length: int32 `(batch, 1)`. How many there are in it.
        side: int. Rows of the image.
        new_side: int. Rows that the part becomes.
        antialias: bool. Whether a row of a smaller image is a mean of all that it covers. Defaults to True.

    Returns:
        float32 `(batch, new_side, side)`.

    Example:

    >>> import numpy as np
    >>> resize_weights(np.array([[1]]), np.array([[2]]), side=4, new_side=1)[0]
    array([[0. , 0.5, 0.5, 0. ]], dtype=float32)
    """
    xp = arrays.namespace(first)
    first, length = (xp.cast(value, "float32")[:, :, None] for value in (first, length))
    scale = length / new_side
    reach = xp.maximum(scale, 1.0) if antialias else scale * 0 + 1.0
    new = (xp.cast(xp.arange(new_side, dtype="int32"), "float32") + 0.5)[None, :, None]
    old = (xp.cast(xp.arange(side, dtype="int32"), "float32") + 0.5)[None, None, :]
    weights = xp.maximum(1 - xp.abs(old - first - new * scale) / reach, 0.0)
    weights = weights * xp.cast((old > first) & (old < first + length), "float32")
    return weights / xp.sum(weights, axis=2)[:, :, None]


def blur_weights(sigma, radius, side):
    """The matrices, for `resample`, that blur along one axis; edges are reflected.

    Args:
        sigma: float32 `(batch, 1)`, in pixels; 0 leaves the image as it is.
        radius: int, less than `side`. Pixels that the kernel reaches on each side.
        side: int. Rows (or columns) of the image.

    Returns:
        float32 `(batch, side, side)`.

    Example:

    >>> import numpy as np
    >>> blur_weights(np.array([[0.5]], "float32"), radius=1, side=3)[0].round(2)
    array([[0.79, 0.21, 0.  ],
           [0.11, 0.79, 0.11],
           [0.  , 0.21, 0.79]], dtype=float32)
    """
    xp = arrays.namespace(sigma)
    distance = xp.cast(xp.arange(radius + 1, dtype="int32"), "float32")[None, :]
    half = xp.exp(-0.5 * (distance / xp.maximum(sigma, 1e-3)) ** 2)
    half = half / (2 * xp.sum(half, axis=1)[:, None] - 1)  # the middle, of weight 1, stands there once
    half = xp.transpose(xp.concatenate([half, half[:, :1] * 0], axis=1), (1, 0))
    position = xp.arange(side, dtype="int32")
    to, origin = position[:, None], position[None, :]

    def weights(distance, there):
        """Of a pixel, or of its mirror image, by its distance; none where there is no such image."""
        distance = xp.where(there & (distance <= radius), distance, radius + 1)
        return xp.transpose(xp.take(half, distance), (2, 0, 1))

    always = origin >= 0
    above, below = weights(to + origin, origin > 0), weights(2 * (side - 1) - to - origin, origin < side - 1)
    return weights(xp.abs(to - origin), always) + above + below


def mirror(xp, position, side):
    """Reflect positions at the first and last pixel, without repeating those.

    Args:
        xp: a namespace of `arrays`.
        position: int32.
        side: int, or int32 scalar tensor.

    Returns:
        int32 in [0, side).

    Example:

    >>> import numpy as np
    >>> mirror(arrays.namespace(np.zeros(1)), np.array([-2, -1, 0, 4, 5]), side=5)
    array([2, 1, 0, 4, 3])
    """
    period = 2 * side - 2 if not isinstance(side, int) else max(2 * side - 2, 1)
    position = xp.abs(position) % period
    return xp.minimum(position, period - position)


def _clip(xp, position, side):
    return xp.minimum(xp.maximum(position, 0), side - 1)
