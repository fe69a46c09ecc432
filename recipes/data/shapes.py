"""The demo data of detection: drawn shapes, as files with annotations in the form of COCO."""

import json
import pathlib

import numpy as np

CLASS_NAMES = ("disc", "square", "triangle")
_COLORS = ((214, 69, 65), (68, 108, 179), (38, 166, 91))
_TRIES = 20


def draw_shapes(folder, train=64, validation=16, test=4, image_size=96, most=3, seed=0):
    """Draw images of discs, squares and triangles on noise, each class in shades of its colour, none over another.

    Args:
        folder: path. Made, if it is not there.
        train: int. Images. Defaults to 64.
        validation: int. Defaults to 16.
        test: int. Images that are not annotated. Defaults to 4.
        image_size: int or (height, width), at least 64. Defaults to 96.
        most: int. Most objects of an image; there are from 1 to this many. Defaults to 3.
        seed: int. Defaults to 0.

    Returns:
        pathlib.Path of the folder, which `recipes.data.coco.load_coco` reads.

    Raises:
        ValueError: for a smaller size, or fewer objects than one.

    Example:

    >>> import tempfile
    >>> folder = draw_shapes(tempfile.mkdtemp(), train=2, validation=1, test=0)
    >>> sorted(path.name for path in folder.iterdir())
    ['annotations', 'train', 'val']
    """
    height, width = image_size if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if min(height, width) < 64 or most < 1:
        raise ValueError(
            "`image_size` must be at least 64 pixels a side, `most` at least 1. "
            f"Received: image_size={image_size!r}, most={most!r}"
        )
    folder = pathlib.Path(folder)
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate({"train": train, "val": validation, "test": test}.items()):
        if count:
            rng = np.random.default_rng([seed, number])
            _write_split(folder, name, [_draw(rng, height, width, most) for _ in range(count)])
    return folder


def _write_split(folder, name, drawn):
    from PIL import Image

    (folder / name).mkdir(exist_ok=True)
    images, annotations = [], []
    for number, (pixels, objects) in enumerate(drawn, 1):
        file = f"{name}_{number:03d}.png"
        Image.fromarray(pixels).save(folder / name / file)
        images.append({"id": number, "file_name": file, "height": pixels.shape[0], "width": pixels.shape[1]})
        for label, left, top, side in objects:
            own = {"image_id": number, "category_id": label + 1, "bbox": [left, top, side, side]}
            annotations.append({"id": len(annotations) + 1, **own, "area": side * side, "iscrowd": 0})
    if name != "test":
        categories = [{"id": label + 1, "name": each} for label, each in enumerate(CLASS_NAMES)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")


def _draw(rng, height, width, most):
    """An image, and its objects as (label, left, top, side)."""
    pixels = rng.normal(110, 12, (height, width, 3))
    objects = []
    for _ in range(rng.integers(1, most + 1)):
        for _ in range(_TRIES):
            side = int(rng.integers(24, 41))
            left, top = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
            if all(_apart(left, top, side, *other[1:]) for other in objects):
                label = int(rng.integers(len(CLASS_NAMES)))
                mask = _mask(label, side)
                shade = np.float64(_COLORS[label]) * rng.uniform(0.8, 1.2) + rng.normal(0, 8, (side, side, 3))
                part = pixels[top : top + side, left : left + side]
                part[mask] = shade[mask]
                objects.append((label, left, top, side))
                break
    return pixels.clip(0, 255).astype("uint8"), objects


def _mask(label, side):
    """Which pixels of a square a shape covers; it touches all four sides."""
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    disc, square = rows**2 + columns**2 <= 0.25, np.ones((side, side), bool)
    triangle = abs(columns) <= (rows + 0.5) / 2 + 0.5 / side
    return (disc, square, triangle)[label]


def _apart(left, top, side, other_left, other_top, other_side):
    beside = left >= other_left + other_side or other_left >= left + side
    return beside or top >= other_top + other_side or other_top >= top + side
