"""The contract of a source: listed once into a snapshot, cut into shards, read in source order.

A run reads its input once into a *snapshot* that lies in the run's ledger, so that a resumed run
sees the very rows of the first attempt, whatever has happened to the source since. A snapshot is
described by a small JSON document; its bulk, where it has one (an object listing, a CSV's rows),
is a Parquet file beside it. Shards are ranges of the snapshot's rows of about equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows `start` (inclusive) to `stop` (exclusive) of the snapshot."""

    index: int
    start: int
    stop: int
    bytes: int
    """Bytes that reading and fetching it are expected to move."""

    @property
    def rows(self) -> int:
        return self.stop - self.start


class Snapshot(Protocol):
    """A source's rows, fixed for one run."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def rows(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def document(self) -> dict[str, Any]:
        """JSON that `Source.open_snapshot` makes the same snapshot from, in any process."""
        ...

    def shards(self, target_bytes: int) -> Iterator[Shard]:
        """Cut into shards of about `target_bytes`, streaming; the same every time."""
        ...

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        """The shard's rows in order, in batches of at most `max_rows` and about `max_bytes`
        (by the `size` column of an object table; by the rows' own size else)."""
        ...


class Source(Protocol):
    """Where rows come from."""

    def schema(self) -> pa.Schema:
        """Columns that the source has, in order. May read a file's header; raises StorageError."""
        ...

    def take_snapshot(self, folder: str, previous: dict[str, Any] | None = None) -> Snapshot:
        """List or read the source once; bulk goes below `folder` (a URI in the run's ledger).

        `previous` is the snapshot document of the last committed run, for `incremental`; with
        `done` in it where that run took only so many of the snapshot's first rows.
        """
        ...

    def open_snapshot(self, document: dict[str, Any]) -> Snapshot:
        """The snapshot that `document` describes."""
        ...
