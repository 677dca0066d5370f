"""The operator as one process: what it is made of, in which order that starts and ends.

    API server ──watch──▶ kopf (informer) ─▶ picture ─▶ queue ─▶ workers ─▶ reconciler ─▶ API server
                                              ▲                                │
    API server ──list───▶ resync ─────────────┘          progress ◀── heads ◀──┘

It ends with 0 when it is told to, and with 1 when a part of it died that it cannot do without:
whoever runs it (Kubernetes) starts it anew, and level-based reconciling takes it from there.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

from kubernetes_asyncio.client import Configuration

from lancemill_operator import decide
from lancemill_operator.act import Hand
from lancemill_operator.api import Api, ApiError, NotFound, configure
from lancemill_operator.health import Health
from lancemill_operator.informer import Informer
from lancemill_operator.keys import Key
from lancemill_operator.kinds import WATCHED
from lancemill_operator.lease import Lease
from lancemill_operator.logs import Log, logger
from lancemill_operator.metrics import Metrics
from lancemill_operator.picture import Picture, Resync
from lancemill_operator.preflight import Preflight
from lancemill_operator.progress import Poller, Via, heads
from lancemill_operator.queue import Backoff, WorkQueue
from lancemill_operator.reconcile import DecideDataset, DecidePipeline, Reconciler
from lancemill_operator.settings import Settings
from lancemill_operator.store import Store
from lancemill_operator.watchdog import Watchdog
from lancemill_operator.watches import Ages
from lancemill_operator.workers import Workers
from lancemill_operator.world import World

POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
HEARTBEAT = 60.0
"""Seconds for which kopf's event loop may stand still."""
FORGET_HEADS = 600.0
LIST_AGAIN = 3.0


class Operator:
    """Everything that runs, put together. Needs a running event loop."""

    def __init__(
        self,
        settings: Settings,
        configuration: Configuration,
        *,
        decide_pipeline: DecidePipeline = decide.decide_pipeline,
        decide_dataset: DecideDataset = decide.decide_dataset,
        log: Log | None = None,
    ) -> None:
        self.settings = settings
        self.log = log or logger()
        self.metrics = Metrics()
        self.store = Store()
        self.api = Api(configuration, self.metrics, settings.request_timeout)
        self.queue: WorkQueue[Key] = WorkQueue(
            Backoff(settings.backoff_shortest, settings.backoff_longest)
        )
        self.picture = Picture(self.store, self.queue)
        self.ages = Ages(WATCHED)
        self.informer = Informer(
            lambda: configure(settings.kubeconfig, settings.context),
            settings.namespaces,
            self.ages,
            self.picture.saw,
            self.picture.lost,
            self.store.relisted,
        )
        self.poller = Poller(
            heads(
                _via(settings),
                self.api,
                settings.defaults.progress_port,
                settings.progress_timeout,
            ),
            settings.progress_interval,
            counted=lambda result: self.metrics.progress_polls.labels(result).inc(),
        )
        self.workers = Workers(
            self.queue,
            self._reconciler(decide_pipeline, decide_dataset).reconcile,
            self.metrics,
            self.log,
            settings.workers,
        )
        self.resync = Resync(
            self.api,
            self.picture,
            settings.namespaces,
            self.metrics,
            self.log,
            settings.resync_interval,
        )
        self.watchdog = Watchdog(
            self.api, self.ages, _first(settings.namespaces), settings.watch_limit, self._stuck
        )
        self.health = Health(self.metrics, self._dead, self._unready)
        self.listed = False
        self._measure()

    async def run(self, stop: asyncio.Event) -> str:
        """Work until told to stop, or until something dies; what, or nothing."""
        settings = self.settings
        lease = self._lease()
        try:
            await self.health.start(settings.http_host, settings.http_port)
            self.log.info("listening", host=settings.http_host, port=self.health.port)
            return await self._until(stop, self._work(lease))
        finally:
            await self._end(lease)

    async def _work(self, lease: Lease | None) -> str:
        """Start everything in its order; why it cannot go on, once it cannot."""
        if lease is not None:
            await lease.acquire()
        await self._list_first()
        self.informer.start()  # kopf takes as given what is served when it starts
        self.workers.start()
        self.log.info("ready", pipelines=self.store.count(WATCHED[0]))
        ends: list[Awaitable[str]] = [self.watchdog.run(), _text(self.informer.ended)]
        if lease is not None:
            ends.append(lease.keep())
        return await _first_of(*ends, beside=(self.resync.run(), self._tidy()))

    async def _list_first(self) -> None:
        """No worker starts before everything was listed once."""
        while True:
            try:
                await self.resync.once()
            except NotFound:
                self.log.warning("not served yet: are the CRDs of Lancemill and KubeRay there?")
            except ApiError as error:
                self.log.warning("cannot list", error=f"{type(error).__name__}: {error}")
            else:
                self.listed = True
                return
            await asyncio.sleep(LIST_AGAIN)

    async def _until(self, stop: asyncio.Event, work: Awaitable[str]) -> str:
        return await _first_of(work, _when(stop))

    async def _end(self, lease: Lease | None) -> None:
        """Let what is under way be finished, then let go of everything."""
        self.listed = False
        await self.workers.stop(self.settings.stop_timeout)
        await self.informer.stop(5.0)
        await self.poller.close()
        if lease is not None:
            await lease.release()
        await self.health.stop()
        await self.api.close()
        self.log.info("ended")

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(FORGET_HEADS / 4)
            self.poller.forget_unwanted(FORGET_HEADS)

    def _reconciler(
        self, decide_pipeline: DecidePipeline, decide_dataset: DecideDataset
    ) -> Reconciler:
        settings = self.settings
        preflight = Preflight(
            self.api,
            settings.defaults,
            settings.capacity_interval,
            settings.references_interval,
        )
        return Reconciler(
            api=self.api,
            picture=self.picture,
            world=World(self.api, self.store, preflight, self.poller),
            hand=Hand(self.api, self.picture),
            metrics=self.metrics,
            log=self.log,
            defaults=replace(settings.defaults, progress_seconds=settings.progress_interval),
            decide_pipeline=decide_pipeline,
            decide_dataset=decide_dataset,
            again=self.queue.add,
        )

    def _lease(self) -> Lease | None:
        settings = self.settings
        if not settings.lease:
            return None
        return Lease(
            self.api,
            settings.lease_namespace or _own_namespace(),
            settings.lease_name,
            f"{socket.gethostname()}-{os.getpid()}",
            settings.lease_duration,
            self.log,
        )

    def _stuck(self) -> str:
        age = self.queue.oldest()
        if self.workers.running and age > self.settings.reconcile_limit:
            return f"an object has been waited for or worked on for {age:.0f} s"
        return ""

    def _dead(self) -> str:
        beat = self.informer.silence() if self.listed else 0.0
        if beat > HEARTBEAT:
            return f"kopf's event loop has stood still for {beat:.0f} s"
        return self.watchdog.problem

    def _unready(self) -> str:
        if not self.listed:
            return "not everything was listed yet"
        return "" if self.workers.running else "no workers are at work"

    def _measure(self) -> None:
        metrics, queue = self.metrics, self.queue
        metrics.observe(self.store)
        metrics.watch_ages(self.ages.ages)
        prefix = "lancemill_operator_queue"
        metrics.gauge(f"{prefix}_depth", "Objects that wait for a worker.", lambda: queue.depth)
        metrics.gauge(
            f"{prefix}_waiting", "Objects that wait for their time.", lambda: queue.waiting
        )
        metrics.gauge(f"{prefix}_taken", "Objects that are worked on.", lambda: queue.taken)
        metrics.gauge(f"{prefix}_oldest_seconds", "Age of what has waited longest.", queue.oldest)


async def operate(settings: Settings, stop: asyncio.Event) -> str:
    """Run an operator until told to stop, or until something dies; what, or nothing."""
    configuration = await configure(settings.kubeconfig, settings.context)
    return await Operator(settings, configuration).run(stop)


async def _first_of(*ends: Awaitable[str], beside: tuple[Awaitable[None], ...] = ()) -> str:
    """What the first of `ends` says, all others cancelled then."""
    tasks = [asyncio.ensure_future(one) for one in ends]
    helpers = [asyncio.ensure_future(one) for one in beside]
    try:
        done, _ = await asyncio.wait([*tasks, *helpers], return_when=asyncio.FIRST_COMPLETED)
        first = next(iter(done))
        return str(await first or "")
    finally:
        for task in (*tasks, *helpers):
            task.cancel()
        await asyncio.gather(*tasks, *helpers, return_exceptions=True)


async def _when(stop: asyncio.Event) -> str:
    await stop.wait()
    return ""


async def _text(future: asyncio.Future[str]) -> str:
    return await asyncio.shield(future)


def _via(settings: Settings) -> Via:
    if settings.progress_via != "auto":
        return settings.progress_via
    inside = settings.kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ
    return "service" if inside else "proxy"


def _first(namespaces: tuple[str, ...]) -> str | None:
    return namespaces[0] if namespaces else None


def _own_namespace() -> str:
    return POD_NAMESPACE.read_text().strip() if POD_NAMESPACE.exists() else "default"
