"""A stage for `lancemill submit | status | logs | cancel | rerun` as users run them.

Real: API server, scheduler, controllers, our operator. Played: nodes, pods, KubeRay. One stage
serves many tests, in a namespace of its own; each test has its own pipeline.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from kube.control_plane import ControlPlane
from kube.credentials import ADMIN
from kube.fake_dashboard import Request
from kube.fake_nodes import Ending, FakeNodes
from kube.namespaces import fresh_namespace
from kube.operator_process import operator
from kube.played import committed, played
from kube.rest import Rest, resource
from lancemill.cli.main import app

Object = dict[str, Any]

API = "lancemill.dev/v1alpha1"
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


def lines(text: str) -> list[Object]:
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def stage(plane: ControlPlane, folder: Path) -> Iterator[Stage]:
    heard: list[Request] = []
    with (
        fresh_namespace(plane) as namespace,
        played(plane, _settled, nodes=[ROOMY], heard=heard.append) as nodes,
        operator(plane, folder, namespaces=(namespace,)),
    ):
        yield Stage(plane, namespace, nodes, folder, heard)


def _settled(pod: Object) -> Ending:
    """What its pipeline's name says came of the run."""
    name = pod["metadata"]["labels"]["lancemill.dev/pipeline"]
    return committed(pod, "NotCommitted" if name.startswith("not-committed") else "Committed")
