"""The run's workers on Ray, and the shards that are leased to them.

Ray places them (group, CPUs, GPUs), makes the autoscaler act for those that have no place yet, and
says when one died. Who has which shard, and that a dead one's shards are done again, is ours: a
retry by Ray would hide a death that has to be counted (see engine.py), so actors are neither
restarted (`max_restarts=0`) nor their calls repeated (`max_task_retries=0`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from lancemill.engine.ray.careful import do_carefully
from lancemill.engine.ray.counts import NOTHING, Counts
from lancemill.engine.ray.opened import Handed
from lancemill.engine.ray.owner import Hello, Owner
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.report import Report
from lancemill.engine.ray.streams import where
from lancemill.sources.source import Shard

LEASES = 2
"""Shards that a worker has at once: one that it writes, one whose rows begin to come."""
BYE_S = 1.0
"""How long workers that are not needed may take to close what they have opened."""


@dataclass(slots=True, eq=False)
class Member:
    """A worker."""

    actor: Any
    greeting: Any
    hello: Hello | None = None
    """None until it is ready."""
    leases: list[Lease] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Lease:
    """A shard that somebody does."""

    shard: Shard
    reports: Any
    """The generator of its reports."""
    member: Member | None
    """None where it is done with care, by a task of its own."""
    counts: Counts = NOTHING
    """What it has told so far, and is in the run's meter."""
    charged: int = 0
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Died:
    """A worker whose process is gone."""

    error: RayError
    member: Member | None


Event = tuple[Lease | None, Report | Died | Hello]


class Crew:
    """Workers of the last pool. Not for several threads."""

    def __init__(self, handed: Handed, pool: Pool, number: int) -> None:
        self._handed = handed
        self._pool = pool
        self._number = number
        self._actor: Any = ray.remote(Owner).options(
            **where(pool),
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=LEASES + 2,
        )
        self._careful: Any = ray.remote(max_calls=1)(do_carefully).options(
            **where(pool), num_returns="streaming", max_retries=0
        )
        self.members: list[Member] = []
        self.alone: list[Lease] = []
        """Shards that are done with care."""

    @property
    def leases(self) -> list[Lease]:
        return [*(lease for one in self.members for lease in one.leases), *self.alone]

    @property
    def ready(self) -> list[Member]:
        """Workers that can be given shards, those with the fewest first."""
        there = [one for one in self.members if one.hello is not None]
        return sorted(there, key=lambda one: len(one.leases))

    def resize(self, number: int) -> None:
        """So many workers; of those that are too many the idle ones go."""
        while len(self.members) < number:
            actor = self._actor.remote(self._handed, self._number)
            self.members.append(Member(actor, actor.hello.remote()))
        idle = [one for one in self.members if not one.leases]
        # Whoever waits for a place goes before whoever has one.
        idle.sort(key=lambda one: one.hello is not None)
        for member in idle[: max(0, len(self.members) - number)]:
            self.members.remove(member)
            self._dismiss([member])

    def give(self, member: Member, shard: Shard, streams: int) -> None:
        """`shard` for `member`, who may have so many streams."""
        reports = member.actor.do.options(num_returns="streaming").remote(shard, streams)
        member.leases.append(Lease(shard, reports, member))

    def give_alone(self, shard: Shard) -> None:
        """`shard` for a task of its own, that does it with care."""
        self.alone.append(Lease(shard, self._careful.remote(self._handed, shard), None))

    def events(self, timeout: float) -> Iterator[Event]:
        """What workers tell, waiting for the first of it for at most so long."""
        greetings = {one.greeting: one for one in self.members if one.hello is None}
        reports = {id(lease.reports): lease for lease in self.leases}
        waited = [*greetings, *(lease.reports for lease in reports.values())]
        if not waited:
            return
        ready, _ = ray.wait(waited, num_returns=1, timeout=timeout, fetch_local=False)
        if ready:  # all that is there by now, not one a turn
            ready, _ = ray.wait(waited, num_returns=len(waited), timeout=0, fetch_local=False)
        for one in ready:
            lease = reports.get(id(one))
            if lease is not None:
                yield from self._told(lease)
            else:
                yield from self._greeted(greetings[one])

    def _greeted(self, member: Member) -> Iterator[Event]:
        try:
            member.hello = ray.get(member.greeting)
        except RayError as error:
            self.forget(member)
            yield None, Died(error, member)
            return
        assert member.hello is not None
        yield None, member.hello

    def _told(self, lease: Lease) -> Iterator[Event]:
        if lease not in self.leases:
            return  # another report of this turn was its worker's last
        try:
            report: Report = ray.get(next(lease.reports))
        except StopIteration:
            return
        except RayError as error:
            yield lease, Died(error, lease.member)
            return
        yield lease, report

    def over(self, lease: Lease) -> None:
        """The lease has ended."""
        there = self.alone if lease.member is None else lease.member.leases
        if lease in there:
            there.remove(lease)

    def forget(self, member: Member) -> list[Lease]:
        """A worker is gone; what it was doing."""
        if member in self.members:
            self.members.remove(member)
        left, member.leases = member.leases, []
        return left

    def dismiss(self) -> None:
        """Let all workers go, at once where they are at work."""
        for lease in self.alone:
            ray.cancel(lease.reports, force=True)
        self.alone.clear()
        self._dismiss(self.members)
        self.members = []

    def _dismiss(self, members: list[Member]) -> None:
        idle = [one for one in members if one.hello is not None and not one.leases]
        if idle:
            with suppress(RayError):
                ray.wait(
                    [one.actor.bye.remote() for one in idle], num_returns=len(idle), timeout=BYE_S
                )
        for member in members:
            with suppress(RayError):
                ray.kill(member.actor)
