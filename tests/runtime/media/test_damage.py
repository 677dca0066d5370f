"""Damage is found wherever it can be known, and what cannot be known is said to be so."""

from __future__ import annotations

import random

import cv2
import numpy as np
import pytest
from PIL import ImageFile

from lancemill.media.decoding import Resizing, Wanted, decode, decode_to
from lancemill.media.faults import PictureError
from lancemill.media.geometry import Frame
from lancemill.media.types import Pixels
from support.corpus import SEED, bit_flipped, by_opencv, corpus, photo, saved


def attempted(data: bytes) -> Pixels | PictureError:
    try:
        return decode(memoryview(data), Wanted())
    except PictureError as error:
        return error


def noticed_by_opencv(data: bytes, capfd: pytest.CaptureFixture[str]) -> bool:
    """Whether OpenCV's own libjpeg-turbo gives up or warns, which it does on standard error."""
    capfd.readouterr()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return picture is None or bool(capfd.readouterr().err)


def test_every_flipped_bit_that_another_decoder_notices_is_a_fault(
    capfd: pytest.CaptureFixture[str],
) -> None:
    noticed = [data for data in bit_flipped(240) if noticed_by_opencv(data, capfd)]
    assert len(noticed) >= 30
    for data in noticed:
        assert isinstance(attempted(data), PictureError)


def test_a_flipped_bit_that_leaves_a_valid_jpeg_gives_what_its_bytes_say(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Such a file cannot be told from one that was meant so: no decoder finds anything wrong."""
    silent = [data for data in bit_flipped(240) if not noticed_by_opencv(data, capfd)]
    assert len(silent) >= 100
    for data in silent:
        got = attempted(data)
        assert not isinstance(got, PictureError), got
        assert int(np.abs(got.astype(int) - by_opencv(data)).max()) <= 6


def test_damage_is_found_the_same_at_full_size_and_at_reduced_scale() -> None:
    resizing = Resizing(Frame(32, 32, "cover"))
    canvas = resizing.canvas(3)
    for data in bit_flipped(90):
        whole = attempted(data)
        try:
            small = decode_to(memoryview(data), Wanted(), resizing, canvas)
        except PictureError as error:
            assert isinstance(whole, PictureError)
            assert error.reason == whole.reason
        else:
            assert not isinstance(whole, PictureError)
            assert small.shape == (32, 32, 3)


def test_a_jpeg_cut_at_any_byte_is_truncated() -> None:
    data = saved(photo()[:60, :80], "JPEG", quality=80)
    for end in range(4, len(data)):
        refusal = attempted(data[:end])
        assert isinstance(refusal, PictureError)
        assert refusal.reason == "Truncated", (end, refusal.message)


def test_a_png_with_any_bit_flipped_is_refused() -> None:
    data = saved(photo()[:40, :50], "PNG")
    draw = random.Random(SEED)
    for _ in range(300):
        at = draw.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        refusal = attempted(flipped)
        assert isinstance(refusal, PictureError), at
        assert refusal.reason in {"Corrupt", "Truncated", "UnsupportedFormat"}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_file_cut_anywhere_is_refused_or_has_lost_no_pixel(kind: str) -> None:
    data = saved(photo()[:40, :50], kind)
    whole = attempted(data)
    assert not isinstance(whole, PictureError)
    for end in range(16, len(data)):
        got = attempted(data[:end])
        if isinstance(got, PictureError):
            assert got.reason in {"Truncated", "Corrupt"}
        else:
            assert np.array_equal(got, whole), end


def test_cuts_are_found_though_another_library_lets_pillow_load_truncated_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for case in corpus():
        if case.reason == "Truncated":
            refusal = attempted(case.data)
            assert isinstance(refusal, PictureError), case.name
            assert refusal.reason == "Truncated"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "tiff", "bmp"])
def test_noise_behind_a_right_beginning_is_a_fault_and_never_another_exception(kind: str) -> None:
    draw = random.Random(SEED)
    start = saved(photo()[:40, :50], kind.upper())
    for _ in range(60):
        keep = draw.randrange(12, len(start) // 2)
        got = attempted(start[:keep] + draw.randbytes(600))
        assert isinstance(got, PictureError | np.ndarray)
