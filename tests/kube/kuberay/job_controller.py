"""Carries out what `rayjob` says of one RayJob: writes, and the talk with its dashboard."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from kube import client as kube
from kube.kuberay import names, pods
from kube.kuberay.dashboard import Dashboard, Head
from kube.kuberay.names import Object
from kube.kuberay.rayjob import Life
from kube.kuberay.steps import Seen, Step
from kube.kuberay.store import Store


class JobController:
    """`reconcile` returns in how many seconds to look again, if at all."""

    def __init__(self, store: Store, dashboard: Dashboard, life: Life) -> None:
        self._store = store
        self._dashboard = dashboard
        self._life = life
        self._tokens: dict[str, str] = {}

    async def reconcile(self, namespace: str, name: str) -> float | None:
        job = self._store.find(kube.RAY_JOB, namespace, name)
        if job is None:
            return None
        seen = self._seen(job)
        step = self._life.look(seen, _now())
        again = await self._do(seen, step)
        return await self._ask(seen) if step.ask else again

    def _seen(self, job: Object) -> Seen:
        place, name = job["metadata"]["namespace"], job["metadata"]["name"]
        own_service = self._store.find(kube.SERVICE, place, names.head_service(name))
        cluster = job.get("status", {}).get("rayClusterName")
        if cluster is None:
            return Seen(job, job_service=own_service)
        return Seen(
            job,
            self._store.find(kube.RAY_CLUSTER, place, cluster),
            self._store.find(kube.SERVICE, place, names.head_service(cluster)),
            own_service,
        )

    async def _ask(self, seen: Seen) -> float | None:
        head = await self._head(seen)
        answer = await self._dashboard.job(head, seen.status["jobId"])
        step = self._life.answered(seen, answer, _now())
        if step.submit is not None:
            accepted = await self._dashboard.submit(head, step.submit)
            step = self._life.submitted(seen, accepted, _now())
        return await self._do(seen, step)

    async def _do(self, seen: Seen, step: Step) -> float | None:
        if step.stop:
            await self._dashboard.stop(await self._head(seen), seen.status["jobId"])
        job = seen.job
        if step.finalized is not None:
            job = await self._store.replace(kube.RAY_JOB, step.finalized)
        if step.create_cluster is not None:
            await self._store.ensure(kube.RAY_CLUSTER, step.create_cluster)
        if step.delete_cluster:
            assert seen.cluster is not None
            await self._store.delete(kube.RAY_CLUSTER, seen.cluster)
        if step.ensure_service is not None:
            await self._write_service(step.ensure_service)
        if step.status is not None and step.status != job.get("status"):
            changed = {**job, "status": step.status}
            job = await self._store.replace(kube.RAY_JOB, changed, "status")
        await self._store.tell(job, *step.events)
        return step.again

    async def _write_service(self, service: Object) -> None:
        if "resourceVersion" in service["metadata"]:
            await self._store.replace(kube.SERVICE, service)
        else:
            await self._store.ensure(kube.SERVICE, service)

    async def _head(self, seen: Seen) -> Head:
        """The head by its pod's own address: unlike KubeRay, this needs no resolver of names."""
        url = seen.status.get("dashboardURL", "")
        if seen.cluster is None:
            return Head(None, url)
        found = [
            pod["status"].get("podIP")
            for pod in self._store.pods_of(seen.cluster)
            if pod["metadata"]["labels"].get(names.NODE_TYPE) == "head"
        ]
        return Head(found[0] if found else None, url, await self._token(seen.cluster))

    async def _token(self, cluster: Object) -> str | None:
        if not pods.wants_token(cluster):
            return None
        meta = cluster["metadata"]
        if meta["uid"] not in self._tokens:
            secret = await self._store.client.get(kube.SECRET, meta["namespace"], meta["name"])
            self._tokens[meta["uid"]] = base64.b64decode(secret["data"][pods.TOKEN_KEY]).decode()
        return self._tokens[meta["uid"]]


def _now() -> datetime:
    return datetime.now(UTC)
