"""What every scenario finds: Lancemill by its chart, and an S3 server that checks credentials."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from e2e.cache import ROOT
from e2e.cluster import Cluster
from e2e.evidence import collect
from e2e.image.images import ray_version
from e2e.kubectl import Failed, said
from support.servers import S3Server

SYSTEM = "lancemill-system"
RELEASE = "lancemill"
OPERATOR = "deployment/lancemill-operator"
S3_PORT = 9000
S3_NAME = "s3"
STORES = "lancemill-e2e"
"""Namespace of the S3 server."""
START = "2m"
PRICES = {"cpuHour": 0.04, "gpuHour": 2.5, "currency": "EUR"}


def values(cluster: Cluster) -> dict[str, Any]:
    """Values of the chart: our images, and intervals for people who wait."""
    repository, _, tag = cluster.images["operator"].rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
        "resources": {"requests": {"cpu": "50m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}},
        "prices": PRICES,
        "settings": {
            "progressInterval": 1,
            "logLevel": "debug",
            "defaults": {
                "image": cluster.images["runtime"],
                "imagePullPolicy": "IfNotPresent",
                "rayVersion": ray_version(),
                "terminationGraceSeconds": 5,
            },
        },
    }


def lancemill(cluster: Cluster) -> None:
    """By Helm, and waited for: its operator answers when this returns."""
    chart = str(ROOT / "helm" / "lancemill")
    wanted = ["--create-namespace", "--wait", f"--timeout={START}", "--values=-"]
    command = cluster.helm_command(SYSTEM, "upgrade", "--install", RELEASE, chart, *wanted)
    try:
        said(command, json.dumps(values(cluster)), timeout=400)
    except Failed:
        collect(cluster, [SYSTEM], "install")
        raise


def must_be_ours(cluster: Cluster) -> None:
    """Raises Failed where somebody's own Lancemill is there: it would be changed, and removed."""
    for namespace in (SYSTEM, STORES):
        found = cluster.kubectl("get", "namespace", namespace, "--ignore-not-found", "-o", "name")
        if found.strip():
            raise Failed(
                f"namespace {namespace} is there already: scenarios make it, and remove it"
            )


def remove(cluster: Cluster) -> None:
    """What a cluster that somebody has shall not keep; the CRDs stay, as with every uninstall."""
    uninstall(cluster)
    cluster.kubectl("delete", "namespace", SYSTEM, STORES, "--wait=false")


def uninstall(cluster: Cluster) -> None:
    said(cluster.helm_command(SYSTEM, "uninstall", RELEASE, "--wait"), timeout=400)


@contextlib.contextmanager
def s3(cluster: Cluster) -> Iterator[S3Server]:
    """A server in a pod, and this process's way to it; `inside` says how pods reach it."""
    kubectl = cluster.kubectl.at(STORES)
    kubectl.apply(*s3_objects(cluster.images["s3"]))
    kubectl("rollout", "status", f"deployment/{S3_NAME}", f"--timeout={START}", timeout=400)
    with cluster.reach(STORES, S3_NAME, S3_PORT) as address:
        server = S3Server(address, "unused", client=None)
        server.connect()
        server.demand_credentials()
        try:
            yield server
        finally:
            server.client.close()


def inside() -> str:
    """The address that pods know."""
    return f"http://{S3_NAME}.{STORES}.svc.cluster.local:{S3_PORT}"


def s3_objects(image: str) -> list[dict[str, Any]]:
    labels = {"app": S3_NAME}
    ready = {"tcpSocket": {"port": S3_PORT}, "periodSeconds": 1}
    container = {
        "name": S3_NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": S3_PORT}],
        "readinessProbe": ready,
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "containers": [container],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    named = {"name": S3_NAME, "namespace": STORES}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": STORES}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": named,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"selector": labels, "ports": [{"port": S3_PORT}]},
        },
    ]
