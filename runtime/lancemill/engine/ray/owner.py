"""A worker of the last pool: it owns shards, from their first row to their fragments.

An actor, since it keeps what is dear: the plan, the snapshot, a model. It has up to two shards at
once: the second one's streams start when the first one's have all been started, and its rows are
read when the first one's have all been, so that neither a device nor a core waits while a shard
ends. What it counts, and what came of a shard, goes to the
driver as the items of a streaming generator: they come in order, and end when the process ends.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from queue import Empty, Queue

import ray

from lancemill.engine.chunk import Chunk
from lancemill.engine.local import LocalEngine
from lancemill.engine.meter import Meter
from lancemill.engine.ray import balance
from lancemill.engine.ray.counts import Tally, counts_of
from lancemill.engine.ray.feed import Feed, Streams, WorkerLost
from lancemill.engine.ray.opened import Handed, Opened, cpu_clock
from lancemill.engine.ray.report import REPORT_S, Report
from lancemill.engine.ray.streams import feed_of
from lancemill.engine.ray.told import Told, tell
from lancemill.engine.result import ShardResult
from lancemill.engine.worker import Worker
from lancemill.sources.source import Shard


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker says of itself when it is ready."""

    node: str
    pid: int
    told: Told | None = None
    notes: tuple[str, ...] = ()
    """What took time before it was ready, in words."""


class Owner:
    """The actor; the driver calls `hello` once, and `do` for each shard."""

    def __init__(self, handed: Handed, number: int) -> None:
        self._handed = handed
        self._number = number
        self._desk: Desk | None = None
        self._first = threading.Lock()

    def hello(self) -> Hello:
        """Open what every shard needs."""
        node = ray.get_runtime_context().get_node_id()
        try:
            notes = self._handed.open(self._number).code.notes
        except Exception as error:
            return Hello(node, os.getpid(), tell(error))
        return Hello(node, os.getpid(), notes=notes)

    def do(self, shard: Shard, most_streams: int) -> Iterator[Report]:
        """Do a shard; reports, the last of which says how it ended."""
        mine = self._handed.open(self._number)
        with self._first:
            self._desk = desk = self._desk or Desk(Streams(most_streams))
        yield from Doing(self._handed, mine, shard, desk).reports(most_streams)

    def bye(self) -> None:
        """Close what was opened: the worker is not needed any more."""
        self._handed.open(self._number).close()


@dataclass(frozen=True, slots=True)
class Desk:
    """What the shards of a worker share."""

    streams: Streams
    starting: threading.Lock = field(default_factory=threading.Lock)
    """Held until the streams of a shard have all been started."""
    reading: threading.Lock = field(default_factory=threading.Lock)
    """Held until its rows have all been read."""


class Doing:
    """One shard being done, in threads of its own."""

    def __init__(self, handed: Handed, mine: Opened, shard: Shard, desk: Desk) -> None:
        self._handed = handed
        self._mine = mine
        self._shard = shard
        self._streams = desk.streams
        self._starting = _Turn(desk.starting)
        self._turn = _Turn(desk.reading)
        self._meter = mine.meter()
        self._tally = Tally()
        self._spent = 0.0
        self._stopped = threading.Event()
        self._ends: Queue[ShardResult | BaseException] = Queue()

    def reports(self, most_streams: int) -> Iterator[Report]:
        """What is counted, now and then; at the end what came of it."""
        threading.Thread(target=self._do, name="lancemill-shard", daemon=True).start()
        watch = _Watch(self._mine, self._meter)
        try:
            while True:
                try:
                    end = self._ends.get(timeout=REPORT_S)
                except Empty:
                    self._balance(watch.seen(), most_streams)
                    yield self._report()
                    continue
                yield self._last(end)
                return
        finally:
            self._stopped.set()

    def _balance(self, seen: balance.Seen, most: int) -> None:
        if self._mine.number > 0 and self._turn.mine:
            self._streams.limit = balance.streams(self._streams.limit, most, seen)

    def _report(self) -> Report:
        spent, self._spent = self._spent, 0.0
        return Report(
            counts_of(self._meter),
            self._tally.take(),
            spent + cpu_clock.take(),
            self._streams.running,
        )

    def _last(self, end: ShardResult | BaseException) -> Report:
        if isinstance(end, BaseException):
            return replace(self._report(), told=tell(end), lost=isinstance(end, WorkerLost))
        return replace(self._report(), result=end)

    def _do(self) -> None:
        try:
            with ExitStack() as ends:
                self._ends.put(self._done(ends))
        except BaseException as error:
            self._ends.put(error)
        finally:
            self._stopped.set()

    def _done(self, ends: ExitStack) -> ShardResult:
        mine, feed = self._mine, None
        if mine.number > 0:
            feed = ends.enter_context(closing(self._feed()))
            ends.enter_context(self._starting)
            feed.begin()
        ends.enter_context(self._turn)
        worker = Worker(mine.plan, mine.context, mine.policy, self._tally, self._meter)
        ends.enter_context(worker)
        chunks = worker.read(mine.snapshot, iter([self._shard])) if feed is None else feed.chunks()
        stream = worker.through(self._read(chunks), mine.pool.first, mine.pool.last)
        return LocalEngine(worker, mine.writer, self._meter).write_shard(next(stream), stream)

    def _read(self, chunks: Iterator[Chunk]) -> Generator[Chunk, None, None]:
        try:
            yield from chunks
        finally:
            self._turn.over()

    def _feed(self) -> Feed:
        def spend(seconds: float) -> None:
            self._spent += seconds

        feed = feed_of(
            self._handed,
            self._mine,
            self._shard,
            self._streams,
            self._meter,
            self._tally,
            self._stopped,
            spend,
        )
        feed.started = self._starting.over
        return feed


class _Turn:
    """A right that one shard of a process after the other has."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._once = threading.Lock()
        self.mine = False

    def __enter__(self) -> None:
        self._lock.acquire()
        self.mine = True

    def __exit__(self, *_: object) -> None:
        self.over()

    def over(self) -> None:
        with self._once:
            if self.mine:
                self.mine = False
                self._lock.release()


class _Watch:
    """How long the pool's first stage had no input, or had too much, since this was last asked."""

    def __init__(self, mine: Opened, meter: Meter) -> None:
        steps = mine.plan.steps[mine.pool.first : mine.pool.last]
        self._stage = meter.stage(steps[0].name) if steps else None
        self._before = self._now()

    def _now(self) -> tuple[float, float, float]:
        if self._stage is None:
            return time.monotonic(), 0.0, 0.0
        totals = self._stage.totals()
        return time.monotonic(), totals.wait_in_seconds, totals.blocked_seconds

    def seen(self) -> balance.Seen:
        before, self._before = self._before, self._now()
        passed, waited, blocked = (b - a for a, b in zip(before, self._before, strict=True))
        passed = max(passed, 1e-6)
        return balance.Seen(min(1.0, waited / passed), min(1.0, blocked / passed))
