"""A played Ray dashboard for each played head pod, with our driver's GET /progress beside it.

One listens at each head's address, so a head that is lost takes its jobs with it and a new one
knows none. A job is PENDING for a second, then RUNNING, then what its play says (`kube.plays`).

    python -m kube.fake_dashboard --address 127.0.0.5 [--port 8265]    # one head, by hand
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from kube import loops
from kube.played_job import PlayedJob
from kube.plays import Director, JobPlay, of_command

Object = dict[str, Any]

PORT = 8265
_BACKLOG = 16


@dataclass(frozen=True)
class Answer:
    """A status and a body, JSON where it is no text."""

    status: int
    body: object

    def response(self) -> web.Response:
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        return web.json_response(self.body, status=self.status)


@dataclass(frozen=True)
class Request:
    """What a dashboard was asked, and what it answered."""

    at: float
    head: str
    namespace: str
    method: str
    path: str
    body: object
    headers: dict[str, str]
    answer: Answer


@dataclass
class PlayedHead:
    """The dashboard of one head pod. A test may make it misbehave by these fields."""

    name: str
    namespace: str
    address: str
    cluster: str = ""
    play: JobPlay = field(default_factory=JobPlay)
    jobs: dict[str, PlayedJob] = field(default_factory=dict)
    refuses: bool = False
    """Connections are cut."""
    on_get: Answer | None = None
    """Given to every GET of a job."""
    on_submit: Answer | None = None
    """Given to every POST of a job."""
    first_submission: float | None = None
    submissions: int = 0
    servers: list[asyncio.Server] = field(default_factory=list)

    def forget(self) -> None:
        self.jobs.clear()


class Dashboards:
    """Every head that is up, by its address."""

    def __init__(
        self,
        director: Director | None = None,
        heard: Callable[[Request], None] | None = None,
        patient: bool = False,
    ) -> None:
        self.heads: dict[str, PlayedHead] = {}
        self.on_submit: dict[str, Answer] = {}
        """By namespace: what its heads shall answer to submissions."""
        self._director = director or Director()
        self._heard = heard
        self._patient = patient
        self._server = web.Server(self._handle, access_log=None)

    def of(self, namespace: str) -> list[PlayedHead]:
        """The heads of a namespace, the latest last."""
        return [head for head in self.heads.values() if head.namespace == namespace]

    async def open(self, head: PlayedHead, ports: tuple[int, ...] = (PORT,)) -> None:
        head.on_submit = self.on_submit.get(head.namespace)
        self.heads[head.address] = head
        for port in ports:
            server = await asyncio.get_running_loop().create_server(
                self._server, head.address, port, backlog=_BACKLOG
            )
            head.servers.append(server)

    async def close(self, address: str) -> None:
        head = self.heads.pop(address, None)
        for server in head.servers if head else ():
            server.close()

    async def close_all(self) -> None:
        for address in list(self.heads):
            await self.close(address)
        await self._server.shutdown(timeout=1)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        address = transport.get_extra_info("sockname")[0] if transport else ""
        head = self.heads.get(address)
        if head is None or head.refuses:
            if transport is not None:
                transport.abort()
            return web.Response()
        body = await request.text()
        answer = self._answer(head, request.method, request.path, body)
        if self._heard is not None and request.path != "/progress":
            self._heard(_heard(head, request, body, answer))
        return answer.response()

    def _answer(self, head: PlayedHead, method: str, path: str, body: str) -> Answer:
        match method, path.strip("/").split("/"):
            case "GET", ["progress"]:
                return _progress(head)
            case "POST", ["api", "jobs"]:
                return self._submit(head, json.loads(body))
            case "GET", ["api", "jobs"]:
                return Answer(200, [job.record() for job in head.jobs.values()])
            case "GET", ["api", "jobs", job_id]:
                return head.on_get or _known(head, job_id)
            case "GET", ["api", "jobs", job_id, "logs"]:
                return _log(head, job_id)
            case "POST", ["api", "jobs", job_id, "stop"]:
                return _stop(head, job_id)
            case "GET", ["api", "version"]:
                return Answer(200, {"version": "4", "ray_version": "2.56.1"})
        return Answer(404, "404: Not Found")

    def _submit(self, head: PlayedHead, body: Object) -> Answer:
        job_id, entrypoint = body["submission_id"], body["entrypoint"]
        play = of_command(entrypoint) or head.play
        first = head.first_submission = head.first_submission or time.time()
        if time.time() < first + play.refuse:
            return Answer(500, "Traceback (most recent call last):\nRuntimeError: no")
        if job_id in head.jobs:
            text = f"ValueError: Job with submission_id {job_id} already exists. Please use a "
            text = f"Traceback (most recent call last):\n{text}different submission_id."
            return Answer(500, text)
        if head.on_submit is not None:
            return head.on_submit
        end = play.end(self._director.count(head.namespace, play.text))
        # A job that is submitted again is looked at only at the next poll, when it runs.
        patient = self._patient and not head.submissions
        head.submissions += 1
        head.jobs[job_id] = PlayedJob(job_id, entrypoint, play, end, patient)
        return Answer(200, {"job_id": job_id, "submission_id": job_id})


def _known(head: PlayedHead, job_id: str) -> Answer:
    job = head.jobs.get(job_id)
    return Answer(200, job.record()) if job else Answer(404, f"Job {job_id} does not exist")


def _log(head: PlayedHead, job_id: str) -> Answer:
    job = head.jobs.get(job_id)
    return Answer(200, {"logs": job.log()}) if job else Answer(404, f"Job {job_id} does not exist")


def _stop(head: PlayedHead, job_id: str) -> Answer:
    job = head.jobs.get(job_id)
    if job is None:
        return Answer(404, f"Job {job_id} does not exist")
    job.stopped = job.stopped or time.time()
    return Answer(200, {"stopped": True})


def _progress(head: PlayedHead) -> Answer:
    """Of the job that was submitted last, while its driver is there."""
    said = [job.progress() for job in head.jobs.values() if job.status() == "RUNNING"]
    return Answer(200, said[-1]) if said and said[-1] else Answer(503, "no driver answers")


def _heard(head: PlayedHead, request: web.BaseRequest, body: str, answer: Answer) -> Request:
    return Request(
        at=time.time(),
        head=head.name,
        namespace=head.namespace,
        method=request.method,
        path=request.path,
        body=json.loads(body) if body else None,
        headers=dict(request.headers),
        answer=answer,
    )


@contextlib.asynccontextmanager
async def one_head(address: str, port: int = PORT) -> AsyncIterator[PlayedHead]:
    dashboards = Dashboards()
    head = PlayedHead("head", "default", address)
    await dashboards.open(head, (port,))
    try:
        yield head
    finally:
        await dashboards.close_all()


async def main(address: str, port: int) -> None:
    async with one_head(address, port):
        print(f"http://{address}:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="fake_dashboard")
    parser.add_argument("--address", default="127.0.0.5")
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        loops.run(main(given.address, given.port))
