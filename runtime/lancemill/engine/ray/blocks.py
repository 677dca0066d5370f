"""Rows on their way from one pool to the next: Arrow, in blocks that are worth an object of Ray's.

An object costs Ray about a millisecond, and a device waits for whole blocks: some megabytes are
right for both. A block holds whole chunks of the source, so that a worker that does its part a
second time makes the same blocks, whichever rows fail then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.engine.chunk import Chunk, RowFault, join
from lancemill.engine.ray.counts import NOTHING, Charge, Counts
from lancemill.engine.ray.told import Told
from lancemill.sources.source import Shard

BLOCK_BYTES = 8 << 20
ROW_BYTES = 32 << 10
"""What a row is taken for where its columns do not tell."""
MOST_ROWS = 4096
BLOCKS_AHEAD = 4
"""Blocks that a stream may be ahead of who reads it."""
POSITION, KEY = "lancemill.position", "lancemill.key"


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one piece of a shard, in order; what was counted since the block before."""

    rows: pa.Buffer | None
    """Arrow IPC, with the rows' positions and keys beside their columns."""
    rows_in: int = 0
    faults: tuple[RowFault, ...] = ()
    counts: Counts = NOTHING
    """All that was counted for the piece so far."""
    charges: tuple[Charge, ...] = ()
    cpu_seconds: float = 0.0
    told: Told | None = None
    """The error that ended the piece."""
    lost: bool = False
    """Whether that was the death of a process, which may be tried again."""


def rows_of(schema: pa.Schema) -> int:
    """Rows of the source that a block of these columns should hold."""
    return max(1, min(MOST_ROWS, BLOCK_BYTES // max(1, _width(schema))))


def _width(schema: pa.Schema) -> int:
    """Bytes of a row, as far as the types tell."""
    return sum(_bytes(field.type) for field in schema)


def _bytes(kind: Any) -> int:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * max(1, _bytes(kind.value_type))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_list(kind):
        return ROW_BYTES
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 64  # text


def grouped(chunks: Iterator[Chunk], rows: int) -> Iterator[list[Chunk]]:
    """The chunks of a piece, together by at least so many rows of the source.

    Cut only in front of a chunk that begins rows of the source: one that a call's size has cut
    off another (`portions`) belongs to it.
    """
    held: list[Chunk] = []
    for chunk in chunks:
        if chunk.rows_in and sum(one.rows_in for one in held) >= rows:
            yield held
            held = []
        if not chunk.last:
            held.append(chunk)
    if held:
        yield held


def pack(chunks: list[Chunk]) -> Block:
    """One block of adjacent chunks."""
    rows_in = sum(chunk.rows_in for chunk in chunks)
    faults = tuple(fault for chunk in chunks for fault in chunk.faults)
    filled = [chunk for chunk in chunks if chunk.batch.num_rows]
    if not filled:
        return Block(None, rows_in, faults)
    whole = join(filled)
    batch = whole.batch.append_column(POSITION, pa.array(whole.position))
    batch = batch.append_column(KEY, whole.key)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Block(sink.getvalue(), rows_in, faults)


def unpack(block: Block, shard: Shard, empty: pa.RecordBatch) -> Chunk:
    """The block's rows as a chunk of `shard`; `empty` is a batch of none."""
    if block.rows is None:
        nothing = np.empty(0, np.int64)
        return Chunk(shard, empty, nothing, pa.array([], pa.string()), block.rows_in, block.faults)
    with pa.ipc.open_stream(block.rows) as reader:
        batch = reader.read_next_batch()
    position = batch.column(POSITION).to_numpy()
    key = batch.column(KEY)
    batch = batch.select(batch.schema.names[:-2])
    return Chunk(shard, batch, position, key, block.rows_in, block.faults)


def end_of(shard: Shard, empty: pa.RecordBatch) -> Chunk:
    """The end of `shard`."""
    nothing = np.empty(0, np.int64)
    return Chunk(shard, empty, nothing, pa.array([], pa.string()), last=True)


def piece_rows(rows: int, block: int, streams: int) -> int:
    """Rows of a piece of a shard of so many, which may have so many streams; all pieces alike.

    A piece is a task, and fills and empties stages of its own: the fewer, the better. But pieces
    are read in order, so a stream whose piece has more blocks than it may be ahead would stand
    still until those before it have been read; and the two shards that a worker has at once should
    have a piece for each stream.
    """
    blocks = -(-rows // block)
    pieces = max(1, -(-blocks // BLOCKS_AHEAD), min(blocks, -(-streams // 2)))
    return max(1, -(-rows // pieces))


def pieces_of(shard: Shard, rows: int) -> list[Shard]:
    """`shard` in pieces of at most so many rows."""
    starts = range(shard.start, shard.stop, rows)
    return [
        replace(shard, start=start, stop=min(start + rows, shard.stop)) for start in starts
    ] or [shard]
