"""Pods that are only played: what a kubelet and the containers would do, in statuses.

A head pod of a RayCluster gets a Ray dashboard at its address, a pod of a Job comes to its end.
What goes wrong is said in a line of text: see `kube.plays`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

import aiohttp

from kube import client as kube
from kube import fake_dashboard, plays, pod_status
from kube.addresses import NoAddress, PodAddresses
from kube.client import ApiError, Client, quietly
from kube.fake_dashboard import Dashboards, PlayedHead
from kube.plays import Director, JobPlay, PodPlay
from kube.watch import Change

log = logging.getLogger("fake-kubelet")

Object = dict[str, Any]
LOST = (aiohttp.ClientError, TimeoutError)
JOB_SECONDS = 0.2
PAUSES = (0.2, 1.0, 5.0, 15.0)
"""Seconds between attempts at telling a pod's state."""
_LOOK = 0.1
_WORKERS = IPv4Address("10.0.0.1")  # nothing listens there
_LOOPBACK = IPv4Address("127.64.0.1")  # for heads beyond those that addresses are left for
_LOOPBACK_BLOCKS, _BLOCK = 4000, 1024


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
    patience: float = 0.0
    """How long a head waits with its next state for KubeRay to have seen this one."""

    @classmethod
    def patient(cls) -> Timing:
        """For a busy machine: no state passes unseen."""
        return cls(created=0.3, running=1.0, gone=0.5, patience=30.0)

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
    job: JobPlay = field(default_factory=JobPlay)


class FakeKubelet:
    """Told by `heard` of every change of a pod on one of its nodes."""

    def __init__(
        self,
        client: Client,
        addresses: PodAddresses,
        timing: Timing,
        director: Director,
        dashboards: Dashboards,
        namespace: Callable[[str], Object | None],
        job_ending: Callable[[Object], Ending | None] | None,
    ) -> None:
        """`namespace` finds one by its name: its annotations may say what is played."""
        self._client = client
        self._addresses = addresses
        self._timing = timing
        self._director = director
        self._dashboards = dashboards
        self._namespace = namespace
        self._job_ending = job_ending
        self._stages: dict[str, Stage] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker_addresses = (str(_WORKERS + number) for number in itertools.count())
        first = _LOOPBACK + _BLOCK * random.randrange(_LOOPBACK_BLOCKS)
        self._loopback_addresses = (str(first + number) for number in itertools.count())

    async def close(self) -> None:
        tasks = [*self._tasks, *(stage.task for stage in self._stages.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stage in self._stages.values():
            await self._free(stage)

    def plays(self, pod: Object) -> bool:
        return pod["metadata"]["uid"] in self._stages

    async def lose_node(self, name: str) -> None:
        """Its pods are gone at once, as the pod collector leaves them."""
        for stage in [*self._stages.values()]:
            if stage.pod["spec"].get("nodeName") == name:
                await self._vanish(stage.pod)

    def heard(self, change: Change) -> None:
        pod = change.object
        uid = pod["metadata"]["uid"]
        stage = self._stages.get(uid)
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

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_down(self, pod: Object) -> None:
        await asyncio.sleep(self._timing.gone)
        await self._vanish(pod)

    async def _vanish(self, pod: Object) -> None:
        meta = pod["metadata"]
        with contextlib.suppress(*LOST):
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
            await self._dashboards.close(stage.address)
            if not IPv4Address(stage.address).is_loopback:
                self._addresses.give_back(stage.address)
        stage.address = ""

    async def _played(self, pod: Object) -> None:
        try:
            await self._play(pod)
        except plays.WrongPlay as problem:
            log.error("%s cannot be played: %s", pod["metadata"]["name"], problem)
        except (ApiError, *LOST) as problem:
            log.warning("%s is not played on: %s", pod["metadata"]["name"], problem)

    async def _play(self, pod: Object) -> None:
        begun = _time()
        text = await self._text(pod)
        fault = self._director.fault_of(pod, text) if text else None
        created = self._timing.created
        if created is not None or (fault is not None and fault.fault in ("NeverStarts", "Slow")):
            await _sleep_until(begun + (created or 0.0))
            await self._write(pod, pod_status.creating(pod))
            await self._until_seen(pod, "ContainerCreating")
        if fault is not None and fault.fault == "NeverStarts":
            return
        if fault is not None and fault.fault == "ImagePullBackOff":
            await self._fail_to_pull(pod, begun)
            return
        late = fault.after if fault is not None and fault.fault == "Slow" else 0.0
        await _sleep_until(begun + self._timing.running + late)
        # Said anew meanwhile, perhaps: of heads that are up already a test changes it there.
        job = plays.parse(await self._text(pod)).job
        self._stages[pod["metadata"]["uid"]].job = job or JobPlay()
        if not await self._start(pod):
            return
        if fault is not None and fault.fault != "Slow":
            await self._go_wrong(pod, fault)
        elif _is_of_a_job(pod):
            await self._end(pod, self._ending(pod))

    async def _text(self, pod: Object) -> str:
        """Where the play of a pod is said: see `kube.plays`."""
        meta = pod["metadata"]
        namespace = meta["namespace"]
        text = self._director.said.get(namespace) or plays.of_pod(pod)
        if text:
            return text
        for owner in meta.get("ownerReferences", ()):
            if owner["kind"] == "RayCluster":
                found = await quietly(self._client.get(kube.RAY_CLUSTER, namespace, owner["name"]))
                text = _annotation(found, plays.ANNOTATION)
        return text or _annotation(self._namespace(namespace), plays.ANNOTATION)

    def _ending(self, pod: Object) -> Ending:
        if self._job_ending is not None and (said := self._job_ending(pod)) is not None:
            return said
        namespace = self._namespace(pod["metadata"]["namespace"])
        message = _annotation(pod, plays.MESSAGE_ANNOTATION)
        return Ending(message=message or _annotation(namespace, plays.MESSAGE_ANNOTATION))

    async def _write(self, pod: Object, status: Object) -> bool:
        """Whether the pod is still there: it may be gone at any moment."""
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"]}, "status": status}
        place = (kube.POD, meta["namespace"], meta["name"])
        for pause in PAUSES:
            # As a kubelet does: a pod of whose state nobody was told would be waited for for ever.
            with contextlib.suppress(*LOST):
                written = await quietly(self._client.patch(*place, body, "status"), 404, 409, 422)
                return written is not None
            await asyncio.sleep(pause)
        raise TimeoutError(f"{meta['name']}: its status cannot be written")

    async def _until_seen(self, pod: Object, reason: str) -> None:
        """Until the RayCluster says of its head that it waits for this reason."""
        cluster, end = _label(pod, "ray.io/cluster"), _time() + self._timing.patience
        while _label(pod, "ray.io/node-type") == "head" and _time() < end:
            namespace = pod["metadata"]["namespace"]
            found = await quietly(self._client.get(kube.RAY_CLUSTER, namespace, cluster))
            conditions = (found or {}).get("status", {}).get("conditions", ())
            if found is None or any(one["reason"] == reason for one in conditions):
                return
            await asyncio.sleep(_LOOK)

    async def _start(self, pod: Object) -> bool:
        stage = self._stages[pod["metadata"]["uid"]]
        stage.is_head = _label(pod, "ray.io/node-type") == "head"
        if not stage.address:
            stage.address = self._address(stage.is_head)
        if stage.is_head and stage.address not in self._dashboards.heads:
            meta = pod["metadata"]
            cluster = _label(pod, "ray.io/cluster")
            head = PlayedHead(meta["name"], meta["namespace"], stage.address, cluster, stage.job)
            await self._dashboards.open(head, _ports(pod))
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
        await self._until_seen(pod, "ErrImagePull")
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
            await self._dashboards.close(stage.address)
        if pod["spec"].get("restartPolicy", "Always") == "Never":
            await self._write(pod, pod_status.ended(pod, how))
            return
        await self._write(pod, pod_status.crashed(pod, stage.address, how, "terminated"))
        await asyncio.sleep(self._timing.restart)
        if loops:
            await self._write(pod, pod_status.crashed(pod, stage.address, how, "waiting"))
            return
        await self._start(pod)
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
    """The dashboard's port, and the one named `lancemill` where the head declares it."""
    container = pod["spec"]["containers"][0]
    named = {port.get("name"): port["containerPort"] for port in container.get("ports", ())}
    found = [named.get("dashboard", fake_dashboard.PORT)]
    return (*found, named["lancemill"]) if "lancemill" in named else tuple(found)


def _time() -> float:
    return asyncio.get_running_loop().time()


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - _time()))
