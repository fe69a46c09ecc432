"""Image files to RGB arrays: by Pillow, in threads, the same on every backend."""

import concurrent.futures
import contextlib
import io
import pathlib

import numpy as np

FITS = ("stretch", "crop", "pad", "center_crop")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
_MARGIN = 2  # JPEGs are decoded smaller where they are still so many times larger than the result
_ORIENTATION, _SIDEWAYS = 274, (5, 6, 7, 8)  # in Exif
_SHOWN = 20
_PIXELS = 2**27  # of a size that is asked for: more than any file that is read may have
_TASKS = 4096  # at most, as each waits in memory


def read_image(path, image_size, fit="stretch"):
    """Read an image file as RGB of a given size.

    PNG, JPEG, BMP, TIFF, GIF (of several pictures the first), turned as the camera says. Grey and
    palette become RGB, transparency is dropped, as TensorFlow drops it. Of 16 bits the upper 8 are
    kept, `value // 256`: 65535 is white, and images of 12 bits stored in 16 come out dark. Resizing
    is bilinear, and a pixel of a smaller image is a mean of all that it covers.

    Args:
        path: path of the file.
        image_size: int or (height, width).
        fit: "stretch" ignores the aspect; "crop" scales the short side and cuts out the middle; "pad"
            scales the long side and adds black borders; "center_crop" scales nothing: it cuts out the
            middle, with black borders where the image is smaller. Defaults to "stretch".

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: that names the file, if it is missing, damaged, cut short, of another format, of
            32 bits, or of more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.

    Example:

    >>> read_image("nowhere.png", 32)
    Traceback (most recent call last):
    ValueError: nowhere.png: no such file
    """
    size = check_size(image_size)
    check_fit(fit)
    try:
        return np.asarray(_fit(_open(path, size if fit != "center_crop" else None), size, fit))
    except Exception as error:  # damaged files raise nearly anything
        raise ValueError(f"{path}: {_reason(error)}") from error


def read_original(path):
    """Read an image file as RGB of its own size.

    Args:
        path: path of the file.

    Returns:
        uint8 `(height, width, 3)`.

    Raises:
        ValueError: as `read_image`.

    Example:

    >>> read_original("nowhere.png")
    Traceback (most recent call last):
    ValueError: nowhere.png: no such file
    """
    try:
        return np.asarray(_to_rgb(_open(path)))
    except Exception as error:  # damaged files raise nearly anything
        raise ValueError(f"{path}: {_reason(error)}") from error


def read_images(paths, image_size, fit="stretch"):
    """Read image files, several at a time.

    Args:
        paths: list of paths.
        image_size: int or (height, width).
        fit: as for `read_image`. Defaults to "stretch".

    Returns:
        uint8 `(files, height, width, 3)`.

    Raises:
        ValueError: that names every file that cannot be read.

    Example:

    >>> read_images([], 32).shape
    (0, 32, 32, 3)
    """
    images = np.empty((len(paths), *check_size(image_size), 3), "uint8")
    refuse(decode_into(images, paths, fit))
    return images


def read_sized(paths, sizes):
    """Read image files, each at a size of its own, several at a time.

    Args:
        paths: list of paths.
        sizes: list of (height, width).

    Returns:
        list of uint8 `(height, width, 3)`.

    Raises:
        ValueError: that names every file that cannot be read.

    Example:

    >>> read_sized([], [])
    []
    """
    images = [None] * len(paths)

    def read(position):
        images[position] = read_image(paths[position], tuple(map(int, sizes[position])))

    refuse(_try_each(read, len(paths)))
    return images


def decode_into(images, paths, fit="stretch"):
    """Read image files into an array that is there already.

    Args:
        images: uint8 `(files, height, width, 3)`, written to.
        paths: list of paths.
        fit: as for `read_image`. Defaults to "stretch".

    Returns:
        dict from the position of each file that cannot be read to what is wrong with it.

    Example:

    >>> decode_into(np.empty((1, 8, 8, 3), "uint8"), ["nowhere.png"])
    {0: 'nowhere.png: no such file'}
    """
    check_fit(fit)

    def decode(position):
        images[position] = read_image(paths[position], images.shape[1:3], fit)

    return _try_each(decode, len(paths))


def check_images(paths, formats=FORMATS):
    """Decode files, JPEGs at an eighth of their size, to see that nothing is wrong with them.

    Args:
        paths: list of paths.
        formats: tuple of str. Those that are wanted, in Pillow's names. Defaults to `FORMATS`.

    Returns:
        dict from the position of each file that cannot be read to what is wrong with it.

    Example:

    >>> check_images(["nowhere.png"])
    {0: 'nowhere.png: no such file'}
    """

    def check(position):
        try:
            _to_rgb(_open(paths[position], (1, 1), formats))
        except Exception as error:  # damaged files raise nearly anything
            raise ValueError(f"{paths[position]}: {_reason(error)}") from error

    return _try_each(check, len(paths))


def median_size(paths):
    """The size that images have in the middle, as a camera stored them: their headers alone are read.

    Args:
        paths: list of paths. Files that cannot be read are passed over.

    Returns:
        `(height, width)`, each the median of all; (0, 0) where none can be read.

    Example:

    >>> median_size(["nowhere.png"])
    (0, 0)
    """
    from PIL import Image

    sizes = []
    for path in paths:
        with contextlib.suppress(Exception), Image.open(path, formats=FORMATS) as image:
            sizes.append((image.height, image.width))
    return tuple(int(side) for side in np.median(sizes, axis=0)) if sizes else (0, 0)


def read_sizes(paths):
    """The sizes of images as they are read, turned as the camera says: their headers alone are looked at.

    Args:
        paths: list of paths.

    Returns:
        `(sizes, problems)`: int32 `(files, 2)`, height and width, 0 where there is none; and a dict from the
        position of each file that cannot be read to what is wrong with it.

    Example:

    >>> read_sizes(["nowhere.png"])
    (array([[0, 0]], dtype=int32), {0: 'nowhere.png: no such file'})
    """
    from PIL import Image

    sizes = np.zeros((len(paths), 2), "int32")

    def read(position):
        try:
            with Image.open(paths[position], formats=FORMATS) as image:
                turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
                sizes[position] = image.size if turned else image.size[::-1]
        except Exception as error:  # damaged files raise nearly anything
            raise ValueError(f"{paths[position]}: {_reason(error)}") from error

    return sizes, _try_each(read, len(paths))


def refuse(problems):
    """Raise one error for all files that cannot be read; do nothing if there are none.

    Args:
        problems: dict from anything to a str that names the file and says what is wrong.

    Raises:
        ValueError: that lists them, the first twenty if there are more.

    Example:

    >>> refuse({0: "1.png: no such file"})
    Traceback (most recent call last):
    ValueError: 1 image cannot be read: 1.png: no such file. Mend or remove it, or pass skip_bad (--skip-bad).
    """
    if problems:
        count, it = (f"{len(problems)} images", "them") if len(problems) > 1 else ("1 image", "it")
        raise ValueError(
            f"{count} cannot be read: {shorten(problems.values())}. Mend or remove {it}, or pass skip_bad (--skip-bad)."
        )


def shorten(texts):
    """A list in a line, cut after some.

    Args:
        texts: iterable of str.

    Returns:
        str.

    Example:

    >>> shorten(["a", "b"])
    'a; b'
    """
    texts = [" ".join(str(text).splitlines()) for text in texts]  # names of strangers may have ends of lines
    more = len(texts) - _SHOWN
    return "; ".join(texts[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def check_fit(fit):
    """Refuse what is no way of fitting an image.

    Args:
        fit: str.

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_fit("crop")
    """
    if fit not in FITS:
        raise ValueError(f"`fit` must be one of {', '.join(FITS)}. Received: {fit!r}")


def check_size(image_size):
    """Refuse what is no size of an image.

    Args:
        image_size: int or (height, width).

    Returns:
        (height, width).

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_size(32)
    (32, 32)
    """
    size = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(f"`image_size` must be a positive integer, or (height, width). Received: {image_size!r}")
    if size[0] * size[1] > _PIXELS:
        raise ValueError(f"`image_size` must have at most {_PIXELS:,} pixels. Received: {image_size!r}")
    return size


def _try_each(function, count):
    """Call with every position, in threads, and gather what they raise."""
    several = max(1, count // _TASKS)

    def attempt(start):
        problems = {}
        for position in range(start, min(start + several, count)):
            try:
                function(position)
            except ValueError as error:
                problems[position] = str(error)
        return problems

    with concurrent.futures.ThreadPoolExecutor() as threads:
        parts = list(threads.map(attempt, range(0, count, several)))
    return {position: problem for part in parts for position, problem in part.items()}


def _open(path, size=None, formats=FORMATS):
    """A file as a Pillow image, decoded and turned; a JPEG not much larger than `size` where one is given."""
    from PIL import Image
    from PIL import ImageOps

    content = pathlib.Path(path).read_bytes()
    image = Image.open(io.BytesIO(content), formats=formats)
    if image.width * image.height > (Image.MAX_IMAGE_PIXELS or np.inf):
        raise ValueError(f"{image.width}x{image.height} pixels are more than PIL.Image.MAX_IMAGE_PIXELS")
    if image.format == "PNG":
        image.verify()  # Pillow compares no checksums of pixels while it decodes
        image = Image.open(io.BytesIO(content), formats=formats)
    if size:
        image.draft(None, 2 * (_MARGIN * max(size),))  # square, as it may yet be turned
    image.load()
    return ImageOps.exif_transpose(image)


def _to_rgb(image):
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    elif image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits: save it with 8 or 16")
    elif image.mode == "P":
        image = image.convert("RGBA")  # Pillow warns of the transparency that it would drop on a direct way
    return image.convert("RGB")


def _fit(image, size, fit):
    from PIL import Image
    from PIL import ImageOps

    image, (height, width) = _to_rgb(image), size
    if fit == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, (width, height), Image.Resampling.BILINEAR)
    if fit == "center_crop":
        left, top = _middle(image.width, width), _middle(image.height, height)
        return image.crop((left, top, left + width, top + height))
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _middle(side, wanted):
    """Where the middle begins; before the image if that is smaller. torchvision rounds so."""
    return round((side - wanted) / 2) if side >= wanted else -((wanted - side) // 2)


def _reason(error):
    from PIL import UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "no image, damaged, or of a format that is not read"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
