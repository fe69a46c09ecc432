"""Reading pixels at other places: by integer positions, between pixels, by weighted rows and columns."""

from augment import arrays
from augment import opencv
from augment.arrays import in_numpy
from augment.operation import check_choice
from augment.selection import numbers_may_vary

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
    check_choice("mode", mode, MODES)


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
    pixels = xp.reshape(images, (-1, channels))
    if mode == "constant":
        # What lies outside is read from one more pixel: cheaper than to replace it in every channel.
        inside = ((rows >= 0) & (rows < height)) & ((columns >= 0) & (columns < width))
        position = xp.where(inside, position, batch * height * width)
        outside = xp.cast(xp.zeros((1, channels), "float32") + fill, images.dtype)
        pixels = xp.concatenate([pixels, outside], axis=0)
    return xp.take(pixels, position)


def shift(images, down, right, mode, fill):
    """Move images by whole pixels.

    Args:
        images: `(batch, height, width, channels)`.
        down: int32 `(batch, 1)`.
        right: int32 `(batch, 1)`.
        mode: one of "reflect", "edge", "constant".
        fill: float, for "constant".

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> shift(np.array([[[[1], [2], [3]]]]), np.array([[0]]), np.array([[1]]), "constant", 0).ravel()
    array([0, 1, 2])
    """
    xp = arrays.namespace(images)
    _, height, width, _ = arrays.shape(images)
    if _has_transform_kernel(images, mode):
        down, right = xp.cast(down, "float32"), xp.cast(right, "float32")
        nothing = right * 0
        matrix = [nothing + 1, nothing, -right, nothing, nothing + 1, -down]
        return _transform_tensorflow(images, matrix, "NEAREST", mode, fill)
    rows = xp.arange(height, dtype="int32")[None, :, None] - down[:, :, None]
    columns = xp.arange(width, dtype="int32")[None, None, :] - right[:, :, None]
    return gather_pixels(images, rows, columns, mode, fill)


@in_numpy(opencv.turn)
def turn(images, cosine, sine, mode, fill):
    """Rotate about the centre, counter-clockwise, by bilinear interpolation.

    On CPUs by what each library has for it; OpenCV rounds positions to 1/32 of a pixel.

    Args:
        images: `(batch, height, width, channels)`.
        cosine: float32 `(batch, 1)`, of the angle.
        sine: float32 `(batch, 1)`.
        mode: one of "reflect", "edge", "constant".
        fill: float, for "constant".

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> right_angle = np.zeros((1, 1), "float32"), np.ones((1, 1), "float32")
    >>> turn(np.array([[[[1], [2]], [[3], [4]]]], "uint8"), *right_angle, "edge", 0)[0, :, :, 0]
    array([[2, 4],
           [1, 3]], dtype=uint8)
    """
    xp = arrays.namespace(images)
    _, height, width, _ = arrays.shape(images)
    middle_y, middle_x = (xp.cast(side - 1, "float32") / 2 for side in (height, width))
    if _has_transform_kernel(images, mode):
        of_x = [cosine, -sine, middle_x - cosine * middle_x + sine * middle_y]
        of_y = [sine, cosine, middle_y - sine * middle_x - cosine * middle_y]
        turned = _transform_tensorflow(xp.cast(images, "float32"), [*of_x, *of_y], "BILINEAR", mode, fill)
        return arrays.cast_like(turned, images)
    y = (xp.cast(xp.arange(height, dtype="int32"), "float32") - middle_y)[None, :, None]
    x = (xp.cast(xp.arange(width, dtype="int32"), "float32") - middle_x)[None, None, :]
    cosine, sine = cosine[:, :, None], sine[:, :, None]
    source_y = cosine * y + sine * x + middle_y
    source_x = cosine * x - sine * y + middle_x
    return interpolate(images, source_y, source_x, mode, fill)


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


def _has_transform_kernel(images, mode):
    """TensorFlow has one kernel for it, which knows another kind of reflection, and which XLA does not know."""
    return type(images).__module__.startswith("tensorflow") and numbers_may_vary(images) and mode != "reflect"


def _transform_tensorflow(images, matrix, interpolation, mode, fill):
    import tensorflow as tf

    nothing = tf.zeros_like(matrix[0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.concat([*matrix, nothing, nothing], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation=interpolation,
        fill_mode={"constant": "CONSTANT", "edge": "NEAREST"}[mode],
        fill_value=float(fill),
    )


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


@in_numpy(opencv.resize)
def resize(images, top, left, height, width, size, antialias):
    """Scale a part of each image to one size.

    Bilinear, with pixels as squares (half-pixel centres), as torch's `interpolate` and PIL do it.

    Args:
        images: `(batch, height, width, channels)`.
        top: int32 `(batch, 1)`, or `(1, 1)` for one part of all. The first row of the part.
        left: likewise. Its first column.
        height: likewise. Its rows.
        width: likewise. Its columns.
        size: tuple `(new_height, new_width)`.
        antialias: bool. Whether a pixel of a smaller image is a mean of all that it covers.

    Returns:
        `(batch, new_height, new_width, channels)`, of the dtype of `images`.

    Example:

    >>> import numpy as np
    >>> part = [np.array([[value]]) for value in (0, 0, 2, 2)]
    >>> resize(np.array([[[[0], [8], [5]], [[0], [8], [5]]]], "uint8"), *part, (1, 1), True).item()
    4
    """
    _, old_height, old_width, _ = arrays.shape(images)
    rows = resize_weights(top, height, old_height, size[0], antialias)
    return resample(images, rows, resize_weights(left, width, old_width, size[1], antialias))


@in_numpy(opencv.place)
def place(images, top, left, height, width, fill):
    """Scale each image to a size of its own, and show as much of it as the image had pixels.

    Bilinear and anti-aliased, as `resize`.

    Args:
        images: `(batch, height, width, channels)`.
        top: int32 `(batch, 1)`. Where the first row comes to lie; negative to cut rows off.
        left: int32 `(batch, 1)`.
        height: int32 `(batch, 1)`. Rows after scaling, at least 1.
        width: int32 `(batch, 1)`.
        fill: float. Value where there is no image.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> part = [np.array([[value]]) for value in (0, 1, 1, 1)]
    >>> place(np.array([[[[2], [4]]]], "uint8"), *part, 9).ravel()
    array([9, 3], dtype=uint8)
    """
    xp = arrays.namespace(images)
    _, old_height, old_width, _ = arrays.shape(images)
    rows, covered = _place_weights(top, height, old_height)
    columns, covered_too = _place_weights(left, width, old_width)
    scaled = resample(xp.cast(images, "float32"), rows, columns)
    there = (covered[:, :, None] & covered_too[:, None, :])[..., None]
    return arrays.cast_like(xp.where(there, scaled, fill), images)


def _place_weights(first, length, side):
    """The matrices, for `resample`, and which new rows the image covers."""
    xp = arrays.namespace(first)
    place = xp.arange(side, dtype="int32")[None, :] - first
    scale = (xp.cast(side, "float32") / xp.cast(length, "float32"))[:, :, None]
    middle = (xp.cast(place, "float32") + 0.5)[:, :, None] * scale
    old = (xp.cast(xp.arange(side, dtype="int32"), "float32") + 0.5)[None, None, :]
    weights = xp.maximum(1 - xp.abs(old - middle) / xp.maximum(scale, 1.0), 0.0)
    total = xp.sum(weights, axis=2)[:, :, None]
    return weights / xp.where(total > 0, total, 1.0), (place >= 0) & (place < length)


def resize_weights(first, length, side, new_side, antialias=True):
    """The matrices, for `resample`, that scale a part of each image to a new length.

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


def blur(images, sigma, radius):
    """Blur with a Gaussian kernel of its own for each image; edges are reflected.

    Args:
        images: `(batch, height, width, channels)`.
        sigma: float32 `(batch, 1)`, in pixels; 0 leaves the image as it is.
        radius: int, less than the sides. Pixels that the kernel reaches on each side.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> import numpy as np
    >>> image = np.array([[[[0]], [[100]], [[0]]]], "uint8")
    >>> blur(np.repeat(image, 2, axis=2), np.array([[0.5]]), radius=1)[0, :, 0, 0]
    array([21, 79, 21], dtype=uint8)
    """
    return _blur(images, _half_kernel(sigma, radius))


@in_numpy(opencv.blur)
def _blur(images, kernel):
    _, height, width, _ = arrays.shape(images)
    return resample(images, _blur_weights(kernel, height), _blur_weights(kernel, width))


def _half_kernel(sigma, radius):
    """The weights of a pixel itself, and of those at distances from 1 to `radius`: `(batch, radius + 1)`."""
    xp = arrays.namespace(sigma)
    distance = xp.cast(xp.arange(radius + 1, dtype="int32"), "float32")[None, :]
    half = xp.exp(-0.5 * (distance / xp.maximum(xp.cast(sigma, "float32"), 1e-3)) ** 2)
    return half / (2 * xp.sum(half, axis=1)[:, None] - 1)  # the middle, of weight 1, stands there once


def _blur_weights(kernel, side):
    """The matrices, for `resample`, that blur along one axis."""
    xp = arrays.namespace(kernel)
    radius = arrays.shape(kernel)[1] - 1
    kernel = xp.concatenate([kernel, kernel[:, :1] * 0], axis=1)
    position = xp.arange(side, dtype="int32")
    to, origin = position[:, None], position[None, :]

    def weights(distance, there):
        """Of a pixel, or of its mirror image, by its distance; none where there is no such image."""
        return xp.take(kernel, xp.where(there & (distance <= radius), distance, radius + 1), axis=1)

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
