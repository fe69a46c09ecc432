"""Boxes of objects: anchors, overlaps, coding, matching and suppression, as pure functions.

A box is `(left, top, right, bottom)` in pixels, counted from the upper left corner of the image, and not
rounded: an object that fills the first pixel has the box (0, 0, 1, 1). The label of an object is the index
of its class; -1 marks a row that fills up an image of few objects, -2 a crowd, which is no single object.
"""

from zoo.boxes.coding import clip
from zoo.boxes.coding import decode
from zoo.boxes.coding import encode
from zoo.boxes.matching import CROWD
from zoo.boxes.matching import NOTHING
from zoo.boxes.matching import match
from zoo.boxes.overlaps import intersection_over_union
from zoo.boxes.pyramid import anchors
from zoo.boxes.suppression import detect
from zoo.boxes.suppression import non_maximum_suppression
from zoo.boxes.sweep import suppress

__all__ = [
    "CROWD",
    "NOTHING",
    "anchors",
    "clip",
    "decode",
    "detect",
    "encode",
    "intersection_over_union",
    "match",
    "non_maximum_suppression",
    "suppress",
]
