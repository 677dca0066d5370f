"""Played nodes and pods against the real scheduler, garbage collector and Job controller."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from kube import client as kube
from kube import loops
from kube.client import Client, quietly
from kube.control_plane import ControlPlane
from kube.fake_nodes import CPU_NODE, Ending, FakeNodes, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.steps import Settings
from kube.plays import ANNOTATION, MESSAGE_ANNOTATION

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")

Object = dict[str, Any]
DEADLINE = 90.0
GPU = "nvidia.com/gpu"


@dataclass
class Bench:
    """One test's nodes, with a client in its namespace."""

    client: Client
    nodes: FakeNodes
    namespace: str

    async def pod(self, name: str, **fields: Any) -> None:
        spec = {"containers": [{"name": "main", "image": "a:1", **fields.pop("container", {})}]}
        meta = {"name": name, **fields.pop("metadata", {})}
        body = {"metadata": meta, "spec": {**spec, **fields}}
        await self.client.create(kube.POD, body, self.namespace)

    async def status(self, kind: kube.Kind, name: str) -> Object | None:
        found = await quietly(self.client.get(kind, self.namespace, name), 404)
        return None if found is None else dict(found.get("status", {}))

    async def until(
        self, kind: kube.Kind, name: str, holds: Callable[[Object | None], bool]
    ) -> Object | None:
        found: Object | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                while not holds(found := await self.status(kind, name)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{kind.name} {name} stays {json.dumps(found)}") from None
        return found

    async def until_phase(self, name: str, phase: str) -> Object:
        found = await self.until(kube.POD, name, lambda one: (one or {}).get("phase") == phase)
        assert found is not None
        return found


@asynccontextmanager
async def bench(
    plane: ControlPlane,
    namespace: str,
    nodes: tuple[Any, ...] = (CPU_NODE,),
    **options: Any,
) -> AsyncIterator[Bench]:
    kubeconfig = str(plane.kubeconfig())
    async with (
        await Client.of(kubeconfig, "test") as client,
        played_nodes(kubeconfig, nodes, timing=Timing.fast(), **options) as played,
    ):
        yield Bench(client, played, namespace)


def play(work: Coroutine[Any, Any, None]) -> None:
    loops.run(work)


def state(status: Object | None, which: str = "state") -> Object:
    found: Object = (status or {}).get("containerStatuses", [{}])[0].get(which, {})
    return found


def waits_for(reason: str) -> Callable[[Object | None], bool]:
    return lambda status: bool(state(status).get("waiting", {}).get("reason") == reason)


def test_a_pod_runs_where_the_scheduler_puts_it_and_goes_when_it_is_deleted(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            await here.pod("a")
            status = await here.until_phase("a", "Running")
            ready = [one["status"] for one in status["conditions"] if one["type"] == "Ready"]
            assert ready == ["True"]
            await here.client.delete(kube.POD, namespace, "a")
            await here.until(kube.POD, "a", lambda found: found is None)

    play(work())


def test_a_gpu_pod_waits_until_there_is_a_node_with_a_gpu(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            # A name of its own: other tests' nodes may be in the same cluster.
            await here.pod(
                "a",
                container={"resources": {"limits": {GPU: "2"}}},
                nodeSelector={"kubernetes.io/hostname": f"gpu-{namespace}"},
            )
            status = await here.until(kube.POD, "a", _is_unschedulable)
            assert status is not None
            await here.nodes.add_node(f"gpu-{namespace}", {**CPU_NODE, GPU: "2"})
            await here.until_phase("a", "Running")

    play(work())


def _is_unschedulable(status: Object | None) -> bool:
    conditions = (status or {}).get("conditions", ())
    return any(one.get("reason") == "Unschedulable" for one in conditions)


def test_an_image_that_cannot_be_pulled_is_backed_off_from(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            here.nodes.director.say(namespace, "pod=ImagePullBackOff")
            await here.pod("a")
            status = await here.until(kube.POD, "a", waits_for("ImagePullBackOff"))
            assert (status or {})["phase"] == "Pending"

    play(work())


@pytest.mark.parametrize(("policy", "phase"), [("Never", "Failed"), ("Always", "Running")])
def test_a_pod_out_of_memory_ends_or_starts_again_as_its_policy_says(
    control_plane: ControlPlane, namespace: str, policy: str, phase: str
) -> None:
    def was_killed(status: Object | None) -> bool:
        ended = state(status, "state" if policy == "Never" else "lastState")
        return bool(ended.get("terminated", {}).get("reason") == "OOMKilled")

    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            await here.pod(
                "a",
                restartPolicy=policy,
                metadata={"annotations": {ANNOTATION: "pod=OOMKilled"}},
            )
            status = await here.until(kube.POD, "a", was_killed)
            assert (status or {})["phase"] == phase

    play(work())


def test_a_container_that_keeps_crashing_is_backed_off_from(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            await here.pod("a", container={"image": "a:play.pod-CrashLoopBackOff.exit-3"})
            status = await here.until(kube.POD, "a", waits_for("CrashLoopBackOff"))
            assert state(status, "lastState")["terminated"]["exitCode"] == 3

    play(work())


def test_an_eviction_says_so(control_plane: ControlPlane, namespace: str) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            here.nodes.director.say(namespace, "pod=Evicted")
            await here.pod("a")
            status = await here.until_phase("a", "Failed")
            assert status["reason"] == "Evicted"

    play(work())


def test_a_node_that_is_gone_takes_its_pods_with_it(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace, ()) as here:
            await here.nodes.add_node(f"lost-{namespace}")
            await here.pod("a", nodeSelector={"kubernetes.io/hostname": f"lost-{namespace}"})
            await here.until_phase("a", "Running")
            await here.nodes.remove_node(f"lost-{namespace}")
            await here.until(kube.POD, "a", lambda found: found is None)

    play(work())


def job() -> Object:
    container = {"name": "main", "image": "a:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    return {"metadata": {"name": "probe"}, "spec": {"backoffLimit": 0, "template": template}}


async def message_of(here: Bench) -> str:
    found = await here.client.list(kube.POD, here.namespace)
    return str(state(found["items"][0]["status"])["terminated"].get("message", ""))


def test_a_job_ends_with_the_message_that_its_namespace_says(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        async with bench(control_plane, namespace) as here:
            said = {"metadata": {"annotations": {MESSAGE_ANNOTATION: '{"rows": 3}'}}}
            await here.client.patch(kube.NAMESPACE, None, namespace, said)
            await here.client.create(kube.JOB, job(), namespace)
            await here.until(kube.JOB, "probe", lambda one: (one or {}).get("succeeded") == 1)
            assert json.loads(await message_of(here)) == {"rows": 3}

    play(work())


def test_a_test_may_say_how_each_job_ends(control_plane: ControlPlane, namespace: str) -> None:
    def ending(pod: Object) -> Ending | None:
        mine = pod["metadata"]["namespace"] == namespace
        return Ending(exit=2, message="no bucket") if mine else None

    async def work() -> None:
        async with bench(control_plane, namespace, job_ending=ending) as here:
            await here.client.create(kube.JOB, job(), namespace)
            await here.until(kube.JOB, "probe", lambda one: (one or {}).get("failed") == 1)
            assert await message_of(here) == "no bucket"

    play(work())


def rayjob(**head: Any) -> Object:
    container = {"name": "ray", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}
    group = {"rayStartParams": {}, "template": {"spec": {"containers": [{**container, **head}]}}}
    worker = {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "job", "annotations": {ANNOTATION: "seconds=60,rows=600,lingers=5"}},
        "spec": {
            "submissionMode": "HTTPMode",
            "entrypoint": "lancemill run /etc/lancemill/run.json --run-id r1 --epoch 2",
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": {
                "rayVersion": "2.56.1",
                "headGroupSpec": group,
                "workerGroupSpecs": [{"groupName": "cpu", "replicas": 1, **worker}],
            },
        },
    }


async def _progress(here: Bench, port: int) -> Object:
    [head] = here.nodes.dashboards.of(here.namespace)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{head.address}:{port}/progress") as response,
    ):
        found: Object = await response.json()
        return found


async def _until_running(here: Bench) -> None:
    await here.until(
        kube.RAY_JOB, "job", lambda status: (status or {}).get("jobStatus") == "RUNNING"
    )


QUICK = Options(Settings(poll=0.2, after_ttl=0.0))


def test_the_head_of_a_running_job_tells_its_progress(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def work() -> None:
        ports = [
            {"name": "dashboard", "containerPort": 8265},
            {"name": "gcs-server", "containerPort": 6379},
            {"name": "lancemill", "containerPort": 8476},
        ]
        kubeconfig = str(control_plane.kubeconfig())
        async with bench(control_plane, namespace) as here, running(kubeconfig, QUICK):
            await here.client.create(kube.RAY_JOB, rayjob(ports=ports), namespace)
            await _until_running(here)
            found = await _progress(here, 8476)
            assert (found["run"], found["attempt"]) == ("r1", 2)
            assert found["outcome"] is None
            assert 0 <= found["progress"]["rowsDone"] < found["progress"]["rowsTotal"] == 600

    play(work())


def test_a_head_that_crashes_is_replaced_and_its_job_submitted_again(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def heads(here: Bench) -> set[str]:
        found = await here.client.list(kube.POD, namespace, labelSelector="ray.io/node-type=head")
        return {pod["metadata"]["uid"] for pod in found["items"]}

    async def work() -> None:
        kubeconfig = str(control_plane.kubeconfig())
        async with bench(control_plane, namespace) as here, running(kubeconfig, QUICK):
            here.nodes.director.say(
                namespace, "seconds=60; pod=OOMKilled,group=head,after=2,times=1"
            )
            body = rayjob()
            scaled = {"enableInTreeAutoscaling": True, "autoscalerOptions": {"version": "v2"}}
            body["spec"]["rayClusterSpec"] |= scaled
            await here.client.create(kube.RAY_JOB, body, namespace)
            await _until_running(here)
            before = await heads(here)
            async with asyncio.timeout(DEADLINE):
                while not (after := await heads(here)) or after == before:
                    await asyncio.sleep(0.05)
            await _until_running_again(here)

    play(work())


async def _until_running_again(here: Bench) -> None:
    async with asyncio.timeout(DEADLINE):
        while not any(head.jobs for head in here.nodes.dashboards.of(here.namespace)):
            await asyncio.sleep(0.05)
    await _until_running(here)
