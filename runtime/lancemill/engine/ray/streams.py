"""Tasks of every pool but the last: each does a piece of a shard and streams its rows onwards.

Stateless for Ray: any worker process may do any piece, again too. What is dear to open stays open
in the process that did (see opened.py), and Ray uses processes again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import ray

from lancemill.engine.meter import Meter
from lancemill.engine.ray.blocks import BLOCKS_AHEAD, Block, grouped, pack, rows_of
from lancemill.engine.ray.counts import Tally, counts_of
from lancemill.engine.ray.feed import Feed, Streams, WorkerLost
from lancemill.engine.ray.opened import Handed, Opened, cpu_clock
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.told import tell
from lancemill.engine.worker import Worker
from lancemill.sources.source import Shard

GROUP_LABEL = "lancemill.dev/group"
"""The label of a worker group's nodes; their pods carry it, and so do Ray's nodes."""
BETWEEN = 2
"""Streams of a piece in the middle of several pools."""
STREAM_RETRIES = 1
"""Ray does a piece again whose process died, once. A second death is told to the shard's owner: it
may be a row that kills, and then Ray would go on for ever. A node that was drained or reclaimed
does not count."""


def where(pool: Pool) -> dict[str, Any]:
    """What a worker of `pool` asks of Ray."""
    asked: dict[str, Any] = {"num_cpus": pool.cpus, "num_gpus": pool.gpus}
    if pool.group is not None:
        asked["label_selector"] = {GROUP_LABEL: pool.group}
    return asked


def start_streams(handed: Handed, pool: Pool, number: int) -> Callable[[Shard], Any]:
    """What starts the task of a piece: it gives the generator of its blocks."""
    # A process that has loaded a model onto a GPU is used again, too.
    task: Any = ray.remote(max_calls=0)(stream).options(
        **where(pool),
        num_returns="streaming",
        _generator_backpressure_num_objects=BLOCKS_AHEAD,
        max_retries=STREAM_RETRIES,
        name=f"lancemill {pool.name}",
    )
    return lambda piece: task.remote(handed, number, piece)


def stream(handed: Handed, number: int, piece: Shard) -> Iterator[Block]:
    """The blocks of a piece. What goes wrong is told in the last one."""
    try:
        yield from _blocks(handed, handed.open(number), piece)
    except Exception as error:
        yield Block(None, told=tell(error), lost=isinstance(error, WorkerLost))


def _blocks(handed: Handed, mine: Opened, piece: Shard) -> Iterator[Block]:
    meter, tally = mine.meter(), Tally()
    stopped = threading.Event()
    spent: list[float] = []
    rows = rows_of(mine.between(mine.number))
    try:
        with ExitStack() as ends:
            feed = None
            if mine.number > 0:
                few = Streams(BETWEEN)
                feed = feed_of(handed, mine, piece, few, meter, tally, stopped, spent.append)
                ends.enter_context(closing(feed)).begin()
            worker = Worker(mine.plan, mine.context, mine.policy, tally, meter)
            ends.enter_context(worker)
            chunks = worker.read(mine.snapshot, iter([piece])) if feed is None else feed.chunks()
            done = worker.through(chunks, mine.pool.first, mine.pool.last)
            for chunks_together in grouped(done, rows):
                block = pack(chunks_together)
                yield replace(
                    block,
                    counts=counts_of(meter),
                    charges=tally.take(),
                    cpu_seconds=cpu_clock.take() + sum(spent),
                )
                spent.clear()
    finally:
        stopped.set()
    yield Block(None, counts=counts_of(meter), charges=tally.take(), cpu_seconds=cpu_clock.take())


def feed_of(
    handed: Handed,
    mine: Opened,
    shard: Shard,
    streams: Streams,
    meter: Meter,
    tally: Tally,
    stopped: threading.Event,
    spent: Callable[[float], None],
) -> Feed:
    """The rows of `shard` that come to `mine` from the pool before it."""
    before = mine.number - 1
    return Feed(
        shard=shard,
        most=streams.limit,
        start=start_streams(handed, mine.brief.pools[before], before),
        schema=mine.between(before),
        streams=streams,
        meter=meter,
        tally=tally,
        stopped=stopped,
        spent=spent,
    )
