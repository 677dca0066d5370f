"""Workers: take keys from the queue, have them reconciled, and see to what failed.

A conflict or a stale picture is no failure: somebody wrote in between, and the key is looked at
again at once. All else is tried again after a growing while, counted, and told in one line.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lancemill_operator.act import NameTaken
from lancemill_operator.api import ApiError, Busy, Conflict
from lancemill_operator.keys import Key
from lancemill_operator.logs import Log
from lancemill_operator.metrics import Metrics
from lancemill_operator.queue import WorkQueue
from lancemill_operator.reconcile import Stale

Reconcile = Callable[[Key], Awaitable[timedelta | None]]
AT_ONCE_AGAIN = 3
"""Conflicts in a row after which a key waits like one that failed."""


class Workers:
    """So many workers on one queue."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        reconcile: Reconcile,
        metrics: Metrics,
        log: Log,
        number: int,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._metrics = metrics
        self._log = log
        self._number = number
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._number)]

    @property
    def running(self) -> bool:
        """Whether all workers are at it."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def stop(self, seconds: float) -> None:
        """Take no more keys, and give those in hand so long to be done with."""
        self._queue.close()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                await self._one(key)
            finally:
                self._queue.done(key)

    async def _one(self, key: Key) -> None:
        began = time.monotonic()
        try:
            again = await self._reconcile(key)
        except (Conflict, Stale) as stale:
            self._changed_meanwhile(key, stale)
        except Exception as error:
            self._failed(key, error)
        else:
            self._queue.succeeded(key)
            if again is not None:
                self._queue.add_after(key, again.total_seconds())
        finally:
            self._metrics.reconcile_seconds.labels(key.kind.name).observe(time.monotonic() - began)

    def _changed_meanwhile(self, key: Key, why: Exception) -> None:
        self._log.debug("changed meanwhile", why=str(why), **_labels(key))
        delay = self._queue.retry(key)
        if self._queue.failures(key) <= AT_ONCE_AGAIN:
            self._queue.add(key)
        else:
            self._log.warning("changes all the time", retry_in=round(delay, 1), **_labels(key))

    def _failed(self, key: Key, error: Exception) -> None:
        """Foreseen errors in a line; others with their place in the code."""
        delay = self._queue.retry(key, getattr(error, "retry_after", 0.0))
        self._metrics.errors.labels(key.kind.name, type(error).__name__).inc()
        foreseen = isinstance(error, ApiError | NameTaken)
        tell = self._log.info if isinstance(error, Busy) else self._log.warning
        told: dict[str, Any] = {} if foreseen else {"at": _places(error)}
        tell(
            "failed",
            error=f"{type(error).__name__}: {_message(error)}"[:500],
            failures=self._queue.failures(key),
            retry_in=round(delay, 1),
            **_labels(key),
            **told,
        )


def _message(error: Exception) -> str:
    """What it says, without the values of a manifest: they may be anything."""
    if isinstance(error, ValidationError):
        told = (
            f"{'.'.join(map(str, one['loc']))} {one['type']}"
            for one in error.errors(include_input=False, include_context=False, include_url=False)
        )
        return "; ".join(told)
    return str(error)


def _places(error: Exception) -> list[str]:
    """Where in the code, the innermost last; without the values that were there."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames[-8:]]


def _labels(key: Key) -> dict[str, str]:
    return {"kind": key.kind.name, "namespace": key.namespace, "name": key.name}
