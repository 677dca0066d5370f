"""EXIF orientation: reading it from the bytes, and turning pixels and boxes by it.

Read here and not by Pillow: a damaged EXIF block then costs the orientation, not the picture, and
a JPEG needs no second parser.
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

from lancemill.media.types import Pixels

Turn = Literal[1, 2, 3, 4, 5, 6, 7, 8]
"""A value of the EXIF tag Orientation; 1 leaves the picture as it is."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

TAG = 0x0112
_SHORT = 3


def read_turn(tiff: bytes | memoryview) -> Turn:
    """The orientation in a TIFF structure (an EXIF block's content); 1 when it has none."""
    try:
        order = {b"II": "<", b"MM": ">"}[bytes(tiff[:2])]
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, at + 2 + 12 * entry)
            if tag == TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        return 1
    return 1


def swaps_sides(turn: Turn) -> bool:
    """Whether width and height change places."""
    return turn >= 5


def inverse(turn: Turn) -> Turn:
    """What undoes `turn`."""
    undo: dict[Turn, Turn] = {6: 8, 8: 6}
    return undo.get(turn, turn)


def turned(pixels: Pixels, turn: Turn) -> Pixels:
    """`pixels` upright: a view of them."""
    if swaps_sides(turn):
        pixels = pixels.transpose(1, 0, 2)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def turned_back(box: Box, turn: Turn, width: int, height: int) -> Box:
    """Where `box` of the upright picture (`width` x `height`) lies in the picture as stored."""
    left, top, right, bottom = box
    if turn in (2, 3, 6, 7):
        left, right = width - right, width - left
    if turn in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    if swaps_sides(turn):
        return top, left, bottom, right
    return left, top, right, bottom


def upright(pixels: Pixels, turn: Turn) -> Pixels:
    """`pixels` turned, with rows without gaps."""
    return np.ascontiguousarray(turned(pixels, turn))
