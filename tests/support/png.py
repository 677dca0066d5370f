"""A PNG writer for what no common library writes: any depth, colour type and interlacing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
_PASSES = (*_ADAM7, (0, 1, 1, 2))
"""Of each pass: first column, first row, step across, step down."""


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(
    samples: Samples,
    colours: int,
    depth: int,
    interlaced: bool = False,
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG of `samples` [h, w] or [h, w, c], each 0..2**depth-1."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, int(interlaced))
    parts = _interlaced(samples) if interlaced else iter([samples])
    data = zlib.compress(b"".join(_rows(part, depth) for part in parts))
    extras = b"".join(chunk(name, content) for name, content in extra)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extras
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def _interlaced(samples: Samples) -> Iterator[Samples]:
    for x, y, across, down in _PASSES:
        part = samples[y::down, x::across]
        if part.size:
            yield part


def _rows(samples: Samples, depth: int) -> bytes:
    """Rows as they are stored, each behind the number of its filter (0: none)."""
    flat = samples.reshape(len(samples), -1)
    if depth == 16:
        packed = flat.astype(">u2").view(np.uint8).reshape(len(flat), -1)
    elif depth == 8:
        packed = flat.astype(np.uint8)
    else:
        bits = np.unpackbits(flat.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - depth :]
        packed = np.packbits(bits.reshape(len(flat), -1), axis=1)
    return np.hstack([np.zeros((len(flat), 1), np.uint8), packed]).tobytes()
