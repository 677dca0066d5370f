"""CPU workers fetch, decode and resize while a GPU worker infers, which comes and goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.cache import ROOT, say
from e2e.cluster import Cluster
from e2e.install import PRICES
from e2e.page_text import page_text
from e2e.tenant import Object, Tenant

from support.material import model

NAME = "embeddings"
GPU = "nvidia.com/gpu"
COPIES = 20
"""Of each picture, where it is told what a run's time went into: of a dozen rows nothing is."""
HOUR = 3600


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


def copied(pictures: dict[str, bytes]) -> dict[str, bytes]:
    """Many of each but of the one that is cut short."""
    whole = [one for one in pictures if "cut-short" not in one]
    many = {f"{number:02}-{one}": pictures[one] for number in range(COPIES) for one in whole}
    return {**many, "cut-short.jpg": pictures["cut-short.jpg"]}


def prepare(tenant: Tenant, pictures: dict[str, bytes]) -> None:
    chosen = [one for one in pictures.items() if Path(one[0]).suffix in (".jpg", ".png")]
    tenant.put("pictures", dict(chosen))
    tenant.put("models", {"turned.onnx": model("cls").read_bytes()})


def must_be_right(tenant: Tenant, pictures: dict[str, bytes]) -> None:
    rows = tenant.rows(tenant.uri("embeddings.lance")).to_pylist()
    whole = [one for one in pictures if one.endswith((".jpg", ".png")) and "cut-short" not in one]
    assert sorted(one["key"] for one in rows) == sorted(whole)
    assert all(abs(sum(one["turned"]) - 1) < 1e-3 for one in rows)


def must_be_accounted(last: Object) -> None:
    """What the GPU was held for, and what that and the CPUs cost by the chart's prices."""
    assert last["cpuSeconds"] > 0
    assert 0 < last["gpuIdleSeconds"] < last["gpuSeconds"]
    cpu, gpu = (last[f"{kind}Seconds"] * PRICES[f"{kind}Hour"] / HOUR for kind in ("cpu", "gpu"))
    assert last["cost"]["currency"] == PRICES["currency"]
    assert last["cost"]["amount"] == pytest.approx(cpu + gpu, rel=0.01, abs=1e-4)


def page(tenant: Tenant, run: str) -> str:
    """What the page of a run says, which lies beside the dataset."""
    key = f"{NAME}.lance.runs/{run}/report.html"
    answer = tenant.s3.client.get_object(Bucket=tenant.bucket, Key=key)
    return page_text(answer["Body"].read().decode())


@pytest.mark.needs("gpus")
def test_pictures_go_from_a_cpu_group_to_a_gpu_group_and_it_is_told_where_the_time_went(
    tenant: Tenant, pictures: dict[str, bytes], gpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    many = copied(pictures)
    prepare(tenant, many)
    tenant.kubectl.apply(*documents(tenant, least_gpus=1))
    last = tenant.succeeded(NAME, minutes=12)["status"]["lastRun"]
    assert last["quarantined"] == 1
    must_be_right(tenant, many)
    must_be_accounted(last)
    told = page(tenant, last["id"])
    with capsys.disabled():
        say(f"{json.dumps(last)}\n{told.partition('Plan and manifest')[0]}")
    assert last["diagnosis"] and last["diagnosis"] in told
    lines = [line.split("  ") for line in told.splitlines()]
    assert {"gpu time", "gpu idle", "cost"} <= {line[0] for line in lines}
    # Stages that are done together are one line.
    stages = {name for line in lines if len(line) > 9 for name in line[0].split("+")}
    assert {"source", "fetch", "decode", "small", "model", "sink"} <= stages


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
