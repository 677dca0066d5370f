"""What must hold of the parts of pods that a manifest gives: rules, as those of `rules`.

Pods are made of three hands: the manifest's, the operator's and KubeRay's. What one of the others
writes is refused here, since KubeRay would overwrite it without a word, or never get well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lancemill_api.rules import Cel, Finding


@dataclass(frozen=True, slots=True)
class NotReserved:
    """`field` is none of `words` and begins with none of `prefixes`: we or KubeRay use those."""

    field: str
    words: tuple[str, ...]
    prefixes: tuple[str, ...] = ()

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        name = value.get(self.field)
        if isinstance(name, str) and (name in self.words or name.startswith(self.prefixes)):
            yield (
                self.field,
                f"is '{name}', which Lancemill or KubeRay uses itself; expected another one",
            )

    def cel(self) -> Cel:
        name = f"self.{self.field}"
        taken = [f"{name}.startsWith('{one}')" for one in self.prefixes]
        if self.words:
            taken.append(f"{name} in [{', '.join(repr(one) for one in self.words)}]")
        return Cel(
            f"!({' || '.join(taken)})",
            f"{self.field} is taken by Lancemill or KubeRay; expected another one",
        )


@dataclass(frozen=True, slots=True)
class NoOwnedKeys:
    """No key of the mapping `field` is of a domain in which the operator or KubeRay write."""

    field: str
    prefixes: tuple[str, ...] = ("lancemill.dev/", "ray.io/", "kueue.x-k8s.io/")
    words: tuple[str, ...] = (
        *("app.kubernetes.io/managed-by", "app.kubernetes.io/name"),
        "app.kubernetes.io/created-by",
    )

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        entries = value.get(self.field)
        for key in entries if isinstance(entries, Mapping) else ():
            if isinstance(key, str) and (key in self.words or key.startswith(self.prefixes)):
                yield f'{self.field}["{key}"]', "is set by Lancemill or KubeRay; remove it"

    def cel(self) -> Cel:
        taken = [f"k.startsWith('{one}')" for one in self.prefixes]
        taken.append(f"k in [{', '.join(repr(one) for one in self.words)}]")
        return Cel(
            f"!has(self.{self.field}) || !self.{self.field}.exists(k, {' || '.join(taken)})",
            f"{self.field} has a key that Lancemill or KubeRay set; remove it",
        )


@dataclass(frozen=True, slots=True)
class MountsNameVolumes:
    """Each of volumeMounts names one of volumes."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        volumes, mounts = value.get("volumes"), value.get("volumeMounts")
        there = [
            one["name"]
            for one in (volumes if isinstance(volumes, list | tuple) else ())
            if isinstance(one, Mapping) and isinstance(one.get("name"), str)
        ]
        for at, mount in enumerate(mounts if isinstance(mounts, list | tuple) else ()):
            name = mount.get("name") if isinstance(mount, Mapping) else None
            if isinstance(name, str) and name not in there:
                listed = ", ".join(there) or "none"
                yield f"volumeMounts[{at}].name", f"'{name}' is no volume; there are: {listed}"

    def cel(self) -> Cel:
        return Cel(
            "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
            "self.volumes.exists(v, v.name == m.name))",
            "each volumeMounts[].name must name one of volumes",
        )


@dataclass(frozen=True, slots=True)
class NoGpuOnHead:
    """The head has no GPU: nothing there would use it."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        resources = value.get("resources")
        gpu = resources.get("gpu") if isinstance(resources, Mapping) else None
        if isinstance(gpu, int) and gpu > 0:
            yield (
                "resources.gpu",
                f"is {gpu}, but the head does none of the run's work; give it to a worker group",
            )

    def cel(self) -> Cel:
        return Cel(
            "!has(self.resources) || !has(self.resources.gpu) || self.resources.gpu == 0",
            "resources.gpu: the head does none of the run's work; give it to a worker group",
        )


@dataclass(frozen=True, slots=True)
class ValuesFitOperator:
    """A condition on labels has as many values as its operator takes."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        operator, values = value.get("operator"), value.get("values", ())
        if not isinstance(operator, str) or not isinstance(values, list | tuple):
            return
        if operator in ("In", "NotIn") and not values:
            yield "values", f"missing; operator {operator} needs at least one value"
        elif operator in ("Exists", "DoesNotExist") and values:
            yield "values", f"means something with In and NotIn only, not {operator}; remove it"
        elif operator in ("Gt", "Lt") and not _is_one_number(values):
            yield "values", f"operator {operator} needs one whole number in quotes"

    def cel(self) -> Cel:
        values = "(has(self.values) ? self.values : [])"
        return Cel(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : "
            "self.operator in ['Exists', 'DoesNotExist'] ? "
            "!has(self.values) || self.values.size() == 0 : "
            f"{values}.size() == 1 && {values}[0].matches('^[0-9]{{1,18}}$')",
            "values: In and NotIn need at least one, Exists and DoesNotExist take none, Gt and Lt "
            "need one whole number in quotes",
        )


def _is_one_number(values: list[Any] | tuple[Any, ...]) -> bool:
    return len(values) == 1 and re.fullmatch("[0-9]{1,18}", str(values[0])) is not None
