"""What OpenCV does for NumPy arrays: single images in C++, many times as fast as whole batches in NumPy.

By `arrays.in_numpy` also for torch tensors on a CPU. OpenCV rounds positions between pixels to 1/32,
and integers may be off by one.
"""

import numpy as np

from augment import arrays

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL and torchvision have it


def turn(images, cosine, sine, mode, fill):
    """Rotate: see `augment.sampling.turn`.

    Args:
        images: `(batch, height, width, channels)`.
        cosine: float32 `(batch, 1)`.
        sine: float32 `(batch, 1)`.
        mode: one of "reflect", "edge", "constant".
        fill: float.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> turn(np.array([[[[1], [2]]]], "uint8"), np.array([[-1.0]]), np.array([[0.0]]), "edge", 0).ravel()
    array([2, 1], dtype=uint8)
    """
    import cv2

    border = {"reflect": cv2.BORDER_REFLECT_101, "edge": cv2.BORDER_REPLICATE, "constant": cv2.BORDER_CONSTANT}[mode]
    source, result = _contiguous(images)
    height, width, channels = images.shape[1:]
    x, y = (np.arange(side, dtype="float32") - np.float32((side - 1) / 2) for side in (width, height))
    for image, changed, cos, sin in zip(source, result, cosine[:, 0], sine[:, 0]):
        rows = np.float32(cos) * y[:, None] + np.float32(sin) * x + np.float32((height - 1) / 2)
        columns = np.float32(cos) * x - np.float32(sin) * y[:, None] + np.float32((width - 1) / 2)
        for first in range(0, channels, 4):  # it fills four channels at most
            part = np.ascontiguousarray(image[..., first : first + 4])
            part = cv2.remap(part, columns, rows, cv2.INTER_LINEAR, borderMode=border, borderValue=[fill] * 4)
            changed[..., first : first + 4] = part.reshape(height, width, -1)
    return arrays.cast_like(result, images)


def blur(images, kernel):
    """Blur along both axes; edges are reflected.

    Args:
        images: `(batch, height, width, channels)`.
        kernel: float32 `(batch, radius + 1)`. The weights of a pixel itself, and of those at each distance.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> blur(np.array([[[[0], [8], [0]]]], "float32"), np.array([[0.5, 0.25]])).ravel()
    array([4., 4., 4.], dtype=float32)
    """
    import cv2

    source, result = _contiguous(images)
    for image, changed, half in zip(source, result, kernel):
        reach = np.flatnonzero(half > 1e-4)[-1] + 1  # beyond, nothing that could be seen
        taps = np.concatenate([half[reach - 1 : 0 : -1], half[:reach]])
        cv2.sepFilter2D(image, -1, taps, taps, dst=changed, borderType=cv2.BORDER_REFLECT_101)
    return arrays.cast_like(result, images)


def resize(images, top, left, height, width, size, antialias):
    """Scale a part of each image to one size.

    Args:
        images: `(batch, height, width, channels)`.
        top: int32 `(batch, 1)`, or `(1, 1)` for one part of all.
        left: likewise.
        height: likewise.
        width: likewise.
        size: tuple `(new_height, new_width)`.
        antialias: bool. Whether a pixel of a smaller image is a mean of all that it covers.

    Returns:
        `(batch, new_height, new_width, channels)`, of the dtype of `images`.

    Example:

    >>> part = [np.array([[value]]) for value in (0, 0, 2, 2)]
    >>> resize(np.array([[[[0], [8], [5]], [[0], [8], [5]]]], "uint8"), *part, (1, 1), True).item()
    4
    """
    import cv2

    source, _ = _contiguous(images)
    result = np.empty((len(images), *size, images.shape[-1]), source.dtype)
    parts = np.broadcast_to(np.concatenate([top, left, height, width], axis=1), (len(images), 4))
    for image, changed, (first_row, first_column, rows, columns) in zip(source, result, parts.tolist()):
        part = image[first_row : first_row + rows, first_column : first_column + columns]
        if not antialias or (rows <= size[0] and columns <= size[1]):
            changed[:] = cv2.resize(part, size[::-1], interpolation=cv2.INTER_LINEAR).reshape(changed.shape)
            continue
        channels = [_shrink(part[..., channel], size) for channel in range(part.shape[-1])]
        changed[:] = arrays.cast_like(np.stack(channels, axis=-1), changed)
    return arrays.cast_like(result, images)


def place(images, top, left, height, width, fill):
    """Scale each image to a size of its own, and show a part: see `augment.sampling.place`.

    Args:
        images: `(batch, height, width, channels)`.
        top: int32 `(batch, 1)`. Where the first row comes to lie.
        left: int32 `(batch, 1)`.
        height: int32 `(batch, 1)`. Rows after scaling.
        width: int32 `(batch, 1)`.
        fill: float. Value where there is no image.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> part = [np.array([[value]]) for value in (0, 1, 1, 1)]
    >>> place(np.array([[[[2], [4]]]], "uint8"), *part, 9).ravel()
    array([9, 3], dtype=uint8)
    """
    source, result = _contiguous(images)
    whole = [np.full((1, 1), side, "int32") for side in (0, 0, *images.shape[1:3])]
    places = np.concatenate([top, left, height, width], axis=1).tolist()
    for number, (row, column, rows, columns) in enumerate(places):
        scaled = resize(source[number : number + 1], *whole, (rows, columns), antialias=True)[0]
        result[number] = arrays.cast_like(np.full(1, fill, "float32"), result)
        shown = scaled[max(-row, 0) :, max(-column, 0) :]
        place = result[number, max(row, 0) :, max(column, 0) :]
        rows, columns = (min(sides) for sides in zip(shown.shape[:2], place.shape[:2]))
        place[:rows, :columns] = shown[:rows, :columns]
    return arrays.cast_like(result, images)


def blend(images, factor, reference, value_range):
    """Blend with a reference: see `augment.colors`.

    Args:
        images: `(batch, height, width, channels)`, of 3 channels, or 1.
        factor: float32 `(batch, 1)`.
        reference: one of "black"; "mean", of the gray values; "gray", the gray value of each pixel.
        value_range: tuple (lowest, highest) value of a pixel, or None for any.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> blend(np.array([[[[100], [200]]]], "uint8"), np.array([[0.5]]), "mean", (0, 255)).ravel()
    array([125, 175], dtype=uint8)
    """
    import cv2

    source, result = _contiguous(images)
    luma = np.asarray(LUMA if images.shape[-1] == 3 else [1.0], "float32")
    for image, changed, weight in zip(source, result, factor[:, 0].tolist()):
        offset = 0.0
        if reference == "mean":
            offset = (1 - weight) * float(cv2.mean(image.reshape(-1, 1, len(luma)))[: len(luma)] @ luma)
        if reference == "gray":
            cv2.transform(image, weight * np.eye(len(luma)) + (1 - weight) * luma, dst=changed)
        elif image.dtype == "uint8":
            cv2.addWeighted(image, weight, image, 0, offset, dst=changed)
        else:
            np.multiply(image, weight, out=changed)
            changed += np.float32(offset)
        if value_range not in (None, arrays.limits(changed)):
            np.clip(changed, *value_range, out=changed)
    return arrays.cast_like(result, images)


def hue(images, shift):
    """Turn the hue.

    Args:
        images: `(batch, height, width, 3)`.
        shift: float32 `(batch, 1)`, as a fraction of the full circle.

    Returns:
        Images of the same shape and dtype.

    Example:

    >>> hue(np.array([[[[255, 0, 0]]]], "uint8"), np.array([[1 / 3]])).ravel()
    array([  0, 255,   0], dtype=uint8)
    """
    import cv2

    result = np.empty(images.shape, images.dtype)
    for image, changed, angle in zip(images, result, 360 * (shift[:, 0] % 1)):
        colors = cv2.cvtColor(np.ascontiguousarray(image, "float32"), cv2.COLOR_RGB2HSV)
        colors[..., 0] += np.float32(angle)  # the way back takes angles beyond the full circle
        changed[:] = arrays.cast_like(cv2.cvtColor(colors, cv2.COLOR_HSV2RGB), images)
    return result


def _shrink(channel, size):
    """Pillow's, as OpenCV has no bilinear mean of all that a pixel covers."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(channel, "float32"))
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))


def _contiguous(images):
    """Images as OpenCV takes them, in uint8 or float32, and an empty array for the results."""
    dtype = images.dtype if images.dtype in ("uint8", "float32") else "float32"
    source = np.ascontiguousarray(images, dtype)
    return source, np.empty_like(source)
