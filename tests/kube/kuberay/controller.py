"""The stand-in as it runs: watches wake keys, and a few workers look at them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from kube import client as kube
from kube.client import ApiError, Client, Kind
from kube.kuberay import names
from kube.kuberay.cluster_controller import ClusterController, PodsRefused
from kube.kuberay.dashboard import Dashboard
from kube.kuberay.job_controller import JobController
from kube.kuberay.queue import Queue
from kube.kuberay.rayjob import Life
from kube.kuberay.steps import Settings
from kube.kuberay.store import Store

log = logging.getLogger("kuberay")

WORKERS = 8
FIRST_RETRY, LONGEST_RETRY = 0.005, 1000.0
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # those that Kubernetes makes names of
_TROUBLE = (ApiError, PodsRefused, aiohttp.ClientError, TimeoutError)
Key = tuple[Kind, str, str]  # kind, namespace, name


@dataclass(frozen=True)
class Options:
    """No namespaces means all of them. Without events a third of the writes is saved."""

    settings: Settings = field(default_factory=Settings)
    namespaces: Sequence[str] = ()
    events: bool = True


def random_suffix() -> str:
    return "".join(random.choices(_LETTERS, k=names.SUFFIX_LENGTH))


@contextlib.asynccontextmanager
async def running(
    kubeconfig: str | None, options: Options | None = None
) -> AsyncIterator[Controller]:
    """The stand-in, at work; it ends abruptly, as a process that is killed does."""
    options = options or Options()
    async with (
        await Client.of(kubeconfig, names.MANAGER) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session,
    ):
        controller = Controller(client, Dashboard(session), options)
        work = asyncio.create_task(controller.run())
        try:
            await controller.until_working(work)
            yield controller
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work


class Controller:
    """Level-based: it may be ended at any moment, and the next one goes on from what it sees."""

    def __init__(self, client: Client, dashboard: Dashboard, options: Options) -> None:
        self._queue: Queue[Key] = Queue()
        self._failures: dict[Key, int] = {}
        self._works = asyncio.Event()
        self._store = Store(client, options.namespaces, options.events, self._wake)
        life = Life(options.settings, random_suffix)
        self._jobs = JobController(self._store, dashboard, life)
        self._clusters = ClusterController(self._store)

    def _wake(self, kind: Kind, namespace: str, name: str) -> None:
        self._queue.put((kind, namespace, name))

    async def until_working(self, work: asyncio.Task[None]) -> None:
        waiting = asyncio.create_task(self._works.wait())
        await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            waiting.cancel()
            work.result()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._store.watch(tasks)
            await self._store.until_synced()
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            self._works.set()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self._queue.done(key, await self._reconciled(key))

    async def _reconciled(self, key: Key) -> float | None:
        """In how many seconds to look again. What went wrong is tried again, ever later."""
        kind, namespace, name = key
        again: float | None = None
        try:
            if kind is kube.RAY_JOB:
                again = await self._jobs.reconcile(namespace, name)
            else:
                await self._clusters.reconcile(namespace, name)
        except _TROUBLE as trouble:
            log.debug("%s %s/%s: %s", kind.name, namespace, name, trouble)
            times = self._failures[key] = self._failures.get(key, 0) + 1
            return float(min(FIRST_RETRY * 2 ** (times - 1), LONGEST_RETRY))
        except Exception:
            # One object that we cannot handle must not end the watch of all others.
            log.exception("%s %s/%s is given up", kind.name, namespace, name)
        self._failures.pop(key, None)
        return again
