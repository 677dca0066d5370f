"""The steps of a workflow with files between them, as Argo would run them: one process each.

    python -m benchmarks.steps STEP --from PLACE --to PLACE [--processes N]

Each step is written as a good engineer would write it who has Pillow and LMDB: large write
transactions, no sync, read-ahead on, keys in order; with `--processes` a pool whose members read
and write LMDB themselves, so that no pixels pass through a pipe.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from benchmarks.case import SIDE

BATCH = 32
MAP_SIZE = 1 << 40
Convert = Callable[[bytes], bytes]


@contextmanager
def opened(place: Path, write: bool = False) -> Iterator[Any]:
    """An LMDB environment for one process."""
    with lmdb.open(
        str(place), map_size=MAP_SIZE, readonly=not write, sync=False, metasync=False
    ) as environment:
        yield environment


def keys(place: Path) -> list[bytes]:
    """All keys, in order."""
    with opened(place) as environment, environment.begin() as reader:
        return list(reader.cursor().iternext(values=False))


def fetch(source: Path, target: Path) -> None:
    """Files to LMDB."""
    files = sorted(source.glob("*.jpg"))
    with opened(target, write=True) as environment:
        for at in range(0, len(files), BATCH):
            with environment.begin(write=True) as writer:
                for path in files[at : at + BATCH]:
                    writer.put(path.name.encode(), path.read_bytes(), append=True)


def decoded(jpeg: bytes) -> bytes:
    """JPEG to pixels with their size before them."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.asarray(pixels.shape[:2], np.int32).tobytes() + pixels.tobytes()


def resized(value: bytes) -> bytes:
    """Pixels with their size to 224x224 pixels."""
    from PIL import Image

    height, width = np.frombuffer(value, np.int32, 2)
    pixels = np.frombuffer(value, np.uint8, offset=8).reshape(height, width, 3)
    return Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()


def prepared(jpeg: bytes) -> bytes:
    """JPEG to 224x224 pixels."""
    from benchmarks.kernel import pillow

    return pillow(jpeg).tobytes()


def convert(one: Convert, source: Path, target: Path, some: list[bytes]) -> None:
    """Some values from one LMDB to another."""
    with opened(source) as before, opened(target, write=True) as after:
        with before.begin(buffers=True) as reader:
            values = [one(reader.get(key)) for key in some]
        with after.begin(write=True) as writer:
            for key, value in zip(some, values, strict=True):
                writer.put(key, value)


def convert_all(one: Convert, source: Path, target: Path, processes: int) -> None:
    """Every value of an LMDB, by so many processes."""
    every = keys(source)
    work = partial(convert, one, source, target)
    pieces = [every[at : at + BATCH] for at in range(0, len(every), BATCH)]
    if processes == 1:
        for piece in pieces:
            work(piece)
        return
    with ProcessPoolExecutor(processes) as pool:
        for _ in pool.map(work, pieces):
            pass


def infer(source: Path, target: Path) -> None:
    """The device over all pictures, in batches, to the Lance dataset."""
    from benchmarks import case, rows
    from benchmarks.device import infer as device

    every = keys(source)

    def batches() -> Iterator[Any]:
        with opened(source) as environment, environment.begin(buffers=True) as reader:
            for at in range(0, len(every), BATCH):
                some = every[at : at + BATCH]
                values = [np.frombuffer(reader.get(key), np.uint8) for key in some]
                images = np.stack(values).reshape(-1, SIDE, SIDE, 3)
                yield rows.batch([key.decode() for key in some], images, device(images))

    rows.write(case.dataset(target), batches(), scored=True)


CONVERSIONS: dict[str, Convert] = {"decode": decoded, "resize": resized, "prepare": prepared}


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["fetch", "infer", *CONVERSIONS])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", dest="target", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    if given.step == "fetch":
        fetch(given.source, given.target)
    elif given.step == "infer":
        infer(given.source, given.target)
    else:
        convert_all(CONVERSIONS[given.step], given.source, given.target, given.processes)


if __name__ == "__main__":
    main()
