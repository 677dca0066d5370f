"""What flows through a worker: rows, and for each of them the source row that it comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.ops.operation import Outcome
from lancemill.sources.source import Shard


@dataclass(frozen=True, slots=True)
class RowFault:
    """A row that failed, by its place in the source."""

    position: int
    """Row of the snapshot, from 0."""
    key: str
    stage: str
    reason: str
    message: str
    action: str
    """What was done about it: `quarantine` (the row was set aside) or `null` (kept with a null)."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one shard, in source order."""

    shard: Shard
    batch: pa.RecordBatch
    position: npt.NDArray[np.int64]
    """For each row, its row in the snapshot."""
    key: pa.Array
    """For each row, what names it to a person."""
    rows_in: int = 0
    """Source rows that this chunk accounts for, set aside or not."""
    faults: tuple[RowFault, ...] = ()
    last: bool = False
    """True for the end of the shard, which has no rows."""

    def after(self, outcome: Outcome, faults: tuple[RowFault, ...], drop: list[int]) -> Chunk:
        """This chunk after an operation; rows of the operation's input in `drop` are left out."""
        batch, position, key = outcome.rows, self.position, self.key
        if outcome.origin is not None:
            position = position[outcome.origin]
            key = key.take(pa.array(outcome.origin))
        elif drop:
            keep = np.ones(batch.num_rows, dtype=bool)
            keep[drop] = False
            mask = pa.array(keep)
            batch, position, key = batch.filter(mask), position[keep], key.filter(mask)
        return replace(
            self, batch=batch, position=position, key=key, faults=(*self.faults, *faults)
        )

    def split(self, rows: int) -> tuple[Chunk, Chunk]:
        """The first `rows` rows, and the rest; what failed and was counted goes with the first."""
        head = replace(
            self,
            batch=self.batch.slice(0, rows),
            position=self.position[:rows],
            key=self.key.slice(0, rows),
        )
        rest = replace(
            self,
            batch=self.batch.slice(rows),
            position=self.position[rows:],
            key=self.key.slice(rows),
            rows_in=0,
            faults=(),
        )
        return head, rest


def join(chunks: list[Chunk]) -> Chunk:
    """Adjacent chunks of one shard as one."""
    if len(chunks) == 1:
        return chunks[0]
    return replace(
        chunks[0],
        batch=pa.concat_batches([chunk.batch for chunk in chunks]),
        position=np.concatenate([chunk.position for chunk in chunks]),
        key=pa.concat_arrays([chunk.key for chunk in chunks]),
        rows_in=sum(chunk.rows_in for chunk in chunks),
        faults=tuple(fault for chunk in chunks for fault in chunk.faults),
        last=chunks[-1].last,
    )
