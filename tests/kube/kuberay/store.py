"""What the stand-in knows of the live objects, and the writes that keep that knowledge fresh.

One watch for each kind feeds it, whatever the number of RayJobs: a look at one of them costs no
request. What a write answers is taken in at once, so that the next look does not repeat it.
"""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from kube import client as kube
from kube.client import Client, Kind, quietly
from kube.kuberay import names
from kube.kuberay.names import Object
from kube.kuberay.steps import Event
from kube.watch import Change, Watch, until_synced

_WATCHED = (
    (kube.RAY_JOB, ""),
    (kube.RAY_CLUSTER, ""),
    (kube.POD, f"{names.CLUSTER},app.kubernetes.io/created-by={names.MANAGER}"),
    (kube.SERVICE, f"{names.NODE_TYPE}=head"),
)
_OWNERS = {kind.name: kind for kind in (kube.RAY_JOB, kube.RAY_CLUSTER)}


class Store:
    """`wake(kind, namespace, name)` is called for each RayJob and RayCluster to be looked at."""

    def __init__(
        self,
        client: Client,
        namespaces: Sequence[str],
        events: bool,
        wake: Callable[[Kind, str, str], None],
    ) -> None:
        self.client = client
        self._events = events
        self._wake = wake
        self._namespaces = frozenset(namespaces)
        self._pods: dict[tuple[str, str], dict[str, Object]] = {}
        # Many namespaces by a watch of all: a connection for each would be too many.
        only = namespaces[0] if len(namespaces) == 1 else None
        self._watches = [
            Watch(client, kind, self._heard, only, {"labelSelector": query} if query else {})
            for kind, query in _WATCHED
        ]

    def watch(self, tasks: asyncio.TaskGroup) -> None:
        for watch in self._watches:
            tasks.create_task(watch.run())

    async def until_synced(self) -> None:
        await until_synced(self._watches)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        for watch in self._watches:
            if watch.kind is kind and (namespace, name) in watch.objects:
                return watch.objects[namespace, name]
        return None

    def pods_of(self, cluster: Object) -> list[Object]:
        meta = cluster["metadata"]
        named = self._pods.get((meta["namespace"], meta["name"]), {})
        return [
            pod
            for pod in named.values()
            if pod["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
        ]

    def _heard(self, change: Change) -> None:
        meta = change.object["metadata"]
        if self._namespaces and meta["namespace"] not in self._namespaces:
            return
        if change.kind is kube.POD:
            self._index(change)
        if change.kind.name in _OWNERS:
            self._wake(change.kind, meta["namespace"], meta["name"])
        for owner in meta.get("ownerReferences", ()):
            if owner["kind"] in _OWNERS:
                self._wake(_OWNERS[owner["kind"]], meta["namespace"], owner["name"])

    def _index(self, change: Change) -> None:
        meta = change.object["metadata"]
        cluster = meta["namespace"], meta["labels"][names.CLUSTER]
        if change.type != "DELETED":
            self._pods.setdefault(cluster, {})[meta["name"]] = change.object
        elif cluster in self._pods:
            self._pods[cluster].pop(meta["name"], None)
            if not self._pods[cluster]:
                del self._pods[cluster]

    def _learn(self, kind: Kind, found: Object) -> Object:
        for watch in self._watches:
            if watch.kind is kind:
                watch.learn(found)
        if kind is kube.POD:
            self._index(Change("ADDED", kind, found))
        return found

    async def create(self, kind: Kind, body: Object) -> Object:
        made = await self.client.create(kind, body, body["metadata"]["namespace"])
        return self._learn(kind, made)

    async def ensure(self, kind: Kind, body: Object) -> Object | None:
        """The object if it was made now, None if it was there."""
        return await quietly(self.create(kind, body), 409)

    async def replace(self, kind: Kind, body: Object, sub: str = "") -> Object:
        return self._learn(kind, await self.client.replace(kind, body, sub))

    async def delete(self, kind: Kind, found: Object) -> None:
        meta = found["metadata"]
        this_one = {"uid": meta["uid"]}
        await quietly(
            self.client.delete(kind, meta["namespace"], meta["name"], preconditions=this_one)
        )

    async def tell(self, about: Object, *events: Event) -> None:
        for event in events if self._events else ():
            namespace = about["metadata"]["namespace"]
            # A namespace that is being deleted takes no events; nobody misses them.
            creation = self.client.create(kube.NEW_EVENT, _written(about, event), namespace)
            await quietly(creation, 403, 404, 409)


def _written(about: Object, event: Event) -> dict[str, Any]:
    meta, kind = about["metadata"], about["kind"]
    controller = f"{kind.lower()}-controller"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta['name']}.{uuid.uuid4().hex[:16]}",
            "namespace": meta["namespace"],
        },
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": controller,
        "reportingInstance": f"{controller}-{socket.gethostname()}"[:128],
        "action": event.action,
        "reason": event.reason,
        "note": event.message[:1024],
        "type": event.type,
        "regarding": {
            "apiVersion": "ray.io/v1",
            "kind": kind,
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
    }
