"""Parts of a source: its first rows, or some rows from all over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lancemill.sources.source import Shard


def first_rows(shards: Iterator[Shard], rows: int) -> Iterator[Shard]:
    """The shards of the source's first `rows` rows; the last one may be cut."""
    for shard in shards:
        if rows <= 0:
            return
        taken = min(rows, shard.rows)
        size = shard.bytes * taken // max(1, shard.rows)
        yield replace(shard, stop=shard.start + taken, bytes=size)
        rows -= taken


def spread(rows: int, size: int, wanted: int, pieces: int = 16) -> Iterator[Shard]:
    """`wanted` rows in at most `pieces` runs, evenly over a source of `rows` rows."""
    wanted = min(wanted, rows)
    pieces = min(pieces, wanted)
    for index in range(pieces):
        start = rows * index // pieces
        count = wanted * (index + 1) // pieces - wanted * index // pieces
        yield Shard(index, start, start + count, size * count // max(1, rows))
