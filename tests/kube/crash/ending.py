"""The end state of a life, without what differs between two lives that went the same way.

Times, uids, resource versions and random suffixes go; a run's id becomes its number. What is left
must be equal: what the operator says, every object that it made with its owner, and every RayJob
that there ever was.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

from kube.client import JOB, POD, RAY_CLUSTER, RAY_JOB, SERVICE, SERVICE_ACCOUNT, Kind
from kube.crash.stage import Stage
from kube.crash.theatre import DATASET, PIPELINE, Object
from lancemill_operator import names

CONFIG_MAP = Kind("v1", "configmaps", "ConfigMap")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy")
COMPARED = (PIPELINE, DATASET, RAY_JOB, JOB, CONFIG_MAP, NETWORK_POLICY, SERVICE_ACCOUNT)
COUNTED = (RAY_CLUSTER, POD, SERVICE)
"""KubeRay's, under names that chance has given."""
_FOREIGN = {"kube-root-ca.crt", "default"}
_GONE = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "duration",
    "progress",
    "suspendedSeconds",
    "rayJobUid",
    "activeDeadlineSeconds",
    "token",
    names.TOKEN,
    names.PIPELINE_UID,
    names.DATASET_UID,
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?: ?\+0000 UTC|Z)?")
_SPOKEN = re.compile(r"\b\d+(?:ms|[smhd])(?:\d+[smhd])?\b")
_PROBE = re.compile(r"(-(?:settle|dataset))-[0-9a-f]{8}\b")
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_CLUSTER = re.compile(r"(run\d+-\d+)-[a-z0-9]{5}\b")
_OF_A_SPEC = re.compile(
    r"^(?:RayJob|Job|NetworkPolicy|ServiceAccount) \S+ \.(?:spec|metadata\.generation)\b"
)
"""Its generation counts the changes of a specification."""
_SCHEDULE = re.compile(r"\b\d+ \d+ \* \* \*")


@dataclass(frozen=True)
class End:
    """Comparable by ==; `lines` tells it, and two of them their difference."""

    lines: tuple[str, ...]
    going: bool = field(default=False, compare=False)
    """Whether something is still being taken away."""

    def without_specs(self) -> End:
        """What must be equal where two versions of the operator made the objects."""
        return End(tuple(line for line in self.lines if not _OF_A_SPEC.search(line)))

    def difference(self, other: End) -> list[str]:
        ours, theirs = set(self.lines), set(other.lines)
        return [f"- {line}" for line in self.lines if line not in theirs] + [
            f"+ {line}" for line in other.lines if line not in ours
        ]


async def end_of(stage: Stage) -> End:
    """As it is now."""
    kinds = (*COMPARED, *COUNTED)
    lists = await asyncio.gather(
        *(stage.theatre.client.list(kind, stage.namespace) for kind in kinds)
    )
    found = dict(zip(kinds, (one["items"] for one in lists), strict=True))
    made = stage.theatre.made[stage.namespace]
    plain = _Plain(made, stage.namespace)
    uids = {one["metadata"]["uid"] for items in found.values() for one in items}
    lines = [f"RayJob ever made: {plain.text(name)}" for name in made]
    for kind in COMPARED:
        for one in found[kind]:
            if one["metadata"]["name"] not in _FOREIGN:
                lines += plain.told(kind, one)
    lines += [f"{kind.name}: {len(found[kind])}" for kind in COUNTED]
    orphans = _orphans(found, uids)
    going = any("deletionTimestamp" in one["metadata"] for items in found.values() for one in items)
    return End(tuple(sorted((*lines, *orphans))), going or bool(orphans))


def _orphans(found: dict[Kind, list[Object]], uids: set[str]) -> list[str]:
    return [
        f"orphan: {kind.name} {one['metadata']['name']}"
        for kind, items in found.items()
        for one in items
        for owner in one["metadata"].get("ownerReferences", ())
        if owner["uid"] not in uids
    ]


class _Plain:
    """Rewrites one case's texts and objects."""

    def __init__(self, made: list[str], namespace: str) -> None:
        self._namespace = namespace
        self._runs: dict[str, str] = {}
        for name in made:
            pipeline, run, _ = name.rsplit("-", 2)
            before = sum(key.startswith(f"{pipeline}/") for key in self._runs)
            self._runs.setdefault(f"{pipeline}/{run}", f"run{before + 1}")

    def text(self, text: str) -> str:
        for key, number in self._runs.items():
            text = text.replace(key.split("/")[1], number)
        text = _UID.sub("UID", _TIME.sub("TIME", text.replace(self._namespace, "NAMESPACE")))
        text = _PROBE.sub(r"\1", _CLUSTER.sub(r"\1", text))
        return _SPOKEN.sub("SPAN", _SCHEDULE.sub("SCHEDULE", text))

    def told(self, kind: Kind, found: Object) -> list[str]:
        """One line for each leaf, so that a difference is short."""
        name = self.text(found["metadata"]["name"])
        if kind is RAY_JOB or kind is JOB:
            found = {key: value for key, value in found.items() if key != "status"}
        return [f"{kind.name} {name} {line}" for line in self._leaves(found)]

    def _leaves(self, value: Any, path: str = "") -> list[str]:
        if isinstance(value, dict):
            return [
                line
                for key, inner in sorted(value.items())
                if key not in _GONE and not key.endswith(("Time", "Timestamp"))
                for line in self._leaves(inner, f"{path}.{self.text(key)}")
            ]
        if isinstance(value, list):
            return [
                line
                for at, inner in enumerate(value)
                for line in self._leaves(inner, f"{path}[{at}]")
            ]
        return [f"{path}: {self.text(str(value))}"]
