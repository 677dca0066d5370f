"""A fast JPEG → 224x224 kernel of a few lines, written apart from the product.

It stands in the cases that show what a kernel is worth inside another engine, and in the bare
threads that show what an engine costs.
"""

from __future__ import annotations

import io
from math import ceil

import numpy as np
import numpy.typing as npt

from benchmarks.case import SIDE

Pixels = npt.NDArray[np.uint8]


def fast(jpeg: bytes) -> Pixels:
    """Decoded by 1/2, 1/4 or 1/8 to at least twice the target, then averaged down."""
    import cv2
    import simplejpeg

    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    factor = 1
    while factor < 8 and min(height, width) // (factor * 2) >= SIDE * 2:
        factor *= 2
    pixels = simplejpeg.decode_jpeg(
        jpeg, "RGB", min_height=ceil(height / factor), min_width=ceil(width / factor)
    )
    small: Pixels = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small


def pillow(jpeg: bytes) -> Pixels:
    """What is found in the field: Pillow, decoded in full, resized by its antialiased filter."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def entropy(jpeg: bytes) -> None:
    """The least work that reads a whole JPEG: every coefficient decoded, 1/8 of the pixels made."""
    import simplejpeg

    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    simplejpeg.decode_jpeg(jpeg, "RGB", min_height=ceil(height / 8), min_width=ceil(width / 8))


KERNELS = {"fast": fast, "pillow": pillow}
