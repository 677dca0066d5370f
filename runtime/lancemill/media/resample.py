"""Scaling of pixels by the antialiased bilinear filter (a triangle as wide as the reduction), which
Pillow and torchvision use for `BILINEAR`; it enlarges by plain bilinear interpolation.

The arithmetic is Pillow's, along the rows first and then down the columns: compiled
(lancemill.media.compiled), or by Pillow itself where that was not built, which gives the same bits
in five times the time. What a row becomes must not depend on the machine that makes it, so there is
no third way that is faster and nearly the same.

Pictures with alpha are left to Pillow: it weighs their colours by alpha, so that what is
transparent does not bleed.
"""

from __future__ import annotations

import numpy as np

from lancemill.media.compiled import compiled
from lancemill.media.orientation import Box
from lancemill.media.types import Pixels


def resample(source: Pixels, box: Box, out: Pixels) -> None:
    """Scales `box` of `source` into `out` (a view will do); both uint8[h, w, c], same channels."""
    height, width, channels = out.shape
    if _is_copy(box, width, height):
        left, top = int(box[0]), int(box[1])
        out[...] = source[top : top + height, left : left + width]
    elif channels != 4 and (by_machine := compiled()) is not None:
        by_machine(source, box, out)
    else:
        by_pillow(source, box, out)


def _is_copy(box: Box, width: int, height: int) -> bool:
    left, top, right, bottom = box
    whole = left == int(left) and top == int(top)
    return whole and right - left == width and bottom - top == height


def by_pillow(source: Pixels, box: Box, out: Pixels) -> None:
    """The same, one direction at a time: which one Pillow would take first differs by its version
    and by the shape, and so does the rounding between the two."""
    from PIL import Image

    height, width, channels = out.shape
    left, top, right, bottom = box
    rows = source.shape[0]
    image = Image.fromarray(source[:, :, 0] if channels == 1 else source)
    if channels == 4:
        image = image.convert("RGBa")
    bilinear = Image.Resampling.BILINEAR
    image = image.resize((width, rows), bilinear, box=(left, 0, right, rows))
    image = image.resize((width, height), bilinear, box=(0, top, width, bottom))
    if channels == 4:
        image = image.convert("RGBA")
    out[...] = np.asarray(image).reshape(height, width, channels)
