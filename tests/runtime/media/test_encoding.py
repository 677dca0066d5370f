"""What is encoded can be decoded by others, and comes out the same each time."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lancemill.media.encoding import encode
from lancemill.media.faults import EncodingError
from support.corpus import grey, over_white, photo
from support.scaling import psnr


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("target", ["png", "bmp"])
def test_lossless_formats_keep_every_pixel(target: str) -> None:
    for pixels in (photo(), grey(photo())[:, :, None]):
        data = encode(pixels, target)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(opened(data)), pixels.squeeze())


@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_quality_trades_bytes_for_fidelity(target: str) -> None:
    low = encode(photo(), target, 30)  # type: ignore[arg-type]
    high = encode(photo(), target, 95)  # type: ignore[arg-type]
    assert len(low) < len(high) / 2
    assert psnr(np.asarray(opened(high).convert("RGB")), photo()) > 33
    assert psnr(np.asarray(opened(low).convert("RGB")), photo()) > 27


@pytest.mark.parametrize("target", ["jpeg", "png", "webp", "bmp"])
def test_the_same_pixels_give_the_same_bytes_in_the_format_asked_for(target: str) -> None:
    data = encode(photo(), target)  # type: ignore[arg-type]
    assert encode(photo().copy(), target) == data  # type: ignore[arg-type]
    assert opened(data).format == target.upper()


def test_alpha_is_kept_by_png_and_laid_over_white_by_jpeg_and_bmp() -> None:
    alpha = np.tile(np.linspace(0, 255, 451), (300, 1)).astype(np.uint8)
    pixels = np.dstack([photo(), alpha])
    assert np.array_equal(np.asarray(opened(encode(pixels, "png"))), pixels)
    white = over_white(photo(), alpha)
    assert psnr(np.asarray(opened(encode(pixels, "bmp"))), white) > 50
    assert psnr(np.asarray(opened(encode(pixels, "jpeg", 95))), white) > 33


def test_a_side_that_the_format_cannot_hold_is_refused_by_name() -> None:
    long = np.zeros((1, 16_384, 3), np.uint8)
    with pytest.raises(EncodingError, match="webp holds at most 16383 a side") as refusal:
        encode(long, "webp")
    assert refusal.value.reason == "TooLargeForFormat"
