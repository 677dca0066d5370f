"""Which steps run together on Ray, and what their workers ask of a node. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lancemill.plan.segments import Segment, segments
from lancemill.plan.step import Plan


@dataclass(frozen=True, slots=True)
class Pool:
    """Workers of one kind: they run the steps from `first` to before `last`."""

    name: str
    first: int
    last: int
    group: str | None = None
    """Worker group that they must run in; None: anywhere."""
    gpus: float = 0.0
    cpus: float = 1.0
    """What Ray sets aside for each of them."""

    @property
    def threads(self) -> int | None:
        """Threads that may compute at once; None: as many as the machine has cores."""
        return None if self.gpus else max(1, int(self.cpus))


def pools_of(plan: Plan, *, grouped: bool) -> tuple[Pool, ...]:
    """The plan's pools, in order.

    Where the cluster has no groups (a laptop's), segments that differ by their group only are one.
    """
    pools: list[Pool] = []
    first = 0
    for segment in segments(plan):
        last = first + len(segment.steps)
        pool = _pool(segment, first, last, segment.group if grouped else None)
        before = pools[-1] if pools else None
        if before is not None and (before.group, before.gpus) == (pool.group, pool.gpus):
            cpus = max(before.cpus, pool.cpus)
            pools[-1] = replace(before, name=_name(before, pool), last=last, cpus=cpus)
        else:
            pools.append(pool)
        first = last
    return tuple(_never_in_its_own_way(pools))


def _pool(segment: Segment, first: int, last: int, group: str | None) -> Pool:
    asked = [step.placement.cpus for step in segment.steps if step.placement.cpus is not None]
    # What waits for a device most of the time needs no core kept free for it.
    cpus = max(asked, default=0.0 if segment.gpus else 1.0)
    name = segment.steps[0].name if segment.steps else "source"
    return Pool(name, first, last, group, float(segment.gpus), float(cpus))


def _name(before: Pool, pool: Pool) -> str:
    return before.name if before.last == before.first else f"{before.name}…{pool.name}"


def _never_in_its_own_way(pools: Sequence[Pool]) -> list[Pool]:
    """A pool that pulls from one of the same nodes takes no CPU that its own source may need: all
    of them taken by who waits, nobody would ever work."""
    return [
        replace(pool, cpus=0.0)
        if any(before.group in (None, pool.group) for before in pools[:index])
        else pool
        for index, pool in enumerate(pools)
    ]
