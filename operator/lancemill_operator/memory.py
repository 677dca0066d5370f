"""Things remembered: a bounded number of them, each for as long as it is good."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """The `most` values used last, each for at most `seconds` (for ever where that is None)."""

    def __init__(
        self,
        most: int,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._reading: dict[K, asyncio.Task[V]] = {}

    def get(self, key: K) -> V | None:
        """The value, where it is remembered and still good."""
        found = self._kept.get(key)
        if found is None:
            return None
        since, value = found
        if self._seconds is not None and self._clock() - since >= self._seconds:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def keep(self, key: K, value: V) -> None:
        """Remember the value from now on."""
        self._kept[key] = (self._clock(), value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def once(self, key: K, read: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """The value remembered, else the one that is read now, once for all who wait for it."""
        known = self.get(key)
        if known is not None:
            return known
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(read())
            reading.add_done_callback(lambda done: self._read(key, done))
        return await asyncio.shield(reading)

    def _read(self, key: K, done: asyncio.Task[V]) -> None:
        del self._reading[key]
        if not done.cancelled() and done.exception() is None:
            self.keep(key, done.result())
