"""The parts of a run that grow with its objects, each measured alone in a fresh process.

    python -m benchmarks.scale.parts listing --size 1000000

prints one JSON line. What `size` counts is said by each part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.scale import bucket, shards
from benchmarks.scale.memory import peak_mb, resident_mb

Figures = dict[str, float]
GROUP = 10
"""Rows of a row group, where only their number matters."""


def listing(size: int, folder: Path) -> Figures:
    """`size` objects listed, kept as a snapshot, and cut into shards."""
    from lancemill.plan.segments import target_shard_bytes

    before, alone = resident_mb(), _generating(size)
    # CPU time: nothing here waits, and a busy machine would count twice.
    began = time.process_time()
    snapshot = bucket.source(size).take_snapshot(str(folder))
    listed = time.process_time() - began - alone
    peak = peak_mb() - before
    began = time.process_time()
    cut = sum(1 for _ in snapshot.shards(target_shard_bytes(snapshot.bytes)))
    return {
        "objects_per_s": size / listed,
        "bytes_per_object": Path(snapshot.document["file"]).stat().st_size / size,
        "peak_mb": peak,
        "cut_objects_per_s": size / (time.process_time() - began),
        "shards": cut,
    }


def _generating(size: int) -> float:
    """Seconds that the bucket itself takes, which are no part of the product's."""
    began = time.process_time()
    for _ in bucket.GeneratedStore(size).list(bucket.PREFIX):
        pass
    return time.process_time() - began


def incremental(size: int, folder: Path) -> Figures:
    """`size` objects compared with the listing of the last run: one in a hundred is new."""
    before = resident_mb()
    known = bucket.source(size * 99 // 100).take_snapshot(str(folder / "1"))
    listed = peak_mb()
    source = replace(bucket.source(size), incremental=True)
    began = time.process_time()
    plain = bucket.source(size).take_snapshot(str(folder / "2"))
    alone = time.process_time() - began
    began = time.process_time()
    found = source.take_snapshot(str(folder / "3"), known.document)
    assert (plain.rows, found.rows) == (size, size - size * 99 // 100)
    return {
        "compared_per_s": size / (time.process_time() - began - alone),
        "listing_peak_mb": listed - before,
        "peak_mb": peak_mb() - before,
    }


def footer(size: int, folder: Path) -> Figures:
    """A snapshot of `size` row groups, with few rows in each: what everybody pays who opens one."""
    before = resident_mb()
    file = "lancemill.sources.snapshot_file"
    with (
        patch(f"{file}.GROUP_ROWS", GROUP),
        patch(f"{file}.LARGE_GROUP_ROWS", GROUP),
        patch("lancemill.sources.listing.BATCH_ROWS", GROUP),
    ):
        document = bucket.source(size * GROUP).take_snapshot(str(folder)).document
    written = peak_mb() - before
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return {"writer_peak_mb": written, **pool.submit(_opened, document).result()}


def _opened(document: dict[str, Any]) -> Figures:
    _read(bucket.source(0).open_snapshot(document), 0)  # imports, and the file into the cache
    before = resident_mb()
    began = time.perf_counter()
    snapshot = bucket.source(0).open_snapshot(document)
    _read(snapshot, 0)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    for part in range(1, 11):
        _read(snapshot, snapshot.rows * part // 11)
    return {
        "file_mb": Path(document["file"]).stat().st_size / 2**20,
        "open_s": opened,
        "open_mb": resident_mb() - before,
        "next_shard_ms": (time.perf_counter() - began) / 10 * 1000,
    }


def _read(snapshot: Any, start: int) -> None:
    from lancemill.sources.source import Shard

    for _ in snapshot.read(Shard(0, start, start + GROUP, 1), ["uri"], 1024, 1 << 30):
        pass


PARTS: dict[str, Callable[[int, Path], Figures]] = {
    "listing": listing,
    "incremental": incremental,
    "footer": footer,
    "ledger": shards.ledger,
    "account": shards.account,
    "faults": shards.faults,
    "commit": shards.commit,
}


def main() -> None:
    """Measure one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.parts", description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--size", type=int, required=True)
    given = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="lancemill-scale-") as folder:
        found = PARTS[given.part](given.size, Path(folder))
    print(json.dumps({**found, "total_s": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
