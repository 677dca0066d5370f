"""A stage for `lancemill submit | status | logs | cancel | rerun` as users run them.

Real: API server, scheduler, controllers, our operator. Played: nodes, pods, KubeRay. One stage
serves many tests, in a namespace of its own; each test has its own pipeline.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kube.control_plane import ControlPlane
from kube.credentials import ADMIN
from kube.fake_dashboard import Request
from kube.fake_nodes import Ending, FakeNodes, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.rayjob import Settings
from kube.namespaces import fresh_namespace
from kube.operator_process import operator
from kube.rest import Rest, resource
from lancemill.cli.main import app

Object = dict[str, Any]

API = "lancemill.dev/v1alpha1"
DEADLINE = 120.0
ROOMY = {"cpu": "1000", "memory": "4Ti"}
"""Clusters of runs that are over stay for a while."""
LANCEMILL = Path(sys.executable).parent / "lancemill"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Cli:
    """`lancemill` as a user of the cluster runs it."""

    plane: ControlPlane
    namespace: str
    user: str = ADMIN
    server: str | None = None

    def __call__(self, *words: str) -> Done:
        """In this process, which spares it the start of one."""
        found = CliRunner().invoke(app, words, env=self.environment())
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Done(found.exit_code, found.stdout, found.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(LANCEMILL), *words],
            env={**os.environ, **self.environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        kubeconfig = self.plane.kubeconfig(self.user, server=self.server, namespace=self.namespace)
        return {"KUBECONFIG": str(kubeconfig), "HOME": str(self.plane.folder)}


@dataclass
class Stage:
    """What the tests of this file share."""

    plane: ControlPlane
    namespace: str
    nodes: FakeNodes
    folder: Path
    heard: list[Request]
    """What the played dashboards were asked, the latest last."""

    @property
    def rest(self) -> Rest:
        return self.plane.rest()

    @property
    def cli(self) -> Cli:
        return Cli(self.plane, self.namespace)

    def manifest(self, name: str, play: str = "seconds-1", **run: object) -> Path:
        """A pipeline whose Ray job does what `play` says."""
        document = pipeline(name, play, **run)
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document))
        return path

    def object(self, name: str) -> Object:
        return self.rest.get(resource(API, "multimodalpipelines", self.namespace, name))

    def phase(self, name: str) -> str:
        return str((self.object(name).get("status") or {}).get("phase", ""))


def pipeline(name: str, play: str = "seconds-1", **run: object) -> Object:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://b/x/"}},
            "sink": {"lance": {"uri": f"s3://lake/{name}.lance"}},
            "runtime": {"image": f"lancemill:play.{play}"},
            "run": run,
        },
    }


def until(what: str, holds: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)
    return found


def lines(text: str) -> list[Object]:
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def stage(plane: ControlPlane, folder: Path) -> Iterator[Stage]:
    play = Played(plane)
    with (
        fresh_namespace(plane) as namespace,
        play as nodes,
        operator(plane, folder, namespaces=(namespace,)),
    ):
        yield Stage(plane, namespace, nodes, folder, play.heard)


class Played:
    """Nodes and KubeRay, played by a thread with a loop of its own."""

    def __init__(self, plane: ControlPlane) -> None:
        self.heard: list[Request] = []
        self._kubeconfig = str(plane.kubeconfig())
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._nodes: FakeNodes | None = None

    def __enter__(self) -> FakeNodes:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        assert self._nodes is not None, "the play could not begin"
        return self._nodes

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE)

    async def _play(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        settings = Settings(poll=0.2, status_check_timeout=300, after_ttl=0)
        try:
            async with AsyncExitStack() as stack:
                self._nodes = await stack.enter_async_context(
                    played_nodes(
                        self._kubeconfig,
                        nodes=[ROOMY],
                        timing=Timing.fast(),
                        job_ending=_settled,
                        heard=self.heard.append,
                    )
                )
                play = running(self._kubeconfig, Options(settings, (), events=True))
                await stack.enter_async_context(play)
                self._ready.set()
                await self._over.wait()
        finally:
            self._ready.set()


def _settled(pod: Object) -> Ending:
    """A settle probe's pod: what its pipeline's name says came of the run."""
    container = pod["spec"]["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    run = words[words.index("--run-id") + 1] if "--run-id" in words else ""
    name = pod["metadata"]["labels"]["lancemill.dev/pipeline"]
    verdict = "NotCommitted" if name.startswith("not-committed") else "Committed"
    answer = {"run": run, "verdict": verdict, "rows": 10, "datasetVersion": 3}
    return Ending(exit=0, message=json.dumps(answer))
