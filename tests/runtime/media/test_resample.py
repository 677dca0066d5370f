"""The fast engine and the exact one apply the same filter, whatever is asked of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from lancemill.media.decoding import Resizing, resize
from lancemill.media.geometry import Frame
from lancemill.media.resample import Quality, resample
from lancemill.media.types import Pixels
from support.corpus import photo
from support.scaling import psnr, triangle


def scaled(source: Pixels, width: int, height: int, quality: Quality = "fast") -> Pixels:
    out = np.empty((height, width, source.shape[2]), np.uint8)
    resample(source, (0, 0, source.shape[1], source.shape[0]), out, quality)
    return out


@pytest.mark.parametrize(
    ("width", "height"),
    [(451, 300), (450, 299), (300, 200), (225, 150), (150, 100), (113, 75), (90, 60), (50, 33)],
)
def test_fast_reduction_is_the_textbook_filter_within_45_db(width: int, height: int) -> None:
    source = photo()
    if (width, height) == (451, 300):
        assert np.array_equal(scaled(source, width, height), source)
    assert psnr(scaled(source, width, height), triangle(source, width, height)) >= 45


@pytest.mark.parametrize(("width", "height"), [(902, 600), (1000, 301), (600, 100), (100, 600)])
def test_enlarging_is_bilinear_and_sides_may_go_different_ways(width: int, height: int) -> None:
    source = photo()
    assert psnr(scaled(source, width, height), triangle(source, width, height)) >= 40


def test_exact_is_what_pillow_gives_bit_for_bit() -> None:
    by_pillow = Image.fromarray(photo()).resize((100, 66), Image.Resampling.BILINEAR)
    assert np.array_equal(scaled(photo(), 100, 66, "exact"), np.asarray(by_pillow))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
@pytest.mark.parametrize("side", [7, 29, 40, 66, 99, 120, 300])
def test_a_flat_colour_stays_what_it_is(value: int, side: int) -> None:
    flat = np.full((100, 120, 3), value, np.uint8)
    assert np.unique(scaled(flat, side, side)).tolist() == [value]


def test_thin_and_long_pictures_are_scaled_as_any() -> None:
    for height, width in ((3, 1000), (1, 40_000), (40_000, 1), (1, 1)):
        source = np.full((height, width, 3), 90, np.uint8)
        assert np.unique(scaled(source, 224, 224)).tolist() == [90]
        assert np.unique(scaled(source, 1, 224)).tolist() == [90]


def test_a_picture_longer_than_opencv_can_warp_is_stretched_all_the_same() -> None:
    ramp = np.linspace(0, 255, 40_000).round().astype(np.uint8)
    made = scaled(np.tile(ramp[None, :, None], (2, 1, 3)), 16_384, 2)[0, :, 0]
    assert int(np.abs(made - np.linspace(0, 255, 16_384)).max()) <= 1


@pytest.mark.parametrize("turned", [False, True])
def test_the_longest_picture_may_have_an_odd_side_and_stay_long(turned: bool) -> None:
    ramp = np.linspace(0, 255, 65_535).round().astype(np.uint8)
    source = np.tile(ramp[None, :, None], (11, 1, 3))
    if turned:
        made = scaled(source.transpose(1, 0, 2).copy(), 5, 3000)[:, 0, 0]
    else:
        made = scaled(source, 3000, 5)[0, :, 0]
    assert int(np.abs(made - np.linspace(0, 255, 3000)).max()) <= 1


@pytest.mark.parametrize("width", [449, 450, 453, 485, 640, 720])
def test_a_whole_picture_goes_the_quicker_way_even_where_its_size_divides_badly(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "warpAffine", None)  # (450 / 224) * 224 is not 450
    source = np.ascontiguousarray(photo()[:300, :width]).repeat(2, axis=1)[:, :width]
    assert psnr(scaled(source, 224, 224), triangle(source, 224, 224)) >= 40


def test_what_is_transparent_does_not_bleed_into_what_is_not() -> None:
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[:, 20:] = (255, 0, 0, 255)
    picture[:, :20] = (0, 255, 0, 0)
    for quality in ("fast", "exact"):
        small = scaled(picture, 9, 9, quality)  # type: ignore[arg-type]
        seen = small[small[:, :, 3] > 0]
        assert int(seen[:, 1].max()) <= 2


def test_the_result_goes_into_the_buffer_that_is_given_and_nowhere_else() -> None:
    batch = np.full((3, 50, 60, 3), 111, np.uint8)
    resizing = Resizing(Frame(60, 50, "contain"), background=(1, 2, 3))
    made = resize(photo(), resizing, resizing.canvas(3), batch[1])
    assert np.shares_memory(made, batch)
    assert (batch[0] == 111).all()
    assert (batch[2] == 111).all()
    assert batch[1, 0, 0].tolist() == [1, 2, 3]
    assert psnr(batch[1, 5:45], triangle(photo(), 60, 40)) >= 45


def test_grey_goes_the_same_way_as_colour() -> None:
    grey = np.ascontiguousarray(photo()[:, :, :1])
    assert psnr(scaled(grey, 100, 66), scaled(photo(), 100, 66)[:, :, :1]) >= 60
