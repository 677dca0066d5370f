"""Whether a case did the work: every row there, and its pixels those of its picture.

Nobody wins by doing less. Filters are a matter of choice (bilinear and bicubic are 38 dB apart at
the worst), so a picture has to be near to a full decode under any antialiased filter of Pillow's.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.case import SIDE, dataset
from benchmarks.corpus import paths
from benchmarks.device import scores

LEAST = 35.0
"""Decibels."""
SAMPLE = 12
Pixels = npt.NDArray[np.uint8]


class WrongOutputError(Exception):
    """A case's output is not what it should be."""


def check(out: Path, source: Path, scored: bool) -> float:
    """The worst PSNR of the sample; raises `WrongOutputError`."""
    import lance

    table = lance.dataset(dataset(out))
    files = {path.name: path for path in paths(source)}
    keys = table.to_table(columns=["key"]).column("key").to_pylist()
    if sorted(os.path.basename(key) for key in keys) != sorted(files):  # noqa: PTH119
        raise WrongOutputError(f"{len(keys)} rows for {len(files)} pictures, or not theirs")
    at = np.linspace(0, len(keys) - 1, min(SAMPLE, len(keys))).astype(int).tolist()
    rows = table.take(at)
    images = [_pixels(row) for row in rows.column("image").combine_chunks()]
    names = [os.path.basename(keys[row]) for row in at]  # noqa: PTH119
    if scored:
        _check_scores(images, rows.column("score").to_pylist())
    worst = min(_quality(image, files[name]) for image, name in zip(images, names, strict=True))
    if worst < LEAST:
        raise WrongOutputError(
            f"a picture is {worst:.1f} dB from its reference, at least {LEAST} expected"
        )
    return worst


def _pixels(value: Any) -> Pixels:
    """One value of whatever Arrow type a system stores a tensor in."""
    value = getattr(value, "value", value)
    array = np.asarray(getattr(value, "values", value), dtype=np.uint8)
    if array.size != SIDE * SIDE * 3:
        raise WrongOutputError(f"a picture of {array.size} values, expected {SIDE}x{SIDE}x3")
    return array.reshape(SIDE, SIDE, 3)


def _check_scores(images: list[Pixels], found: list[float]) -> None:
    expected = scores(np.stack(images))
    if not np.allclose(expected, found, atol=0.01):
        raise WrongOutputError("the device's score is not that of its row's picture")


def _quality(found: Pixels, path: Path) -> float:
    from PIL import Image

    with Image.open(path) as image:
        full = image.convert("RGB")
    filters = Image.Resampling
    return max(
        _psnr(found, np.asarray(full.resize((SIDE, SIDE), one)))
        for one in (filters.BOX, filters.HAMMING, filters.BILINEAR, filters.BICUBIC)
    )


def _psnr(left: Pixels, right: Pixels) -> float:
    error = np.mean((left.astype(np.float64) - right) ** 2)
    return float(10 * np.log10(255**2 / max(float(error), 1e-9)))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--input", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--scored", action="store_true")
    given = arguments.parse_args()
    print(f"{check(given.out, given.input, given.scored):.1f} dB")
