"""What all cases share: a cluster whose KubeRay, nodes and pods are played, and an eye on it.

The eye does not look through the operators' doors: RayJobs are counted as the API server made them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from kube.client import JOB, RAY_JOB, Client, Kind
from kube.control_plane import ControlPlane
from kube.fake_nodes import CPU_NODE, Ending, FakeNodes, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.steps import Settings
from kube.watch import Change, Watch, until_synced
from lancemill_operator import names

Object = dict[str, Any]
PIPELINE = Kind(names.API_VERSION, "multimodalpipelines", "MultimodalPipeline")
DATASET = Kind(names.API_VERSION, "lancedatasets", "LanceDataset")
SEEN = (PIPELINE, DATASET, RAY_JOB, JOB)


@dataclass
class Ledgers:
    """What the played runs have committed, as the real ones would write it down in their store."""

    committed: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By namespace and pipeline: runs, in their order."""

    def saw(self, job: Object) -> None:
        labels = job["metadata"].get("labels", {})
        run = labels.get(names.RUN)
        runs = self.committed[_place(job["metadata"]["namespace"], labels.get(names.PIPELINE))]
        if (job.get("status") or {}).get("jobStatus") == "SUCCEEDED" and run not in runs:
            runs.append(run)

    def answer(self, pod: Object) -> Ending:
        """What a probe says at its end."""
        labels, namespace = pod["metadata"]["labels"], pod["metadata"]["namespace"]
        if labels[names.PURPOSE] == "dataset":
            return Ending(message=json.dumps(_dataset(self.committed[_place(namespace, "feeder")])))
        command = pod["spec"]["containers"][0]["command"]
        run = command[command.index("--run-id") + 1]
        runs = self.committed[_place(namespace, labels.get(names.PIPELINE))]
        said: Object = {"run": run, "verdict": "NotCommitted"}
        if run in runs:
            version = runs.index(run) + 2
            said |= {"verdict": "Committed", "rows": 10, "datasetVersion": version}
        return Ending(message=json.dumps(said))


def _place(namespace: str, pipeline: str | None) -> str:
    return f"{namespace}/{pipeline}"


def _dataset(runs: list[str]) -> Object:
    return {
        "ok": True,
        "exists": True,
        "version": 1 + len(runs),
        "rows": 10 * len(runs),
        "fragments": len(runs),
        "liveBytes": 1000,
        "physicalBytes": 1000,
        "formatVersion": "2.2",
        "schema": [{"name": "key", "type": "string"}],
        "tags": {},
    }


@dataclass
class Theatre:
    """Held by every stage."""

    plane: ControlPlane
    client: Client
    session: aiohttp.ClientSession
    nodes: FakeNodes
    ledgers: Ledgers
    watches: dict[Kind, Watch]
    made: dict[str, list[str]]
    """RayJobs that were ever made, by namespace, in their order."""
    stirred: dict[str, asyncio.Event]
    """Set by each change in a namespace."""

    def objects(self, kind: Kind, namespace: str) -> list[Object]:
        return [one for (place, _), one in self.watches[kind].objects.items() if place == namespace]

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self.watches[kind].objects.get((namespace, name))


@contextlib.asynccontextmanager
async def theatre(plane: ControlPlane) -> AsyncIterator[Theatre]:
    """Open until the end of the block."""
    kubeconfig = str(plane.kubeconfig())
    ledgers = Ledgers()
    options = Options(Settings(poll=0.5, status_check_timeout=600, after_ttl=0), (), False)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_silent("kopf", "aiohttp.server", "asyncio"))
        client = await stack.enter_async_context(await Client.of(kubeconfig, "crash-matrix"))
        session = await stack.enter_async_context(_upstream(plane))
        made: dict[str, list[str]] = defaultdict(list)
        stirred: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        tell = _teller(ledgers, made, stirred)
        watches = {kind: Watch(client, kind, tell) for kind in SEEN}
        await stack.enter_async_context(_at_work(watches))
        nodes = played_nodes(
            kubeconfig,
            [{**CPU_NODE, "cpu": "4000", "memory": "16Ti", "pods": "10000"}],
            timing=Timing.fast(),
            job_ending=ledgers.answer,
        )
        played = await stack.enter_async_context(nodes)
        await stack.enter_async_context(running(kubeconfig, options))
        yield Theatre(plane, client, session, played, ledgers, watches, made, stirred)


def _teller(
    ledgers: Ledgers, made: dict[str, list[str]], stirred: dict[str, asyncio.Event]
) -> Callable[[Change], None]:
    def tell(change: Change) -> None:
        metadata = change.object["metadata"]
        namespace = metadata["namespace"]
        if change.kind is RAY_JOB:
            ledgers.saw(change.object)
            if change.type == "ADDED":
                made[namespace].append(metadata["name"])
        stirred[namespace].set()

    return tell


@contextlib.asynccontextmanager
async def _at_work(watches: dict[Kind, Watch]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(watch.run()) for watch in watches.values()]
    try:
        await until_synced(watches.values())
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _silent(*names: str) -> Iterator[None]:
    """What these have to say of operators that are cut off was asked for."""
    loggers = [logging.getLogger(name) for name in names]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def _upstream(plane: ControlPlane) -> aiohttp.ClientSession:
    """One for all doors."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=ssl.create_default_context(cafile=plane.authority), limit=0
        ),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    )
