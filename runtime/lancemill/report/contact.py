"""Pictures for people: small copies of whatever a column holds, of the input beside the output.

A value is taken for what it is, not for what its column is called: an Arrow picture (IMAGE or
tensor) by its type, bytes by their first few. What cannot be shown gives None and never an error:
a page that fails because of a broken picture would hide the very picture that one looks for.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lancemill import figures

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from PIL.Image import Image

SMALL = 160
"""Longest side of a thumbnail."""
LARGE = 320
"""Longest side where there is room: sharp on dense screens, and something to enlarge."""
PAGE_BUDGET = 2_000_000
"""Bytes that a page's pictures may have before base64 adds a third."""
MOST_PIXELS = 100_000_000
"""Larger pictures are not decoded for a thumbnail."""
THREADS = 2
"""Thumbnails made at a time: each may hold a picture of `MOST_PIXELS` while it is."""

_MAGIC = re.compile(
    rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<GIF>GIF8[79]a)"
    rb"|(?P<TIFF>II\*\x00|MM\x00\*|II\+\x00|MM\x00\+)|(?P<BMP>BM)|(?P<WebP>RIFF....WEBP)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A small copy as WebP, and what the original was."""

    data: bytes
    width: int
    height: int
    about: str
    """The original in words: its kind, its sides and its size."""

    @property
    def uri(self) -> str:
        """A `data:` URI, so that the page needs no other file."""
        return "data:image/webp;base64," + base64.b64encode(self.data).decode("ascii")


@dataclass(frozen=True, slots=True)
class Pair:
    """A row's picture before and after."""

    key: str
    before: Picture | None
    after: Picture | None


def pictures_of_pairs(
    rows: Iterable[tuple[str, object, object]], budget: int = PAGE_BUDGET
) -> list[Pair]:
    """Thumbnails of (key, input, output) rows, `LARGE` where the budget allows it, else `SMALL`."""
    given = list(rows)
    return _pairs(given, LARGE, budget) or _pairs(given, SMALL, None) or []


def thumbnail(value: object, side: int = SMALL) -> Picture | None:
    """A small copy of `value`: bytes of an image file, an IMAGE struct as a dict, or pixels."""
    with warnings.catch_warnings(action="ignore"):  # of decoders, about metadata: of no use here
        return _thumbnail(value, side)


def thumbnails(values: Iterable[object], side: int = SMALL) -> list[Picture | None]:
    """The same for many values, some at a time."""
    # Around all threads, not in each: until Python 3.14 who hears of a warning is the process's.
    with warnings.catch_warnings(action="ignore"), ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(partial(_thumbnail, side=side), values))


def file_kind(data: bytes) -> str | None:
    """`JPEG`, `PNG`, … by the first bytes; None where it is no picture."""
    found = _MAGIC.match(data[:16])
    return found.lastgroup if found else None


def picture_columns(table: pa.Table) -> list[str]:
    """Columns that hold pictures: by type, or bytes that begin as image files do."""
    from lancemill.media.types import is_picture

    return [
        field.name
        for field in table.schema
        if is_picture(field.type)
        or (_is_bytes(field.type) and _holds_files(table.column(field.name)))
    ]


def picture_rows(column: pa.ChunkedArray) -> Iterator[object]:
    """A picture column's values as `thumbnail` takes them, one at a time and without copies."""
    from lancemill.media.types import ByteRows, PictureRows, is_picture

    for chunk in column.chunks:
        rows = PictureRows(chunk) if is_picture(column.type) else ByteRows(chunk)
        for row in range(len(rows)):
            yield rows[row]


def text_rows(table: pa.Table, columns: Sequence[str]) -> list[list[str]]:
    """Columns that are no pictures, as short text."""
    return [
        [_short(value) for value in row]
        for row in zip(*(table.column(name).to_pylist() for name in columns), strict=True)
    ]


def _thumbnail(value: object, side: int) -> Picture | None:
    if value is None:
        return None
    try:
        if isinstance(value, bytes | bytearray | memoryview):
            return _of_file(bytes(value), side)
        pixels = _pixels(value)
        return None if pixels is None else _of_pixels(pixels, side)
    except Exception:  # whatever a hostile file does to a decoder, the page goes on without it
        return None


def _pairs(
    rows: Sequence[tuple[str, object, object]], side: int, budget: int | None
) -> list[Pair] | None:
    """The pairs; None where they weigh more than `budget`."""
    made = iter(thumbnails((value for _, *both in rows for value in both), side))
    pairs = [Pair(key, next(made), next(made)) for key, _, _ in rows]
    weight = sum(len(one.data) for pair in pairs for one in (pair.before, pair.after) if one)
    return pairs if budget is None or weight <= budget else None


def _is_bytes(kind: pa.DataType) -> bool:
    from lancemill.ops.operation import is_binary

    return is_binary(kind)


def _holds_files(column: pa.ChunkedArray) -> bool:
    first = (value for chunk in column.chunks for value in chunk if value.is_valid)
    return any(
        file_kind(value.as_py()[:16]) is not None for value, _ in zip(first, range(8), strict=False)
    )


def _pixels(value: object) -> npt.NDArray[Any] | None:
    import numpy as np

    if isinstance(value, Mapping):
        if value.get("data") is None:
            return None
        shape = (value["height"], value["width"], value["channels"])
        return np.frombuffer(value["data"], np.uint8).reshape(shape)
    pixels = np.asarray(value)
    fits = pixels.dtype == np.uint8 and pixels.ndim in (2, 3) and pixels.size > 0
    return pixels if fits else None


def _of_pixels(pixels: npt.NDArray[Any], side: int) -> Picture | None:
    import numpy as np
    from PIL import Image

    about = f"uint8 {_times(pixels.shape)}"
    flat = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if flat.ndim == 3 and flat.shape[2] not in (3, 4):
        return None
    return _small(Image.fromarray(np.ascontiguousarray(flat)), side, about)


def _of_file(data: bytes, side: int) -> Picture | None:
    kind = file_kind(data)
    if kind is None:
        return None
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
        about = f"{kind} {_times(image.size)}, {figures.size(len(data))}"
        if image.width * image.height > MOST_PIXELS:
            return None
        return _small(_loaded(image, data, kind, side), side, about)


def _loaded(image: Image, data: bytes, kind: str, side: int) -> Image:
    """The picture upright, in a mode that WebP has; as much of a cut-off JPEG as there is."""
    from PIL import Image, ImageOps

    if kind == "JPEG":
        image.draft("RGB", (2 * side, 2 * side))
    try:
        image.load()
    except OSError:
        if kind != "JPEG":
            raise
        import simplejpeg

        image = Image.fromarray(simplejpeg.decode_jpeg(data, strict=False))
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I"):  # 16 bit: Pillow's own conversion cuts at 255
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    return image


def _small(image: Image, side: int, about: str) -> Picture:
    has_alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    mode = "RGBA" if has_alpha else "RGB"
    shown = image if image.mode == mode else image.convert(mode)
    shown.thumbnail((side, side))
    out = io.BytesIO()
    shown.save(out, "WEBP", quality=76, method=2, lossless=max(shown.size) <= 32)
    return Picture(out.getvalue(), shown.width, shown.height, about)


def _times(sides: Sequence[int]) -> str:
    return "\N{MULTIPLICATION SIGN}".join(str(side) for side in sides)


def _short(value: object, limit: int = 60) -> str:
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > 4:
        head = ", ".join(_short(one, 12) for one in value[:3])
        return f"[{head}, … {len(value):,} values]"
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
