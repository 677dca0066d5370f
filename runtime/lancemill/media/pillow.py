"""Everything that is not JPEG, by Pillow: opened by the one plugin that was asked for.

The plugins are called by name, so that no other format and no external program can come in, and so
that the pixel cap is ours: `Image.open` warns through a filter that all threads share.

Samples of 12 and 16 bits are scaled to eight (Pillow's own conversion clips them to white).
Transparency is laid over white where the mode has no alpha, as web pages show it and img2dataset
stores it: the colours under transparent pixels are whatever an editor left there. 32-bit and
floating-point samples have no defined white and are refused. Colour profiles are not applied.
"""

from __future__ import annotations

import importlib
import io
from typing import Any, Literal

import numpy as np

from lancemill.media.bmp import unpacked
from lancemill.media.faults import PictureError
from lancemill.media.formats import Format
from lancemill.media.types import Pixels

Mode = Literal["RGB", "RGBA", "L"]
CHANNELS: dict[Mode, int] = {"RGB": 3, "RGBA": 4, "L": 1}

_PLUGINS: dict[Format, tuple[str, str]] = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
}
_NOT_SUPPORTED = (
    "unsupported",
    "not supported",
    "unknown pixel mode",
    "unknown raw mode",
    "not available",
)
"""What Pillow says of variants that it does not read, with exceptions of any type."""
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_WITHOUT_WHITE = {"F": "floating-point", "I": "32-bit or signed"}
_INDICES = {"1": "1;8", "L": "L", "P": "P"}
"""How Pillow calls one byte a pixel, by the mode that is to come of it."""


def opened(data: memoryview, kind: Format) -> Any:
    """The picture (a PIL image) with its header read and its pixels not."""
    try:
        module, plugin = _PLUGINS[kind]
        return getattr(importlib.import_module(module), plugin)(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # plugins raise what their parsing ran into, of any type
        raise _told(error) from error


def pixels_of(image: Any, mode: Mode) -> Pixels:
    """The decoded pixels of the first frame or page: uint8[h, w, channels of `mode`]."""
    try:
        tile = image.tile[0] if image.tile else None  # load() empties the list
        if tile and tile.codec_name == "bmp_rle":
            _unpack_runs(image)
        image.load()
        if tile and image.format == "PNG" and "transparency" in image.info:
            _scale_transparency(image, tile.args)
        if tile and image.format == "GIF":
            image = _on_background(image, tile.extents)
        return _in_mode(image, mode)
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        raise _told(error) from error


def _told(error: Exception) -> PictureError:
    text = str(error) or type(error).__name__
    if type(error).__name__.startswith("DecompressionBomb"):
        return PictureError("TooManyPixels", text)
    if "truncated" in text.lower():
        return PictureError("Truncated", text)
    if any(words in text.lower() for words in _NOT_SUPPORTED):
        return PictureError("UnsupportedFormat", text)
    return PictureError("Corrupt", text)


def _unpack_runs(image: Any) -> None:
    """Puts plain samples in place of a BMP's run lengths; palette and direction stay Pillow's."""
    if image.mode not in _INDICES:
        raise PictureError("UnsupportedFormat", "run lengths of what is not a palette's numbers")
    (tile,) = image.tile
    _, halves, direction = tile.args
    codes = image.fp.getvalue()[tile.offset :]
    width, height = image.size
    image.fp = io.BytesIO(unpacked(codes, width, height, halves))
    plain = tile._replace(codec_name="raw", offset=0, args=(_INDICES[image.mode], 0, direction))
    image.tile = [plain]


def _scale_transparency(image: Any, packing: str) -> None:
    """Makes the transparent sample of a PNG comparable with its pixels.

    Pillow leaves the sample as the file has it, but scales greys of 2 and 4 bits and colours of 16.
    """
    if packing in ("L;2", "L;4"):
        most = 2 ** int(packing[-1]) - 1
        image.info["transparency"] = (image.info["transparency"] & most) * 255 // most
    if packing == "RGB;16B":
        raise PictureError(
            "UnsupportedFormat", "a transparent colour of 16 bits, of which Pillow keeps 8"
        )


def _on_background(image: Any, frame: tuple[int, int, int, int]) -> Any:
    """A GIF whose opaque first frame is not all of its screen, on the colour that the file names.

    Pillow fills what the frame leaves with entry 0 of the frame's palette. A file without a palette
    for all frames names no colour.
    """
    from PIL import Image

    number = image.info.get("background")
    if number is None or "transparency" in image.info or frame == (0, 0, *image.size):
        return image
    listed = image.global_palette  # none where it counts greys up from 0
    colour = tuple(listed.palette[3 * number : 3 * number + 3]) if listed else (number,) * 3
    whole = Image.new("RGB", image.size, colour or 0)
    whole.paste(image.convert("RGB").crop(frame), frame)
    return whole


def _in_mode(image: Any, mode: Mode) -> Pixels:
    if image.mode in _SIXTEEN_BITS or (image.mode == "I" and image.format == "PNG"):
        image = _eight_bits(image)
    if image.mode in _WITHOUT_WHITE:
        kind = _WITHOUT_WHITE[image.mode]
        raise PictureError("UnsupportedFormat", f"{kind} samples, whose white is not defined")
    if image.has_transparency_data:
        image = image.convert("RGBA")
    if image.mode == "RGBA" and mode != "RGBA":
        image = over_white(np.asarray(image))
    if image.mode != mode:
        image = image.convert(mode)
    pixels = np.array(image)
    return pixels.reshape(*pixels.shape[:2], CHANNELS[mode])


def _eight_bits(image: Any) -> Any:
    """Deep greys as 0..255, rounded; a transparent grey becomes an alpha channel.

    Pillow has one mode for all of them, but does not scale: white is what the file's bits can hold.
    """
    from PIL import Image

    wide = np.asarray(image).astype(np.uint32)
    white = 65535
    if image.format == "TIFF":
        white = 2 ** int(image.tag_v2[258][0]) - 1
        if image.tag_v2.get(262) == 0:
            wide = white - wide
    grey = ((wide * 255 + white // 2) // white).astype(np.uint8)
    if "transparency" not in image.info:
        return Image.fromarray(grey)
    alpha = np.where(wide == image.info["transparency"], 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([grey, grey, grey, alpha]))


def over_white(pixels: Pixels) -> Any:
    """RGBA pixels laid over white, as an RGB PIL image."""
    from PIL import Image

    alpha = pixels[:, :, 3:].astype(np.uint16)
    mixed = pixels[:, :, :3] * alpha + (255 - alpha) * 255
    return Image.fromarray(((mixed + 127) // 255).astype(np.uint8))


def luma(pixels: Pixels) -> Pixels:
    """Grey as Pillow makes it of RGB (ITU-R 601): uint8[h, w, 1]."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
