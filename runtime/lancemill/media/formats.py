"""Which format bytes are in, by what they begin with; names and types of files are not believed.

The list is closed on purpose: a format that is not here is never handed to a decoder, so that no
file can reach the parsers of formats nobody asked for, nor an external program (EPS).
"""

from __future__ import annotations

from typing import Literal

from lancemill.media.faults import PictureError

Format = Literal["jpeg", "png", "webp", "gif", "tiff", "bmp"]

FORMATS = "JPEG, PNG, WebP, GIF, TIFF, BMP"

_BEGINNINGS: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"BM", "bmp"),
)

_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"<!DOCTYPE", "HTML"),
    (0, b"<html", "HTML"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (4, b"jP  ", "JPEG 2000"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyp", "an MP4 container"),
    (0, b"II+\0", "BigTIFF"),
    (0, b"MM\0+", "BigTIFF"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"\x1f\x8b", "gzip"),
)


def sniff(data: memoryview) -> Format:
    """The format of `data`; PictureError (Empty, UnsupportedFormat) when it is none of FORMATS."""
    if not data:
        raise PictureError("Empty", "no bytes")
    start = bytes(data[:16])
    for beginning, name in _BEGINNINGS:
        if start.startswith(beginning):
            return name
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "webp"
    raise PictureError("UnsupportedFormat", f"{_looks_like(start)}; read are {FORMATS}")


def _looks_like(start: bytes) -> str:
    for offset, beginning, name in _OTHERS:
        if start[offset:].startswith(beginning):
            return f"this is {name}"
    return f"no known picture begins with {start!r}"
