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
from lancemill.engine.ray.blocks import Block, end_of, pieces_of, rows_of, unpack
from lancemill.engine.ray.counts import NOTHING, Tally, add_new
from lancemill.engine.ray.told import Told, error_of
from lancemill.errors import RunError
from lancemill.sources.source import Shard

BLOCKS_AHEAD = 4
"""Blocks that a stream may be ahead of who reads it."""
BLOCKS_A_PIECE = 8
"""A piece is one task: large enough that its start (some milliseconds) does not count, small enough
that several pieces of a shard are done at once."""
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

    start: Callable[[Shard], Any]
    """Starts the task of a piece; its generator."""
    schema: pa.Schema
    streams: Streams
    meter: Meter
    tally: Tally
    stopped: threading.Event
    spent: Callable[[float], None]
    """Told of the CPU time that streams have used."""

    def chunks(self, shard: Shard) -> Iterator[Chunk]:
        """The shard's chunks and its end; no end where it was told to stop."""
        empty = pa.RecordBatch.from_pylist([], self.schema)
        waiting = deque(pieces_of(shard, rows_of(self.schema) * BLOCKS_A_PIECE))
        running: deque[Any] = deque()
        try:
            self._top_up(waiting, running)
            while running:
                for block in self._blocks(running[0]):
                    self._top_up(waiting, running)
                    yield unpack(block, shard, empty)
                if self.stopped.is_set():
                    return
                running.popleft()
                self.streams.give()
                self._top_up(waiting, running)
            yield end_of(shard, empty)
        finally:
            for stream in running:
                self.streams.give()
                ray.cancel(stream, force=False)

    def _top_up(self, waiting: deque[Shard], running: deque[Any]) -> None:
        while waiting and self.streams.take(anyway=not running):
            running.append(self.start(waiting.popleft()))

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
