"""A pipeline as it was seen: what the cluster's commands need of the object, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from lancemill.cli.cluster.errors import ClusterError
from lancemill_api.annotations import CANCEL_RUN, RUN_REQUESTED_AT
from lancemill_api.status import Condition, CurrentRun, FinishedRun, PipelineStatus


@dataclass(frozen=True, slots=True)
class Seen:
    """A MultimodalPipeline at one moment."""

    name: str
    namespace: str
    uid: str
    version: str
    """Its resourceVersion: what a watch goes on from."""
    generation: int
    created: str
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    status: PipelineStatus

    @property
    def current(self) -> CurrentRun | None:
        """The run that goes on."""
        return self.status.current_run

    @property
    def last(self) -> FinishedRun | None:
        """The last run that has ended."""
        return self.status.last_run

    @property
    def phase(self) -> str:
        """The state in a word; empty before the operator has said one."""
        return self.status.phase or ""

    @property
    def is_observed(self) -> bool:
        """Whether the status is about the manifest as it is now."""
        return self.status.observed_generation >= self.generation

    @property
    def requested(self) -> str | None:
        """The run that was asked for by annotation and has not begun."""
        asked = self.annotations.get(RUN_REQUESTED_AT) or None
        return None if asked == self.status.handled.requested_at else asked

    @property
    def cancelled(self) -> str | None:
        """Id of the run that is to be cancelled."""
        return self.annotations.get(CANCEL_RUN) or None

    @property
    def dataset(self) -> str:
        """What people call that which the pipeline writes."""
        sink = self.spec.get("sink") or {}
        target = next((one for one in sink.values() if isinstance(one, Mapping)), {})
        return str(target.get("dataset") or target.get("uri") or "")

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    def says(self, kind: str, status: str) -> bool:
        """Whether the condition of that type is there and has that status."""
        found = self.condition(kind)
        return found is not None and found.status == status

    def finished(self, run: str) -> FinishedRun | None:
        """The record of that run, where the status still holds it."""
        known = (*([self.last] if self.last else []), *self.status.runs)
        return next((one for one in known if one.id == run), None)

    @property
    def reason(self) -> str:
        """Why it is as it is, as one word."""
        found = self._main()
        return found.reason if found is not None else ""

    @property
    def message(self) -> str:
        """Why it is as it is, for people."""
        found = self._main()
        return found.message if found is not None else ""

    def _main(self) -> Condition | None:
        """The condition that matters: what is refused, what stands still, else what is done."""
        if self.says("Accepted", "False"):
            return self.condition("Accepted")
        for kind in ("Stalled", "Reconciling"):
            if self.says(kind, "True"):
                return self.condition(kind)
        return self.condition("Ready")


def seen(body: Mapping[str, Any]) -> Seen:
    """The object as the API server gave it."""
    metadata = body["metadata"]
    try:
        status = PipelineStatus.model_validate(body.get("status") or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ClusterError(
            f"the status of {metadata['name']} is not understood: {place}: {first['msg']}",
            remedy="the operator is of another version: upgrade lancemill here",
        ) from None
    return Seen(
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        uid=metadata.get("uid", ""),
        version=metadata.get("resourceVersion", ""),
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        annotations=metadata.get("annotations") or {},
        spec=body.get("spec") or {},
        status=status,
    )


def age(time: str | None, now: datetime) -> float | None:
    """Seconds since that time, at least 0; None where nobody has said it."""
    if not time:
        return None
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return None
    then = then if then.tzinfo is not None else then.replace(tzinfo=UTC)
    return max(0.0, (now - then).total_seconds())
