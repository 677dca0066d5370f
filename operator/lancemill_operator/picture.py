"""Where news comes in: it changes the store, and puts those whom it concerns on the queue.

A listing afresh now and then makes up for whatever a watch may have missed; above all for ends,
which a watch that was cut off never tells.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from lancemill_operator import names
from lancemill_operator.api import Api, ApiError
from lancemill_operator.keys import Key, concerned
from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB, WATCHED, Body, Kind
from lancemill_operator.logs import Log
from lancemill_operator.metrics import Metrics
from lancemill_operator.queue import WorkQueue
from lancemill_operator.store import Object, Place, Store

SELECTORS: dict[Kind, str] = {
    RAY_JOB: f"{names.MANAGED_BY}={names.MANAGER}",
    JOB: f"{names.MANAGED_BY}={names.MANAGER}",
}
"""Of foreign kinds only our own objects are watched."""
JITTER = 0.2


class Picture:
    """The store and the queue, as news reaches them."""

    def __init__(self, store: Store, queue: WorkQueue[Key]) -> None:
        self.store = store
        self.queue = queue

    def saw(self, kind: Kind, body: Body) -> None:
        """An object is there, or has changed."""
        before = self.store.saw(kind, body)
        metadata = body["metadata"]
        now = self.store.get(kind, metadata.get("namespace", ""), metadata["name"])
        self._tell(kind, before, now)

    def lost(self, kind: Kind, body: Body) -> None:
        """An object is gone."""
        metadata = body["metadata"]
        place = metadata.get("namespace", ""), metadata["name"]
        self.gone(kind, *place, metadata.get("uid", ""))

    def wrote(self, kind: Kind, body: Body) -> Object:
        """The API server answered us with the object so; gives what is kept of it.

        Others whom that concerns are told at once, and again when the watch has come that far. The
        object itself is in the hands of whoever wrote.
        """
        metadata = body["metadata"]
        place = metadata.get("namespace", ""), metadata["name"]
        before = self.store.get(kind, *place)
        slim = self.store.wrote(kind, body)
        if kind in (PIPELINE, DATASET):
            for key in concerned(kind, before, self.store.get(kind, *place), self.store):
                if key != Key(kind, *place):
                    self.queue.add(key)
        return slim

    def gone(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """The API server answered us that there is no such object."""
        before = self.store.lost(kind, namespace, name, uid)
        if before is not None:
            self._tell(kind, before, None)

    def purge(self, kind: Kind, there: set[Place], candidates: set[Place], since: int) -> int:
        """Forget what a listing no longer holds; how many that were."""
        gone = self.store.purge(kind, there, candidates, since)
        for before in gone:
            self._tell(kind, before, None)
        return len(gone)

    def everybody(self) -> None:
        """Have each of our own resources looked at."""
        for kind in (DATASET, PIPELINE):
            for namespace, name in sorted(self.store.places(kind)):
                self.queue.add(Key(kind, namespace, name))

    def _tell(self, kind: Kind, before: Body | None, now: Body | None) -> None:
        for key in concerned(kind, before, now, self.store):
            self.queue.add(key)


class Resync:
    """Lists everything afresh, again and again."""

    def __init__(
        self,
        api: Api,
        picture: Picture,
        namespaces: Sequence[str],
        metrics: Metrics,
        log: Log,
        interval: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._api = api
        self._picture = picture
        self._where: Sequence[str | None] = tuple(namespaces) or (None,)
        self._metrics = metrics
        self._log = log
        self._interval = interval
        self._chance = chance

    async def once(self) -> int:
        """List all, take in what is new, forget what is gone; how much that was."""
        news = 0
        for kind in WATCHED:
            for namespace in self._where:
                news += await self._one(kind, namespace)
        self._picture.everybody()
        self._metrics.resyncs.labels("done").inc()
        return news

    async def run(self) -> None:
        """For ever; a listing that fails is told and made up for by the next."""
        while True:
            await asyncio.sleep(self._interval * (1 + JITTER * (2 * self._chance() - 1)))
            try:
                news = await self.once()
            except ApiError as error:
                self._metrics.resyncs.labels("failed").inc()
                self._log.warning("resync failed", error=f"{type(error).__name__}: {error}")
            else:
                self._log.debug("resynced", news=news)

    async def _one(self, kind: Kind, namespace: str | None) -> int:
        store = self._picture.store
        since = store.moment
        candidates = {
            place for place in store.places(kind) if namespace is None or place[0] == namespace
        }
        there: set[Place] = set()
        news = 0
        async for body in self._api.pages(kind, namespace, SELECTORS.get(kind, "")):
            there.add((body["metadata"].get("namespace", ""), body["metadata"]["name"]))
            news += store.listed(kind, body, since)
        gone = self._picture.purge(kind, there, candidates, since)
        if gone:
            self._metrics.purged.labels(kind.name).inc(gone)
            self._log.warning("a watch had missed ends", kind=kind.name, number=gone)
        return news + gone
