"""Our own resources as the API server holds them: models, or all that is wrong with them.

The API server checks by the CRD's schema, the models check more, and a manifest may have been
accepted under another version of either. So nothing here assumes that an object is right: what the
models refuse comes back as mistakes with their places, and a status that a newer version wrote is
read as far as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from lancemill_api.dataset import LanceDataset
from lancemill_api.examination import examine
from lancemill_api.mistakes import InvalidManifest
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import Condition, DatasetStatus, PipelineStatus
from lancemill_operator.facts import DatasetView, Frozen, Identity
from lancemill_operator.kinds import Body
from lancemill_operator.manifests.frozen import thawed
from lancemill_operator.parse.rayjobs import moment
from lancemill_operator.status import refusal

ResourceT = TypeVar("ResourceT", MultimodalPipeline, LanceDataset)
StatusT = TypeVar("StatusT", PipelineStatus, DatasetStatus)
ReadDataset = Callable[[Body], tuple[LanceDataset | None, tuple[str, ...]]]


def identity(body: Body) -> Identity:
    """Which object, and which state of it."""
    metadata = body["metadata"]
    return Identity(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        resource_version=metadata.get("resourceVersion", ""),
        created=moment(metadata.get("creationTimestamp")),
        deleting="deletionTimestamp" in metadata,
        orphaning="orphan" in (metadata.get("finalizers") or ()),
        annotations=metadata.get("annotations") or {},
        labels=metadata.get("labels") or {},
    )


def resource(model: type[ResourceT], body: Body) -> tuple[ResourceT | None, tuple[str, ...]]:
    """The model, or all that is wrong with the object, each with its place."""
    metadata = body["metadata"]
    kept = {
        name: metadata[name]
        for name in ("name", "namespace", "labels", "annotations")
        if metadata.get(name)
    }
    value = {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": kept,
        **({"spec": body["spec"]} if "spec" in body else {}),
    }
    made, mistakes = examine(model, value)
    return made, tuple(f"{path}  {message}".strip() for path, message in mistakes)


def status(model: type[StatusT], body: Body) -> StatusT:
    """What we said last, as far as this version can read it."""
    said = body.get("status")
    known: dict[str, Any] = dict(said) if isinstance(said, Mapping) else {}
    for _ in range(len(known) + 1):
        try:
            return model.model_validate(known)
        except ValidationError as error:
            unreadable = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
            if not unreadable & known.keys():
                break
            known = {name: value for name, value in known.items() if name not in unreadable}
    return model()


def dumped(said: PipelineStatus | DatasetStatus) -> dict[str, Any]:
    """A status as it is written: what is not there is left out, and so removed by an apply.

    So is what is empty: of a mapping that held something before and is applied as `{}`, an API
    server makes null, and then refuses that.
    """
    return _without_empty(said.model_dump(mode="json", by_alias=True, exclude_none=True))


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of lists stay as they are: what is in them is somebody's data."""
    kept = {
        name: _without_empty(one) if isinstance(one, Mapping) else one
        for name, one in value.items()
    }
    return {name: one for name, one in kept.items() if one not in ({}, [])}


def dataset_view(name: str, body: Body | None, read: ReadDataset | None = None) -> DatasetView:
    """A LanceDataset as a pipeline sees it that writes to it or waits for it.

    `read` may remember what it has read before.
    """
    if body is None:
        return DatasetView(name=name, exists=False)
    generation = body["metadata"].get("generation", 0)
    said = status(DatasetStatus, body)
    current = [one for one in said.conditions if one.observed_generation == generation]
    ready, stalled = _condition(current, "Ready"), _condition(current, "Stalled")
    spec, mistakes = read(body) if read is not None else resource(LanceDataset, body)
    is_ready = ready is not None and ready.status == "True"
    return DatasetView(
        name=name,
        exists=True,
        ready=is_ready,
        problem="" if is_ready else "; ".join(mistakes) or _problem(said, ready),
        stalled=stalled is not None and stalled.status == "True",
        version=said.version,
        spec=spec,
    )


def _problem(said: DatasetStatus, ready: Condition | None) -> str:
    """Why it is not ready: before all else, what the API server refuses."""
    refused = refusal(said)
    if refused is not None:
        return refused.message
    return ready.message if ready is not None else ""


def frozen(config_map: Body) -> Frozen | None:
    """What a run was started with, from its ConfigMap; None where it holds no such thing."""
    try:
        return thawed(config_map.get("data") or {})
    except (InvalidManifest, KeyError, ValueError):
        return None


def _condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    return next((one for one in conditions if one.type == kind), None)
