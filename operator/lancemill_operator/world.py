"""What is known of one object: the frozen facts that a decision is made on.

The picture that the watches keep gives most of it without a call. What costs calls is read only
when a decision asks for it (`Want`), and remembered where it cannot change (a finished Job's
answer, a frozen ConfigMap) or need not be of this second (nodes, Secrets that exist).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import DatasetStatus, PipelineStatus
from lancemill_operator import names
from lancemill_operator.actions import Want
from lancemill_operator.api import Api, NotFound
from lancemill_operator.facts import (
    DatasetFacts,
    DatasetView,
    Frozen,
    PipelineFacts,
    PodSummary,
    ProbeView,
    RayJobView,
)
from lancemill_operator.kinds import CONFIG_MAP, DATASET, JOB, POD, RAY_CLUSTER, RAY_JOB, Body
from lancemill_operator.memory import Memory
from lancemill_operator.parse import documents, pods, probes, rayjobs
from lancemill_operator.parse.relations import datasets_of
from lancemill_operator.preflight import Preflight
from lancemill_operator.progress import Poller
from lancemill_operator.store import Store

ResourceT = TypeVar("ResourceT", MultimodalPipeline, LanceDataset)
Read = tuple[ResourceT | None, tuple[str, ...]]
"""A model, or what is wrong."""

QUIET = timedelta(seconds=10)
"""How long a Job may run before anybody asks its pod why it waits, and how old the answer may be
that tells of an attempt's pods why they do."""
NAMESPACES = 64
"""Of how many namespaces that is remembered."""


class World:
    """Reads for one reconcile at a time; remembers across them."""

    def __init__(self, api: Api, store: Store, preflight: Preflight, poller: Poller) -> None:
        self._api = api
        self._store = store
        self._preflight = preflight
        self._poller = poller
        self._answers: Memory[str, ProbeView] = Memory(512)
        self._frozen: Memory[str, Frozen] = Memory(64)
        self._pipelines: Memory[Hashable, Read[MultimodalPipeline]] = Memory(256)
        self._datasets: Memory[Hashable, Read[LanceDataset]] = Memory(256)
        self._waiting: Memory[str, Mapping[str, tuple[PodSummary, ...]]] = Memory(
            NAMESPACES, QUIET.total_seconds()
        )

    def pipeline(self, body: Body) -> PipelineFacts:
        """What the picture gives without a call."""
        identity = documents.identity(body)
        pipeline, mistakes = self._read_pipeline(body)
        return PipelineFacts(
            identity=identity,
            pipeline=pipeline,
            document=body,
            mistakes=mistakes,
            status=documents.status(PipelineStatus, body),
            rayjobs=tuple(rayjobs.view(one) for one in self._store.children(RAY_JOB, identity.uid)),
            datasets={
                name: self._dataset_view(identity.namespace, name)
                for name in datasets_of(body.get("spec") or {})
            },
        )

    def dataset(self, body: Body) -> DatasetFacts:
        """What the picture gives without a call."""
        identity = documents.identity(body)
        dataset, mistakes = self._read_dataset(body)
        return DatasetFacts(
            identity=identity,
            document=body,
            dataset=dataset,
            mistakes=mistakes,
            status=documents.status(DatasetStatus, body),
            committed=self._store.committed(identity.namespace, identity.name),
        )

    async def look_at_pipeline(
        self, facts: PipelineFacts, want: Want, now: datetime, changed: Callable[[], None]
    ) -> PipelineFacts:
        """The facts with what was asked for, whether or not there is anything."""
        found: dict[str, Any] = {}
        match want:
            case Want.PREFLIGHT if facts.pipeline is not None:
                found = {
                    "missing": await self._preflight.missing(facts.identity, facts.pipeline),
                    "capacity": await self._preflight.capacity(facts.identity, facts.pipeline),
                }
            case Want.PODS:
                found = await self._pods(facts)
            case Want.PROBES:
                found = {"probes": await self._probes(facts.identity.uid, now)}
            case Want.FROZEN:
                found = {"frozen": await self._frozen_of(facts)}
            case Want.PROGRESS:
                found = await self._progress(facts, changed)
        return replace(facts, looked=facts.looked | {want}, **found)

    async def look_at_dataset(
        self, facts: DatasetFacts, want: Want, now: datetime, changed: Callable[[], None]
    ) -> DatasetFacts:
        """The facts with what was asked for, whether or not there is anything."""
        found: dict[str, Any] = {}
        match want:
            case Want.PREFLIGHT if facts.dataset is not None:
                found = {"missing": await self._preflight.missing(facts.identity, facts.dataset)}
            case Want.PROBES:
                found = {"probes": await self._probes(facts.identity.uid, now)}
        return replace(facts, looked=facts.looked | {want}, **found)

    def _dataset_view(self, namespace: str, name: str) -> DatasetView:
        body = self._store.get(DATASET, namespace, name)
        return documents.dataset_view(name, body, self._read_dataset)

    def _read_pipeline(self, body: Body) -> Read[MultimodalPipeline]:
        return _read(self._pipelines, MultimodalPipeline, body)

    def _read_dataset(self, body: Body) -> Read[LanceDataset]:
        return _read(self._datasets, LanceDataset, body)

    async def _pods(self, facts: PipelineFacts) -> dict[str, Any]:
        """Clusters before pods: one that is seen gone cannot have made a pod since.

        While an attempt is wanted its pods only tell why it waits: clusters are left out, and one
        look at a namespace serves all who wait in it.
        """
        uid, namespace = facts.identity.uid, facts.identity.namespace
        current = facts.status.current_run
        if current is not None and current.state in ("Starting", "Running"):
            read = partial(self._pods_by_pipeline, namespace)
            return {"pods": (await self._waiting.once(namespace, read)).get(uid, ())}
        label = f"{names.PIPELINE_UID}={uid}"
        clusters = await self._api.list(RAY_CLUSTER, namespace, label)
        bodies = await self._api.list(POD, namespace, label)
        return {
            "clusters": tuple(sorted(one["metadata"]["name"] for one in clusters)),
            "pods": tuple(pods.summary(one) for one in bodies),
        }

    async def _pods_by_pipeline(self, namespace: str) -> Mapping[str, tuple[PodSummary, ...]]:
        found: dict[str, tuple[PodSummary, ...]] = {}
        async for one in self._api.pages(POD, namespace, names.PIPELINE_UID):
            uid = one["metadata"]["labels"][names.PIPELINE_UID]
            found[uid] = (*found.get(uid, ()), pods.summary(one))
        return found

    async def _probes(self, uid: str, now: datetime) -> tuple[ProbeView, ...]:
        return tuple([await self._probe(one, now) for one in list(self._store.children(JOB, uid))])

    async def _probe(self, job: Body, now: datetime) -> ProbeView:
        """A Job with its pod's last words, which are asked for once it has ended."""
        known = self._answers.get(job["metadata"]["uid"])
        if known is not None:
            return known
        view = probes.view(job)
        young = view.created is None or now - view.created < QUIET
        if not view.finished and young:
            return view
        label = f"batch.kubernetes.io/job-name={view.name}"
        view = probes.view(job, await self._api.list(POD, job["metadata"]["namespace"], label))
        if view.finished:
            self._answers.keep(job["metadata"]["uid"], view)
        return view

    async def _frozen_of(self, facts: PipelineFacts) -> Frozen | None:
        current = facts.status.current_run
        if current is None:
            return None
        name = names.config_map(facts.identity.name, current.id)
        key = f"{facts.identity.uid}/{name}"
        known = self._frozen.get(key)
        if known is not None:
            return known
        try:
            body = await self._api.get(CONFIG_MAP, facts.identity.namespace, name)
        except NotFound:
            return None
        frozen = documents.frozen(body)
        if frozen is not None:
            self._frozen.keep(key, frozen)
        return frozen

    async def _progress(self, facts: PipelineFacts, changed: Callable[[], None]) -> dict[str, Any]:
        view = _present(facts)
        if view is None or not view.cluster:
            return {}
        said = await self._poller.latest(
            facts.identity.namespace, view.cluster, view.run, view.attempt, changed
        )
        return {} if said is None else {"progress": said.progress, "last_word": said.outcome}


def _read(
    memory: Memory[Hashable, Read[ResourceT]], model: type[ResourceT], body: Body
) -> Read[ResourceT]:
    """Reading takes milliseconds, and most looks are at what was read before."""
    metadata = body["metadata"]
    key = (
        metadata.get("uid"),
        metadata.get("generation"),
        frozenset((metadata.get("labels") or {}).items()),
        frozenset((metadata.get("annotations") or {}).items()),
    )
    known = memory.get(key)
    if known is None:
        known = documents.resource(model, body)
        memory.keep(key, known)
    return known


def _present(facts: PipelineFacts) -> RayJobView | None:
    """The RayJob of the attempt that goes on."""
    current = facts.status.current_run
    if current is None:
        return None
    sought = current.id, current.attempt
    return next((one for one in facts.rayjobs if (one.run, one.attempt) == sought), None)
