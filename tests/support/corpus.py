"""Odd and broken pictures, made from real ones, each with what is right for it.

What is right comes from elsewhere than the code under test: for lossless files the pixels that were
put in, for lossy ones OpenCV's decoder, for broken ones the reason. All random choices have a fixed
seed.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from support.material import pictures
from support.png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png

Pixels = npt.NDArray[np.uint8]

PHOTOS = ("chelsea.png", "coffee.png", "china.jpg", "grace_hopper.jpg")
SEED = 3
CUTS = (0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True)
class Case:
    """One file, and either its pixels or the reason why it has none."""

    name: str
    data: bytes
    right: Pixels | None = None
    """The upright picture, uint8[h, w, 3], transparency laid over white."""
    reason: str | None = None
    tolerance: int = 0
    """How far a value may be off: what rounding leaves open."""
    natural: bool = False
    """Whether it is a photo, for which the bounds of quality hold."""


@cache
def photo(name: str = "chelsea.png") -> Pixels:
    """A real photo as RGB."""
    (path,) = (path for path in pictures() if path.name == name)
    return np.asarray(Image.open(path).convert("RGB"))


@cache
def corpus() -> tuple[Case, ...]:
    """Every case; names are unique."""
    cases = tuple(
        case
        for family in (_jpegs, _turned, _pngs, _gifs, _webps, _tiffs, _bmps, _cut, _refused)
        for case in family()
    )
    assert len({case.name for case in cases}) == len(cases)
    return cases


def saved(pixels: Any, kind: str, **options: Any) -> bytes:
    """`pixels` (an array or a PIL image) as Pillow writes them."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def by_opencv(data: bytes) -> Pixels:
    """RGB pixels as OpenCV decodes them; it applies EXIF orientation by itself."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def over_white(colours: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> Pixels:
    """Colours laid over white by alpha (0..255), in floating point."""
    share = np.asarray(alpha, float)[..., None] / 255
    return np.round(np.asarray(colours, float) * share + 255 * (1 - share)).astype(np.uint8)


def grey(pixels: Pixels) -> Pixels:
    """Luma, [h, w]."""
    return np.asarray(Image.fromarray(pixels).convert("L"))


def as_rgb(values: npt.NDArray[Any]) -> Pixels:
    """Greys [h, w] as [h, w, 3]."""
    return np.repeat(np.asarray(values, np.uint8)[:, :, None], 3, axis=2)


# --- JPEG ---------------------------------------------------------------------------------------


def _jpegs() -> Iterator[Case]:
    def case(name: str, data: bytes, natural: bool = True) -> Case:
        return Case(f"jpeg {name}", data, by_opencv(data), tolerance=3, natural=natural)

    for name in PHOTOS:
        for quality in (50, 90):
            data = saved(photo(name), "JPEG", quality=quality)
            yield case(f"{name} quality {quality}", data)
    for sampling in ("4:4:4", "4:2:2", "4:2:0"):
        yield case(f"sampled {sampling}", saved(photo(), "JPEG", subsampling=sampling))
    yield case("with unusual sampling", _unusual_sampling())
    yield case("progressive", saved(photo(), "JPEG", progressive=True, quality=90))
    yield case("grey", saved(grey(photo()), "JPEG", quality=90))
    yield case("restart markers", saved(photo(), "JPEG", restart_marker_rows=1))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    yield case("with a colour profile, not applied", saved(photo(), "JPEG", icc_profile=profile))
    yield case("trailing garbage", saved(photo(), "JPEG") + b"\0garbage\xff\xd8" * 50)
    yield case("two in one file", saved(photo(), "JPEG") + saved(photo("coffee.png"), "JPEG"))
    both = {"save_all": True, "append_images": [Image.fromarray(photo("coffee.png"))]}
    yield case("MPO", saved(photo(), "MPO", **both))
    damaged_exif = b"Exif\0\0MM\0*\0\0\xff\xff"
    yield case("damaged EXIF", saved(photo(), "JPEG", exif=damaged_exif))
    for height, width in ((1, 1), (3, 1000), (1000, 3), (7, 9), (17, 33)):
        odd = np.asarray(Image.fromarray(photo()).resize((width, height)))
        yield case(f"{width}x{height}", saved(odd, "JPEG", quality=95), natural=False)
    yield from _cmyk_jpegs()


def _cmyk_jpegs() -> Iterator[Case]:
    inks = Image.fromarray(photo()).convert("CMYK")
    for name, data in (
        ("jpeg CMYK", saved(inks, "JPEG", quality=95)),
        ("jpeg CMYK without Adobe's segment", _without_adobe(saved(inks, "JPEG", quality=95))),
    ):
        right = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        yield Case(name, data, right, tolerance=6, natural=True)


def _without_adobe(data: bytes) -> bytes:
    at = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, at + 2)
    return data[:at] + data[at + 2 + length :]


def _unusual_sampling() -> bytes:
    """Chroma at half the rows for blue and all of them for red: legal, and without a name.

    Written as three grey pictures would be: one scan a component, so that each may have its own
    number of blocks.
    """
    import simplejpeg

    luma, blue, red = cv2.split(cv2.cvtColor(photo()[:288, :448], cv2.COLOR_RGB2YCrCb))
    blue, red = red, blue
    planes = [(luma, 0x22), (blue[::2, ::2], 0x11), (red[:, ::2], 0x12)]
    out, frame = b"\xff\xd8", b""
    scans: list[bytes] = []
    for number, (plane, factors) in enumerate(planes, start=1):
        coded = simplejpeg.encode_jpeg(
            np.ascontiguousarray(plane)[:, :, None], 92, "GRAY", colorsubsampling="Gray"
        )
        segments, scan = _segments(coded)
        if not scans:
            out += segments[b"\xff\xdb"] + segments[b"\xff\xc4"]
        frame += bytes([number, factors, 0])
        scans.append(b"\xff\xda\0\x08\x01" + bytes([number, 0, 0, 63, 0]) + scan)
    height, width = luma.shape
    size = struct.pack(">HBHHB", 17, 8, height, width, 3)
    return out + b"\xff\xc0" + size + frame + b"".join(scans) + b"\xff\xd9"


def _segments(data: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """Header segments by marker (those of one marker joined), and the entropy-coded scan."""
    segments: dict[bytes, bytes] = {}
    at = 2
    while True:
        marker = data[at : at + 2]
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker == b"\xff\xda":
            return segments, data[at + 2 + length : -2]
        segments[marker] = segments.get(marker, b"") + data[at : at + 2 + length]
        at += 2 + length


def bit_flipped(count: int) -> Iterator[bytes]:
    """JPEGs with one bit flipped in their entropy-coded data, at seeded places."""
    draw = random.Random(SEED)
    whole = [
        saved(photo(), "JPEG", quality=90),
        saved(photo("coffee.png"), "JPEG", quality=75, progressive=True),
        saved(photo("china.jpg"), "JPEG", quality=85, restart_marker_rows=2),
    ]
    for turn in range(count):
        data = bytearray(whole[turn % len(whole)])
        at = draw.randrange(data.index(b"\xff\xda") + 14, len(data) - 2)
        data[at] ^= 1 << draw.randrange(8)
        yield bytes(data)


# --- orientation --------------------------------------------------------------------------------


def _turned() -> Iterator[Case]:
    upright = photo()[:240, :320]
    for turn in range(1, 9):
        stored = as_stored(upright, turn)
        exif = Image.Exif()
        exif[0x0112] = turn
        jpeg = saved(stored, "JPEG", quality=90, exif=exif)
        yield Case(f"jpeg turned {turn}", jpeg, by_opencv(jpeg), tolerance=3, natural=True)
        for kind, options in (
            ("PNG", {"exif": exif}),
            ("WEBP", {"exif": exif, "lossless": True}),
            ("TIFF", {"tiffinfo": {0x0112: turn}}),
        ):
            yield Case(f"{kind.lower()} turned {turn}", saved(stored, kind, **options), upright)


def as_stored(upright: Pixels, turn: int) -> Pixels:
    """What a camera that writes orientation `turn` stores for this view."""
    stored: Callable[[Pixels], Pixels] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.rot90(np.fliplr(a), 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.fliplr(a), -1),
        8: lambda a: np.rot90(a, -1),
    }[turn]
    return np.ascontiguousarray(stored(upright))


# --- PNG ----------------------------------------------------------------------------------------


def _pngs() -> Iterator[Case]:
    colours = photo()[:201, :303]
    light = grey(colours)
    for depth in (1, 2, 4, 8):
        most = 2**depth - 1
        values = (light.astype(int) * most + 127) // 255
        yield Case(f"png grey {depth} bit", png(values, GREY, depth), as_rgb(values * 255 // most))
    fine = light.astype(np.uint16) * 257 // 2 + 97
    yield Case("png grey 16 bit", png(fine, GREY, 16), as_rgb(np.round(fine / 257)))
    wide = colours.astype(np.uint16) * 257 - 60 * (colours > 0)
    yield Case(
        "png RGB 16 bit", png(wide, RGB, 16), np.round(wide / 257).astype(np.uint8), tolerance=1
    )
    yield Case("png interlaced", png(colours, RGB, 8, interlaced=True), colours)
    yield Case("png interlaced grey", png(light, GREY, 8, interlaced=True), as_rgb(light))
    one = saved(np.array([[[10, 20, 30]]], np.uint8), "PNG")
    yield Case("png 1x1", one, np.array([[[10, 20, 30]]], np.uint8))
    yield Case("png trailing garbage", png(colours, RGB, 8) + b"more", colours)
    yield from _transparent_pngs(colours, light)
    yield from _palette_pngs(colours)


def _transparent_pngs(colours: Pixels, light: Pixels) -> Iterator[Case]:
    alpha = np.tile(np.linspace(0, 255, colours.shape[1]), (len(colours), 1)).astype(np.uint8)
    full = np.dstack([colours, alpha])
    yield Case("png RGBA", png(full, RGBA, 8), over_white(colours, alpha), tolerance=1)
    two = np.dstack([light, alpha])
    right = over_white(as_rgb(light), alpha)
    yield Case("png grey with alpha", png(two, GREY_ALPHA, 8), right, tolerance=1)
    deep = np.dstack([light, alpha]).astype(np.uint16) * 257
    yield Case("png grey with alpha 16 bit", png(deep, GREY_ALPHA, 16), right, tolerance=1)
    key = int(light[100, 100])
    masked = as_rgb(np.where(light == key, 255, light))
    note = [(b"tRNS", struct.pack(">H", key))]
    yield Case("png grey with a transparent value", png(light, GREY, 8, extra=note), masked)
    for depth in (2, 4):
        most = 2**depth - 1
        values = (light.astype(int) * most + 127) // 255
        note = [(b"tRNS", struct.pack(">H", most // 2))]
        masked_few = as_rgb(np.where(values == most // 2, 255, values * 255 // most))
        name = f"png grey {depth} bit with a transparent value"
        yield Case(name, png(values, GREY, depth, extra=note), masked_few)
    note = [(b"tRNS", struct.pack(">HHH", 258, 258, 258))]
    wide = png(colours.astype(np.uint16) * 257, RGB, 16, extra=note)
    yield Case("png RGB 16 bit with a transparent colour", wide, reason="UnsupportedFormat")
    deep_grey = light.astype(np.uint16) * 257
    note = [(b"tRNS", struct.pack(">H", key * 257))]
    name = "png grey 16 bit with a transparent value"
    yield Case(name, png(deep_grey, GREY, 16, extra=note), masked)
    red, green, blue = (int(value) for value in colours[50, 60])
    is_key = (colours == (red, green, blue)).all(axis=2)
    note = [(b"tRNS", struct.pack(">HHH", red, green, blue))]
    right = np.where(is_key[..., None], 255, colours).astype(np.uint8)
    yield Case("png RGB with a transparent colour", png(colours, RGB, 8, extra=note), right)


def _palette_pngs(colours: Pixels) -> Iterator[Case]:
    for depth in (1, 2, 4, 8):
        few = Image.fromarray(colours).quantize(2**depth, dither=Image.Dither.NONE)
        palette = np.array(few.getpalette()[: 3 * 2**depth], np.uint8).reshape(-1, 3)
        numbers = np.asarray(few)
        listed = [(b"PLTE", palette.tobytes())]
        right = palette[numbers]
        yield Case(f"png palette {depth} bit", png(numbers, PALETTE, depth, extra=listed), right)
        alpha = np.linspace(0, 255, len(palette)).astype(np.uint8)
        listed.append((b"tRNS", alpha.tobytes()))
        data = png(numbers, PALETTE, depth, extra=listed)
        right = over_white(right, alpha[numbers])
        yield Case(f"png palette {depth} bit with alpha", data, right, tolerance=1)


# --- GIF, WebP, TIFF, BMP -----------------------------------------------------------------------


def few_colours(pixels: Pixels) -> Image.Image:
    """A palette picture of 64 colours."""
    return Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE)


def _gifs() -> Iterator[Case]:
    still = few_colours(photo()[:200, :300])
    right = np.asarray(still.convert("RGB"))
    yield Case("gif", saved(still, "GIF"), right)
    yield Case("gif animated", _animated_gif(), right)
    yield Case("gif animated, cut behind its first frame", _cut_at(_animated_gif(), 0.9), right)
    numbers = np.asarray(still)
    masked = np.where((numbers == numbers[0, 0])[..., None], 255, right).astype(np.uint8)
    yield Case("gif transparent", saved(still, "GIF", transparency=int(numbers[0, 0])), masked)
    part = saved(still, "GIF")
    frame = part.index(struct.pack("<4H", 0, 0, 300, 200), 13)
    place = struct.pack("<2H", 30, 20)
    screen = part[:6] + struct.pack("<2H", 360, 250) + part[10:11] + b"\x05"
    placed = screen + part[12:frame] + place + part[frame + 4 :]
    around = np.full((250, 360, 3), np.array(still.getpalette()[15:18], np.uint8))
    around[20:220, 30:330] = right
    yield Case("gif smaller than its screen", placed, around)


def _animated_gif() -> bytes:
    frames = [few_colours(photo()[:200, at : at + 300]) for at in (0, 30, 60)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)


def _webps() -> Iterator[Case]:
    colours = photo()[:201, :303]
    lossy = saved(photo(), "WEBP", quality=80)
    yield Case("webp", lossy, by_opencv(lossy), tolerance=3, natural=True)
    yield Case("webp lossless", saved(colours, "WEBP", lossless=True), colours)
    alpha = np.tile(np.linspace(0, 255, colours.shape[1]), (len(colours), 1)).astype(np.uint8)
    full = np.dstack([colours, alpha])
    data = saved(full, "WEBP", lossless=True, exact=True)
    yield Case("webp with alpha", data, over_white(colours, alpha), tolerance=1)
    later = [Image.fromarray(photo()[50:251, 50:353])]
    data = saved(colours, "WEBP", lossless=True, save_all=True, append_images=later)
    yield Case("webp animated", data, colours)


def _tiffs() -> Iterator[Case]:
    colours = photo()[:201, :303]
    light = grey(colours)
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield Case(f"tiff {packing}", saved(colours, "TIFF", compression=packing), colours)
    more = {"save_all": True, "append_images": [Image.fromarray(photo("coffee.png"))]}
    yield Case("tiff of several pages", saved(colours, "TIFF", **more), colours)
    inks = Image.fromarray(colours).convert("CMYK")
    yield Case("tiff CMYK", saved(inks, "TIFF"), np.asarray(inks.convert("RGB")), tolerance=1)
    yield Case("tiff bilevel", saved(Image.fromarray(light > 127), "TIFF"), _bilevel(light))
    fine = light.astype(np.uint16) * 257 // 2 + 97
    right = as_rgb(np.round(fine / 257))
    yield Case("tiff grey 16 bit", saved(fine, "TIFF"), right)
    yield Case("tiff grey 16 bit big-endian", grey_tiff(fine.astype(">u2"), ">", 1, 1), right)
    inverse = grey_tiff((65535 - fine).astype("<u2"), "<", 0, 1)
    yield Case("tiff grey 16 bit, white is zero", inverse, right)
    twelve = fine[:200, :302] >> 4
    packed = tiff(twelve.shape, {258: [12], 262: [1]}, [_twelve_bits(twelve)])
    yield Case("tiff grey 12 bit", packed, as_rgb(np.round(twelve * (255 / 4095))))
    turned = tiff(light.shape, {258: [8], 262: [0], 266: [2]}, [light.tobytes()])
    yield Case("tiff of turned bytes, white is zero", turned, reason="UnsupportedFormat")
    floats = saved((light / 255).astype(np.float32), "TIFF")
    yield Case("tiff of floats", floats, reason="UnsupportedFormat")
    ints = saved(light.astype(np.int32) * 1000, "TIFF")
    yield Case("tiff 32 bit", ints, reason="UnsupportedFormat")
    yield from _planar_tiffs(colours)


def _twelve_bits(samples: npt.NDArray[Any]) -> bytes:
    """Pairs of samples in three bytes."""
    first, second = samples.reshape(-1, 2).T
    parts = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
    return np.stack(parts, axis=1).astype(np.uint8).tobytes()


def _planar_tiffs(colours: Pixels) -> Iterator[Case]:
    layers = [np.ascontiguousarray(layer) for layer in np.moveaxis(colours, 2, 0)]
    tags = {258: [8, 8, 8], 262: [2], 277: [3], 284: [2]}
    eights = [layer.tobytes() for layer in layers]
    yield Case("tiff in planes", tiff(colours.shape, tags, eights), colours)
    alpha = {258: [8] * 4, 277: [4], 338: [1]}
    associated = tiff(colours.shape, tags | alpha, [*eights, eights[0]])
    yield Case("tiff in planes, premultiplied", associated, reason="UnsupportedFormat")
    for order in "<>":
        planes = [(layer.astype(order + "u2") * 257).tobytes() for layer in layers]
        data = tiff(colours.shape, tags | {258: [16, 16, 16]}, planes, order)
        yield Case(f"tiff 16 bit in planes {order}", data, reason="UnsupportedFormat")
    one = {258: [8], 262: [0], 284: [2]}
    white = tiff(colours.shape, one, eights[:1])
    yield Case("tiff in one plane, white is zero", white, reason="UnsupportedFormat")
    rows = np.packbits(layers[0] > 127, axis=1).tobytes()
    bits = tiff(colours.shape, {258: [1], 262: [1], 284: [2]}, [rows])
    yield Case("tiff bilevel in one plane", bits, _bilevel(layers[0]))
    backwards = tiff(colours.shape, tags | {266: [2]}, eights)
    yield Case("tiff in planes of turned bytes", backwards, reason="UnsupportedFormat")


def _bilevel(light: Pixels) -> Pixels:
    return as_rgb(np.where(light > 127, 255, 0))


def grey_tiff(samples: npt.NDArray[Any], order: str, photometric: int, format_: int) -> bytes:
    """An uncompressed grey TIFF in the byte order that `samples` have."""
    tags = {258: [samples.dtype.itemsize * 8], 262: [photometric], 339: [format_]}
    return tiff(samples.shape, tags, [samples.tobytes()], order)


def tiff(
    shape: tuple[int, ...], tags: dict[int, list[int]], planes: list[bytes], order: str = "<"
) -> bytes:
    """An uncompressed TIFF of height and width `shape`, with short `tags`, one strip a plane."""
    height, width = shape[:2]
    lengths = [len(plane) for plane in planes]
    longs = {256: [width], 257: [height], 273: lengths, 278: [height], 279: lengths}
    every = sorted((longs | tags | {259: [1]}).items())
    at = 8 + 2 + 12 * len(every) + 4
    start = at + sum(4 * len(values) for _, values in every)
    longs[273] = [start + sum(lengths[:place]) for place in range(len(lengths))]
    entries = beyond = b""
    for tag, values in every:
        kind, code = (4, "I") if tag in longs else (3, "H")
        held = struct.pack(f"{order}{len(values)}{code}", *longs.get(tag, values)).ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, kind, len(values))
        entries += held if len(held) == 4 else struct.pack(order + "I", at + len(beyond))
        beyond += held if len(held) > 4 else b""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(every)) + entries + struct.pack(order + "I", 0)
    head = mark + struct.pack(order + "I", 8) + directory + beyond
    return head.ljust(start, b"\0") + b"".join(planes)


def _bmps() -> Iterator[Case]:
    colours = photo()[:201, :303]
    light = grey(colours)
    yield Case("bmp", saved(colours, "BMP"), colours)
    yield Case("bmp grey", saved(light, "BMP"), as_rgb(light))
    few = few_colours(colours)
    yield Case("bmp palette", saved(few, "BMP"), np.asarray(few.convert("RGB")))
    yield Case("bmp bilevel", saved(Image.fromarray(light > 127), "BMP"), _bilevel(light))
    yield from _run_length_bmps()


def _run_length_bmps() -> Iterator[Case]:
    """Rows from the bottom up: a run and an end of row, an empty row, a list, a jump, an end."""
    palette = photo()[100, :16]
    for bits, codes in (
        (8, "03070000 0000 0003010203000000 02090002020104050001"),
        (4, "03770000 0000 000312300000 02990002020104550001"),
    ):
        data = _run_length_bmp(bits, palette, bytes.fromhex(codes))
        right = np.zeros((7, 9), np.uint8)
        right[6, :3] = 7
        right[4, :3] = 1, 2, 3
        right[3, :2] = 9
        right[2, 4:8] = 5
        yield Case(f"bmp of {bits} bit run lengths with gaps", data, palette[right])
        cut = _run_length_bmp(bits, palette, bytes.fromhex(codes)[:-3])
        yield Case(f"bmp of {bits} bit run lengths without their end", cut, reason="Truncated")


def _run_length_bmp(bits: int, palette: Pixels, codes: bytes) -> bytes:
    """9x7 pixels; the length in the header is that of the file, however few the codes."""
    colours = b"".join(bytes([*colour[::-1], 0]) for colour in palette)
    start = 14 + 40 + len(colours)
    sizes = (len(codes), 2835, 2835, len(palette), 0)
    head = struct.pack("<IiiHHIIiiII", 40, 9, 7, 1, bits, 3 - bits // 4, *sizes)
    file = struct.pack("<2sIHHI", b"BM", start + len(codes), 0, 0, start)
    return file + head + colours + codes


# --- broken -------------------------------------------------------------------------------------


def _cut_at(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _cut() -> Iterator[Case]:
    whole = {
        "jpeg": saved(photo(), "JPEG", quality=90),
        "jpeg progressive": saved(photo(), "JPEG", progressive=True),
        "jpeg grey": saved(grey(photo()), "JPEG"),
        "png": saved(photo(), "PNG"),
        "png interlaced": png(photo(), RGB, 8, interlaced=True),
        "webp": saved(photo(), "WEBP"),
        "webp lossless": saved(photo(), "WEBP", lossless=True),
        "gif": saved(few_colours(photo()), "GIF"),
        "tiff": saved(photo(), "TIFF"),
        "tiff lzw": saved(photo(), "TIFF", compression="tiff_lzw"),
        "bmp": saved(photo(), "BMP"),
    }
    for name, data in whole.items():
        for share in CUTS:
            yield Case(f"{name} cut at {share:.0%}", _cut_at(data, share), reason="Truncated")
    for name in ("jpeg", "jpeg progressive"):
        yield Case(f"{name} without its end marker", whole[name][:-2], reason="Truncated")
    yield Case("png without its last chunk", whole["png"][:-12], reason="Truncated")


def _refused() -> Iterator[Case]:
    jpeg = saved(photo(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    huge = jpeg[:at] + struct.pack(">HH", 65500, 65500) + jpeg[at + 4 :]
    yield Case("jpeg that claims 65500x65500", huge, reason="TooManyPixels")
    yield Case("png of 200 megapixels", bomb(20_000, 10_000), reason="TooManyPixels")
    gif = saved(few_colours(photo()), "GIF")
    sides = struct.pack("<HH", 65000, 65000)
    yield Case("gif that claims 65000x65000", gif[:6] + sides + gif[10:], reason="TooManyPixels")
    frame = gif.index(struct.pack("<4H", 0, 0, 451, 300), 13) + 4
    large = gif[:frame] + sides + gif[frame + 4 :]
    yield Case("gif with a frame of 65000x65000", large, reason="TooManyPixels")
    deep = jpeg[: at - 1] + b"\x0c" + jpeg[at:]
    yield Case("jpeg of 12 bits", deep, reason="UnsupportedFormat")
    yield Case(
        "jpeg lossless", jpeg.replace(b"\xff\xc0", b"\xff\xc3", 1), reason="UnsupportedFormat"
    )
    yield Case("jpeg with no frame", b"\xff\xd8\xff\xd9" + bytes(100), reason="Corrupt")
    yield Case("jpeg with a size of 0", _sized_zero(jpeg, at), reason="Corrupt")
    yield Case("jpeg of endless scans", _many_scans(), reason="Corrupt")
    good = saved(photo(), "PNG")
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 4]) + good[middle + 1 :]
    yield Case("png with a flipped bit", flipped, reason="Corrupt")
    yield Case("empty", b"", reason="Empty")
    for name, data in {
        "text called .jpg": b"this is not a picture\n",
        "one byte": b"\xff",
        "zeros": bytes(1000),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "html": b"<!DOCTYPE html><title>404</title>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "avif": saved(photo()[:64, :64], "AVIF"),
        "icon": saved(photo()[:64, :64], "ICO"),
        "portable pixmap": saved(photo()[:64, :64], "PPM"),
        "targa": saved(photo()[:64, :64], "TGA"),
        "riff but no picture": b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    }.items():
        yield Case(name, data, reason="UnsupportedFormat")


def bomb(width: int, height: int) -> bytes:
    """A valid PNG of one colour: a few kilobytes that unpack to `width` x `height`."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _sized_zero(jpeg: bytes, at: int) -> bytes:
    return jpeg[:at] + bytes(4) + jpeg[at + 4 :]


def _many_scans() -> bytes:
    """A progressive JPEG whose last scan stands there a thousand times."""
    data = saved(photo()[:64, :64], "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 1000 + b"\xff\xd9"
