"""Takes down every change of what KubeRay makes, in all namespaces of a run at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from kube import client as kube
from kube import watch
from kube.client import Client
from kube.conformance.story import Asked, Change
from kube.fake_dashboard import Request
from kube.watch import Watch, until_synced

Object = dict[str, Any]

_KINDS = (
    kube.RAY_JOB,
    kube.RAY_CLUSTER,
    kube.POD,
    kube.SERVICE,
    kube.SERVICE_ACCOUNT,
    kube.ROLE,
    kube.ROLE_BINDING,
    kube.SECRET,
    kube.CORE_EVENT,
)


class Recorder:
    """By namespace: changes in the order of etcd's revisions, and what dashboards were asked."""

    def __init__(self, client: Client) -> None:
        self._changes: defaultdict[str, list[tuple[int, Change]]] = defaultdict(list)
        self._asked: defaultdict[str, list[Asked]] = defaultdict(list)
        self._watches = [Watch(client, kind, self._heard) for kind in _KINDS]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches:
                tasks.create_task(watch.run())

    async def until_ready(self) -> None:
        await until_synced(self._watches)

    def live(self, kind: kube.Kind, namespace: str) -> list[Object]:
        watch = next(one for one in self._watches if one.kind is kind)
        return [found for (place, _), found in watch.objects.items() if place == namespace]

    def owned_by(self, kinds: tuple[str, ...], namespace: str) -> bool:
        """Whether anything is left that belongs to one of these."""
        return any(
            owner["kind"] in kinds
            for watch in self._watches
            for (place, _), found in watch.objects.items()
            if place == namespace
            for owner in found["metadata"].get("ownerReferences", ())
        )

    def changes(self, namespace: str) -> list[Change]:
        ordered = sorted(self._changes[namespace], key=lambda pair: pair[0])
        return [change for _, change in ordered]

    def asked(self, namespace: str) -> list[Asked]:
        return self._asked[namespace]

    def _heard(self, change: watch.Change) -> None:
        meta = change.object["metadata"]
        taken = Change(change.type, change.kind.name, change.object)
        self._changes[meta["namespace"]].append((int(meta["resourceVersion"]), taken))

    def dashboard_asked(self, request: Request) -> None:
        self._asked[request.namespace].append(
            Asked(
                head=request.head,
                method=request.method,
                path=request.path,
                body=request.body,
                token="X-Ray-Authorization" in request.headers,
                status=request.answer.status,
                answer=request.answer.body,
            )
        )
