"""CPU workers fetch, decode and resize while a GPU worker infers, which comes and goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.cache import ROOT
from e2e.cluster import Cluster
from e2e.tenant import Object, Tenant

from support.material import model

NAME = "embeddings"
GPU = "nvidia.com/gpu"


@pytest.fixture
def gpus(cluster: Cluster) -> Iterator[str]:
    """A node that says it has two GPUs; Kubernetes and Ray count what they are told."""
    node: str = cluster.kubectl.json("get", "nodes")["items"][0]["metadata"]["name"]
    _set_gpus(cluster, node, "2")
    yield node
    _set_gpus(cluster, node, "0")


def _set_gpus(cluster: Cluster, node: str, number: str) -> None:
    patch = json.dumps({"status": {"capacity": {GPU: number}}})
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", f"-p={patch}")


def documents(tenant: Tenant, least_gpus: int) -> list[Object]:
    """examples/embeddings.yaml with its two groups, and its sink as a dataset."""
    pipeline: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "embeddings.yaml").read_text())
    spec = pipeline["spec"]
    storage = {"storage": tenant.storage}
    spec["source"]["objects"] |= {"uri": tenant.uri("pictures/"), **storage}
    stages = {one["name"]: one for one in spec["stages"]}
    stages["fetch"]["fetch"] |= storage
    stages["model"]["infer"]["model"] |= {"uri": tenant.uri("models/turned.onnx"), **storage}
    for name in ("fetch", "decode", "small"):
        stages[name]["placement"] = {"group": "cpu"}
    stages["model"]["placement"] = {"group": "gpu", "gpus": 1}
    spec["sink"] = {
        "lance": {"uri": tenant.uri("embeddings.lance"), "mode": "overwrite", **storage}
    }
    spec["sink"]["lance"]["columns"] = ["key", "turned"]
    small = {"cpu": "100m", "memory": "1536Mi"}
    groups = [
        {"name": "cpu", "resources": small, "minReplicas": 1, "maxReplicas": 1},
        {
            "name": "gpu",
            "resources": {**small, "gpu": 1},
            "minReplicas": least_gpus,
            "maxReplicas": 1,
            "idleTimeout": "20s",
        },
    ]
    head = {"resources": {"cpu": "200m", "memory": "2560Mi"}}
    spec["cluster"] = {"head": head, "workerGroups": groups}
    spec["run"] = {"timeout": "20m", "ttlAfterFinished": "90s"}
    return [pipeline]


def prepare(tenant: Tenant, pictures: dict[str, bytes]) -> None:
    chosen = [one for one in pictures.items() if Path(one[0]).suffix in (".jpg", ".png")]
    tenant.put("pictures", dict(chosen))
    tenant.put("models", {"turned.onnx": model("cls").read_bytes()})


def must_be_right(tenant: Tenant, pictures: dict[str, bytes]) -> None:
    rows = tenant.rows(tenant.uri("embeddings.lance")).to_pylist()
    whole = [one for one in pictures if one.endswith((".jpg", ".png")) and "cut-short" not in one]
    assert sorted(one["key"] for one in rows) == sorted(whole)
    assert all(abs(sum(one["turned"]) - 1) < 1e-3 for one in rows)


@pytest.mark.needs("gpus")
def test_pictures_go_from_a_cpu_group_to_a_gpu_group(
    tenant: Tenant, pictures: dict[str, bytes], gpus: str
) -> None:
    prepare(tenant, pictures)
    tenant.kubectl.apply(*documents(tenant, least_gpus=1))
    last = tenant.succeeded(NAME, minutes=12)["status"]["lastRun"]
    assert last["quarantined"] == 1
    must_be_right(tenant, pictures)


@pytest.mark.needs("gpus")
@pytest.mark.needs("autoscaler")
def test_the_gpu_worker_comes_from_zero_and_goes_when_it_is_idle(
    tenant: Tenant, pictures: dict[str, bytes], gpus: str
) -> None:
    prepare(tenant, pictures)
    tenant.kubectl.apply(*documents(tenant, least_gpus=0))
    workers = "lancemill.dev/group=gpu"
    tenant.wait(lambda _: tenant.pods(workers), "given a GPU worker", minutes=5, name=NAME)
    tenant.succeeded(NAME, minutes=12)
    must_be_right(tenant, pictures)
    tenant.wait(lambda _: not tenant.pods(workers), "rid of its GPU worker", name=NAME)
