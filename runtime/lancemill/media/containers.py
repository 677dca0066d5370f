"""Whether a file is whole, as far as its container says, and the orientation that it carries.

Decoders differ in what they notice: Pillow does not check the checksums of PNG's pixel data, and
`ImageFile.LOAD_TRUNCATED_IMAGES`, which any imported library may set, makes it fill what is missing
with grey. What is read here does not depend on either.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from lancemill.media.faults import PictureError
from lancemill.media.formats import Format
from lancemill.media.orientation import Turn, read_turn


def check(data: memoryview, kind: Format) -> Turn:
    """The orientation of a picture that is not JPEG; PictureError (Truncated, Corrupt).

    UnsupportedFormat too, for a variant that Pillow would read wrongly without an error.
    """
    try:
        return _CHECKS[kind](data)
    except (struct.error, IndexError):
        raise PictureError("Truncated", "the file ends within its header") from None


def _check_png(data: memoryview) -> Turn:
    turn: Turn = 1
    at = 8
    while True:
        if at + 12 > len(data):
            raise PictureError("Truncated", "the file ends before the chunk IEND")
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if not name.isalpha():
            raise PictureError("Corrupt", f"no chunk at byte {at}")
        if end > len(data):
            raise PictureError("Truncated", f"the file ends within a chunk {name.decode()}")
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(data[at + 4 : end - 4]) != checksum:
            raise PictureError("Corrupt", f"wrong checksum of a chunk {name.decode()}")
        if name == b"eXIf":
            turn = read_turn(data[at + 8 : end - 4])
        if name == b"IEND":
            return turn
        at = end


def _check_webp(data: memoryview) -> Turn:
    (size,) = struct.unpack_from("<I", data, 4)
    if size + 8 > len(data) + 1:  # some writers leave out the last byte of padding
        raise PictureError("Truncated", f"{len(data)} of {size + 8} bytes")
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return read_turn(bytes(data[at + 8 : at + 8 + length]).removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return 1


def _check_gif(data: memoryview) -> Turn:
    """Only up to the end of the first picture: what follows is not read."""
    flags = data[10]
    at = 13 + _colour_table(flags)
    while data[at] == 0x21:
        at = _skip_blocks(data, at + 2)
    if data[at] != 0x2C:
        raise PictureError("Corrupt", "the file holds no picture")
    at += 10 + _colour_table(data[at + 9]) + 1
    _skip_blocks(data, at)
    return 1


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: memoryview, at: int) -> int:
    try:
        while data[at]:
            at += data[at] + 1
    except IndexError:
        raise PictureError("Truncated", "the file ends within its first picture") from None
    return at + 1


_OFFSETS_AND_LENGTHS = ((273, 279), (324, 325))
"""Tags that say where the strips (or tiles) of a TIFF lie."""


def _check_tiff(data: memoryview) -> Turn:
    tags = _tiff_tags(data)
    for offsets, lengths in _OFFSETS_AND_LENGTHS:
        pieces = zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False)
        if any(offset + length > len(data) for offset, length in pieces):
            raise PictureError("Truncated", "the file ends before the picture does")
    _check_planes(tags)
    return read_turn(data)


def _check_planes(tags: dict[int, tuple[int, ...]]) -> None:
    """Pillow's own reader takes every plane for plain bytes, whatever its samples are.

    Deeper samples, turned bytes and white at 0 come out as noise or inverted, without an error.
    What is compressed goes through libtiff, which knows planes.
    """
    bits, packing, meaning, fill, planes = (
        tags.get(tag, (default,))
        for tag, default in ((258, 1), (259, 1), (262, 0), (266, 1), (284, 1))
    )
    plain = set(bits) == {8} or (bits, meaning) == ((1,), (1,))
    if planes == (2,) and packing == (1,) and not (plain and meaning != (0,) and fill != (2,)):
        raise PictureError(
            "UnsupportedFormat", "uncompressed samples in planes that are not 8 plain bits each"
        )


def _tiff_tags(data: memoryview) -> dict[int, tuple[int, ...]]:
    """The short and long tags of the first page."""
    order = "<" if data[0] == ord("I") else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, at)
    tags = {}
    for entry in range(entries):
        where = at + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(order + "HHI", data, where)
        if kind in (3, 4):
            code, size = ("H", 2) if kind == 3 else ("I", 4)
            if count * size > 4:
                (where,) = struct.unpack_from(order + "I", data, where + 8)
            else:
                where += 8
            if where + count * size > len(data):
                raise PictureError("Truncated", f"the file ends within its tag {tag}")
            tags[tag] = struct.unpack_from(f"{order}{count}{code}", data, where)
    return tags


def _check_bmp(data: memoryview) -> Turn:
    size, _, start, header, width, height, _, bits, packing = struct.unpack_from(
        "<IIIIiiHHI", data, 2
    )
    if header < 40:
        return 1
    rows = (width * bits + 31) // 32 * 4 * abs(height)
    due = size if packing in (1, 2) else start + rows
    if due > len(data):
        raise PictureError("Truncated", f"{len(data)} of {due} bytes")
    return 1


_CHECKS: dict[Format, Callable[[memoryview], Turn]] = {
    "png": _check_png,
    "webp": _check_webp,
    "gif": _check_gif,
    "tiff": _check_tiff,
    "bmp": _check_bmp,
}
