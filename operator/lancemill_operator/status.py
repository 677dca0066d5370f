"""Conditions and phases from states: the one place that says what `kubectl`, Argo CD and Flux see.

kstatus reads Reconciling, Stalled and Ready in that order, and takes an object that says nothing
for finished. So every state says all three, each transition keeps the time at which it happened,
and a condition that would say nothing new is not touched (KEP-1623: no heartbeats).

| state                   | Ready   | Reconciling | Stalled | also                |
|-------------------------|---------|-------------|---------|---------------------|
| checked, running        | Unknown | True        | False   | Accepted, Preflight |
| succeeded               | True    | False       | False   | Succeeded           |
| failed, cancelled       | False   | False       | True    | Failed              |
| manifest refused        | False   | False       | True    | Accepted=False      |
| suspended               | True    | False       | False   | Suspended           |
| waits for its schedule  | True    | False       | False   | lastRun             |

With `run.readiness: Accepted` a pipeline that is at work is Ready and not Reconciling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from lancemill_api.status import Condition, DatasetStatus, PipelineStatus
from lancemill_operator import times

StatusT = TypeVar("StatusT", PipelineStatus, DatasetStatus)
Truth = Literal["True", "False", "Unknown"]
LONGEST_MESSAGE = 2048
"""Characters of a condition's message: enough to tell, small enough for an object read often."""


@dataclass(frozen=True, slots=True)
class Said:
    """A condition as it is now; when it became so is not its business."""

    type: str
    status: Truth
    reason: str
    message: str = ""


def conditions(
    before: Iterable[Condition], said: Iterable[Said], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The conditions as they stand after `said`: in that order, those not spoken of left out.

    A condition's time moves when its status does, and only then.
    """
    earlier = {one.type: one for one in before}
    return tuple(_one(earlier.get(each.type), each, generation, now) for each in said)


def find(all_of_them: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type."""
    return next((one for one in all_of_them if one.type == kind), None)


def is_true(all_of_them: Iterable[Condition], kind: str) -> bool:
    """Whether the condition of that type is there and True."""
    found = find(all_of_them, kind)
    return found is not None and found.status == "True"


# -- what the API server refuses: told by whoever carries a decision out, whatever was decided

CREATE_REFUSED = "CreateRefused"
REFUSALS = frozenset({CREATE_REFUSED, "DeleteRefused", "NameTaken", "Refused"})
"""Reasons of Degraded that stay until what was refused has been done, and no longer."""


def refusal(status: PipelineStatus | DatasetStatus) -> Said | None:
    """What the status says that the API server refuses."""
    said = find(status.conditions, "Degraded")
    if said is None or said.status != "True" or said.reason not in REFUSALS:
        return None
    return Said("Degraded", "True", said.reason, said.message)


def with_degraded(status: StatusT, said: Said, generation: int, now: datetime) -> StatusT:
    """The status with this for Degraded, and all else as it is."""
    before = find(status.conditions, "Degraded")
    made = _one(before, said, generation, now)
    others = [made if one.type == "Degraded" else one for one in status.conditions]
    if before is None:
        others.append(made)
    return status.model_copy(update={"conditions": tuple(others)})


def without_refusal(status: StatusT, generation: int, now: datetime) -> StatusT:
    """The status without word of a refusal."""
    if refusal(status) is None:
        return status
    return with_degraded(status, Said("Degraded", "False", "AsExpected"), generation, now)


def _one(before: Condition | None, said: Said, generation: int, now: datetime) -> Condition:
    same = before is not None and before.status == said.status
    return Condition(
        type=said.type,
        status=said.status,
        observed_generation=generation,
        last_transition_time=(
            before.last_transition_time if same and before is not None else times.text(now)
        ),
        reason=said.reason,
        message=_cut(said.message),
    )


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 2] + " …"


# -- what the three that kstatus reads say in each state


def at_work(reason: str, message: str, *, accepted_is_ready: bool = False) -> tuple[Said, ...]:
    """Something is being done, or waited for."""
    if accepted_is_ready:
        return (
            Said("Ready", "True", reason, message),
            Said("Reconciling", "False", reason, message),
            Said("Stalled", "False", reason),
        )
    return (
        Said("Ready", "Unknown", reason, message),
        Said("Reconciling", "True", reason, message),
        Said("Stalled", "False", reason),
    )


def at_rest(reason: str, message: str) -> tuple[Said, ...]:
    """All that was asked for is done, or deliberately not."""
    return (
        Said("Ready", "True", reason, message),
        Said("Reconciling", "False", reason),
        Said("Stalled", "False", reason),
    )


def stuck(reason: str, message: str) -> tuple[Said, ...]:
    """Nothing goes on until somebody does something."""
    return (
        Said("Ready", "False", reason, message),
        Said("Reconciling", "False", reason),
        Said("Stalled", "True", reason, message),
    )
