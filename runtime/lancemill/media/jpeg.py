"""JPEG: the header read here, the pixels by libjpeg-turbo, and every warning of it is a fault.

libjpeg goes on where data is damaged or missing and only warns; what it gives then is grey or
shifted from there on. simplejpeg turns those warnings into errors, at every scale, since all of
the entropy-coded data is read at every scale.

A flipped bit may leave a stream that is valid in every respect (most single flips do: Huffman codes
find their step again, and only a few blocks differ). Nothing in the file tells such a picture from
one that was meant so, and it is passed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lancemill.media.faults import PictureError
from lancemill.media.orientation import Turn, read_turn
from lancemill.media.pillow import luma
from lancemill.media.types import Pixels

SCALES = (8, 4, 2)
"""Reductions that libjpeg-turbo does quickly while it decodes; others are slower and worse."""

MOST_SCANS = 500
"""A progressive file may repeat its scans without end, each as costly as the whole picture."""

_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_ARITHMETIC = (0xC9, 0xCA)
_READ = (_BASELINE, _EXTENDED, _PROGRESSIVE, *_ARITHMETIC)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))


@dataclass(slots=True)
class JpegHeader:
    """What stands before the first scan."""

    width: int = 0
    height: int = 0
    components: int = 0
    frame: int = 0
    """The frame's marker, which names the process (baseline, progressive, …)."""
    precision: int = 8
    turn: Turn = 1


def read_header(data: memoryview) -> JpegHeader:
    """The header, nothing decoded; PictureError (Truncated, Corrupt, UnsupportedFormat)."""
    header = JpegHeader()
    at, end = 2, len(data)
    while at + 4 <= end:
        if data[at] != 0xFF:
            raise PictureError("Corrupt", f"no marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker == _END:
            raise PictureError("Corrupt", "ends before its first scan")
        else:
            length = data[at + 2] << 8 | data[at + 3]
            if at + 2 + length > end:
                break
            if marker == _SCAN:
                return _checked(header)
            _read_segment(header, marker, data[at + 4 : at + 2 + length])
            at += 2 + length
    raise PictureError("Truncated", "the file ends within its header")


def _read_segment(header: JpegHeader, marker: int, body: memoryview) -> None:
    if marker in _FRAMES and not header.frame:
        if len(body) < 6:
            raise PictureError("Corrupt", "the frame header is too short")
        header.frame = marker
        header.precision = body[0]
        header.height, header.width = body[1] << 8 | body[2], body[3] << 8 | body[4]
        header.components = body[5]
    elif marker == _APP1 and bytes(body[:6]) == b"Exif\0\0" and header.turn == 1:
        header.turn = read_turn(body[6:])


def _checked(header: JpegHeader) -> JpegHeader:
    if not header.frame:
        raise PictureError("Corrupt", "a scan stands before the frame header")
    if header.frame not in _READ:
        raise PictureError(
            "UnsupportedFormat", f"JPEG process 0x{header.frame:02x} (lossless or hierarchical)"
        )
    if header.precision != 8:
        raise PictureError("UnsupportedFormat", f"JPEG with {header.precision} bits a sample")
    if not header.width or not header.height:
        raise PictureError("Corrupt", f"size {header.width}x{header.height}")
    return header


def check_scans(data: memoryview, header: JpegHeader) -> None:
    """PictureError (Corrupt) when a progressive file has more scans than any encoder makes."""
    if header.frame != _PROGRESSIVE:
        return
    scans = bytes(data).count(b"\xff\xda")
    if scans > MOST_SCANS:
        raise PictureError("Corrupt", f"{scans} scans; at most {MOST_SCANS} are read")


def has_usual_sampling(data: memoryview) -> bool:
    """False where TurboJPEG has no name for how the chroma is sampled, though it may be right."""
    from simplejpeg import decode_jpeg_header

    try:
        decode_jpeg_header(data)
    except ValueError as error:
        return "subsampling" not in str(error)
    return True


def decode_jpeg(data: memoryview, header: JpegHeader, grey: bool, scale: int = 1) -> Pixels:
    """The pixels at 1/`scale`: uint8[ceil(h/scale), ceil(w/scale), 1 or 3]."""
    if header.components == 4:
        pixels = _from_cmyk(_decode(data, header, "CMYK", scale))
        return luma(pixels) if grey else pixels
    return _decode(data, header, "GRAY" if grey else "RGB", scale)


def _decode(
    data: memoryview, header: JpegHeader, colours: Literal["RGB", "GRAY", "CMYK"], scale: int
) -> Pixels:
    from simplejpeg import decode_jpeg as decode

    height, width = -(-header.height // scale), -(-header.width // scale)
    least = {"min_height": height, "min_width": width, "min_factor": scale} if scale > 1 else {}
    try:
        pixels: Pixels = decode(data, colours, **least)
    except ValueError as error:
        raise _understood(str(error)) from None
    if pixels.shape[:2] != (height, width):
        raise PictureError("Corrupt", f"{pixels.shape[:2]} pixels where {(height, width)} were due")
    return pixels


def _understood(message: str) -> PictureError:
    if message.startswith("Premature end of JPEG"):
        return PictureError("Truncated", "the file ends before the picture does")
    return PictureError("Corrupt", message)


def _from_cmyk(light: Pixels) -> Pixels:
    """RGB as Pillow and OpenCV make it without a colour profile: (1 - ink) x (1 - black).

    As they do, it takes inks as stored inverted (255 is none) whether or not Adobe's segment says
    so: what writes CMYK JPEGs follows Adobe.
    """
    colours = light[:, :, :3] * light[:, :, 3:].astype(np.uint16)
    colours += 127
    colours //= 255
    return colours.astype(np.uint8)
