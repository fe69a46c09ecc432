"""Decoded images kept in memory or in a file, or decoded whenever they are asked for."""

import hashlib
import json
import os
import pathlib
import shutil
import time
import zlib

import numpy as np

from recipes.data import decoding
from recipes.data import room
from recipes.data.decoded import DecodedImages

CACHES = ("auto", "memory", "disk", "none")
_FORMAT = 1
_SHARE = 4  # of the memory: a data set may take a quarter, as routes may copy it
_ROWS = 256
_ABANDONED = 24 * 3600  # seconds


def choose_cache(cache, samples, image_size, cache_dir=None):
    """Where decoded images are to be kept.

    Args:
        cache: "memory", "disk", "none", or "auto": in memory if all take at most a quarter of what the
            machine (or the container) has, else on the disk if they take at most half of what is free
            there, else nowhere.
        samples: int. Images of all splits.
        image_size: (height, width).
        cache_dir: path, or None for `default_folder()`. Defaults to None.

    Returns:
        "memory", "disk" or "none".

    Raises:
        ValueError: if `cache` is none of these.

    Example:

    >>> choose_cache("auto", 780, (96, 96))
    'memory'
    """
    if cache not in CACHES:
        raise ValueError(f"`cache` must be one of {', '.join(CACHES)}. Received: {cache!r}")
    if cache != "auto":
        return cache
    needed = samples * image_size[0] * image_size[1] * 3
    if needed <= room.memory() // _SHARE:
        return "memory"
    return "disk" if needed <= _free(cache_dir or default_folder()) // 2 else "none"


def load_images(paths, image_size, fit="stretch", cache="memory", cache_dir=None):
    """Read images into one of the kinds of cache.

    On the disk they are an `.npy` file, beside it a `.json` that says what it was made of: it is made
    anew when paths, sizes, times, settings or Pillow's version are others, when it is cut short, and when
    its checksum is wrong. Both appear complete or not at all.

    Args:
        paths: list of paths.
        image_size: int or (height, width).
        fit: as for `recipes.data.decoding.read_image`. Defaults to "stretch".
        cache: "memory", "disk" or "none". Defaults to "memory".
        cache_dir: path, or None for `default_folder()`. Defaults to None.

    Returns:
        `(images, problems)`: uint8 array-like `(files, height, width, 3)` of those that can be read, and a
        dict from the positions of the others to what is wrong with them.

    Raises:
        ValueError: if there is no room, or the folder cannot be written.

    Example:

    >>> load_images(["nowhere.png"], 32)[1]
    {0: 'nowhere.png: no such file'}
    """
    size = decoding.check_size(image_size)
    if cache == "none":
        problems = decoding.check_images(paths)
        return DecodedImages([paths[row] for row in _good(paths, problems)], size, fit), problems
    if cache == "disk":
        return _on_disk(paths, size, fit, pathlib.Path(cache_dir or default_folder()))
    images = np.empty((len(paths), *size, 3), "uint8")
    problems = decoding.decode_into(images, paths, fit)
    return images[_good(paths, problems)] if problems else images, problems


def default_folder():
    """Where decoded images are kept unless another folder is named.

    Returns:
        pathlib.Path. `keras-zoo/images` in the user's folder for caches.

    Example:

    >>> default_folder().name
    'images'
    """
    caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(caches) / "keras-zoo" / "images"


def _good(paths, problems):
    return [row for row in range(len(paths)) if row not in problems]


def _on_disk(paths, size, fit, folder):
    path = folder / f"{_key(paths, size, fit)}.npy"
    found = _open(path)
    if found is None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            _write(path, paths, size, fit)
        except OSError as error:
            raise ValueError(
                f"Decoded images cannot be written to {folder}: {error.strerror}. "
                "Pass another cache_dir (--cache-dir), or cache='none' (--cache none)."
            ) from error
        found = _open(path)
    images, description = found
    return images, {int(row): problem for row, problem in description["problems"].items()}


def _key(paths, size, fit):
    """Of all that the pixels depend on."""
    import PIL

    digest = hashlib.sha256(repr((_FORMAT, PIL.__version__, size, fit)).encode())
    for path in map(pathlib.Path, paths):
        status = path.stat() if path.exists() else None
        digest.update(repr((str(path.absolute()), status and (status.st_size, status.st_mtime_ns))).encode())
    return digest.hexdigest()[:32]


def _open(path):
    """Images and description, or None where there are none, or not as they were written.

    Mapped for reading and, in memory alone, writing, as torch warns of tensors that must not be written.
    """
    try:
        description = json.loads(path.with_suffix(".json").read_text())
        images = np.load(path, mmap_mode="c")
        complete = list(images.shape) == description["shape"] and _checksum(images) == description["checksum"]
        return (images, description) if complete and images.dtype == np.uint8 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path, paths, size, fit):
    """Decode into a file of another name, and rename it when it is complete; the description comes last."""
    part = path.with_name(f"{path.stem}.{os.getpid()}.{time.time_ns()}.part")
    needed, free = len(paths) * size[0] * size[1] * 3, _free(path.parent)
    if needed > free:
        raise ValueError(
            f"Decoded images take {needed / 1e9:.1f} GB; {path.parent} has {free / 1e9:.1f} GB. "
            "Pass another cache_dir (--cache-dir), or cache='none' (--cache none)."
        )
    try:
        images = _create(part, len(paths), size)
        problems = decoding.decode_into(images, paths, fit)
        if problems:
            images = _without(images, _good(paths, problems), part)
        images.flush()
        description = {"shape": list(images.shape), "checksum": _checksum(images), "problems": problems}
        del images  # some systems do not rename what is mapped
        part.replace(path)
        part.write_text(json.dumps(description))
        part.replace(path.with_suffix(".json"))
    finally:
        part.unlink(missing_ok=True)


def _create(path, count, size):
    if not count:  # nothing can be mapped of an empty file
        np.save(path.open("wb"), np.empty((0, *size, 3), "uint8"))
        return np.load(path)
    return np.lib.format.open_memmap(path, "w+", "uint8", (count, *size, 3))


def _without(images, rows, path):
    """The file with some rows alone."""
    other = path.with_suffix(".good.part")
    kept = _create(other, len(rows), images.shape[1:3])
    for start in range(0, len(rows), _ROWS):
        kept[start : start + _ROWS] = images[rows[start : start + _ROWS]]
    other.replace(path)
    return kept


def _checksum(images):
    checksum = 0
    for start in range(0, len(images), _ROWS):
        checksum = zlib.crc32(images[start : start + _ROWS], checksum)
    return checksum


def _remove_abandoned(folder):
    """What interrupted processes left."""
    for path in folder.glob("*.part"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)


def _free(folder):
    """Bytes on the disk of a folder that need not be there yet."""
    folder = pathlib.Path(folder).absolute()
    return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists())).free
