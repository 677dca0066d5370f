"""What a manifest names in its namespace: what must be there before a pod starts.

The places are known by the names of their fields, which are Kubernetes' own; a place that a later
version adds under one of these names is found without a change here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lancemill_api.base import Model
from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.storage import SecretRef

_NAMED_IN = {
    "secretRef": ("Secret", "name"),
    "secretKeyRef": ("Secret", "name"),
    "nodePublishSecretRef": ("Secret", "name"),
    "imagePullSecrets": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "configMap": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}
"""For a field that holds a mapping (or a list of them): what is named there, and by which field."""
_NAMED_BY = {
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
    "dataset": "LanceDataset",
    "configMap": "ConfigMap",
}
"""For a field that holds a name: of what."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that a manifest names."""

    path: str
    """Place in the manifest: `spec.source.objects.storage.secretRef.name`."""
    kind: str
    name: str
    optional: bool = False
    """Whether a run goes on without it."""


@dataclass(frozen=True, slots=True)
class _Place:
    path: str
    field: str
    """Name of the field in YAML; entries of a list have their list's."""
    value: Any


def references(resource: MultimodalPipeline | LanceDataset) -> tuple[Reference, ...]:
    """Everything that the manifest names, in its order, each place once."""
    return tuple(one for place in _places(resource.spec, "spec") for one in _named(place))


def storage_secrets(*resources: MultimodalPipeline | LanceDataset) -> tuple[str, ...]:
    """Names of the Secrets with stores' credentials, which pods get as files; sorted."""
    found = {
        place.value.name
        for resource in resources
        for place in _places(resource.spec, "spec")
        if isinstance(place.value, SecretRef)
    }
    return tuple(sorted(found))


def _places(model: Model, path: str) -> Iterator[_Place]:
    """All fields below `model`; what is free-form is not looked into."""
    for name, info in type(model).model_fields.items():
        alias = info.alias or name
        value = getattr(model, name)
        entries = enumerate(value) if isinstance(value, tuple) else [(None, value)]
        for at, one in entries:
            here = f"{path}.{alias}" if at is None else f"{path}.{alias}[{at}]"
            yield _Place(here, alias, one)
            if isinstance(one, Model):
                yield from _places(one, here)


def _named(place: _Place) -> Iterator[Reference]:
    if isinstance(place.value, str) and place.field in _NAMED_BY:
        yield Reference(place.path, _NAMED_BY[place.field], place.value)
    elif isinstance(place.value, Model) and place.field in _NAMED_IN:
        kind, by = _NAMED_IN[place.field]
        value = place.value.model_dump(by_alias=True, exclude_none=True)
        optional = bool(value.get("optional", False))
        yield Reference(f"{place.path}.{by}", kind, value[by], optional)
