"""The work queue: keys that wait to be looked at, each by one worker at a time.

An event only says that something may have changed; what, is found out by whoever takes the key. So
a key that is put ten times is taken once, and one that is put while a worker has it is taken again
when that worker is done: nothing that happened is overlooked, and no two workers ever have the same
key. `Agenda` holds the rules and knows time only as numbers; `WorkQueue` waits.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after the n-th failure in a row: doubling, with jitter, up to a limit."""

    shortest: float = 0.5
    longest: float = 60.0
    jitter: float = 0.5
    """Share of the delay that is left to chance, so that keys that failed together part."""

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` in a row; `chance` is a number from 0 to 1."""
        whole = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 32))
        return whole * (1 - self.jitter * chance)


@dataclass(slots=True)
class Agenda(Generic[K]):
    """Which keys are due, which later, which are being worked on. Pure: time comes in."""

    _ready: deque[K] = field(default_factory=deque)
    _queued: dict[K, float] = field(default_factory=dict)
    """Keys of `_ready`, with the time at which they became due."""
    _taken: dict[K, float] = field(default_factory=dict)
    _again: set[K] = field(default_factory=set)
    """Keys put while they were taken."""
    _due: dict[K, float] = field(default_factory=dict)
    _timers: list[tuple[float, int, K]] = field(default_factory=list)
    """A heap with outdated entries in it: `_due` says which count."""
    _sequence: int = 0

    def add(self, key: K, now: float) -> None:
        """Have the key looked at as soon as a worker is free."""
        if key in self._taken:
            self._again.add(key)
        elif key not in self._queued:
            self._queued[key] = now
            self._ready.append(key)

    def add_at(self, key: K, when: float) -> None:
        """Have the key looked at then, or before if something happens; the earliest time wins."""
        if self._due.get(key, when) < when:
            return
        self._due[key] = when
        self._sequence += 1
        heapq.heappush(self._timers, (when, self._sequence, key))

    def take(self, now: float) -> K | None:
        """A key that is due, now in the hands of whoever asked; None where there is none.

        Times set for the key are void with it: it is looked at now, and whoever does so says when
        next.
        """
        self.wake(now)
        if not self._ready:
            return None
        key = self._ready.popleft()
        del self._queued[key]
        self._due.pop(key, None)
        self._taken[key] = now
        return key

    def done(self, key: K, now: float) -> None:
        """The worker has let go of the key."""
        del self._taken[key]
        if key in self._again:
            self._again.discard(key)
            self.add(key, now)

    def wake(self, now: float) -> int:
        """Move the keys whose time has come to those that are due; how many are due."""
        while self._timers and self._timers[0][0] <= now:
            when, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key, now)
        return len(self._ready)

    def next_time(self) -> float | None:
        """When a key that waits for a time is due next."""
        while self._timers and self._due.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def drop(self, key: K) -> None:
        """Forget the times set for the key."""
        self._due.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that are due and that nobody has taken yet."""
        return len(self._ready)

    @property
    def waiting(self) -> int:
        """Keys that wait for a time."""
        return len(self._due)

    @property
    def taken(self) -> int:
        """Keys that are being worked on."""
        return len(self._taken)

    def oldest(self, now: float) -> float:
        """Seconds that the key longest in hand, or longest due, has been so."""
        since = [*self._taken.values()]
        if self._ready:
            since.append(self._queued[self._ready[0]])
        return now - min(since) if since else 0.0


class WorkQueue(Generic[K]):
    """The agenda of one event loop: workers wait here for the next key."""

    def __init__(
        self,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._agenda: Agenda[K] = Agenda()
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._chance = chance
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def add(self, key: K) -> None:
        """Have the key looked at soon."""
        self._agenda.add(key, self._clock())
        self._stir()

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key looked at after so long, or before if something happens."""
        self._agenda.add_at(key, self._clock() + max(0.0, seconds))
        self._stir()

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Have the key looked at again after a failure; gives the seconds until then."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(failures, self._chance()))
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """The key's failures are over."""
        self._failures.pop(key, None)

    def forget(self, key: K) -> None:
        """The key stands for nothing any more."""
        self._failures.pop(key, None)
        self._agenda.drop(key)

    def failures(self, key: K) -> int:
        """How often in a row the key failed."""
        return self._failures.get(key, 0)

    async def get(self) -> K | None:
        """The next key, given to this worker alone until `done`; None once the queue is closed."""
        while not self._closed:
            key = self._agenda.take(self._clock())
            if key is not None:
                self._stir()
                return key
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._stir()
            try:
                await waiter
            except asyncio.CancelledError:
                self._hand_on(waiter)
                raise
        return None

    def done(self, key: K) -> None:
        """This worker has let go of the key."""
        self._agenda.done(key, self._clock())
        self._stir()

    def close(self) -> None:
        """Give out no more keys; those in hand may be finished."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiters:
            self._wake_one()

    @property
    def depth(self) -> int:
        return self._agenda.depth

    @property
    def waiting(self) -> int:
        return self._agenda.waiting

    @property
    def taken(self) -> int:
        return self._agenda.taken

    def oldest(self) -> float:
        """Seconds that the key longest in hand, or longest due, has been so."""
        return self._agenda.oldest(self._clock())

    def _stir(self) -> None:
        """Wake as many workers as there are keys, and set the clock for the next time."""
        if self._closed:
            return
        for _ in range(min(self._agenda.wake(self._clock()), len(self._waiters))):
            self._wake_one()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._agenda.next_time()
        if due is not None and self._waiters:
            delay = max(0.0, due - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._stir)

    def _wake_one(self) -> None:
        waiter = self._waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)

    def _hand_on(self, waiter: asyncio.Future[None]) -> None:
        """A worker was cancelled: what it was woken for is another one's."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        else:
            self._stir()
