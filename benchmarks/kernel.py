"""JPEG → 224x224, for the cases that bring a kernel of their own.

`fast` is a few lines written apart from the product: what a kernel is worth inside another engine,
and in bare threads what an engine costs. `lancemill` is the product's own, where nothing but what
is around it is to be compared. `pillow` is what is found in the field.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from functools import cache
from math import ceil

import numpy as np
import numpy.typing as npt

from benchmarks.case import SIDE

Pixels = npt.NDArray[np.uint8]


_local = threading.local()


def _buffer(size: int) -> Pixels:
    """Room for `size` values that a thread keeps: fresh megabytes cost as much as resizing them."""
    kept: Pixels | None = getattr(_local, "buffer", None)
    if kept is None or kept.size < size:
        kept = _local.buffer = np.empty(size, np.uint8)
    return kept[:size]


def fast(jpeg: bytes) -> Pixels:
    """Decoded at 1/2, 1/4 or 1/8 of its size to at least twice the target; then to a whole multiple
    of the target by bilinear steps of nearly 1, and by exact means of so many pixels to the target.
    """
    import cv2
    import simplejpeg

    height, width, _, _ = simplejpeg.decode_jpeg_header(jpeg)
    factor = 1
    while factor < 8 and min(height, width) // (factor * 2) >= SIDE * 2:
        factor *= 2
    rows, columns = ceil(height / factor), ceil(width / factor)
    pixels = simplejpeg.decode_jpeg(
        jpeg, "RGB", min_height=rows, min_width=columns, buffer=_buffer(rows * columns * 3)
    )
    multiple = SIDE * max(1, min(rows, columns) // SIDE)
    near = cv2.resize(pixels, (multiple, multiple), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(near, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def lancemill(jpeg: bytes) -> Pixels:
    """The product's: its header checked, 1/2, 1/4 or 1/8, the antialiased filter."""
    return _product()(jpeg)


@cache
def _product() -> Callable[[bytes], Pixels]:
    from lancemill.media.decoding import Resizing, Wanted, decode_to
    from lancemill.media.geometry import Frame

    wanted, resizing = Wanted("RGB"), Resizing(Frame(SIDE, SIDE, "fill"))
    canvas = resizing.canvas(3)
    return lambda jpeg: decode_to(memoryview(jpeg), wanted, resizing, canvas)


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


KERNELS = {"fast": fast, "lancemill": lancemill, "pillow": pillow}
