"""Which rows of a Lance dataset lack a value, as runs of neighbours: all that a refresh reads.

Rows of a column that was never filled, or that others have appended, lie together; those that were
set aside by an earlier run lie scattered. Runs are small for the one, and right for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.int64]

SCANNED_ROWS = 64
"""Neighbours from which on one scan is cheaper than taking row by row."""
SCAN_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows by their place in a scan: starts and ends of runs of neighbours, in order."""

    starts: Positions
    stops: Positions
    before: Positions
    """How many rows the runs before each one have."""

    @property
    def rows(self) -> int:
        return int((self.stops - self.starts).sum())

    def part(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """The runs of the `start`-th row to the `stop`-th, the ends cut off."""
        at = int(np.searchsorted(self.before, start, side="right")) - 1
        while start < stop:
            low = int(self.starts[at]) + start - int(self.before[at])
            high = min(int(self.stops[at]), low + stop - start)
            yield low, high
            start, at = start + high - low, at + 1

    def reads(self, start: int, stop: int) -> Iterator[range | list[int]]:
        """The same as what is best read at once: long runs, and handfuls of scattered rows."""
        scattered: list[int] = []
        for low, high in self.part(start, stop):
            if high - low >= SCANNED_ROWS:
                if scattered:
                    yield scattered
                    scattered = []
                yield range(low, high)
                continue
            scattered += range(low, high)
            if len(scattered) >= SCANNED_ROWS:
                yield scattered
                scattered = []
        if scattered:
            yield scattered


def missing_rows(dataset: Any, columns: Sequence[str]) -> Runs:
    """The rows of a `lance.LanceDataset` in which one of `columns` is null."""
    scanner = dataset.scanner(
        columns=list(columns),
        blob_handling="blobs_descriptions",
        io_buffer_size=SCAN_BYTES,
        scan_in_order=True,
    )
    edges: list[Positions] = []
    first, last = 0, False
    for batch in scanner.to_batches():
        lacks = _lacks(batch)
        if len(lacks):
            edges.append(first + np.flatnonzero(np.diff(lacks, prepend=last)))
            first, last = first + len(lacks), bool(lacks[-1])
    found = np.concatenate([*edges, np.array([first] if last else [], np.int64)])
    starts, stops = found[0::2].astype(np.int64), found[1::2].astype(np.int64)
    lengths = stops - starts
    return Runs(starts, stops, np.cumsum(lengths) - lengths)


def _lacks(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    lacks = np.zeros(batch.num_rows, dtype=bool)
    for column in batch.columns:
        lacks |= column.is_null().to_numpy(zero_copy_only=False)
    return lacks
