"""Rows from the pool before: pulled, in order, from several streaming-generator tasks at once.

The shard's owner asks for its pieces ahead of their turn. Ray places each task by the group's
label and keeps it from running further ahead than a few blocks (generator backpressure), so memory
is bounded by the number of streams. Who does a piece again after its worker died makes the same
blocks (see blocks.py), so Ray itself may retry, and goes on behind the block that was read last.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError

from lancemill.engine.chunk import Chunk
from lancemill.engine.meter import Meter
from lancemill.engine.ray.blocks import Block, end_of, piece_rows, pieces_of, rows_of, unpack
from lancemill.engine.ray.counts import NOTHING, Tally, add_new
from lancemill.engine.ray.told import Told, error_of
from lancemill.errors import RunError
from lancemill.sources.source import Shard

POLL_S = 0.2


class WorkerLost(RunError):
    """A worker's process, or its node, is gone; the shard can be tried again."""


@dataclass(slots=True)
class Streams:
    """How many streams an owner's shards may have together; balance.py sets `limit`."""

    limit: int = 1
    running: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, *, anyway: bool) -> bool:
        """One more, where that is within the limit, or is needed `anyway`."""
        with self._lock:
            if self.running >= self.limit and not anyway:
                return False
            self.running += 1
            return True

    def give(self) -> None:
        with self._lock:
            self.running -= 1


@dataclass(slots=True)
class Feed:
    """The rows of one shard, as the pool before leaves them."""

    shard: Shard
    most: int
    """Streams that the shard may have at once."""
    start: Callable[[Shard], Any]
    """Starts the task of a piece; its generator."""
    schema: pa.Schema
    streams: Streams
    meter: Meter
    tally: Tally
    stopped: threading.Event
    spent: Callable[[float], None]
    """Told of the CPU time that streams have used."""
    started: Callable[[], None] = lambda: None
    """Called once all pieces have been started, and again."""
    _waiting: deque[Shard] = field(default_factory=deque)
    _running: deque[Any] = field(default_factory=deque)

    def begin(self) -> None:
        """Start the first streams; their rows wait to be asked for."""
        rows = piece_rows(self.shard.rows, rows_of(self.schema), self.most)
        self._waiting.extend(pieces_of(self.shard, rows))
        self._top_up()

    def chunks(self) -> Iterator[Chunk]:
        """The shard's chunks and its end; no end where it was told to stop."""
        empty = pa.RecordBatch.from_pylist([], self.schema)
        while self._running:
            for block in self._blocks(self._running[0]):
                self._top_up()
                yield unpack(block, self.shard, empty)
            if self.stopped.is_set():
                return
            self._running.popleft()
            self.streams.give()
            self._top_up()
        yield end_of(self.shard, empty)

    def close(self) -> None:
        """Streams that nobody has read to their end are not needed any more."""
        self._waiting.clear()
        while self._running:
            self.streams.give()
            ray.cancel(self._running.popleft(), force=False)

    def _top_up(self) -> None:
        while self._waiting and self.streams.take(anyway=not self._running):
            self._running.append(self.start(self._waiting.popleft()))
        if not self._waiting:
            self.started()

    def _blocks(self, stream: Any) -> Iterator[Block]:
        before = NOTHING
        while not self.stopped.is_set():
            ready, _ = ray.wait([stream], timeout=POLL_S)
            if not ready:
                continue
            block = self._next(stream)
            if block is None:
                return
            add_new(self.meter, before, block.counts)
            before = block.counts
            self.tally.add(block.charges)
            self.spent(block.cpu_seconds)
            if block.told is not None:
                raise _error(block.told, block.lost)
            yield block

    def _next(self, stream: Any) -> Block | None:
        try:
            block: Block = ray.get(next(stream))
            return block
        except StopIteration:
            return None
        except RayError as error:
            raise WorkerLost(lost_words(error)) from error


def _error(told: Told, lost: bool) -> Exception:
    return WorkerLost(told.message) if lost else error_of(told)


def lost_words(error: BaseException) -> str:
    """What became of a process, short: Ray explains at length what it cannot know."""
    return type(error).__name__
