"""How KubeRay talks to a Ray dashboard, and what it makes of the answers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import aiohttp

from kube.kuberay.names import Object
from kube.kuberay.steps import Answer, JobRecord, Unknown, Unreachable

TIMEOUT_SECONDS = 2.0
_LOST = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True)
class Head:
    """The address of a head pod, if it has one; the URL that KubeRay knows it by; its token."""

    address: str | None
    url: str
    token: str | None = None


class Dashboard:
    """One session for all heads."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def job(self, head: Head, job_id: str) -> Answer:
        try:
            status, text = await self._call("GET", head, f"/api/jobs/{job_id}")
        except _LOST:
            return Unreachable()
        return Unknown() if status == 404 else read(text)

    async def submit(self, head: Head, body: Object) -> bool:
        try:
            status, _ = await self._call("POST", head, "/api/jobs/", body)
        except _LOST:
            return False
        return status < 300

    async def stop(self, head: Head, job_id: str) -> None:
        try:
            await self._call("POST", head, f"/api/jobs/{job_id}/stop")
        except _LOST:
            return

    async def _call(
        self, method: str, head: Head, path: str, body: Object | None = None
    ) -> tuple[int, str]:
        if head.address is None:
            raise ConnectionRefusedError(f"no head answers at {head.url}")
        headers = {"User-Agent": "Go-http-client/1.1", "Host": head.url}
        if method == "POST":
            headers["Content-Type"] = "application/json"
        if head.token is not None:
            headers["X-Ray-Authorization"] = f"Bearer {head.token}"
        port = head.url.rpartition(":")[2]
        async with self._session.request(
            method,
            f"http://{head.address}:{port}{path}",
            data=None if body is None else json.dumps(body),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
        ) as response:
            return response.status, await response.text()


def read(text: str) -> Answer:
    """Any JSON object is a job record, whatever the status code was."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return Unreachable()
    if not isinstance(found, dict):
        return Unreachable()
    status, message = found.get("status") or "", found.get("message") or ""
    begun, ended = found.get("start_time") or 0, found.get("end_time") or 0
    if not isinstance(status, str) or not isinstance(message, str):
        return Unreachable()
    if not isinstance(begun, int) or not isinstance(ended, int):
        return Unreachable()
    return JobRecord(status, message, begun, ended)
