"""Boxes that follow their pixels.

A box is `(left, top, right, bottom)` in pixels, counted from the upper left corner of the image: an
object that fills the first pixel has the box (0, 0, 1, 1). What leaves the image is cut off; a box
of which nothing is left is all zeros, and so are the rows that fill up an image of few objects. So
a box keeps its place, and its label.
"""

from augment import arrays


def split(boxes):
    """The four sides.

    Args:
        boxes: `(batch, count, 4)`.

    Returns:
        `left, top, right, bottom`, each float32 `(batch, count)`.

    Raises:
        ValueError: if `boxes` has another shape.

    Example:

    >>> import numpy as np
    >>> [side.item() for side in split(np.array([[[1, 2, 3, 4]]]))]
    [1.0, 2.0, 3.0, 4.0]
    """
    if len(boxes.shape) != 3 or boxes.shape[-1] != 4:
        raise ValueError(
            f"`boxes` must be (batch, count, 4): left, top, right, bottom. Received: shape={tuple(boxes.shape)}"
        )
    boxes = arrays.namespace(boxes).cast(boxes, "float32")
    return boxes[:, :, 0], boxes[:, :, 1], boxes[:, :, 2], boxes[:, :, 3]


def inside(left, top, right, bottom, bounds):
    """Cut boxes off at the edges of the image.

    Args:
        left: float32 `(batch, count)`.
        top: likewise.
        right: likewise.
        bottom: likewise.
        bounds: `(left, top, right, bottom)` of the image, or of the part of it that shows objects.

    Returns:
        float32 `(batch, count, 4)`, zeros for a box of which nothing is left.

    Example:

    >>> import numpy as np
    >>> sides = [np.array([[value]], "float32") for value in (-1, 2, 3, 9)]
    >>> inside(*sides, bounds=(0, 0, 8, 8)).ravel()
    array([0., 2., 3., 8.], dtype=float32)
    """
    xp = arrays.namespace(left)
    low_x, low_y, high_x, high_y = (xp.cast(bound, "float32") for bound in bounds)
    left, right = (xp.minimum(xp.maximum(side, low_x), high_x) for side in (left, right))
    top, bottom = (xp.minimum(xp.maximum(side, low_y), high_y) for side in (top, bottom))
    there = xp.cast((right > left) & (bottom > top), "float32")
    return xp.stack([side * there for side in (left, top, right, bottom)], axis=-1)


def shift(boxes, down, right, bounds):
    """Move boxes.

    Args:
        boxes: `(batch, count, 4)`.
        down: `(batch, 1)`, in pixels.
        right: `(batch, 1)`.
        bounds: as for `inside`, after the movement.

    Returns:
        float32 `(batch, count, 4)`.

    Example:

    >>> import numpy as np
    >>> shift(np.array([[[0, 0, 2, 2]]]), np.array([[1]]), np.array([[-1]]), (0, 0, 8, 8)).ravel()
    array([0., 1., 1., 3.], dtype=float32)
    """
    x1, y1, x2, y2 = split(boxes)
    xp = arrays.namespace(x1)
    right, down = xp.cast(right, "float32"), xp.cast(down, "float32")
    return inside(x1 + right, y1 + down, x2 + right, y2 + down, bounds)


def scale(boxes, down, right, bounds):
    """Stretch boxes away from the upper left corner.

    Args:
        boxes: `(batch, count, 4)`.
        down: `(batch, 1)`, a factor.
        right: `(batch, 1)`, a factor.
        bounds: as for `inside`, after stretching.

    Returns:
        float32 `(batch, count, 4)`.

    Example:

    >>> import numpy as np
    >>> scale(np.array([[[1, 1, 2, 2]]]), np.array([[2.0]]), np.array([[3.0]]), (0, 0, 8, 8)).ravel()
    array([3., 2., 6., 4.], dtype=float32)
    """
    x1, y1, x2, y2 = split(boxes)
    xp = arrays.namespace(x1)
    right, down = xp.cast(right, "float32"), xp.cast(down, "float32")
    return inside(x1 * right, y1 * down, x2 * right, y2 * down, bounds)


def flip(boxes, turned, image_shape, axis):
    """Mirror boxes.

    Args:
        boxes: `(batch, count, 4)`.
        turned: bool `(batch, 1)`. Which images.
        image_shape: tuple `(height, width, channels)`.
        axis: one of "x", "y".

    Returns:
        float32 `(batch, count, 4)`.

    Example:

    >>> import numpy as np
    >>> flip(np.array([[[0, 0, 2, 2]]]), np.array([[True]]), (8, 9, 3), "x").ravel()
    array([7., 0., 9., 2.], dtype=float32)
    """
    height, width, _ = image_shape
    x1, y1, x2, y2 = split(boxes)
    xp = arrays.namespace(x1)
    if axis == "x":
        side = xp.cast(width, "float32")
        x1, x2 = xp.where(turned, side - x2, x1), xp.where(turned, side - x1, x2)
    else:
        side = xp.cast(height, "float32")
        y1, y2 = xp.where(turned, side - y2, y1), xp.where(turned, side - y1, y2)
    return inside(x1, y1, x2, y2, (0, 0, width, height))


def rotate(boxes, cosine, sine, image_shape):
    """Turn boxes about the centre of the image, counter-clockwise, and enclose what comes out.

    Args:
        boxes: `(batch, count, 4)`.
        cosine: float32 `(batch, 1)`, of the angle.
        sine: float32 `(batch, 1)`.
        image_shape: tuple `(height, width, channels)`.

    Returns:
        float32 `(batch, count, 4)`.

    Example:

    >>> import numpy as np
    >>> right_angle = np.zeros((1, 1), "float32"), np.ones((1, 1), "float32")
    >>> rotate(np.array([[[6, 0, 8, 1]]]), *right_angle, (8, 8, 3)).ravel()
    array([0., 0., 1., 2.], dtype=float32)
    """
    height, width, _ = image_shape
    x1, y1, x2, y2 = split(boxes)
    xp = arrays.namespace(x1)
    middle_x, middle_y = xp.cast(width, "float32") / 2, xp.cast(height, "float32") / 2
    corners = [(x - middle_x, y - middle_y) for x in (x1, x2) for y in (y1, y2)]
    xs = xp.stack([cosine * x + sine * y for x, y in corners], axis=-1)
    ys = xp.stack([cosine * y - sine * x for x, y in corners], axis=-1)
    there = xp.cast((x2 > x1) & (y2 > y1), "float32")  # a row of zeros must not become a box
    low_x, high_x = xp.min(xs, axis=-1) + middle_x, xp.max(xs, axis=-1) + middle_x
    low_y, high_y = xp.min(ys, axis=-1) + middle_y, xp.max(ys, axis=-1) + middle_y
    return inside(low_x * there, low_y * there, high_x * there, high_y * there, (0, 0, width, height))
