"""The run lengths of a BMP, unpacked here: Pillow's reader refuses codes that leave pixels out.

An end of the bitmap before its last row, empty rows and jumps are all in the format. What no code
names has the palette's first colour, as OpenCV shows it.
"""

from __future__ import annotations

from lancemill.media.faults import PictureError

END_OF_ROW, END, JUMP = 0, 1, 2


def unpacked(codes: bytes, width: int, height: int, halves: bool) -> bytes:
    """One byte a pixel, rows in the file's order; `halves` where a byte holds two pixels."""
    try:
        return _unpacked(codes, width, height, halves)
    except IndexError:
        raise PictureError("Truncated", "the file ends within its run lengths") from None


def _unpacked(codes: bytes, width: int, height: int, halves: bool) -> bytes:
    pixels = bytearray(width * height)
    last = height - 1
    x = y = at = 0
    while y < last or (y == last and x < width):  # some writers leave out the end
        count, value = codes[at], codes[at + 1]
        at += 2
        if count:
            run = bytes((value >> 4, value & 15)) * count if halves else bytes((value,)) * count
        elif value == END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == END:
            break
        elif value == JUMP:
            x, y, at = x + codes[at], y + codes[at + 1], at + 2
            continue
        else:
            count = value
            size = (count + 1) // 2 if halves else count
            codes[at + size - 1]  # there, or IndexError
            run = _halves(codes[at : at + size]) if halves else codes[at : at + size]
            at += size + size % 2
        seen = max(0, min(count, width - x))  # some writers round an odd width up
        start = y * width + x
        pixels[start : start + seen] = run[:seen]
        x += count
    return bytes(pixels)


def _halves(listed: bytes) -> bytes:
    return bytes(half for byte in listed for half in (byte >> 4, byte & 15))
