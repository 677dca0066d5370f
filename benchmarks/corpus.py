"""Photo-like JPEGs, the same on every machine, made from real pictures.

How long a JPEG takes to decode is decided by its entropy, so noise or gradients would measure
something that no photo archive holds. Each picture is a crop of a real photo, scaled, flipped,
tinted and given a little sensor grain, with everything drawn from a seed of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "bench"
MATERIAL = ROOT / ".cache" / "material"
PHOTOS = (
    "skimage/data/astronaut.png",
    "skimage/data/chelsea.png",
    "skimage/data/coffee.png",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/ihc.png",
    "skimage/data/motorcycle_left.png",
    "skimage/data/motorcycle_right.png",
    "skimage/data/retina.jpg",
    "skimage/data/rocket.jpg",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
    "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
)
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What decides a corpus; two with the same values hold the same bytes."""

    name: str
    smallest: tuple[int, int]
    """Width and height of the smallest picture."""
    largest: tuple[int, int]
    grain: float
    """Standard deviation of the sensor noise in full light, in levels of brightness."""
    quality: int
    """JPEG quality, chroma subsampled 4:2:0."""
    seed: int = 3

    @property
    def pool(self) -> Path:
        """Where every picture of this corpus lies that was ever asked for."""
        key = json.dumps([asdict(self), PHOTOS]).encode()
        return CACHE / f"{self.name}-{hashlib.sha256(key).hexdigest()[:8]}"


BIG = Corpus("big", (1280, 960), (1920, 1280), grain=6.4, quality=89)
SMALL = Corpus("small", (500, 375), (500, 375), grain=5.5, quality=90)


def make(corpus: Corpus, count: int, times: int = 1) -> Path:
    """A folder with the first `count` pictures, `times` times under different names.

    The folder holds hard links into the pool: a linked file is listed, read, decoded and written
    as any other, and the disk holds each picture once.
    """
    _fill(corpus, count)
    folder = corpus.pool / f"{count}x{times}"
    if len(paths(folder)) == count * times:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for again in range(times):
        for index in range(count):
            os.link(_place(corpus, index), folder / f"{again}-{index:05d}.jpg")
    return folder


def _fill(corpus: Corpus, count: int) -> None:
    """Make what is missing of the first `count` pictures, by all cores."""
    missing = [index for index in range(count) if not _place(corpus, index).exists()]
    if not missing:
        return
    print(f"making {len(missing)} pictures '{corpus.name}' (once)", flush=True)
    (corpus.pool / "all").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write, [corpus] * len(missing), missing, chunksize=16))


def _place(corpus: Corpus, index: int) -> Path:
    return corpus.pool / "all" / f"{index:05d}.jpg"


def _write(corpus: Corpus, index: int) -> None:
    """Write one picture whole or not at all."""
    import simplejpeg

    jpeg = simplejpeg.encode_jpeg(picture(corpus, index), corpus.quality, "RGB", "420")
    path = _place(corpus, index)
    path.with_suffix(".new").write_bytes(jpeg)
    path.with_suffix(".new").replace(path)


def picture(corpus: Corpus, index: int) -> Pixels:
    """Picture number `index`: the same pixels whenever and wherever it is asked for."""
    import cv2

    dice = np.random.default_rng([corpus.seed, index])
    width, height = _size(corpus, dice)
    crop = _crop(_photo(PHOTOS[index % len(PHOTOS)]), width / height, dice)
    scaled = cv2.resize(crop, (width, height), interpolation=cv2.INTER_LANCZOS4)
    if dice.random() < 0.5:
        scaled = scaled[:, ::-1]
    light = scaled * dice.uniform(0.8, 0.97, 3).astype(np.float32)
    noise = dice.standard_normal((height, width, 1), dtype=np.float32) * corpus.grain
    # As a sensor's: none in the black, and no highlight clipped by it.
    noisy = light + noise * np.sqrt(light.mean(axis=2, keepdims=True) / 255)
    return np.ascontiguousarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _size(corpus: Corpus, dice: np.random.Generator) -> tuple[int, int]:
    """Between smallest and largest, more of the smaller ones; by steps of 8 where they differ."""
    share = dice.random() ** 2
    (w0, h0), (w1, h1) = corpus.smallest, corpus.largest
    return w0 + round((w1 - w0) * share / 8) * 8, h0 + round((h1 - h0) * share / 8) * 8


def _crop(photo: Pixels, aspect: float, dice: np.random.Generator) -> Pixels:
    """A part of the photo with the wanted aspect, at least seven tenths of what would fit."""
    height, width = photo.shape[:2]
    fit = min(width, height * aspect) * dice.uniform(0.7, 1.0)
    w, h = round(fit), round(fit / aspect)
    x, y = dice.integers(0, width - w + 1), dice.integers(0, height - h + 1)
    return photo[y : y + h, x : x + w]


@cache
def _photo(name: str) -> Pixels:
    from PIL import Image

    with Image.open(MATERIAL / name) as image:
        return np.asarray(image.convert("RGB"))


def paths(folder: Path, rows: int | None = None) -> list[Path]:
    """The pictures of a folder, sorted by name; the first `rows` where that is given."""
    return sorted(folder.glob("*.jpg"))[:rows]
