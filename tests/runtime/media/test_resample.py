"""One filter, whatever is asked of it and whoever applies it."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lancemill.media import resample as module
from lancemill.media.compiled import Resample, compiled
from lancemill.media.decoding import Resizing, resize
from lancemill.media.geometry import Frame
from lancemill.media.resample import by_pillow, resample
from lancemill.media.types import Pixels
from support.corpus import photo
from support.scaling import psnr, triangle


def machine(portable: bool) -> Resample:
    """The compiled filter. `make setup` compiles it where there is a C compiler."""
    found = compiled(portable)
    if found is None and not os.environ.get("CI"):
        pytest.skip("the filter was not compiled: no C compiler")
    assert found is not None
    return found


def scaled(source: Pixels, width: int, height: int) -> Pixels:
    out = np.empty((height, width, source.shape[2]), np.uint8)
    resample(source, (0, 0, source.shape[1], source.shape[0]), out)
    return out


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Pixels, tuple[float, float, float, float], int, int]:
    """A picture, a box of it and a size: anything that a frame's layout may ask for."""
    sides = st.integers(1, 90) | st.integers(1, 700)
    height, width = draw(sides), draw(st.integers(1, 90))
    if draw(st.booleans()):
        height, width = width, height
    box: list[float] = []
    for side in (width, height):
        low = draw(st.just(0.0) | st.floats(0, side - 0.5))
        high = draw(st.just(float(side)) | st.floats(low + 0.25, side))
        box += [low, high]
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = height, width, draw(st.sampled_from([1, 3]))
    source = noise.integers(0, 256, shape, dtype=np.uint8)
    if draw(st.booleans()):
        source = np.where(source > 127, 255, 0).astype(np.uint8)
    return source, (box[0], box[2], box[1], box[3]), draw(st.integers(1, 80)), draw(sides)


@pytest.mark.parametrize("portable", [False, True])
@settings(max_examples=150, deadline=None)
@given(task=tasks())
def test_the_compiled_filter_gives_the_bits_that_pillow_gives(
    portable: bool, task: tuple[Pixels, tuple[float, float, float, float], int, int]
) -> None:
    source, box, width, height = task
    by_machine = machine(portable)
    made, expected = (np.empty((height, width, source.shape[2]), np.uint8) for _ in range(2))
    by_machine(source, box, made)
    by_pillow(source, box, expected)
    assert np.array_equal(made, expected)


def test_where_nothing_was_compiled_pillow_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = scaled(photo(), 224, 150)
    monkeypatch.setattr(module, "compiled", lambda: None)
    assert np.array_equal(scaled(photo(), 224, 150), expected)


@pytest.mark.parametrize("portable", [False, True])
def test_views_of_every_kind_are_read_and_written(portable: bool) -> None:
    by_machine = machine(portable)
    source = photo()
    for view in (source[10:200, 20:320], source[::-1], source[:, ::-1], source.transpose(1, 0, 2)):
        expected = np.empty((40, 50, 3), np.uint8)
        box = 0, 0, view.shape[1], view.shape[0]
        by_pillow(np.ascontiguousarray(view), box, expected)
        batch = np.full((3, 60, 80, 3), 7, np.uint8)
        outs = batch[0, 5:45, 10:60], batch[1, :50, :40].transpose(1, 0, 2), batch[2, :40, 49::-1]
        for out in outs:
            by_machine(view, box, out)
            assert np.array_equal(out, expected)
            out[...] = 7
        assert (batch == 7).all()


@pytest.mark.parametrize(
    ("width", "height"),
    [(451, 300), (450, 299), (300, 200), (225, 150), (150, 100), (113, 75), (90, 60), (50, 33)],
)
def test_a_reduction_is_the_textbook_filter_within_50_db(width: int, height: int) -> None:
    source = photo()
    if (width, height) == (451, 300):
        assert np.array_equal(scaled(source, width, height), source)
    assert psnr(scaled(source, width, height), triangle(source, width, height)) >= 50


@pytest.mark.parametrize(("width", "height"), [(902, 600), (1000, 301), (600, 100), (100, 600)])
def test_enlarging_is_bilinear_and_sides_may_go_different_ways(width: int, height: int) -> None:
    source = photo()
    assert psnr(scaled(source, width, height), triangle(source, width, height)) >= 40


def test_a_photo_made_smaller_is_what_pillow_itself_gives() -> None:
    wanted = Image.fromarray(photo()).resize((100, 66), Image.Resampling.BILINEAR)
    assert np.array_equal(scaled(photo(), 100, 66), np.asarray(wanted))


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


def test_a_very_long_picture_is_stretched_evenly() -> None:
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


def test_what_is_transparent_does_not_bleed_into_what_is_not() -> None:
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[:, 20:] = (255, 0, 0, 255)
    picture[:, :20] = (0, 255, 0, 0)
    small = scaled(picture, 9, 9)
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
