"""Pictures of what every operation does, drawn by the operations themselves."""

import inspect

import numpy as np

import augment
from recipes.reporting import preview

SIDE, COLUMNS, GAP = 128, 6, 6


def pages(folder):
    """The gallery.

    Args:
        folder: where the pictures go.

    Returns:
        dict of path to Markdown.
    """
    from PIL import Image

    (folder / "parts").mkdir(parents=True, exist_ok=True)
    images = preview.read_images((), SIDE)
    by_class = {}
    for operation in preview.examples(SIDE).values():
        by_class.setdefault(type(operation).__name__, []).append(operation)
    lines = []
    for name, operations in by_class.items():
        summary = inspect.getdoc(type(operations[0])).splitlines()[0]
        lines += [f"## {name}", "", f"{summary} {{py:obj}}`augment.{name}`", ""]
        for number, operation in enumerate(operations):
            picture = f"{name}-{number}.jpg"
            rows = preview.draws(operation, images, COLUMNS - 1)
            if all((row[1] == draw).all() for row in rows for draw in row[1:]):
                rows = [row[:2] for row in rows]  # nothing random
            Image.fromarray(_strip(rows)).save(folder / "parts" / picture, quality=88)
            lines += ["```python", code(operation), "```"]
            lines += [f"![The original, and draws of {name}](/generated/parts/{picture})", ""]
    return {"parts/gallery.md": "\n".join(lines)}


def code(value):
    """How to write an operation, without what is the default.

    Args:
        value: an operation, or an argument of one.

    Returns:
        str.
    """
    if isinstance(value, (list, tuple)) and any(isinstance(each, augment.Operation) for each in value):
        return f"[{', '.join(code(each) for each in value)}]"
    if not isinstance(value, augment.Operation):
        return repr(value)
    parameters = inspect.signature(type(value)).parameters
    given = {name: getattr(value, name) for name in parameters}
    changed = [f"{name}={code(given[name])}" for name, each in parameters.items() if given[name] != each.default]
    return f"augment.{type(value).__name__}({', '.join(changed)})"


def _strip(rows):
    """Rows of pictures on white; smaller ones in the middle of their place."""
    side = max(max(picture.shape[:2]) for row in rows for picture in row)
    sheet = np.full((len(rows) * (side + GAP) - GAP, len(rows[0]) * (side + GAP) - GAP, 3), 255, "uint8")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            height, width = picture.shape[:2]
            top, left = y * (side + GAP) + (side - height) // 2, x * (side + GAP) + (side - width) // 2
            sheet[top : top + height, left : left + width] = picture
    return sheet
