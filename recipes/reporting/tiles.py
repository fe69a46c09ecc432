"""Rows of small pictures with a few words above each, drawn in one piece: hundreds take no longer than one panel."""

import dataclasses
import textwrap

import numpy as np

from recipes.reporting import plots

_WIDTH, _GAP, _LINE, _HEADING = 1.3, 0.1, 0.15, 0.3  # inches
_LETTER = 0.09  # inches, of the title


@dataclasses.dataclass(frozen=True)
class Tile:
    """A small picture.

    Args:
        image: uint8 `(height, width, 3)`.
        title: str, of one line or two. Defaults to "".
        color: str, of the title. Defaults to "black".

    Example:

    >>> Tile(np.zeros((8, 8, 3), "uint8"), "cat 87%").title
    'cat 87%'
    """

    image: np.ndarray
    title: str = ""
    color: str = "black"


def plot_tiles(rows, headings=None, title=""):
    """Draw rows of tiles.

    Args:
        rows: list of lists of `Tile`s, which may differ in length.
        headings: list of str, one above each row, or None. Defaults to None.
        title: str, above all. Defaults to "".

    Returns:
        A `matplotlib.figure.Figure` of one axes, in inches from its upper left corner.

    Raises:
        ValueError: if there is no tile, or there are not as many headings as rows.

    Example:

    >>> tile = Tile(np.zeros((8, 8, 3), "uint8"), "cat 87%")
    >>> [text.get_text() for text in plot_tiles([[tile, tile]], ["cats"]).axes[0].texts]
    ['cats', 'cat 87%', 'cat 87%']
    """
    from matplotlib.figure import Figure

    if not any(rows) or (headings is not None and len(headings) != len(rows)):
        raise ValueError(f"Give a tile at least, and a heading for each row. Received: rows={len(rows)}, {headings}")
    heading_height = 0.0 if headings is None else _HEADING
    width = max(_GAP + max(map(len, rows)) * (_WIDTH + _GAP), 3.5)
    lines = textwrap.wrap(title, int(width / _LETTER))
    title_height = _HEADING / 1.5 * len(lines)
    height = _GAP + title_height + sum(heading_height + _height(row) for row in rows)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    top = _GAP
    _write(axes, _GAP, top + title_height - _GAP / 2, "\n".join(lines), fontsize=10)
    top += title_height
    for number, row in enumerate(rows):
        if headings is not None:
            _write(axes, _GAP, top + _HEADING - _GAP / 2, headings[number], fontsize=8, fontweight="bold")
        _draw(axes, row, top + heading_height)
        top += heading_height + _height(row)
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    return figure


def _draw(axes, row, top):
    top += _titles(row)
    for number, tile in enumerate(row):
        left = _GAP + number * (_WIDTH + _GAP)
        image = np.asarray(tile.image)
        bottom = top + _WIDTH * image.shape[0] / image.shape[1]
        axes.imshow(image, extent=(left, left + _WIDTH, bottom, top), interpolation="nearest")
        _write(axes, left, top - 0.03, tile.title, fontsize=7, color=tile.color)


def _write(axes, x, y, text, **options):
    if text:
        axes.text(x, y, text, va="bottom", parse_math=False, **options)


def _titles(row):
    """The height of the titles of a row."""
    return _LINE * max((tile.title.count("\n") + 1 for tile in row if tile.title), default=0)


def _height(row):
    """The height of a row with its titles, and the gap below it."""
    pictures = (tile.image.shape[0] / tile.image.shape[1] for tile in row)
    return _titles(row) + _WIDTH * max(pictures, default=0.0) + _GAP


def words(name, share=None, length=16):
    """A class, and how sure the network is of it, as they fit above a tile.

    Args:
        name: str.
        share: float from 0 to 1, or None. Defaults to None.
        length: int. Letters of the name that are kept. Defaults to 16.

    Returns:
        str.

    Example:

    >>> words("cat", 0.87)
    'cat 87%'
    """
    return plots.shorten(name, length) + ("" if share is None else f" {share:.0%}")
