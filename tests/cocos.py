"""What tests of detection data share: small images on disk, and annotations of them."""

import json
import pathlib

import numpy as np
from PIL import Image

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]  # labels 1 and 0
SIZES = [(30, 40), (40, 30), (24, 48)]


def write_images(folder, count, first=0):
    """PNG files with a grey rectangle each on black, and their entries in a json.

    Returns:
        `(images, annotations)`, the box of each the rectangle.
    """
    images, annotations = [], []
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        height, width = SIZES[number % len(SIZES)]
        left, top, right, bottom = 4 + number % 5, 3, width - 6, height - 4 - number % 3
        pixels = np.zeros((height, width, 3), "uint8")
        pixels[top:bottom, left:right] = 100 + number
        name = f"{number:03}.png"
        Image.fromarray(pixels).save(pathlib.Path(folder, name))
        images.append({"id": 50 + number, "file_name": name, "height": height, "width": width})
        box = {"bbox": [left, top, right - left, bottom - top], "category_id": CATEGORIES[number % 2]["id"]}
        annotations.append({"id": number + 1, "image_id": 50 + number, "iscrowd": 0, **box})
    return images, annotations


def write_json(path, images, annotations=None, categories=CATEGORIES):
    content = {"images": images, "annotations": annotations, "categories": categories}
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    return path


def write_coco(folder, train=6, validation=3, annotations="annotations/instances_{}.json", images="{}"):
    """A data set in the layout of COCO."""
    first = 0
    for name, count in {"train": train, "val": validation}.items():
        made = write_images(pathlib.Path(folder, images.format(name)), count, first)
        write_json(pathlib.Path(folder, annotations.format(name)), *made)
        first += count
    return folder
