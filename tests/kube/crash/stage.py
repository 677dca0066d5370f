"""One case: a namespace, an operator that is replaced whenever it ends, and what a user does."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from kube.calls import Call
from kube.client import NAMESPACE, RAY_JOB, SERVICE_ACCOUNT, Kind, quietly
from kube.crash.clock import Clock
from kube.crash.door import Door
from kube.crash.theatre import DATASET, PIPELINE, Object, Theatre
from kube.fault_proxy import Rule
from kube.plays import JobPlay

T = TypeVar("T")
DEADLINE = 300.0
PATIENCE = 30.0
"""Seconds without any change after which the operator is given a resync; after each, twice as many:
on a machine that has much else to do, it is not the operator that is stuck."""
HELD = 1_000_000


class NotSoon(Exception):
    """What a life waits for has not come."""


class Actor(Protocol):
    """An operator at work, behind a door of its own."""

    def kill(self) -> None:
        """Nothing that it has not done yet is done any more."""

    async def ended(self) -> str:
        """Why; once it has been killed or has ended by itself."""
        ...

    async def bury(self) -> None:
        """Take away what is left of it."""

    def look_at_what_is_due(self) -> None:
        """The clock has jumped."""

    async def resync(self) -> None:
        """Have it list everything."""


Cast = Callable[["Stage", Door, Mapping[str, Any]], Awaitable[Actor]]
"""Starts an operator for a stage."""


@dataclass
class Stage:
    """What a life is led on."""

    theatre: Theatre
    cast: Cast
    namespace: str
    settings: dict[str, Any]
    successor: dict[str, Any] | None = None
    """Settings of every operator after the first, where they differ."""
    patience: float = PATIENCE
    clock: Clock = field(default_factory=Clock)
    calls: list[Call] = field(default_factory=list)
    """What all of its operators asked for, in order."""
    rules: list[Rule] = field(default_factory=list)
    log: list[Object] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    resyncs: int = 0
    actors: list[Actor] = field(default_factory=list)
    _burials: set[asyncio.Task[None]] = field(default_factory=set)

    # -- operators

    async def start(self) -> Actor:
        """An operator; more than one may be at work."""
        later = self.successor if self.ends and self.successor is not None else {}
        theatre = self.theatre
        door = await Door.open(theatre.plane, theatre.session, self.calls, self.rules)
        actor = await self.cast(self, door, {**self.settings, **later})
        self.actors.append(actor)
        return actor

    async def keep_one(self) -> None:
        """Always have an operator, as a Deployment does."""
        while True:
            actor = await self.start()
            self.ends.append(await actor.ended())
            self.actors.remove(actor)
            self._bury(actor)

    def kill(self) -> None:
        """All that are at work, at once."""
        for actor in self.actors:
            actor.kill()

    async def close(self) -> None:
        for actor in self.actors:
            self._bury(actor)
        await asyncio.gather(*self._burials)

    def _bury(self, actor: Actor) -> None:
        task = asyncio.create_task(actor.bury())
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    # -- what a user does

    async def apply(self, kind: Kind, name: str, spec: Object) -> None:
        body = {
            "apiVersion": kind.api,
            "kind": kind.name,
            "metadata": {"name": name},
            "spec": spec,
        }
        await self.theatre.client.create(kind, body, self.namespace)

    async def edit(self, spec: Object, name: str = "cats") -> None:
        await self.theatre.client.patch(PIPELINE, self.namespace, name, {"spec": spec})

    async def annotate(self, key: str, value: str, name: str = "cats") -> None:
        change = {"metadata": {"annotations": {key: value}}}
        await self.theatre.client.patch(PIPELINE, self.namespace, name, change)

    async def delete(self, name: str = "cats") -> None:
        await self.theatre.client.delete(
            PIPELINE, self.namespace, name, propagationPolicy="Background"
        )

    def play(self, text: str) -> None:
        """What jobs and pods that start from now on do: see `kube.plays`."""
        self.theatre.nodes.director.say(self.namespace, text)

    def hold(self) -> None:
        """Jobs go on until they are released."""
        self.play(f"seconds={HELD}")

    def release(self) -> None:
        """Held jobs succeed now, and later ones soon."""
        self.play("seconds=0")
        for head in self.theatre.nodes.dashboards.of(self.namespace):
            head.play = JobPlay(seconds=0)
            for job in head.jobs.values():
                job.play = replace(job.play, seconds=0)

    # -- time and sight

    async def jump(self, **length: float) -> None:
        """Let time pass."""
        self.clock.ahead += timedelta(**length)
        for actor in self.actors:
            actor.look_at_what_is_due()

    def pipeline(self, name: str = "cats") -> Object | None:
        return self.theatre.find(PIPELINE, self.namespace, name)

    def status(self, name: str = "cats") -> Object:
        return ((self.pipeline(name) or {}).get("status")) or {}

    def dataset(self, name: str) -> Object:
        return ((self.theatre.find(DATASET, self.namespace, name) or {}).get("status")) or {}

    def rayjobs(self) -> list[Object]:
        return self.theatre.objects(RAY_JOB, self.namespace)

    async def until(self, what: str, holds: Callable[[], T]) -> T:
        """As soon as it holds. Where nothing changes any more, the operator gets a resync."""
        deadline = time.monotonic() + DEADLINE
        stirred = self.theatre.stirred[self.namespace]
        while not (found := holds()):
            if time.monotonic() > deadline:
                raise NotSoon(f"not in {DEADLINE:.0f} s: {what}")
            stirred.clear()
            try:
                await asyncio.wait_for(stirred.wait(), self.patience * 2**self.resyncs)
            except TimeoutError:
                await self.resync()
        return found

    async def phase(self, *phases: str, name: str = "cats") -> None:
        await self.until(
            f"{name} is {' or '.join(phases)}", lambda: self.status(name).get("phase") in phases
        )

    async def resync(self) -> None:
        self.resyncs += 1
        for actor in self.actors:
            await actor.resync()


@contextlib.asynccontextmanager
async def stage(
    theatre: Theatre,
    cast: Cast,
    settings: dict[str, Any] | None = None,
    successor: dict[str, Any] | None = None,
) -> AsyncIterator[Stage]:
    """A namespace of its own, which stays: to delete one costs more than a case does."""
    namespace = f"crash-{secrets.token_hex(4)}"
    await theatre.client.create(NAMESPACE, {"metadata": {"name": namespace}})
    await _until_pods_may_be_made(theatre, namespace)
    found = Stage(theatre, cast, namespace, settings or {}, successor)
    try:
        yield found
    finally:
        await found.close()
        for kind in (PIPELINE, DATASET):
            for one in theatre.objects(kind, namespace):
                await quietly(theatre.client.delete(kind, namespace, one["metadata"]["name"]))


async def _until_pods_may_be_made(theatre: Theatre, namespace: str) -> None:
    while await quietly(theatre.client.get(SERVICE_ACCOUNT, namespace, "default"), 404) is None:
        await asyncio.sleep(0.1)
