"""One pipeline at one moment, with what every part of its life asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.quantities import seconds
from lancemill_api.status import CurrentRun, PipelineStatus
from lancemill_operator import names, times
from lancemill_operator.actions import Action, Decision, Delete, Emit, Want
from lancemill_operator.decide.causes import Causes
from lancemill_operator.facts import PipelineFacts, RayJobView
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.status import Said, at_work, conditions, find

RAYJOB = "ray.io/v1", "RayJob"


@dataclass(frozen=True, slots=True)
class Case:
    """What is known, what is asked for, and what time it is."""

    facts: PipelineFacts
    pipeline: MultimodalPipeline
    """As it is now; the one that runs where what it is now cannot be read."""
    causes: Causes
    now: datetime
    defaults: Defaults
    mistakes: tuple[str, ...] = ()
    """What is wrong with the manifest as it is now."""

    def needs(self, *wants: Want) -> Decision[PipelineStatus] | None:
        """The decision to look at these first, where that has not been done."""
        unseen = frozenset(wants) - self.facts.looked
        return Decision(self.facts.status, wants=unseen) if unseen else None

    def since(self, written: str | None) -> timedelta:
        """How long ago that was."""
        return times.since(written, self.now)

    def used(self, current: CurrentRun) -> timedelta:
        """Time of the run that counts against its timeout."""
        return self.since(current.start_time) - timedelta(seconds=current.suspended_seconds)

    def remaining(self, current: CurrentRun) -> float:
        """Seconds that the run may still take; at least one, since a deadline of 0 is refused."""
        whole = seconds(self.pipeline.spec.run.timeout)
        return max(1.0, whole - self.used(current).total_seconds())

    def attempt_of(self, current: CurrentRun) -> RayJobView | None:
        """The RayJob of the present attempt."""
        for view in self.facts.rayjobs:
            if (view.run, view.attempt) == (current.id, current.attempt):
                return view
        return None

    def remove(self, *kept: str) -> tuple[Action, ...]:
        """Take away every RayJob of the pipeline but those of these names."""
        return tuple(
            Delete(*RAYJOB, view.name, view.uid)
            for view in self.facts.rayjobs
            if not view.deleting and view.name not in kept
        )

    def tell(
        self, kind: str, reason: str, message: str, current: CurrentRun, attempt: int | None = None
    ) -> Emit:
        """An Event, once for each attempt."""
        number = current.attempt if attempt is None else attempt
        return Emit(kind, reason, message, f"{current.id}/{number}/{reason}")

    def labels(self, current: CurrentRun | None) -> dict[str, str]:
        """What tells the run in a log line."""
        if current is None:
            return {}
        return {"run": current.id, "attempt": str(current.attempt)}

    def says(
        self, phase: str, three: tuple[Said, ...], *more: Said, **updates: object
    ) -> PipelineStatus:
        """The status with these conditions; those not spoken of stay as they are."""
        before = self.facts.status.conditions
        spoken = {one.type: one for one in (*self._always(), *three, *more)}
        order = (
            *("Accepted", "Preflight", "Ready", "Reconciling", "Stalled"),
            *("Succeeded", "Failed", "Suspended", "Degraded"),
        )
        said = [spoken.get(kind) or self._as_before(kind) for kind in order]
        generation = self.facts.identity.generation
        return self.facts.status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": conditions(before, said, generation, self.now),
                "phase": phase,
                "handled": self.causes.baseline,
                "next_run_time": _text(self.causes.next_start),
                **updates,
            }
        )

    def going_on(self, reason: str, message: str) -> tuple[Said, ...]:
        """A run is at work, as `run.readiness` wants it told."""
        accepted = self.pipeline.spec.run.readiness == "Accepted"
        return at_work(reason, message, accepted_is_ready=accepted)

    def _always(self) -> tuple[Said, ...]:
        if self.mistakes:
            return (Said("Accepted", "False", "InvalidManifest", "; ".join(self.mistakes)),)
        return (Said("Accepted", "True", "Valid", "the manifest is right by itself"),)

    def _as_before(self, kind: str) -> Said:
        found = find(self.facts.status.conditions, kind)
        if found is None:
            status = "Unknown" if kind in ("Preflight", "Succeeded") else "False"
            return Said(kind, status, "NotYet")  # type: ignore[arg-type]
        return Said(kind, found.status, found.reason, found.message)

    def next_look(self, *lengths: timedelta | None) -> timedelta | None:
        """The earliest of these and of the schedule; at least a second from now."""
        moments = [one for one in lengths if one is not None]
        if self.causes.next_start is not None:
            moments.append(self.causes.next_start - self.now)
        return max(timedelta(seconds=1), min(moments)) if moments else None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else times.text(moment)


def config_map_removal(pipeline: str, run: str) -> Delete:
    """The removal of a run's frozen specification, once nothing remembers the run."""
    return Delete("v1", "ConfigMap", names.config_map(pipeline, run))
