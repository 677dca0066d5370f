"""What the driver knows of each shard that is not finished. Pure: no Ray, no clock."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence

from lancemill.engine.ray.counts import Charge
from lancemill.sources.source import Shard

DEATHS = 2
"""Workers that may die over a shard before it is done with care, in a process of its own."""
NODES = 3
"""Nodes that go with a worker over one shard until that counts as a death. They go for reasons of
their own; but a container that is out of memory may end as a whole too, and would for ever."""
CAREFUL_DEATHS = 3
"""Workers that may die over a shard that is done with care: then the machines are at fault."""


class Shards:
    """Which shards wait, which are done with care, and what was charged for them."""

    def __init__(self, todo: Iterable[Shard]) -> None:
        self._waiting = deque(todo)
        self._careful: deque[Shard] = deque()
        self._deaths: Counter[int] = Counter()
        self._nodes: Counter[int] = Counter()
        self._charged: Counter[int] = Counter()
        self.unfinished = len(self._waiting)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def next(self) -> Shard | None:
        """A shard for a worker."""
        return self._waiting.popleft() if self._waiting else None

    def next_careful(self) -> Shard | None:
        """A shard that has killed its workers."""
        return self._careful.popleft() if self._careful else None

    def finished(self, shard: Shard) -> None:
        self.unfinished -= 1
        del self._deaths[shard.index], self._charged[shard.index], self._nodes[shard.index]

    def lost(self, shard: Shard, *, blamed: int) -> int:
        """Its worker is gone; how many were, by now. `blamed`: how many it may have killed; none
        where a node went."""
        if not blamed:
            self._nodes[shard.index] += 1
            blamed = int(self._nodes[shard.index] % NODES == 0)
        self._deaths[shard.index] += blamed
        deaths = self._deaths[shard.index]
        # First in line: what was begun is what the run's memory and its ledger wait for.
        (self._careful if deaths >= DEATHS else self._waiting).appendleft(shard)
        return deaths

    def new_charges(self, shard: Shard, before: int, charges: Sequence[Charge]) -> list[Charge]:
        """Those of `charges` that are not charged yet; `before` is how many came before them.

        A shard that is done a second time meets its bad rows a second time.
        """
        known = self._charged[shard.index]
        self._charged[shard.index] = max(known, before + len(charges))
        return list(charges[max(0, known - before) :])
