"""Nodes that are only objects, and pods on them that are only played.

The real scheduler binds pods to them by whatever capacity they claim (`nvidia.com/gpu: "8"` is just
a number); then this plays the kubelet: status after status, a Ray dashboard for every head pod, an
end for every pod of a Job. What goes wrong is said in a line of text: see `kube.plays`.

    python -m kube.fake_nodes --kubeconfig K --node cpu=64,memory=256Gi
        --node cpu=64,memory=256Gi,nvidia.com/gpu=8
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import aiohttp

from kube import client as kube
from kube import fake_dashboard, plays, pod_status
from kube.addresses import NoAddress, PodAddresses, pod_addresses
from kube.client import ApiError, Client, quietly
from kube.fake_dashboard import Dashboards, PlayedHead, Request
from kube.plays import Director, JobPlay, PodPlay
from kube.watch import Change, Watch, until_synced

log = logging.getLogger("fake-nodes")

MANAGER = "fake-kubelet"
Object = dict[str, Any]
Capacity = Mapping[str, str]
CPU_NODE: Capacity = {"cpu": "64", "memory": "256Gi"}
GPU_NODE: Capacity = {**CPU_NODE, "nvidia.com/gpu": "8"}
_WORKERS = IPv4Address("10.0.0.1")  # nothing listens there
_LOOPBACK = IPv4Address("127.64.0.1")  # for heads beyond those that addresses are left for
_LOST = (aiohttp.ClientError, TimeoutError)
JOB_SECONDS = 0.2


@dataclass(frozen=True)
class Timing:
    """Seconds from the binding on, as in the recordings of KubeRay."""

    created: float | None = 0.1
    running: float = 0.5
    pull_failed: float = 0.6
    pull_backed_off: float = 1.6
    gone: float = 0.3
    """From the deletion on."""
    restart: float = 1.0

    @classmethod
    def slow(cls) -> Timing:
        """With time for every state to be seen on a busy machine, before the next one comes."""
        return cls(created=0.5, running=1.5, pull_failed=1.5, pull_backed_off=3.0, gone=0.5)

    @classmethod
    def fast(cls) -> Timing:
        """For a thousand pods: one status for each, at once."""
        return cls(created=None, running=0.0, pull_failed=0.0, pull_backed_off=0.1, gone=0.0)


@dataclass(frozen=True)
class Ending:
    """How a pod of a Job ends."""

    exit: int = 0
    message: str = ""
    after: float = JOB_SECONDS


@dataclass
class Stage:
    """A pod that is played."""

    pod: Object
    task: asyncio.Task[None]
    address: str = ""
    is_head: bool = False


class FakeNodes:
    """`async with played_nodes(kubeconfig) as nodes`. `dashboards` are those of the heads."""

    def __init__(
        self,
        client: Client,
        addresses: PodAddresses,
        timing: Timing | None = None,
        director: Director | None = None,
        *,
        heard: Callable[[Request], None] | None = None,
        patient: bool = False,
        job_ending: Callable[[Object], Ending | None] | None = None,
    ) -> None:
        self.director = director or Director()
        self.dashboards = Dashboards(self.director, heard, patient)
        self._client = client
        self._addresses = addresses
        self._timing = timing or Timing()
        self._job_ending = job_ending
        self._stages: dict[str, Stage] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker_addresses = (str(_WORKERS + number) for number in itertools.count())
        self._loopback_addresses = (str(_LOOPBACK + number) for number in itertools.count())
        self._names: set[str] = set()
        bound = {"fieldSelector": "spec.nodeName!="}
        self._watch = Watch(client, kube.POD, self._heard, None, bound)
        self._namespaces = Watch(client, kube.NAMESPACE, lambda change: None)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.run())
            tasks.create_task(self._namespaces.run())

    async def until_ready(self) -> None:
        await until_synced((self._watch, self._namespaces))

    async def close(self) -> None:
        tasks = [*self._tasks, *(stage.task for stage in self._stages.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stage in self._stages.values():
            await self._free(stage)
        await self.dashboards.close_all()

    # -- nodes

    async def add_node(
        self,
        name: str,
        capacity: Capacity = CPU_NODE,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Object] = (),
    ) -> None:
        """Ready, and empty; `pods` is 1000 unless said."""
        self._names.add(name)
        amounts = {"pods": "1000", "ephemeral-storage": "1Ti", **capacity}
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
        await quietly(self._client.create(kube.NODE, {"metadata": meta}), 409)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played"}
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{**ready, "lastTransitionTime": pod_status.now()}],
            "addresses": [{"type": "InternalIP", "address": pod_status.NODE_ADDRESS}],
        }
        await self._client.patch(kube.NODE, None, name, {"status": status}, "status")
        # Admission taints every new node as not ready, and no controller takes that off here.
        await self._client.patch(kube.NODE, None, name, {"spec": {"taints": list(taints) or None}})

    async def remove_node(self, name: str) -> None:
        """The node and all of its pods are gone at once, as the pod collector leaves them."""
        await quietly(self._client.delete(kube.NODE, None, name), 404)
        for stage in [*self._stages.values()]:
            if stage.pod["spec"].get("nodeName") == name:
                await self._vanish(stage.pod)
        self._names.discard(name)

    async def remove_nodes(self) -> None:
        for name in [*self._names]:
            await self.remove_node(name)

    def head_address(self, service: str, namespace: str) -> str | None:
        """Where the head behind a Service listens: NAME-head-svc of a RayCluster."""
        for head in self.dashboards.of(namespace):
            if service == f"{head.cluster}-head-svc":
                return head.address
        return None

    # -- pods

    def _heard(self, change: Change) -> None:
        pod = change.object
        uid = pod["metadata"]["uid"]
        stage = self._stages.get(uid)
        if stage is None and pod["spec"].get("nodeName") not in self._names:
            return  # on a node of somebody else's
        if change.type == "DELETED":
            if stage is not None:
                stage.task.cancel()
                self._spawn(self._free(self._stages.pop(uid)))
        elif pod["metadata"].get("deletionTimestamp"):
            if stage is None or not stage.pod["metadata"].get("deletionTimestamp"):
                self._stop(pod, stage)
        elif stage is None and pod["status"].get("phase") in (None, "Pending", "Running"):
            task = asyncio.create_task(self._played(pod))
            self._stages[uid] = Stage(pod, task)

    def _stop(self, pod: Object, stage: Stage | None) -> None:
        if stage is not None:
            stage.task.cancel()
            stage.pod = pod
        self._spawn(self._take_down(pod))

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_down(self, pod: Object) -> None:
        await asyncio.sleep(self._timing.gone)
        await self._vanish(pod)

    async def _vanish(self, pod: Object) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(*_LOST):
            await quietly(
                self._client.delete(
                    kube.POD,
                    meta["namespace"],
                    meta["name"],
                    gracePeriodSeconds=0,
                    preconditions={"uid": meta["uid"]},
                )
            )

    async def _free(self, stage: Stage) -> None:
        if stage.is_head and stage.address:
            await self.dashboards.close(stage.address)
            if not IPv4Address(stage.address).is_loopback:
                self._addresses.give_back(stage.address)
        stage.address = ""

    async def _played(self, pod: Object) -> None:
        try:
            await self._play(pod)
        except plays.WrongPlay as problem:
            log.error("%s cannot be played: %s", pod["metadata"]["name"], problem)
        except (ApiError, *_LOST) as problem:
            log.warning("%s is not played on: %s", pod["metadata"]["name"], problem)

    async def _play(self, pod: Object) -> None:
        begun = asyncio.get_running_loop().time()
        text = await self._text(pod)
        fault = self.director.fault_of(pod, text) if text else None
        if self._timing.created is not None:
            await _sleep_until(begun + self._timing.created)
            await self._write(pod, pod_status.creating(pod))
        if fault is not None and fault.fault == "NeverStarts":
            return
        if fault is not None and fault.fault == "ImagePullBackOff":
            await self._fail_to_pull(pod, begun)
            return
        late = fault.after if fault is not None and fault.fault == "Slow" else 0.0
        await _sleep_until(begun + self._timing.running + late)
        job = plays.parse(text).job if text else None
        if not await self._start(pod, job or JobPlay()):
            return
        if fault is not None and fault.fault != "Slow":
            await self._go_wrong(pod, fault)
        elif _is_of_a_job(pod):
            await self._end(pod, self._ending(pod))

    async def _text(self, pod: Object) -> str:
        """Where the play of a pod is said: see `kube.plays`."""
        meta = pod["metadata"]
        namespace = meta["namespace"]
        text = self.director.said.get(namespace) or plays.of_pod(pod)
        if text:
            return text
        for owner in meta.get("ownerReferences", ()):
            if owner["kind"] == "RayCluster":
                found = await quietly(self._client.get(kube.RAY_CLUSTER, namespace, owner["name"]))
                text = _annotation(found, plays.ANNOTATION)
        return text or _annotation(self._namespaces.objects.get(("", namespace)), plays.ANNOTATION)

    def _ending(self, pod: Object) -> Ending:
        if self._job_ending is not None and (said := self._job_ending(pod)) is not None:
            return said
        namespace = self._namespaces.objects.get(("", pod["metadata"]["namespace"]))
        message = _annotation(pod, plays.MESSAGE_ANNOTATION)
        return Ending(message=message or _annotation(namespace, plays.MESSAGE_ANNOTATION))

    async def _write(self, pod: Object, status: Object) -> bool:
        """Whether the pod is still there: it may be gone at any moment."""
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        written = await quietly(
            self._client.patch(kube.POD, meta["namespace"], meta["name"], body, "status"),
            404,
            409,
            422,
        )
        return written is not None

    async def _start(self, pod: Object, job: JobPlay) -> bool:
        stage = self._stages[pod["metadata"]["uid"]]
        stage.is_head = _label(pod, "ray.io/node-type") == "head"
        if not stage.address:
            stage.address = self._address(stage.is_head)
        if stage.is_head and stage.address not in self.dashboards.heads:
            meta = pod["metadata"]
            cluster = _label(pod, "ray.io/cluster")
            head = PlayedHead(meta["name"], meta["namespace"], stage.address, cluster, job)
            await self.dashboards.open(head, _ports(pod))
        return await self._write(pod, pod_status.running(pod, stage.address))

    def _address(self, is_head: bool) -> str:
        """One of its own for each head; those of workers are never called."""
        if not is_head:
            return next(self._worker_addresses)
        if self._addresses.shared:
            return next(self._loopback_addresses)
        try:
            return self._addresses.take()
        except NoAddress:
            return next(self._loopback_addresses)

    async def _fail_to_pull(self, pod: Object, begun: float) -> None:
        await _sleep_until(begun + self._timing.pull_failed)
        message = "failed to pull and unpack image: not found"
        await self._write(pod, pod_status.waiting(pod, "ErrImagePull", message))
        await _sleep_until(begun + self._timing.pull_backed_off)
        message = "Back-off pulling image: not found"
        await self._write(pod, pod_status.waiting(pod, "ImagePullBackOff", message))

    async def _go_wrong(self, pod: Object, fault: PodPlay) -> None:
        await asyncio.sleep(fault.after)
        match fault.fault:
            case "Lost":
                await self._vanish(pod)
            case "Evicted":
                why = {"reason": "Evicted", "message": "The node was low on resource: memory."}
                await self._write(pod, {"phase": "Failed", **why})
                await self._free(self._stages[pod["metadata"]["uid"]])
            case "OOMKilled":
                await self._crash(pod, pod_status.terminated("OOMKilled", 137), loops=False)
            case "CrashLoopBackOff":
                await self._crash(pod, pod_status.terminated("Error", fault.exit), loops=True)
            case "Ends":
                await self._end(pod, Ending(fault.exit, after=0.0))

    async def _crash(self, pod: Object, how: Object, *, loops: bool) -> None:
        """The first container ends; what follows is up to the pod's restartPolicy."""
        stage = self._stages[pod["metadata"]["uid"]]
        if stage.is_head:
            await self.dashboards.close(stage.address)
        if pod["spec"].get("restartPolicy", "Always") == "Never":
            await self._write(pod, pod_status.ended(pod, how))
            return
        await self._write(pod, pod_status.crashed(pod, stage.address, how, "terminated"))
        await asyncio.sleep(self._timing.restart)
        if loops:
            await self._write(pod, pod_status.crashed(pod, stage.address, how, "waiting"))
            return
        await self._start(pod, JobPlay())
        await self._write(pod, pod_status.running(pod, stage.address, restarted_after=how))

    async def _end(self, pod: Object, ending: Ending) -> None:
        await asyncio.sleep(ending.after)
        how = pod_status.terminated("Completed" if ending.exit == 0 else "Error", ending.exit)
        how["terminated"]["message"] = ending.message
        await self._write(pod, pod_status.ended(pod, how))


def _label(pod: Object, name: str) -> str:
    return str(pod["metadata"].get("labels", {}).get(name, ""))


def _annotation(found: Object | None, name: str) -> str:
    return str((found or {}).get("metadata", {}).get("annotations", {}).get(name, ""))


def _is_of_a_job(pod: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences", ())
    return any(owner["kind"] == "Job" for owner in owners)


def _ports(pod: Object) -> tuple[int, ...]:
    """The dashboard's port, and the one named `progress` where the head declares it."""
    container = pod["spec"]["containers"][0]
    named = {port.get("name"): port["containerPort"] for port in container.get("ports", ())}
    found = [named.get("dashboard", fake_dashboard.PORT)]
    return (*found, named["progress"]) if "progress" in named else tuple(found)


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))


@contextlib.asynccontextmanager
async def played_nodes(
    kubeconfig: str | None,
    nodes: Iterable[Capacity] = (CPU_NODE, GPU_NODE),
    *,
    prefix: str = "node",
    timing: Timing | None = None,
    director: Director | None = None,
    heard: Callable[[Request], None] | None = None,
    patient: bool = False,
    job_ending: Callable[[Object], Ending | None] | None = None,
) -> AsyncIterator[FakeNodes]:
    """Nodes `node-0`, `node-1` … of these capacities; they and their pods go at the end.

    Two of these in one cluster play the pods of their own nodes only, if their prefixes differ.
    """
    with pod_addresses() as addresses:
        async with await Client.of(kubeconfig, MANAGER) as client:
            found = FakeNodes(
                client,
                addresses,
                timing,
                director,
                heard=heard,
                patient=patient,
                job_ending=job_ending,
            )
            work = asyncio.create_task(found.run())
            try:
                await found.until_ready()
                for number, capacity in enumerate(nodes):
                    await found.add_node(f"{prefix}-{number}", capacity)
                yield found
            finally:
                with contextlib.suppress(ApiError, *_LOST):
                    await found.remove_nodes()
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await found.close()


def _capacity(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(","))


async def main(arguments: argparse.Namespace) -> None:
    timing = Timing.fast() if arguments.fast else Timing()
    nodes: list[Capacity] = [_capacity(text) for text in arguments.node] or [CPU_NODE, GPU_NODE]
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with played_nodes(arguments.kubeconfig, nodes, timing=timing):
        print("ready", flush=True)
        await stopped.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="fake_nodes", description="Nodes and pods, played.")
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--node", action="append", default=[], metavar="cpu=64,memory=256Gi,…")
    parser.add_argument("--fast", action="store_true", help="no delays, one status for each pod")
    asyncio.run(main(parser.parse_args()))
