"""How many rows a call gets: what an operation asks for, or what fits into memory.

Pure but for the gauge, which learns from calls that are over.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from lancemill.engine.chunk import Chunk, join

CALL_BYTES = 8 << 20
"""What a call of an IO-bound operation should bring in at most, once its rows' size is known."""
FIRST_ROWS = 2
"""Rows of its first calls, of which nothing is known: a row may be a film."""


def regroup(chunks: Iterator[Chunk], rows: int) -> Iterator[Chunk]:
    """Chunks of exactly `rows` rows, but for a shard's last ones."""
    waiting: list[Chunk] = []
    count = 0
    for chunk in chunks:
        if chunk.last:
            if waiting:
                yield join(waiting)
            waiting, count = [], 0
            yield chunk
            continue
        waiting.append(chunk)
        count += chunk.batch.num_rows
        while count >= rows:
            whole = join(waiting)
            head, rest = whole.split(rows)
            yield head
            count -= rows
            waiting = [rest] if rest.batch.num_rows or rest.rows_in else []
    if waiting:
        yield join(waiting)


class Gauge:
    """Bytes that a row of an operation makes, learnt from its calls; quick to believe in more."""

    def __init__(self) -> None:
        self._bytes_per_row: float | None = None
        self._lock = threading.Lock()

    def note(self, rows: int, size: int) -> None:
        """A call made `size` bytes of `rows` rows."""
        new = size / rows
        with self._lock:
            old = new if self._bytes_per_row is None else self._bytes_per_row
            self._bytes_per_row = max(new, 0.8 * old + 0.2 * new)

    @property
    def rows(self) -> int:
        """Rows for the next call."""
        known = self._bytes_per_row
        return FIRST_ROWS if known is None else max(1, int(CALL_BYTES / max(known, 1.0)))


def portions(chunks: Iterator[Chunk], gauge: Gauge) -> Iterator[Chunk]:
    """The chunks, cut where a call would bring in too much: an address does not tell the size of
    what it leads to."""
    for chunk in chunks:
        rest = chunk
        while rest.batch.num_rows > (rows := gauge.rows):
            head, rest = rest.split(rows)
            yield head
        yield rest
