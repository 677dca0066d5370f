"""Pods that could never run, and why, in words."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_api.scheduling import Toleration
from lancemill_operator.manifests.demand import Demand
from lancemill_operator.parse import capacity

Object = dict[str, Any]
GPU = "nvidia.com/gpu"


def node(
    cpu: str = "8", memory: str = "32Gi", gpu: str | None = None, **more: Any
) -> capacity.Node:
    allocatable = {"cpu": cpu, "memory": memory} | ({GPU: gpu} if gpu else {})
    body = {
        "metadata": {"labels": more.get("labels", {})},
        "spec": {"taints": more.get("taints", [])},
        "status": {"allocatable": allocatable},
    }
    found = capacity.node(body)
    assert found is not None
    return found


def asks(cpu: float = 1, gib: float = 1, gpu: float = 0, **more: Any) -> Demand:
    resources = {"cpu": cpu, "memory": gib * 2**30} | ({GPU: gpu} if gpu else {})
    return Demand(resources, 0, 1, **more)


def unfit(demand: Demand, *nodes: capacity.Node, **limits: float) -> str:
    found = capacity.capacity({"gpu": demand}, nodes, limits)
    assert found.nodes == len(nodes)
    return found.unfit.get("gpu", "")


def test_a_pod_that_fits_some_node_is_not_spoken_of() -> None:
    assert unfit(asks(cpu=8, gib=32, gpu=2), node(), node(gpu="2")) == ""


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        (asks(gpu=1), "0/2 nodes have nvidia.com/gpu, and a pod asks for 1 GPUs"),
        (asks(cpu=9), "0/2 nodes have 9 CPUs; the largest has 8 CPUs"),
        (asks(gib=33), "0/2 nodes have 33Gi of memory; the largest has 32Gi of memory"),
        (
            asks(node_selector={"zone": "a"}),
            "0/2 nodes have the labels zone=a (nodeSelector)",
        ),
    ],
)
def test_what_no_node_has_is_named_with_what_there_is(demand: Demand, why: str) -> None:
    assert unfit(demand, node(), node(cpu="4")) == why


def test_what_nodes_have_apart_but_not_together_is_named_so() -> None:
    why = unfit(asks(cpu=8, gib=64), node(), node(cpu="4", memory="64Gi"))
    assert why == "0/2 nodes have 8 CPUs and 64Gi of memory together"


def test_taints_keep_pods_away_that_do_not_bear_them() -> None:
    tainted = node(taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    assert "they have the taints gpu" in unfit(asks(), tainted)
    for toleration in (
        Toleration(operator="Exists"),
        Toleration(key="gpu", operator="Exists"),
        Toleration(key="gpu", value="yes"),
        Toleration(key="gpu", value="yes", effect="NoSchedule"),
    ):
        assert unfit(asks(tolerations=(toleration,)), tainted) == ""
    for toleration in (
        Toleration(key="gpu", value="no"),
        Toleration(key="other", operator="Exists"),
        Toleration(key="gpu", operator="Exists", effect="NoExecute"),
    ):
        assert unfit(asks(tolerations=(toleration,)), tainted) != ""


def test_taints_that_pass_do_not_count() -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}
    assert unfit(asks(), node(taints=[taint])) == ""


def test_nodes_that_take_no_pods_do_not_count() -> None:
    body = {"metadata": {}, "spec": {"unschedulable": True}, "status": {"allocatable": {}}}
    assert capacity.node(body) is None
    assert unfit(asks()) == "there is no node that takes pods"


def test_where_nodes_may_not_be_seen_only_quotas_speak() -> None:
    found = capacity.capacity({"head": asks(cpu=4)}, None, {})
    assert (found.nodes, dict(found.unfit)) == (0, {})
    found = capacity.capacity({"head": asks(cpu=4)}, None, {"requests.cpu": 2})
    assert found.unfit["head"] == (
        "a pod asks for 4 CPUs, but the namespace's quota allows 2 CPUs (requests.cpu)"
    )


def test_the_lowest_quota_counts_and_scoped_ones_do_not() -> None:
    def quota(hard: Object, **spec: Any) -> Object:
        return {"metadata": {}, "spec": {"hard": hard, **spec}}

    limits = capacity.hard_limits(
        [
            quota({"cpu": "4", "memory": "1Gi"}),
            quota({"cpu": "2500m"}),
            quota({"cpu": "1"}, scopes=["BestEffort"]),
        ]
    )
    assert limits == {"cpu": 2.5, "memory": 2**30}
