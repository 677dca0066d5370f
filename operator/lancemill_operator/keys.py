"""What the queue holds: which object is to be looked at; and which are, when one changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB, Body, Kind
from lancemill_operator.parse.relations import committed, sink_of
from lancemill_operator.store import Store


class Key(NamedTuple):
    """One of our own resources."""

    kind: Kind
    namespace: str
    name: str


_OWNERS = {kind.name: kind for kind in (PIPELINE, DATASET)}


def concerned(kind: Kind, before: Body | None, now: Body | None, store: Store) -> Iterator[Key]:
    """Whom it concerns that an object that was so is now like this (None where it is not)."""
    if kind in (RAY_JOB, JOB):
        yield from _owners(now or before or {})
        return
    one = now or before
    if one is None:
        return
    key = Key(kind, one["metadata"].get("namespace", ""), one["metadata"]["name"])
    yield key
    if kind is PIPELINE and _committed(before) != _committed(now):
        for dataset in {*_sinks(before), *_sinks(now)}:
            yield Key(DATASET, key.namespace, dataset)
    if kind is DATASET and _readiness(before) != _readiness(now):
        for name in store.users(key.namespace, key.name):
            yield Key(PIPELINE, key.namespace, name)


def _owners(child: Body) -> Iterator[Key]:
    metadata = child.get("metadata") or {}
    for owner in metadata.get("ownerReferences") or ():
        kind = _OWNERS.get(owner.get("kind", ""))
        if kind is not None and owner.get("apiVersion") == kind.api_version:
            yield Key(kind, metadata.get("namespace", ""), owner["name"])


def _sinks(pipeline: Body | None) -> Iterator[str]:
    name = sink_of((pipeline or {}).get("spec") or {})
    if isinstance(name, str):
        yield name


def _committed(pipeline: Body | None) -> tuple[Any, int]:
    """What a dataset takes from a pipeline."""
    body = pipeline or {}
    return sink_of(body.get("spec") or {}), committed(body.get("status") or {})


def _readiness(dataset: Body | None) -> Any:
    """What a pipeline takes from a dataset."""
    if dataset is None:
        return None
    status, metadata = dataset.get("status") or {}, dataset["metadata"]
    said = sorted(
        (one.get("type", ""), one.get("status"), one.get("message"), one.get("observedGeneration"))
        for one in status.get("conditions") or ()
        if one.get("type") in ("Ready", "Stalled", "Degraded")
    )
    return metadata.get("uid"), metadata.get("generation"), status.get("version"), said
