"""Every odd or broken file is either right or refused for the right reason; nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from lancemill.media.decoding import Resizing, Wanted, decode, decode_to, resize
from lancemill.media.faults import PictureError
from lancemill.media.geometry import Frame
from lancemill.media.types import Pixels
from support.corpus import PHOTOS, Case, as_stored, corpus, photo, saved
from support.scaling import contained, psnr

READABLE = [case for case in corpus() if case.right is not None]
BROKEN = [case for case in corpus() if case.reason is not None]
NATURAL = [case for case in READABLE if case.natural]


def pixels(case: Case) -> Pixels:
    assert case.right is not None
    return case.right


def fitted(data: bytes, side: int, quality: str) -> Pixels:
    resizing = Resizing(Frame(side, side, "contain"), quality=quality)  # type: ignore[arg-type]
    return decode_to(memoryview(data), Wanted(), resizing, resizing.canvas(3))


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_a_readable_file_gives_the_pixels_that_another_decoder_gives(case: Case) -> None:
    got = decode(memoryview(case.data), Wanted())
    assert got.shape == pixels(case).shape
    assert int(np.abs(got.astype(int) - pixels(case)).max()) <= case.tolerance
    assert psnr(got, pixels(case)) >= 48


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_file_is_refused_for_its_reason(case: Case) -> None:
    with pytest.raises(PictureError) as refusal:
        decode(memoryview(case.data), Wanted())
    assert refusal.value.reason == case.reason
    assert refusal.value.message


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_a_broken_file_is_refused_at_a_reduced_scale_too(case: Case) -> None:
    with pytest.raises(PictureError) as refusal:
        fitted(case.data, 24, "fast")
    assert refusal.value.reason == case.reason


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_exact_resizing_is_the_textbook_filter_on_every_pixel(case: Case) -> None:
    got = fitted(case.data, 100, "exact")
    assert psnr(got, contained(pixels(case), 100, 100)) >= 50


@pytest.mark.parametrize("side", [224, 112, 56, 28])
def test_fast_resizing_of_photos_keeps_45_db_typically_and_40_at_worst(side: int) -> None:
    measured = {
        case.name: psnr(fitted(case.data, side, "fast"), contained(pixels(case), side, side))
        for case in NATURAL
    }
    assert float(np.median(list(measured.values()))) >= 45
    assert min(measured.values()) >= 40, min(measured, key=lambda name: measured[name])


@pytest.mark.parametrize("case", READABLE, ids=lambda case: case.name)
def test_fast_resizing_puts_the_picture_in_the_same_place_as_exact(case: Case) -> None:
    fast, exact = fitted(case.data, 100, "fast"), fitted(case.data, 100, "exact")
    assert fast.shape == exact.shape
    assert psnr(fast, exact) >= 30


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("fit", ["contain", "cover", "fill"])
def test_a_turned_jpeg_is_laid_out_as_its_upright_view(turn: int, fit: str) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = turn
    view = photo(PHOTOS[1])[:, :523]
    turned = saved(as_stored(view, turn), "JPEG", quality=95, subsampling=0, exif=exif)
    upright = saved(view, "JPEG", quality=95, subsampling=0)
    frame = Frame(97, 61, fit, anchor="top-left")  # type: ignore[arg-type]
    resizing = Resizing(frame)
    canvas = resizing.canvas(3)
    got = decode_to(memoryview(turned), Wanted(), resizing, canvas)
    wanted = decode_to(memoryview(upright), Wanted(), resizing, canvas)
    assert psnr(got, wanted) >= 40


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("fit", ["contain", "cover", "fill"])
def test_exact_resizing_of_a_turned_picture_is_that_of_its_upright_pixels_bit_for_bit(
    turn: int, fit: str
) -> None:
    (case,) = (case for case in READABLE if case.name == f"png turned {turn}")
    resizing = Resizing(Frame(97, 61, fit), quality="exact")  # type: ignore[arg-type]
    canvas = resizing.canvas(3)
    got = decode_to(memoryview(case.data), Wanted(), resizing, canvas)
    assert np.array_equal(got, resize(pixels(case), resizing, canvas))


def test_orientation_can_be_ignored() -> None:
    (case,) = (case for case in READABLE if case.name == "tiff turned 6")
    got = decode(memoryview(case.data), Wanted(upright=False))
    assert np.array_equal(got, as_stored(pixels(case), 6))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_ignored_orientation_gives_the_picture_as_stored(kind: str) -> None:
    (case,) = (case for case in READABLE if case.name == f"{kind} turned 8")
    got = decode(memoryview(case.data), Wanted(upright=False))
    assert got.shape[:2] == pixels(case).shape[1::-1]


def test_grey_and_alpha_modes_have_their_channels() -> None:
    for case in READABLE:
        height, width, _ = pixels(case).shape
        for mode, channels in (("L", 1), ("RGBA", 4)):
            wanted = Wanted(mode)  # type: ignore[arg-type]
            assert decode(memoryview(case.data), wanted).shape == (height, width, channels)


def test_alpha_is_kept_where_it_is_asked_for() -> None:
    (case,) = (case for case in READABLE if case.name == "png RGBA")
    alpha = decode(memoryview(case.data), Wanted("RGBA"))[:, :, 3]
    assert (int(alpha.min()), int(alpha.max())) == (0, 255)


def test_the_pixel_cap_is_the_largest_size_that_is_read() -> None:
    data = memoryview(saved(photo(), "JPEG"))
    size = photo().shape[0] * photo().shape[1]
    assert decode(data, Wanted(max_pixels=size)).shape == photo().shape
    with pytest.raises(PictureError, match="135300 pixels, allowed are 135299") as refusal:
        decode(data, Wanted(max_pixels=size - 1))
    assert refusal.value.reason == "TooManyPixels"
