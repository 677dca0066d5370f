"""A cluster as small as it can be: an API server, KubeRay, drivers and a ledger, in plain values.

It carries decisions out as the operator's shell does, and can be told to die between any two
writes, to show the operator an old view, or to let an attempt that was given up live on. What it
counts (RayJobs ever made, commits) is what the properties are about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from lancemill_api.manifest import load
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.prices import Prices
from lancemill_api.status import PipelineStatus, Progress
from lancemill_operator import names
from lancemill_operator.actions import Action, Apply, Create, Delete, Emit, Want
from lancemill_operator.decide import decide_pipeline
from lancemill_operator.facts import (
    DatasetView,
    Deployment,
    Frozen,
    Identity,
    Missing,
    Outcome,
    PipelineFacts,
    PodSummary,
    ProbeView,
    RayJobView,
    Verdict,
)
from lancemill_operator.manifests import Defaults, thawed

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEFAULTS = Defaults(prices=Prices(cpu_hour=36.0, gpu_hour=3600.0, currency="EUR"))


class Died(Exception):
    """The operator was killed here."""


@dataclass
class Ledger:
    """One run's: who may work on it, and whether it was committed."""

    closed_to: int = 0
    """Attempts below this may do nothing any more."""
    committed_by: int | None = None
    failed: str = ""
    commits: int = 0

    def commit(self, attempt: int) -> bool:
        """Whether the attempt's rows are in: once, and by nobody who has been overtaken."""
        if attempt < self.closed_to:
            return False
        if self.committed_by is None:
            self.committed_by = attempt
            self.commits += 1
        return True


@dataclass
class Job:
    """A RayJob with what KubeRay and its driver make of it."""

    view: RayJobView
    pods: bool = False
    driver: bool = False


@dataclass
class Simulated:
    """The whole of it. `now` moves only by `wait`."""

    manifest: dict[str, Any]
    now: datetime = START
    generation: int = 1
    annotations: dict[str, str] = field(default_factory=dict)
    status: PipelineStatus = field(default_factory=PipelineStatus)
    datasets: dict[str, DatasetView] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    jobs: dict[str, Job] = field(default_factory=dict)
    probes: dict[str, ProbeView] = field(default_factory=dict)
    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, Emit] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    progress: Progress | None = None
    last_word: Outcome | None = None
    made: list[str] = field(default_factory=list)
    """RayJobs ever made, in order."""
    writes: int = 0
    looks: int = 0
    deadly_write: int | None = None
    """The write before which the operator dies."""
    deadly_after: bool = False
    """Whether it dies after that write instead."""

    # -- what a user does

    def edit(self, **run: Any) -> None:
        """Change spec.run."""
        self.manifest["spec"].setdefault("run", {}).update(run)
        self.generation += 1

    def change(self, **spec: Any) -> None:
        """Change what is run."""
        self.manifest["spec"].update(spec)
        self.generation += 1

    # -- the operator

    def reconcile(self, view: Simulated | None = None) -> timedelta | None:
        """One reconcile, of what `view` shows (an older state), carried out here."""
        source = view or self
        looked: frozenset[Want] = frozenset()
        for _ in range(4):
            decision = decide_pipeline(source.facts(looked), self.now, DEFAULTS)
            if not decision.wants:
                break
            looked |= decision.wants
        else:
            raise AssertionError(f"wants without end: {decision.wants}")
        self.looks += 1
        for action in decision.before:
            self._write(action)
        if decision.status != source.status:
            if source.status != self.status:
                return timedelta()  # the write would be refused: a newer status is there
            self._write(decision.status)
        elif source.status != self.status and decision.actions:
            return timedelta()  # the live object is not what was decided on
        for action in decision.actions:
            self._write(action)
        return decision.look_again

    def settle_down(self, most: int = 60) -> None:
        """Reconcile until nothing changes at this moment."""
        for _ in range(most):
            before = (self.status, len(self.made), sorted(self.jobs), sorted(self.probes))
            self.reconcile()
            if before == (self.status, len(self.made), sorted(self.jobs), sorted(self.probes)):
                return
        raise AssertionError(f"no rest: {self.status}")

    def wait(self, seconds: float) -> None:
        """Time passes; nobody does anything meanwhile."""
        self.now += timedelta(seconds=seconds)

    # -- what the operator sees

    def facts(self, looked: frozenset[Want] = frozenset()) -> PipelineFacts:
        """The world as it is."""
        current = self.status.current_run
        frozen = self.maps.get(names.config_map("cats", current.id)) if current else None
        pipeline, mistakes = self.read()
        return PipelineFacts(
            identity=Identity(
                namespace="ns",
                name="cats",
                uid="uid-1",
                generation=self.generation,
                created=START,
                annotations=dict(self.annotations),
            ),
            pipeline=pipeline,
            document=self.manifest,
            mistakes=mistakes,
            status=self.status,
            rayjobs=tuple(job.view for job in self.jobs.values()),
            datasets=dict(self.datasets),
            looked=looked,
            missing=self.missing if Want.PREFLIGHT in looked else None,
            pods=self._pods() if Want.PODS in looked else None,
            clusters=() if Want.PODS in looked else None,
            frozen=_thawed(frozen) if Want.FROZEN in looked and frozen else None,
            progress=self.progress if Want.PROGRESS in looked else None,
            last_word=self.last_word if Want.PROGRESS in looked else None,
            probes=tuple(self.probes.values()) if Want.PROBES in looked else None,
        )

    def read(self) -> tuple[MultimodalPipeline | None, tuple[str, ...]]:
        """The manifest as the models take it, or what is wrong with it."""
        return _read(json.dumps(self.manifest)), ()

    def _pods(self) -> tuple[PodSummary, ...]:
        return tuple(
            PodSummary(f"{name}-head", name, "headgroup", "Running")
            for name, job in self.jobs.items()
            if job.pods
        ) + tuple(
            PodSummary(name, name, "headgroup", "Running", deleting=True) for name in self.lingering
        )

    lingering: list[str] = field(default_factory=list)
    """Pods whose RayJob is gone and that have not stopped yet."""

    # -- writes

    def _write(self, what: PipelineStatus | Action) -> None:
        self.writes += 1
        dies = self.deadly_write == self.writes
        if dies and not self.deadly_after:
            raise Died
        self._carry_out(what)
        if dies:
            raise Died

    def _carry_out(self, what: PipelineStatus | Action) -> None:
        match what:
            case PipelineStatus():
                self.status = what
            case Create(body) | Apply(body):
                self._create(dict(body))
            case Delete(kind=kind, name=name, uid=uid):
                self._delete(kind, name, uid)
            case Emit():
                self.events.setdefault(f"{what.token}/{what.reason}", what)

    def _create(self, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        labels = body["metadata"].get("labels", {})
        match body["kind"]:
            case "RayJob" if name not in self.jobs:
                self.made.append(name)
                run, attempt = labels[names.RUN], int(labels[names.ATTEMPT])
                self.ledgers.setdefault(run, Ledger())
                self.jobs[name] = Job(
                    RayJobView(
                        name=name,
                        uid=f"uid-{len(self.made)}",
                        run=run,
                        attempt=attempt,
                        created=self.now,
                    )
                )
            case "Job":
                token = labels[names.TOKEN]
                self.probes.setdefault(
                    name, ProbeView(name, labels[names.PURPOSE], token, created=self.now)
                )
            case "ConfigMap":
                self.maps.setdefault(name, body)

    def _delete(self, kind: str, name: str, uid: str) -> None:
        if kind == "ConfigMap":
            self.maps.pop(name, None)
        job = self.jobs.get(name)
        if kind == "RayJob" and job is not None and job.view.uid == uid:
            job.view = replace(job.view, deleting=True)

    # -- KubeRay, drivers, probes

    def only(self) -> Job:
        """The one RayJob there is."""
        (job,) = (job for job in self.jobs.values() if not job.view.deleting)
        return job

    def kuberay(self, job: Job, deployment: str, status: str = "", reason: str = "") -> None:
        """KubeRay says this of the job."""
        job.view = replace(
            job.view, deployment=deployment, job_status=status, reason=reason, cluster="c"
        )
        job.pods = True
        job.driver = job.driver or deployment == Deployment.RUNNING

    def succeed(self, job: Job, *, tells: bool = True, rows: int = 10) -> None:
        """The driver commits and ends."""
        committed = self.ledgers[job.view.run].commit(job.view.attempt)
        if tells and committed:
            self.last_word = Outcome(
                job.view.run, job.view.attempt, Verdict.COMMITTED, rows=rows, dataset_version=3
            )
        self.kuberay(job, Deployment.COMPLETE, "SUCCEEDED" if committed else "FAILED")

    def clear(self, *, pods_stay: bool = False) -> None:
        """What is being deleted goes."""
        for name, job in list(self.jobs.items()):
            if job.view.deleting:
                del self.jobs[name]
                if pods_stay and job.pods:
                    self.lingering.append(name)

    def answer(self, *, problem: str = "") -> None:
        """Every settle Job that runs gives its answer: the ledger's, which it closes."""
        for name, probe in list(self.probes.items()):
            if probe.finished:
                continue
            current = self.status.current_run
            if problem or current is None:
                self.probes[name] = replace(probe, finished=True, problem=problem or "late")
                continue
            ledger = self.ledgers.setdefault(current.id, Ledger())
            ledger.closed_to = max(ledger.closed_to, current.attempt + 1)
            verdict = (
                "Committed"
                if ledger.committed_by is not None
                else ("Failed" if ledger.failed else "NotCommitted")
            )
            told = {"run": current.id, "verdict": verdict, "message": ledger.failed, "rows": 10}
            self.probes[name] = replace(probe, finished=True, answer=told)

    # -- what must always hold

    def check(self) -> None:
        """The promises: one live attempt, one commit a run, and a truthful end."""
        live = [
            job.view.name
            for job in self.jobs.values()
            if not job.view.deleting
            and job.view.deployment not in (Deployment.COMPLETE, Deployment.FAILED)
        ]
        assert len(live) <= 1, f"more than one live RayJob: {live}"
        assert len(self.made) == len(set(self.made)), f"made twice: {self.made}"
        for run, ledger in self.ledgers.items():
            assert ledger.commits <= 1, f"run {run} was committed {ledger.commits} times"
        for record in self.status.runs:
            committed = self.ledgers[record.id].committed_by is not None
            assert (record.result == "Succeeded") == committed, f"untrue: {record}"


def pipeline(**run: Any) -> dict[str, Any]:
    """A small manifest; `run` is its spec.run."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": {"objects": {"uri": "s3://photos/cats/"}},
            "sink": {"lance": {"uri": "s3://lake/cats.lance"}},
            "run": dict(run),
        },
    }


@lru_cache(maxsize=256)
def _read(text: str) -> MultimodalPipeline:
    return load(text, "simulated").pipelines[0]


def _thawed(body: dict[str, Any]) -> Frozen:
    return _melted(body["data"]["manifest.yaml"])


@lru_cache(maxsize=256)
def _melted(text: str) -> Frozen:
    return thawed({"manifest.yaml": text})
