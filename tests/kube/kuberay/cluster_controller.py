"""Makes what a RayCluster needs, in KubeRay's order, and writes its status."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime

from kube import client as kube
from kube.client import ApiError, Kind
from kube.kuberay import objects, pods, raycluster
from kube.kuberay.names import Object
from kube.kuberay.raycluster import CreatePod, DeletePod, Failure
from kube.kuberay.steps import Event
from kube.kuberay.store import Store


class PodsRefused(Exception):
    """A pod could not be made. The status says so; it is to be tried again."""


class ClusterController:
    """`reconcile` raises PodsRefused where quota or admission stand in the way."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._surrounded: set[str] = set()

    async def reconcile(self, namespace: str, name: str) -> None:
        cluster = self._store.find(kube.RAY_CLUSTER, namespace, name)
        if cluster is None or cluster["metadata"].get("deletionTimestamp"):
            return
        await self._make_surroundings(cluster)
        failure = await self._make_pods(cluster)
        pods_now = self._store.pods_of(cluster)
        status = raycluster.status(cluster, pods_now, failure, datetime.now(UTC))
        if status is not None:
            changed = {**cluster, "status": status}
            await self._store.replace(kube.RAY_CLUSTER, changed, "status")
        if failure is not None:
            raise PodsRefused(failure.message)

    async def _make_surroundings(self, cluster: Object) -> None:
        """Once for each cluster and life of this process; what is there stays as it is."""
        meta = cluster["metadata"]
        if meta["uid"] in self._surrounded:
            return
        for kind, body, reason, text in _surroundings(cluster):
            made = await self._store.ensure(kind, body)
            if made is not None and reason:
                place = f"{meta['namespace']}/{body['metadata']['name']}"
                await self._store.tell(cluster, Event(reason, f"Created {text} {place}"))
        self._surrounded.add(meta["uid"])

    async def _make_pods(self, cluster: Object) -> Failure | None:
        for action in raycluster.needed(cluster, self._store.pods_of(cluster)):
            if isinstance(action, DeletePod):
                await self._delete(cluster, action)
            elif (failure := await self._create(cluster, action)) is not None:
                return failure
        return None

    async def _delete(self, cluster: Object, action: DeletePod) -> None:
        with contextlib.suppress(ApiError):
            namespace = cluster["metadata"]["namespace"]
            await self._store.client.delete(kube.POD, namespace, action.name)
            await self._store.tell(cluster, action.event)

    async def _create(self, cluster: Object, action: CreatePod) -> Failure | None:
        meta, role = cluster["metadata"], action.role.lower()
        try:
            pod = await self._store.create(kube.POD, action.pod)
        except ApiError as refusal:
            where = f"{meta['namespace']}/"
            if action.role == "Worker":
                where = f"for the cluster {where}{meta['name']}"
            text = f"Failed to create {role} Pod {where}, {refusal}"
            reason = f"FailedToCreate{action.role}Pod"
            await self._store.tell(cluster, Event(reason, text, type="Warning"))
            return Failure(action.failure, str(refusal))
        text = f"Created {role} Pod {meta['namespace']}/{pod['metadata']['name']}"
        await self._store.tell(cluster, Event(f"Created{action.role}Pod", text))
        return None


def _surroundings(cluster: Object) -> list[tuple[Kind, Object, str, str]]:
    """Kind, object, and reason and noun of the event that tells of it."""
    found: list[tuple[Kind, Object, str, str]] = []
    if pods.wants_token(cluster):
        secret = objects.token_secret(cluster, secrets.token_urlsafe(32))
        found.append((kube.SECRET, secret, "", ""))
    if cluster["spec"].get("enableInTreeAutoscaling"):
        if objects.autoscaler_account(cluster) == cluster["metadata"]["name"]:
            account = objects.service_account(cluster)
            found.append(
                (kube.SERVICE_ACCOUNT, account, "CreatedServiceAccount", "service account")
            )
        found.append((kube.ROLE, objects.role(cluster), "CreatedRole", "role"))
        binding = objects.role_binding(cluster)
        found.append((kube.ROLE_BINDING, binding, "CreatedRoleBinding", "role binding"))
    found.append((kube.SERVICE, objects.cluster_service(cluster), "CreatedService", "service"))
    return found
