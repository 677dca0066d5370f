"""The resampling filter as machine code (runtime/native), where this installation has it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from lancemill.media.orientation import Box
from lancemill.media.types import Pixels

LIBRARY = Path(__file__).with_name("_resample.so")

Resample = Callable[[Pixels, Box, Pixels], None]
"""Scales a box of the first uint8[h, w, c] into the second; c is 1 or 3 and the same in both."""


@cache
def compiled(portable: bool = False) -> Resample | None:
    """The compiled filter; None where it was not built, or not for this machine. `portable`: the
    part of it that needs no vector instructions."""
    try:
        function = ctypes.CDLL(str(LIBRARY)).lancemill_resample
    except OSError:
        return None
    pointer, size, whole, real = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int, ctypes.c_float
    function.argtypes = [pointer, size, *[whole] * 3, *[real] * 4, pointer, size, *[whole] * 3]
    function.restype = whole

    def resample(source: Pixels, box: Box, out: Pixels) -> None:
        source = _with_whole_rows(source)
        target = _with_whole_rows(out)
        height, width, channels = source.shape
        failed = function(
            *(source.ctypes.data, source.strides[0], width, height, channels),
            *box,
            *(target.ctypes.data, target.strides[0], target.shape[1], target.shape[0]),
            portable,
        )
        if failed:
            raise MemoryError(f"no memory to resize {width}x{height} pixels")
        if target is not out:
            out[...] = target

    return resample


def _with_whole_rows(pixels: Pixels) -> Pixels:
    """`pixels` with a row's values one after the other, and rows in ascending order."""
    _, _, channels = pixels.shape
    row, column, value = pixels.strides
    whole = value == 1 and column == channels and row >= pixels.shape[1] * channels
    return pixels if whole else np.ascontiguousarray(pixels)
