"""Whether any node, or the namespace's quota, could ever fit a pod of each worker group.

Nodes are taken as if they were empty: this is about pods that can never run, not about waiting. A
group whose labels or tolerations no node matches is told as well, since that is what a wrong
nodeSelector looks like. Autoscalers add nodes, so all of it is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lancemill_api.quantities import quantity
from lancemill_api.scheduling import Toleration
from lancemill_operator.facts import Capacity
from lancemill_operator.kinds import Body
from lancemill_operator.manifests.demand import Demand
from lancemill_operator.parse.rayjobs import text

_WORDS = {"cpu": "CPUs", "nvidia.com/gpu": "GPUs"}
_REPELLING = frozenset({"NoSchedule", "NoExecute"})


@dataclass(frozen=True, slots=True)
class Node:
    """What a node could bear if it were empty, and whom it lets in."""

    allocatable: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()
    """Key, value and effect of those that keep pods away."""


def node(body: Body) -> Node | None:
    """The node; None where it takes no pods."""
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if spec.get("unschedulable"):
        return None
    allocatable = status.get("allocatable") or {}
    return Node(
        {name: amount(value) for name, value in allocatable.items()},
        body["metadata"].get("labels") or {},
        tuple(
            (text(taint.get("key")), text(taint.get("value")), text(taint.get("effect")))
            for taint in spec.get("taints") or ()
            if taint.get("effect") in _REPELLING and not _passing(text(taint.get("key")))
        ),
    )


def hard_limits(quotas: Iterable[Body]) -> dict[str, float]:
    """The lowest hard limit of each resource, over all quotas without a scope."""
    limits: dict[str, float] = {}
    for quota in quotas:
        spec = quota.get("spec") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for name, value in (spec.get("hard") or {}).items():
            limits[name] = min(amount(value), limits.get(name, float("inf")))
    return limits


def capacity(
    demands: Mapping[str, Demand], nodes: Sequence[Node] | None, limits: Mapping[str, float]
) -> Capacity:
    """Which groups could never have a pod. Where nodes are not known only quotas speak."""
    unfit = {
        group: why for group, demand in demands.items() if (why := _unfit(demand, nodes, limits))
    }
    return Capacity(nodes=len(nodes or ()), unfit=unfit)


def _unfit(demand: Demand, nodes: Sequence[Node] | None, limits: Mapping[str, float]) -> str:
    """Why no pod of the group can ever run; empty where one could."""
    for name, asked in demand.resources.items():
        for key in (name, f"requests.{name}", f"limits.{name}"):
            if asked > limits.get(key, float("inf")):
                return (
                    f"a pod asks for {_amount(name, asked)}, but the namespace's quota allows "
                    f"{_amount(name, limits[key])} ({key})"
                )
    return _unfit_for(demand, nodes) if nodes is not None else ""


def _unfit_for(demand: Demand, nodes: Sequence[Node]) -> str:
    if not nodes:
        return "there is no node that takes pods"
    labelled = [one for one in nodes if demand.node_selector.items() <= one.labels.items()]
    if not labelled:
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(demand.node_selector.items()))
        return f"0/{len(nodes)} nodes have the labels {wanted} (nodeSelector)"
    open_to_it = [one for one in labelled if not _repelled(demand.tolerations, one)]
    if not open_to_it:
        taints = sorted({key for one in labelled for key, _, _ in one.taints})
        return (
            f"0/{len(nodes)} nodes let it in: they have the taints {', '.join(taints)}; "
            "add tolerations"
        )
    if any(_fits(demand, one) for one in open_to_it):
        return ""
    return _largest(demand, open_to_it, len(nodes))


def _fits(demand: Demand, one: Node) -> bool:
    return all(asked <= one.allocatable.get(name, 0) for name, asked in demand.resources.items())


def _largest(demand: Demand, nodes: Sequence[Node], of: int) -> str:
    """Names the resource that is short everywhere, else all that were asked for together."""
    for name, asked in demand.resources.items():
        most = max(one.allocatable.get(name, 0) for one in nodes)
        if asked > most:
            if not most:
                return f"0/{of} nodes have {name}, and a pod asks for {_amount(name, asked)}"
            return (
                f"0/{of} nodes have {_amount(name, asked)}; the largest has {_amount(name, most)}"
            )
    together = " and ".join(
        _amount(name, asked) for name, asked in demand.resources.items() if asked
    )
    return f"0/{of} nodes have {together} together"


def _repelled(tolerations: Sequence[Toleration], one: Node) -> bool:
    return any(
        not any(_tolerates(toleration, *taint) for toleration in tolerations)
        for taint in one.taints
    )


def _tolerates(toleration: Toleration, key: str, value: str, effect: str) -> bool:
    if toleration.effect is not None and toleration.effect != effect:
        return False
    if toleration.key is not None and toleration.key != key:
        return False
    return toleration.operator == "Exists" or (toleration.value or "") == value


def _passing(taint: str) -> bool:
    """Whether the taint tells a passing state of the node rather than what it is for."""
    return taint.startswith(("node.kubernetes.io/", "node.cloudprovider."))


def amount(value: Any) -> float:
    """The number that a Kubernetes quantity stands for; 0 where it is none."""
    try:
        return quantity(value)
    except (ValueError, TypeError):
        return 0.0


def _amount(name: str, value: float) -> str:
    if name != "memory":
        return f"{value:g} {_WORDS.get(name, name)}"
    for unit, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if value >= size:
            return f"{value / size:.4g}{unit} of memory"
    return f"{value:g} bytes of memory"
