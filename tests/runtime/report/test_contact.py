"""Thumbnails and contact sheets, from real pictures and from broken ones."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from rich.console import Console

from lancemill.media.types import image_array, tensor_array
from lancemill.report.contact import (
    file_kind,
    picture_columns,
    picture_rows,
    pictures_of_pairs,
    thumbnail,
    thumbnails,
)
from lancemill.report.sheet import make_sheet, terminal_table, write_sheet
from support.material import pictures

DISTINCT = np.zeros((60, 40, 3), np.uint8)
DISTINCT[:30] = (250, 20, 20)
DISTINCT[30:] = (20, 20, 250)


def real(name: str) -> bytes:
    (path,) = (path for path in pictures() if path.name == name)
    return path.read_bytes()


def shown(value: object, side: int = 160) -> Image.Image:
    picture = thumbnail(value, side)
    assert picture is not None
    image = Image.open(io.BytesIO(picture.data))
    assert image.size == (picture.width, picture.height)
    return image


def rgb(image: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    pixel = image.convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return pixel


def test_every_real_picture_that_pillow_reads_becomes_a_small_webp() -> None:
    for path in pictures():
        if path.name == "multipage_rgb.tif":  # 64 bit floats
            continue
        image = shown(path.read_bytes())
        assert image.format == "WEBP"
        assert max(image.size) <= 160


def test_a_thumbnail_says_what_the_original_was() -> None:
    picture = thumbnail(real("china.jpg"))
    assert picture is not None
    assert picture.about == "JPEG 640\N{MULTIPLICATION SIGN}427, 197 kB"
    assert picture.uri.startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    "value",
    [
        DISTINCT,
        {"data": DISTINCT.tobytes(), "height": 60, "width": 40, "channels": 3},
    ],
    ids=["array", "struct"],
)
def test_decoded_pixels_are_shown_with_their_colours(value: object) -> None:
    image = shown(value)
    assert image.size == (40, 60)
    assert rgb(image, (20, 5)) == pytest.approx((250, 20, 20), abs=12)
    assert rgb(image, (20, 55)) == pytest.approx((20, 20, 250), abs=12)


def test_grey_and_transparent_pixels_are_shown() -> None:
    assert rgb(shown(np.full((20, 20, 1), 90, np.uint8)), (10, 10)) == pytest.approx(
        (90,) * 3, abs=4
    )
    clear = np.zeros((20, 20, 4), np.uint8)
    assert shown(clear).convert("RGBA").getpixel((10, 10))[3] == 0  # type: ignore[index]


def test_orientation_is_applied_as_every_viewer_does() -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.fromarray(DISTINCT).save(out, "JPEG", exif=exif, quality=95)
    image = shown(out.getvalue())
    assert image.size == (60, 40)
    assert rgb(image, (55, 20))[0] > 200  # what was on top is on the right


def test_16_bit_pictures_are_scaled_and_not_cut() -> None:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8), 0x8000, np.uint16)).save(out, "PNG")
    assert rgb(shown(out.getvalue()), (4, 4)) == pytest.approx((127,) * 3, abs=3)


def test_of_a_jpeg_that_is_cut_off_the_rest_is_shown() -> None:
    image = shown(real("china.jpg")[:90_000])
    assert image.size == (160, 107)
    top = np.asarray(image.convert("RGB"))[:20].std()
    assert top > 5


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"plain text",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
        {"data": b"123", "height": 5, "width": 5, "channels": 3},
        {"data": None, "height": None, "width": None, "channels": None},
        np.zeros((4, 4), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 7), np.uint8),
        "text",
        17,
    ],
    ids=repr,
)
def test_what_cannot_be_shown_is_none_and_no_error(value: object) -> None:
    assert thumbnail(value) is None


def test_many_thumbnails_are_those_of_one_after_the_other_in_their_order() -> None:
    values = [*(path.read_bytes() for path in pictures()), None, b"no picture", DISTINCT]
    before = list(warnings.filters)
    assert thumbnails(values * 2) == [thumbnail(value) for value in values] * 2
    assert warnings.filters == before


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    header = real("chessboard_GRAY.png")
    huge = header[:16] + (60_000).to_bytes(4, "big") * 2 + header[24:]
    assert thumbnail(huge) is None


def test_file_kinds_are_told_by_their_first_bytes() -> None:
    assert file_kind(real("china.jpg")) == "JPEG"
    assert file_kind(real("brick.png")) == "PNG"
    assert file_kind(real("no_time_for_that_tiny.gif")) == "GIF"
    assert file_kind(real("multipage.tif")) == "TIFF"
    assert file_kind(b"RIFF\x10\0\0\0WEBPVP8 ") == "WebP"
    assert file_kind(b"RIFF\x10\0\0\0WAVEfmt ") is None


def test_pairs_are_as_large_as_the_budget_allows() -> None:
    rows = [("a", real("grass.png"), real("gravel.png"))]
    (large,) = pictures_of_pairs(rows)
    (small,) = pictures_of_pairs(rows, budget=30_000)
    assert large.before is not None
    assert small.before is not None
    assert (large.before.width, small.before.width) == (320, 160)


def table() -> pa.Table:
    files = [path.read_bytes() for path in pictures()[:6]]
    fitted = [
        np.asarray(ImageOps.pad(Image.open(io.BytesIO(data)).convert("RGB"), (32, 32)))
        for data in files
    ]
    return pa.table(
        {
            "key": [f"photos/größe-{row}.jpg" for row in range(6)],
            "fixed": tensor_array(np.stack(fitted)),
            "any": image_array([DISTINCT, None, DISTINCT, DISTINCT, DISTINCT, DISTINCT]),
            "file": pa.array([None, *files[1:]], pa.large_binary()),
            "blob": pa.array([b"not a picture"] * 6),
            "embedding": pa.array([[0.25] * 512] * 6, pa.list_(pa.float32(), 512)),
            "nothing": pa.nulls(6),
        }
    )


def test_picture_columns_are_found_by_type_and_by_content_not_by_name() -> None:
    assert picture_columns(table()) == ["fixed", "any", "file"]


def test_rows_of_a_sliced_and_chunked_column_are_the_right_ones() -> None:
    sliced = pa.concat_tables([table(), table()]).slice(4, 4)
    values = list(picture_rows(sliced.column("fixed")))
    expected = list(picture_rows(table().column("fixed")))
    assert len(values) == 4
    for value, row in zip(values, (4, 5, 0, 1), strict=True):
        np.testing.assert_array_equal(value, expected[row])  # type: ignore[arg-type]


def test_a_sheet_is_written_as_html_that_loads_nothing_and_escapes_values(tmp_path: Path) -> None:
    hostile = table().set_column(0, "key", pa.array(["<script>alert(1)</script>"] * 6))
    write_sheet(make_sheet(hostile, "<b>cats</b>", "6 rows"), tmp_path / "sheet.html")
    html = (tmp_path / "sheet.html").read_text("utf-8")
    assert html.count('src="data:image/webp;base64,') == 6 + 5 + 5
    assert "no any to show" in html
    assert "<script" not in html
    assert "<b>cats" not in html
    assert "[0.25, 0.25, 0.25, … 512 values]" in html
    assert "http://" not in html.replace("http-equiv", "")


def test_a_sheet_is_written_as_png_with_each_rows_first_picture(tmp_path: Path) -> None:
    write_sheet(make_sheet(table(), "cats"), tmp_path / "sheet.png")
    image = Image.open(tmp_path / "sheet.png")
    assert image.size == (6 * 192 + 12, 180 + 18 + 24)
    assert len({rgb(image, (12 + 192 * at + 90, 12 + 90)) for at in range(6)}) > 3


def test_a_table_without_rows_makes_an_empty_sheet(tmp_path: Path) -> None:
    sheet = make_sheet(table().slice(0, 0), "cats")
    write_sheet(sheet, tmp_path / "sheet.html")
    write_sheet(sheet, tmp_path / "sheet.png")
    assert "There are no rows." in (tmp_path / "sheet.html").read_text("utf-8")


def test_a_terminal_gets_the_columns_that_are_no_pictures() -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(terminal_table(make_sheet(table(), "cats", first_row=10)))
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["row", "key", "blob", "embedding", "nothing"]
    assert "photos/größe-5.jpg" in lines[-1]
    assert lines[-1].split()[0] == "15"
