"""The parts of a run that grow with its objects, each measured alone in a fresh process.

`python -m benchmarks.scale.parts listing --size 1000000` prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from benchmarks.scale import bucket, shards
from benchmarks.scale.memory import peak_mb, resident_mb

Figures = dict[str, float]


def listing(size: int, folder: Path) -> Figures:
    """List `size` objects, filter them, keep the snapshot, cut it into shards."""
    from lancemill.plan.segments import target_shard_bytes

    before = resident_mb()
    alone = time.perf_counter()
    for _ in bucket.GeneratedStore(size).list(bucket.PREFIX):
        pass
    alone = time.perf_counter() - alone
    began = time.perf_counter()
    snapshot = bucket.source(size).take_snapshot(str(folder))
    listed = time.perf_counter() - began - alone
    peak = peak_mb() - before
    began = time.perf_counter()
    cut = sum(1 for _ in snapshot.shards(target_shard_bytes(snapshot.bytes)))
    return {
        "objects_per_s": size / listed,
        "bytes_per_object": Path(snapshot.document["file"]).stat().st_size / size,
        "peak_mb": peak,
        "cut_s": time.perf_counter() - began,
        "shards": cut,
    }


def footer(size: int, folder: Path) -> Figures:
    """A snapshot of `size` row groups: as many as a listing of 10,000 times so many objects has,
    with ten rows in each. What each worker pays before it reads the first row of a shard."""
    rows = 10
    with (
        patch("lancemill.sources.snapshot_file.GROUP_ROWS", rows),
        patch("lancemill.sources.listing.BATCH_ROWS", rows),
    ):
        before = resident_mb()
        document = bucket.source(size * rows).take_snapshot(str(folder)).document
        written = peak_mb() - before
    return {"written_peak_mb": written, **_opened(document, size * rows)}


def _opened(document: dict[str, object], rows: int) -> Figures:
    from lancemill.sources.source import Shard

    before = resident_mb()
    began = time.perf_counter()
    snapshot = bucket.source(0).open_snapshot(document)
    first = _read(snapshot, Shard(0, 0, 10, 1))
    opened = time.perf_counter() - began
    began = time.perf_counter()
    for part in range(1, 6):
        _read(snapshot, Shard(0, rows * part // 6, rows * part // 6 + 10, 1))
    return {
        "rows": float(first),
        "open_s": opened,
        "open_mb": resident_mb() - before,
        "next_shard_ms": (time.perf_counter() - began) / 5 * 1000,
        "file_mb": Path(str(document["file"])).stat().st_size / 2**20,
    }


def _read(snapshot: object, shard: object) -> int:
    return sum(len(one) for one in snapshot.read(shard, ["uri"], 1024, 1 << 30))  # type: ignore[attr-defined]


def ledger(size: int, folder: Path) -> Figures:
    """Record `size` finished shards, keep them as a driver does, and read them back."""
    return shards.recorded(size, folder)


def faults(size: int, folder: Path) -> Figures:
    """What a driver keeps of `size` shards of which one row in a hundred has failed."""
    return shards.kept(size, faults=100)


def commit(size: int, folder: Path) -> Figures:
    """Stage and commit `size` fragments, as real as the files below them are not."""
    return shards.committed(size, folder)


PARTS: dict[str, Callable[[int, Path], Figures]] = {
    "listing": listing,
    "footer": footer,
    "ledger": ledger,
    "faults": faults,
    "commit": commit,
}


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lancemill-scale-") as made:
        yield Path(made)


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.parts")
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--size", type=int, required=True)
    given = parser.parse_args()
    began = time.perf_counter()
    with _scratch() as folder:
        found = PARTS[given.part](given.size, folder)
    told = {"part": given.part, "size": given.size, **found}
    print(json.dumps({**told, "total_s": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
