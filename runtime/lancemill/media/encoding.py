"""From pixels to bytes. The same pixels give the same bytes (with the same library versions)."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np

from lancemill.media.faults import EncodingError
from lancemill.media.pillow import over_white
from lancemill.media.types import Pixels

Target = Literal["jpeg", "png", "webp", "bmp"]

LONGEST_SIDE = {"jpeg": 65_500, "webp": 16_383}
"""The longest side that a format, or its library, can hold."""


def encode(pixels: Pixels, target: Target, quality: int = 90) -> bytes:
    """`pixels`, uint8[h, w, 1, 3 or 4], encoded; EncodingError when the format cannot hold them.

    quality counts for jpeg (chroma subsampled 4:2:0) and webp (lossy). jpeg and bmp have no alpha:
    it is laid over white.
    """
    height, width, channels = pixels.shape
    most = LONGEST_SIDE.get(target)
    if most and max(height, width) > most:
        raise EncodingError(
            "TooLargeForFormat", f"{width}x{height}; {target} holds at most {most} a side"
        )
    if channels == 4 and target in ("jpeg", "bmp"):
        pixels = np.asarray(over_white(pixels))
    if target == "jpeg":
        return _jpeg(pixels, quality)
    return _by_pillow(pixels, target, {"webp": {"quality": quality}}.get(target, {}))


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    from simplejpeg import encode_jpeg

    grey = pixels.shape[2] == 1
    colours, sampling = ("GRAY", "Gray") if grey else ("RGB", "420")
    encoded: bytes = encode_jpeg(
        np.ascontiguousarray(pixels), quality, colorspace=colours, colorsubsampling=sampling
    )
    return encoded


def _by_pillow(pixels: Pixels, target: Target, options: dict[str, Any]) -> bytes:
    from PIL import Image

    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    held = io.BytesIO()
    Image.fromarray(flat).save(held, target.upper(), **options)
    return held.getvalue()
