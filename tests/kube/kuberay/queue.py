"""Keys to look at: one at a time for each, now or later, and once however often it was asked for.

As with KubeRay's own queue, asking for a key now forgets that it was also due later.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Queue(Generic[Key]):
    """`get` a key, do the work, `done(key)`. A key that is asked for meanwhile comes again then."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._busy: set[Key] = set()
        self._again: dict[Key, float] = {}
        self._changed = asyncio.Event()

    def put(self, key: Key, after: float = 0.0) -> None:
        self._schedule(key, asyncio.get_running_loop().time() + after)
        self._changed.set()

    def _schedule(self, key: Key, moment: float) -> None:
        if key in self._busy:
            self._again[key] = min(moment, self._again.get(key, moment))
        elif moment < self._due.get(key, float("inf")):
            self._due[key] = moment
            heapq.heappush(self._heap, (moment, next(self._order), key))

    async def get(self) -> Key:
        while True:
            wait = self._wait()
            if wait is not None and wait <= 0:
                return self._take()
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _wait(self) -> float | None:
        while self._heap:
            moment, _, key = self._heap[0]
            if self._due.get(key) == moment:
                return moment - asyncio.get_running_loop().time()
            heapq.heappop(self._heap)
        return None

    def _take(self) -> Key:
        _, _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._busy.add(key)
        return key

    def done(self, key: Key, after: float | None = None) -> None:
        """In `after` seconds it is due again, if it was not asked for before that."""
        self._busy.discard(key)
        if key in self._again:
            self._schedule(key, self._again.pop(key))
        if after is not None:
            self._schedule(key, asyncio.get_running_loop().time() + after)
        self._changed.set()
