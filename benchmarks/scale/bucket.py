"""A bucket that holds no bytes: its keys are made as they are listed, as obstore would give them.

Names, sizes, times and etags are as hard to compress as real ones, since the size of the snapshot
is one of the things that are measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from lancemill.sources.objects import ObjectSource, list_store
from lancemill.storage import Location

URI = "s3://photos/raw/"
PREFIX = "raw"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
MEAN_BYTES = 100_000
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class GeneratedStore:
    """As much of an obstore store as a listing uses."""

    count: int

    def list(
        self, prefix: str | None, *, offset: str | None = None, chunk_size: int = 1000
    ) -> Iterator[list[dict[str, Any]]]:
        assert prefix == PREFIX and offset is None, "nothing here breaks off"
        for start in range(0, self.count, chunk_size):
            yield [_meta(index) for index in range(start, min(start + chunk_size, self.count))]


def _meta(index: int) -> dict[str, Any]:
    dice = (index * _GOLDEN) & _MASK
    return {
        "path": f"{PREFIX}/{index // 10_000:06d}/{index:010d}-{dice & 0xFFFFFFFF:08x}.jpg",
        "last_modified": EPOCH + timedelta(seconds=index // 40, microseconds=dice % 1_000_000),
        "size": MEAN_BYTES // 2 + dice % MEAN_BYTES,
        "e_tag": f'"{dice:016x}{(dice * dice) & _MASK:016x}"',
        "version": None,
    }


def source(count: int) -> ObjectSource:
    """The product's own source over a bucket of `count` objects."""

    def found() -> Any:
        place = Location(GeneratedStore(count), PREFIX, URI)  # type: ignore[arg-type]
        with patch("lancemill.sources.objects.open_store", lambda *_: place):
            yield from list_store(URI, None)

    return ObjectSource(uri=URI, lister=found, uri_of=lambda key: URI + key)
