"""A cluster of containers by kind, with KubeRay by its chart: what users' CI has.

It takes Docker, kind, kubectl and helm, and a network to pull the node's image and KubeRay's chart
from. The images are built by Docker from the same Dockerfiles.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.cache import CACHE, ROOT, say
from e2e.cluster import Ability, Cluster
from e2e.image.images import IMAGES, Image
from e2e.kubectl import Kubectl, said
from e2e.providers.addresses import forwarding

NEEDED = ("docker", "kind", "kubectl", "helm")
KUBERAY_CHART = "kuberay-operator"
KUBERAY_VERSION = "1.7.0"
KUBERAY_REPOSITORY = "https://ray-project.github.io/kuberay-helm/"
CAN: frozenset[Ability] = frozenset({"drain", "gpus", "network-policies", "autoscaler"})
MINUTES = 60.0


class Kind:
    name = "kind"

    def why_not(self) -> str | None:
        lacking = [one for one in NEEDED if shutil.which(one) is None]
        if lacking:
            return f"no {', '.join(lacking)} on PATH"
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True)
        return None if asked.returncode == 0 else "Docker does not answer"

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        name = f"lancemill-e2e-{os.getpid()}"
        with tempfile.TemporaryDirectory() as folder:
            kubeconfig = Path(folder) / "kubeconfig"
            for image in IMAGES:
                _run(build_command(image))
            _run(["kind", "create", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}"])
            try:
                references = [one.reference for one in IMAGES]
                _run(["kind", "load", "docker-image", f"--name={name}", *references])
                yield _cluster(name, kubeconfig)
            finally:
                _run(["kind", "delete", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}"])


def _cluster(name: str, kubeconfig: Path) -> Cluster:
    kubectl = Kubectl(shutil.which("kubectl") or "kubectl", kubeconfig, f"kind-{name}")
    helm = shutil.which("helm") or "helm"
    told = f"KubeRay {KUBERAY_VERSION} by its chart"
    logs = CACHE / "logs" / time.strftime("%Y%m%d-%H%M%S")
    cluster = Cluster("kind", kubectl, helm, told, forwarding(kubectl), CAN, logs)
    said(cluster.helm_command("kuberay", *kuberay_arguments()), timeout=15 * MINUTES)
    return cluster


def kuberay_arguments() -> list[str]:
    return [
        *("install", KUBERAY_CHART, KUBERAY_CHART),
        *(f"--repo={KUBERAY_REPOSITORY}", f"--version={KUBERAY_VERSION}"),
        *("--create-namespace", "--wait", "--timeout=10m"),
    ]


def build_command(image: Image) -> list[str]:
    given = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
    file = f"--file={ROOT / image.dockerfile}"
    return ["docker", "build", file, f"--tag={image.reference}", *given, str(ROOT)]


def _run(command: list[str]) -> None:
    say(" ".join(command[:3]))
    subprocess.run(command, check=True, stdout=sys.stderr, timeout=60 * MINUTES)
