"""From bytes to pixels: which decoder, at which scale, and what is checked before and after.

    JPEG    header here → simplejpeg (strict), at 1/2, 1/4 or 1/8 where a resize follows
            → Pillow where the chroma sampling is one that TurboJPEG has no name for
    others  container checked here → Pillow

A picture that is to be made smaller is decoded at the smallest scale that leaves at least twice the
wanted size, and the rest is done by an antialiased filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from lancemill.media import containers, jpeg, pillow
from lancemill.media.faults import PictureError
from lancemill.media.formats import sniff
from lancemill.media.geometry import Frame, Layout
from lancemill.media.orientation import (
    Turn,
    inverse,
    swaps_sides,
    turned,
    turned_back,
    upright,
)
from lancemill.media.pillow import CHANNELS, Mode
from lancemill.media.resample import resample
from lancemill.media.types import Pixels

Quality = Literal["fast", "exact"]
"""Whether a picture may be decoded at a smaller scale than its own."""

LEAST_REDUCTION_LEFT = 2
"""How many decoded pixels a wanted one gets at least, each way, when decoding at a scale."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What pixels a decode is to give."""

    mode: Mode = "RGB"
    upright: bool = True
    """Whether to turn the picture as its EXIF orientation says."""
    max_pixels: int = 100_000_000

    @property
    def channels(self) -> int:
        """Channels of the result."""
        return CHANNELS[self.mode]


@dataclass(frozen=True, slots=True)
class Resizing:
    """What a resize asks for."""

    frame: Frame
    background: tuple[int, int, int] = (0, 0, 0)
    quality: Quality = "fast"

    def canvas(self, channels: int) -> Pixels:
        """One picture of background, of the frame's size; nothing where none is seen."""
        if not self.frame.fixed:
            return np.empty((0, 0, channels), np.uint8)
        colour = np.full((self.frame.height, self.frame.width, 3), self.background, np.uint8)
        if channels == 3:
            return colour
        if channels == 1:
            return pillow.luma(colour)
        return np.dstack([colour, np.full(colour.shape[:2], 255, np.uint8)])


class Picture(Protocol):
    """A picture whose header has been read."""

    turn: Turn
    stored: tuple[int, int]
    """Width and height as stored, before it is turned."""

    def pixels(self, scale: int) -> Pixels:
        """As stored, at 1/`scale` (1 only, where `scales` is empty)."""
        ...

    @property
    def scales(self) -> tuple[int, ...]:
        """Reductions it can be decoded at, the largest first."""
        ...


def decode(data: memoryview, wanted: Wanted) -> Pixels:
    """The picture's pixels, uint8[h, w, c]; PictureError when they cannot be had or trusted."""
    picture = read(data, wanted)
    return upright(picture.pixels(1), picture.turn)


def decode_to(
    data: memoryview,
    wanted: Wanted,
    resizing: Resizing,
    canvas: Pixels,
    out: Pixels | None = None,
) -> Pixels:
    """Decodes and resizes, into `out` when it is given (a fixed frame's row in a batch)."""
    picture = read(data, wanted)
    size = picture.stored[::-1] if swaps_sides(picture.turn) else picture.stored
    layout = resizing.frame.layout(*size)
    scale = _scale(layout, picture.scales) if resizing.quality == "fast" else 1
    return _drawn(picture.pixels(scale), scale, picture.turn, layout, resizing, canvas, out)


def resize(pixels: Pixels, resizing: Resizing, canvas: Pixels, out: Pixels | None = None) -> Pixels:
    """Resizes pixels that are decoded already."""
    height, width, _ = pixels.shape
    return _drawn(pixels, 1, 1, resizing.frame.layout(width, height), resizing, canvas, out)


def _scale(layout: Layout, scales: tuple[int, ...]) -> int:
    left, top, right, bottom = layout.box
    across, down = (right - left) / layout.size[0], (bottom - top) / layout.size[1]
    room = min(across, down) / LEAST_REDUCTION_LEFT
    return next((scale for scale in scales if scale <= room), 1)


def _drawn(
    pixels: Pixels,
    scale: int,
    turn: Turn,
    layout: Layout,
    resizing: Resizing,
    canvas: Pixels,
    out: Pixels | None,
) -> Pixels:
    if resizing.quality == "exact":
        # The filter rounds between its two passes: for the upright picture's own result their order
        # must be that of the upright picture. The fast way turns the few pixels that are left.
        pixels, turn = upright(pixels, turn), 1
    width, height = layout.canvas
    if out is None:
        out = np.empty((height, width, pixels.shape[2]), np.uint8)
    part = out
    if not layout.fills_canvas:
        np.copyto(out, canvas)
        x, y = layout.paste
        part = out[y : y + layout.size[1], x : x + layout.size[0]]
    left, top, right, bottom = turned_back(layout.box, turn, *layout.source)
    box = left / scale, top / scale, right / scale, bottom / scale
    if turn == 1:
        resample(pixels, box, part)
        return out
    sideways = np.empty_like(turned(part, inverse(turn)), order="C")
    resample(pixels, box, sideways)
    part[...] = turned(sideways, turn)
    return out


def read(data: memoryview, wanted: Wanted) -> Picture:
    """Reads and checks the header; PictureError, among others when it promises too many pixels."""
    kind = sniff(data)
    if kind == "jpeg":
        header = jpeg.read_header(data)
        _check_size((header.width, header.height), wanted)
        jpeg.check_scans(data, header)
        if not jpeg.has_usual_sampling(data):
            return _ByPillow(pillow.opened(data, kind), wanted, header.turn)
        return _Jpeg(data, header, wanted)
    turn = containers.check(data, kind)
    image = pillow.opened(data, kind)
    _check_size(image.size, wanted)
    return _ByPillow(image, wanted, turn)


def _check_size(size: tuple[int, int], wanted: Wanted) -> None:
    width, height = size
    if width * height > wanted.max_pixels:
        raise PictureError(
            "TooManyPixels",
            f"{width}x{height} is {width * height} pixels, allowed are {wanted.max_pixels}",
        )


class _Jpeg:
    scales = jpeg.SCALES

    def __init__(self, data: memoryview, header: jpeg.JpegHeader, wanted: Wanted) -> None:
        self._data = data
        self._header = header
        self._mode = wanted.mode
        self.turn: Turn = header.turn if wanted.upright else 1
        self.stored = header.width, header.height

    def pixels(self, scale: int) -> Pixels:
        pixels = jpeg.decode_jpeg(self._data, self._header, self._mode == "L", scale)
        if self._mode == "RGBA":
            opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
            return np.concatenate([pixels, opaque], axis=2)
        return pixels


class _ByPillow:
    scales: tuple[int, ...] = ()

    def __init__(self, image: Any, wanted: Wanted, turn: Turn) -> None:
        self._image = image
        self._mode = wanted.mode
        self.turn: Turn = turn if wanted.upright else 1
        # Pillow turns a TIFF by itself, and gives its size as turned.
        self._undo = inverse(turn) if image.format == "TIFF" else 1
        self.stored = image.size[::-1] if swaps_sides(self._undo) else image.size

    def pixels(self, scale: int) -> Pixels:
        return turned(pillow.pixels_of(self._image, self._mode), self._undo)
