"""One stage at work: takes items in order, works on several at once, gives results in order.

A feeder thread pulls from the lane before and hands each item to a pool; a bounded queue of
futures stands between it and whoever takes the results. So every stage of a worker is at work at
the same time, memory is bounded by the queues, and order is kept. Closing the last lane closes all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from queue import Empty, Queue
from typing import TypeVar

from lancemill.engine.meter import StageCounters

In = TypeVar("In")
Out = TypeVar("Out")


class _End:
    """Marks the end of a lane's queue."""


def lane(
    items: Iterator[In],
    work: Callable[[In], Out],
    pool: Executor,
    window: int,
    counters: StageCounters,
) -> Generator[Out, None, None]:
    """`work` applied to `items` by `pool`, at most about `window` at once, results in order."""
    queue: Queue[Future[Out] | _End] = Queue(maxsize=window)
    stop = threading.Event()
    feeder = threading.Thread(
        target=_feed,
        args=(items, work, pool, queue, stop, counters),
        name=f"lancemill-{counters.name}",
        daemon=True,
    )
    feeder.start()
    try:
        while True:
            future = queue.get()
            counters.queue_depth = queue.qsize()
            if isinstance(future, _End):
                return
            yield future.result()
    finally:
        stop.set()
        _drain(queue, feeder)


def _feed(
    items: Iterator[In],
    work: Callable[[In], Out],
    pool: Executor,
    queue: Queue[Future[Out] | _End],
    stop: threading.Event,
    counters: StageCounters,
) -> None:
    try:
        while not stop.is_set():
            began = time.monotonic()
            item = next(items, None)
            got = time.monotonic()
            if item is None or stop.is_set():
                break
            queue.put(pool.submit(work, item))
            counters.add(wait_in_seconds=got - began, blocked_seconds=time.monotonic() - got)
    except BaseException as error:
        # The error travels in its place in the order: what came before it is still delivered.
        failed: Future[Out] = Future()
        failed.set_exception(error)
        queue.put(failed)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
        queue.put(_End())


def _drain(queue: Queue[Future[Out] | _End], feeder: threading.Thread) -> None:
    """Empties the queue until the feeder has ended, so that it never waits for room in vain."""
    while feeder.is_alive():
        try:
            future = queue.get(timeout=0.05)
        except Empty:
            continue
        if isinstance(future, Future):
            future.cancel()
    feeder.join()
