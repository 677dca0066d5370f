"""The embedded engine: one streaming worker in this process, one writer beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue

import pyarrow as pa

from lancemill.engine.chunk import Chunk, RowFault
from lancemill.engine.meter import Call, Meter, StageCounters
from lancemill.engine.result import ShardResult
from lancemill.engine.worker import Worker
from lancemill.errors import LancemillError
from lancemill.sinks.sink import ShardWriter
from lancemill.sources.source import Shard, Snapshot

SINK_STAGE = "sink"
POLL_S = 0.1
"""How often a run that waits for its next shard looks whether it is to stop."""
HEAD = 16
"""Output rows of a shard whose source rows are remembered, for the run's page."""


class _Unfinished(LancemillError):
    """The rows of a shard ended before the shard did: the worker was told to stop."""


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Runs shards in this process."""

    worker: Worker
    writer: ShardWriter
    meter: Meter

    def run(self, snapshot: Snapshot, shards: Iterator[Shard]) -> Iterator[ShardResult]:
        """Results in the shards' order, as they finish.

        The rows are pulled and written in a thread of their own, so that the caller's thread stays
        free for signals and progress.
        """
        results: Queue[ShardResult | BaseException | None] = Queue()
        thread = threading.Thread(
            target=self._write_all,
            args=(snapshot, shards, results),
            name="lancemill-sink",
            daemon=True,
        )
        thread.start()
        try:
            while (result := self._next(results)) is not None:
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self.worker.stop()
            while thread.is_alive() and not self.worker.overdue:
                thread.join(POLL_S)

    def _next(
        self, results: Queue[ShardResult | BaseException | None]
    ) -> ShardResult | BaseException | None:
        """None at the end, and where a stopped worker waits too long for an answer."""
        while not self.worker.overdue:
            with suppress(Empty):
                return results.get(timeout=POLL_S)
        return None

    def _write_all(
        self,
        snapshot: Snapshot,
        shards: Iterator[Shard],
        results: Queue[ShardResult | BaseException | None],
    ) -> None:
        try:
            stream = self.worker.stream(snapshot, shards)
            for first in stream:
                results.put(self.write_shard(first, stream))
        except _Unfinished:
            pass
        except BaseException as error:
            results.put(error)
        finally:
            results.put(None)

    def write_shard(self, first: Chunk, stream: Iterator[Chunk]) -> ShardResult:
        """Write one shard, whose first chunk has been taken from `stream` already."""
        counters = self.meter.stage(SINK_STAGE)
        with counters.working() as call:
            rows = _ShardRows(first, stream, call, counters, self.meter)
            output = self.writer.write(first.shard, iter(rows))
            if rows.error is not None:
                raise rows.error
            rows.finish()
        counters.add(rows_out=output.rows, bytes_out=output.bytes)
        self.meter.advance(bytes_out=output.bytes, shards=1)
        return ShardResult(first.shard, rows.rows_in, output, tuple(rows.faults), tuple(rows.head))


class _ShardRows:
    """One shard's batches for the writer, taken from the stream; keeps account on the way."""

    def __init__(
        self,
        first: Chunk,
        stream: Iterator[Chunk],
        call: Call,
        counters: StageCounters,
        meter: Meter,
    ) -> None:
        self._first = first
        self._stream = stream
        self._call = call
        self._counters = counters
        self._meter = meter
        self.rows_in = 0
        self.faults: list[RowFault] = []
        self.head: list[int] = []
        self.error: BaseException | None = None
        self._ended = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        chunk = self._first
        try:
            while not self._account(chunk):
                if chunk.batch.num_rows:
                    yield chunk.batch
                with self._call.waiting():
                    following = next(self._stream, None)
                if following is None:
                    raise _Unfinished
                chunk = following
        except BaseException as error:
            # A writer wraps what its reader raises: the cause itself is what the run should tell.
            self.error = error
            raise

    def _account(self, chunk: Chunk) -> bool:
        """Counts the chunk; True at the shard's end."""
        self.rows_in += chunk.rows_in
        self.faults.extend(chunk.faults)
        if len(self.head) < HEAD:
            self.head += chunk.position[: HEAD - len(self.head)].tolist()
        self._counters.add(rows_in=chunk.batch.num_rows, bytes_in=chunk.batch.nbytes)
        self._meter.advance(chunk.rows_in)
        self._ended = chunk.last
        return self._ended

    def finish(self) -> None:
        """Takes the rest of the shard, should the writer have left any."""
        if not self._ended:
            for _ in self:
                pass
