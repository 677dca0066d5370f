"""How rows are cut into shards, from their sizes alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lancemill.sources.source import Shard

MAX_ROWS = 10_000
"""Rows of one shard at most: a shard is what is done again after a crash."""
UNKNOWN_SIZE = 256 * 1024
"""What an object counts that does not tell its size."""


def cut(
    sizes: Iterable[npt.NDArray[np.int64]], target_bytes: int, max_rows: int = MAX_ROWS
) -> Iterator[Shard]:
    """Shards over rows of `sizes` (chunks of a stream): each the longest run of rows that neither
    passes `target_bytes` nor `max_rows`, at least one row."""
    index = start = rows = total = 0
    for chunk in sizes:
        at = 0
        while at < len(chunk):
            room = chunk[at : at + max_rows - rows]
            fits = int(np.searchsorted(np.cumsum(room), target_bytes - total, side="right"))
            if fits == 0 and rows == 0:
                fits = 1
            total += int(room[:fits].sum())
            rows += fits
            at += fits
            if at < len(chunk):
                yield Shard(index, start, start + rows, total)
                index, start, rows, total = index + 1, start + rows, 0, 0
    if rows:
        yield Shard(index, start, start + rows, total)


def cut_evenly(
    pieces: Iterable[tuple[int, int]], target_bytes: int, max_rows: int = MAX_ROWS
) -> Iterator[Shard]:
    """Shards over `pieces` (rows, bytes) that are best read whole (row groups, fragments): small
    ones are joined, large ones cut into equal parts, and no other boundary is crossed."""
    index = start = rows = total = 0
    for piece_rows, piece_bytes in pieces:
        if rows and (total + piece_bytes > target_bytes or rows + piece_rows > max_rows):
            yield Shard(index, start, start + rows, total)
            index, start, rows, total = index + 1, start + rows, 0, 0
        parts = max(-(-piece_bytes // max(target_bytes, 1)), -(-piece_rows // max_rows), 1)
        parts = min(parts, max(piece_rows, 1))
        if parts == 1:
            rows, total = rows + piece_rows, total + piece_bytes
            continue
        edges = [piece_rows * part // parts for part in range(parts + 1)]
        for low, high in pairwise(edges):
            yield Shard(index, start, start + high - low, piece_bytes // parts)
            index, start = index + 1, start + high - low
    if rows:
        yield Shard(index, start, start + rows, total)
