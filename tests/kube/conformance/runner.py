"""Plays scenarios side by side on a real API server, each in a namespace of its own."""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kube import client as kube
from kube.client import JSON_PATCH, MERGE, ApiError, Client, quietly
from kube.conformance import recordings
from kube.conformance.operators import Operator, Operators
from kube.conformance.recorder import Recorder
from kube.conformance.scenario import Action, Awaited, Scenario
from kube.conformance.story import Asked, Change, Story, story
from kube.fake_dashboard import Answer
from kube.fake_nodes import FakeNodes
from kube.kuberay.steps import Settings

Object = dict[str, Any]

SIDE_BY_SIDE = 14
LONGEST = 150.0
USUAL_TIMEOUT = Settings().status_check_timeout
LOOK = 0.02
SETTLE = 1.2  # for the events that an end sets off
ENDED = ("Complete", "Failed", "ValidationFailed")
REFUSAL = Answer(500, "Traceback (most recent call last):\nRuntimeError: no")


class Stuck(Exception):
    """A scenario did not come to where it should; the text says where it is."""


@dataclass
class Run:
    """One scenario, being played."""

    scenario: Scenario
    folder: Path
    namespace: str
    client: Client
    nodes: FakeNodes
    recorder: Recorder
    operator: Operator
    _changes: list[Change] = field(default_factory=list)
    _asked: list[Asked] = field(default_factory=list)

    async def play(self) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                await self._play()
        except TimeoutError:
            raise Stuck(f"{self.scenario.recording} hangs: {self._where()}") from None
        self._changes = self.recorder.changes(self.namespace)
        self._asked = [*self.recorder.asked(self.namespace)]

    def story(self) -> Story:
        """Up to the end of the scenario. Masking takes its time: not while others are played."""
        return story(self._changes, self._asked, self.namespace)

    async def _play(self) -> None:
        if self.scenario.play:
            self.nodes.director.say(self.namespace, self.scenario.play)
        steps = list(self.scenario.steps)
        while steps and steps[0].when is None and not steps[0].pause:
            await self._do(steps.pop(0))
        for manifest in recordings.manifests(self.folder):
            await self._create(manifest)
        for step in steps:
            await self._until(self._holds(step.when) if step.when else lambda: True)
            await asyncio.sleep(step.pause)
            await self._do(step)
        await self._until(self._is_over)
        await asyncio.sleep(SETTLE)

    async def _create(self, manifest: Object) -> None:
        manifest = copy.deepcopy(manifest)
        manifest["metadata"]["namespace"] = self.namespace
        kind = kube.KINDS[manifest["apiVersion"], manifest["kind"]]
        if kind is kube.RAY_JOB:
            manifest["spec"] |= {
                name: value
                for name, value in self.scenario.spec.items()
                if name in manifest["spec"]
            }
        try:
            await self.client.create(kind, manifest, self.namespace)
        except ApiError as refusal:
            if refusal.code != 422:  # some are meant to be refused
                raise
        if kind is kube.RESOURCE_QUOTA:
            await self._until_quota_counts(manifest["metadata"]["name"])

    async def _until_quota_counts(self, name: str) -> None:
        while True:
            found = await self.client.get(kube.RESOURCE_QUOTA, self.namespace, name)
            if found.get("status", {}).get("hard"):
                return
            await asyncio.sleep(LOOK)

    # -- states

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(LOOK)

    def _holds(self, awaited: Awaited) -> Callable[[], bool]:
        def holds() -> bool:
            clusters = self.recorder.live(kube.RAY_CLUSTER, self.namespace)
            if awaited.clusters is not None and len(clusters) != awaited.clusters:
                return False
            if awaited.head is not None and not any(_head_is(one, awaited) for one in clusters):
                return False
            return any(_is(job, awaited) for job in self._jobs())

        return holds

    def _jobs(self) -> list[Object]:
        return self.recorder.live(kube.RAY_JOB, self.namespace)

    def _is_over(self) -> bool:
        if isinstance(self.scenario.end, Awaited):
            return self._holds(self.scenario.end)()
        if self.recorder.live(kube.RAY_CLUSTER, self.namespace):
            return False
        owners = ("RayCluster", "RayJob") if self.scenario.end == "gone" else ("RayCluster",)
        if self.recorder.owned_by(owners, self.namespace):
            return False
        if self.scenario.end == "gone":
            return not self._jobs()
        jobs = self._jobs()
        return bool(jobs) and all(_status(job, "jobDeploymentStatus") in ENDED for job in jobs)

    def _where(self) -> str:
        jobs = {job["metadata"]["name"]: job.get("status", {}) for job in self._jobs()}
        states = {
            name: (status.get("jobDeploymentStatus", ""), status.get("jobStatus", ""))
            for name, status in jobs.items()
        }
        clusters = len(self.recorder.live(kube.RAY_CLUSTER, self.namespace))
        pods = len(self.recorder.live(kube.POD, self.namespace))
        return f"RayJobs {states}, {clusters} RayClusters, {pods} pods"

    # -- actions

    async def _do(self, step: Action) -> None:
        actions: dict[str, Callable[[Action], Awaitable[object]]] = {
            "suspend": lambda _: self._patch({"spec": {"suspend": True}}),
            "resume": lambda _: self._patch({"spec": {"suspend": False}}),
            "delete": self._delete,
            "delete-head": lambda _: self._delete_pod("head"),
            "delete-worker": lambda _: self._delete_pod("worker"),
            "delete-namespace": self._delete_namespace,
            "patch": lambda step: self._patch(step.options.get("merge") or step.options["json"]),
            "patch-cluster": self._patch_cluster,
            "stop-operator": lambda _: self.operator.stop(),
            "start-operator": lambda _: self.operator.start(),
        }
        if step.do in actions:
            await actions[step.do](step)
        else:
            self._trouble(step)

    def _trouble(self, step: Action) -> None:
        """What a dashboard shall do from now on."""
        if step.do == "refuse-submissions":
            self.nodes.dashboards.on_submit[self.namespace] = REFUSAL
        for head in self.nodes.dashboards.of(self.namespace):
            match step.do:
                case "refuse":
                    head.refuses = True
                case "answer-get":
                    head.on_get = Answer(step.options["status"], step.options["body"])
                case "forget":
                    head.forget()
                case "recover":
                    head.refuses, head.on_get, head.on_submit = False, None, None
                case _:
                    raise ValueError(f"{step.do} is no action")

    async def _patch(self, body: object) -> None:
        name = self._jobs()[0]["metadata"]["name"]
        how = JSON_PATCH if isinstance(body, list) else MERGE
        await self.client.patch(kube.RAY_JOB, self.namespace, name, body, content_type=how)

    async def _patch_cluster(self, step: Action) -> None:
        cluster = self.recorder.live(kube.RAY_CLUSTER, self.namespace)[0]["metadata"]["name"]
        body = copy.deepcopy(step.options["json"])
        for change in body:
            condemned = isinstance(change["value"], dict) and change["value"]["workersToDelete"]
            if condemned:
                change["value"]["workersToDelete"] = [self._pod("worker", "gpu")]
        how = JSON_PATCH
        await self.client.patch(kube.RAY_CLUSTER, self.namespace, cluster, body, content_type=how)

    def _pod(self, node_type: str, group: str | None = None) -> str:
        for pod in self.recorder.live(kube.POD, self.namespace):
            labels = pod["metadata"]["labels"]
            if labels["ray.io/node-type"] == node_type and group in (None, labels["ray.io/group"]):
                return str(pod["metadata"]["name"])
        raise Stuck(f"{self.scenario.recording} has no {node_type}: {self._where()}")

    async def _delete(self, step: Action) -> None:
        for job in self._jobs():
            await self.client.delete(kube.RAY_JOB, self.namespace, job["metadata"]["name"])

    async def _delete_pod(self, node_type: str) -> None:
        await self.client.delete(kube.POD, self.namespace, self._pod(node_type))

    async def _delete_namespace(self, step: Action) -> None:
        await self.client.delete(kube.NAMESPACE, None, self.namespace)


def _status(job: Object, name: str) -> str:
    return str(job.get("status", {}).get(name, ""))


def _head_is(cluster: Object, awaited: Awaited) -> bool:
    conditions = cluster.get("status", {}).get("conditions", ())
    reasons = (one["reason"] for one in conditions if one["type"] == "HeadPodReady")
    return awaited.head in reasons


def _is(job: Object, awaited: Awaited) -> bool:
    wanted = (
        (awaited.name, job["metadata"]["name"]),
        (awaited.deployment, _status(job, "jobDeploymentStatus")),
        (awaited.job, _status(job, "jobStatus")),
        (awaited.failing, bool(_status(job, "jobStatusCheckFailureStartTime"))),
    )
    return all(state in (None, found) for state, found in wanted)


@dataclass(frozen=True)
class Stage:
    """Where scenarios are played."""

    client: Client
    nodes: FakeNodes
    recorder: Recorder
    operators: Operators
    recordings: Path
    status_check_timeout: float
    """Of the shared operator; one that a scenario has for itself keeps KubeRay's own."""

    async def play(self, scenarios: Sequence[Scenario]) -> dict[str, Story | Exception]:
        """Some side by side; what went wrong with one of them is told in its place."""
        places = {one.recording: _namespace(one) for one in scenarios}
        await asyncio.gather(*(self._open(place) for place in places.values()))
        shared = self.operators.of(
            [places[one.recording] for one in scenarios if not one.own_operator],
            self.status_check_timeout,
        )
        own = {
            one.recording: self.operators.of([places[one.recording]], USUAL_TIMEOUT)
            for one in scenarios
            if one.own_operator
        }
        runs = [
            Run(
                one,
                self.recordings / one.recording,
                places[one.recording],
                self.client,
                self.nodes,
                self.recorder,
                own.get(one.recording, shared),
            )
            for one in scenarios
        ]
        try:
            await asyncio.gather(*(one.start() for one in (shared, *own.values())))
            ended = await self._play_in_turn(runs)
        finally:
            await asyncio.gather(*(one.stop() for one in (shared, *own.values())))
        return {
            run.scenario.recording: end or run.story() for run, end in zip(runs, ended, strict=True)
        }

    async def _play_in_turn(self, runs: Sequence[Run]) -> list[Exception | None]:
        """The longest first, so that none is left alone at the end."""
        slots = asyncio.Semaphore(SIDE_BY_SIDE)
        order = sorted(runs, key=lambda run: -recordings.seconds(run.folder))

        async def played(run: Run) -> Exception | None:
            async with slots:
                try:
                    await run.play()
                except (ApiError, Stuck) as problem:
                    return problem
                finally:
                    await self._close(run.namespace)
            return None

        ended = await asyncio.gather(*(played(run) for run in order))
        by_name = {run.namespace: end for run, end in zip(order, ended, strict=True)}
        return [by_name[run.namespace] for run in runs]

    async def _open(self, namespace: str) -> None:
        """Pods may be made in it once its service account is there."""
        await self.client.create(kube.NAMESPACE, {"metadata": {"name": namespace}})
        async with asyncio.timeout(LONGEST):
            while not self.recorder.live(kube.SERVICE_ACCOUNT, namespace):
                await asyncio.sleep(LOOK)

    async def _close(self, namespace: str) -> None:
        await quietly(self.client.delete(kube.NAMESPACE, None, namespace))


def _namespace(scenario: Scenario) -> str:
    number = scenario.recording.partition("-")[0]
    return f"t{number}-{secrets.token_hex(3)}"
