"""Nodes that are only objects: the real scheduler binds pods to them, and they are played.

Whatever capacity a node claims counts (`nvidia.com/gpu: "8"` is just a number). What happens to the
pods on it is up to `kube.fake_kubelet`, and is said in a line of text: see `kube.plays`.

    python -m kube.fake_nodes --kubeconfig K --node cpu=64,memory=256Gi
        --node cpu=64,memory=256Gi,nvidia.com/gpu=8
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from kube import client as kube
from kube import loops, pod_status
from kube.addresses import PodAddresses, pod_addresses
from kube.client import ApiError, Client, quietly
from kube.fake_dashboard import Dashboards, Request
from kube.fake_kubelet import LOST, Ending, FakeKubelet, Timing
from kube.plays import Director
from kube.watch import Change, Watch, until_synced

__all__ = ["CPU_NODE", "GPU_NODE", "Capacity", "Ending", "FakeNodes", "Timing", "played_nodes"]

MANAGER = "fake-kubelet"
Object = dict[str, Any]
Capacity = Mapping[str, str]
CPU_NODE: Capacity = {"cpu": "64", "memory": "256Gi"}
GPU_NODE: Capacity = {**CPU_NODE, "nvidia.com/gpu": "8"}


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
        self._names: set[str] = set()
        bound = {"fieldSelector": "spec.nodeName!="}
        self._pods = Watch(client, kube.POD, self._heard, None, bound)
        self._namespaces = Watch(client, kube.NAMESPACE, lambda change: None)
        self._kubelet = FakeKubelet(
            client,
            addresses,
            timing or Timing(),
            self.director,
            self.dashboards,
            lambda name: self._namespaces.objects.get(("", name)),
            job_ending,
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run())
            tasks.create_task(self._namespaces.run())

    async def until_ready(self) -> None:
        await until_synced((self._pods, self._namespaces))

    async def close(self) -> None:
        await self._kubelet.close()
        await self.dashboards.close_all()

    def _heard(self, change: Change) -> None:
        ours = change.object["spec"].get("nodeName") in self._names
        if ours or self._kubelet.plays(change.object):
            self._kubelet.heard(change)

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
        await self._kubelet.lose_node(name)
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
                with contextlib.suppress(ApiError, *LOST):
                    await found.remove_nodes()
                work.cancel()
                [end] = await asyncio.gather(work, return_exceptions=True)
                await found.close()
            if isinstance(end, Exception):
                raise end  # else nobody would know why pods were not played


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
    loops.run(main(parser.parse_args()))
