"""Which run is meant, and whether it is over: read from one status at a time. Pure.

A status may be seen late, and some never: nothing depends on having seen each. A run that is once
known is followed by its id; until then it is the one that answers what was asked for (a new
generation, a requested run).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lancemill.cli.cluster.seen import Seen
from lancemill_api.status import FinishedRun

State = Literal["unseen", "going", "over", "refused", "resting", "lost"]
"""unseen: the operator has not looked yet. going: it runs, or waits to. over: it has ended.
refused: the manifest cannot be run. resting: nothing runs, and nothing is due now. lost: it was
followed, and the status remembers it no more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The run that is meant."""

    run: str | None = None
    """Its id, once that is known."""
    generation: int = 0
    """It runs the manifest of this generation, or a later one."""
    requested: str | None = None
    """It answers this request."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a status says of the run that is meant."""

    wanted: Wanted
    """As before, with what is now known."""
    state: State
    run: FinishedRun | None = None
    """The record of the run, when it is over; while resting, that of the last one."""
    settled: bool = True
    """Whether the state will last. One that is not may be that of the moment between two runs."""


def read(seen: Seen, wanted: Wanted) -> Reading:
    """What `seen` says of the run that is `wanted`."""
    if wanted.run is not None:
        return _of_known(seen, wanted, wanted.run)
    if not seen.is_observed:
        return Reading(wanted, "unseen")
    if seen.says("Accepted", "False") and (seen.current is None or wanted != Wanted()):
        return Reading(wanted, "refused")
    if wanted.requested is not None and seen.requested is not None:
        # Somebody may have asked once more since: one run answers both.
        return _without_run(seen, wanted) if _rests(seen) else Reading(wanted, "going")
    if seen.current is not None:
        if wanted.requested is None and seen.current.generation < wanted.generation:
            return Reading(wanted, "going")  # the run before it
        return Reading(replace(wanted, run=seen.current.id), "going")
    return _without_run(seen, wanted)


def exit_status(reading: Reading) -> int:
    """0 where all is well, 1 where it is not."""
    if reading.run is not None:
        return 0 if reading.run.result == "Succeeded" else 1
    return 0 if reading.state == "resting" else 1


def _of_known(seen: Seen, wanted: Wanted, run: str) -> Reading:
    if seen.current is not None and seen.current.id == run:
        return Reading(wanted, "going")
    found = seen.finished(run)
    return Reading(wanted, "over", found) if found is not None else Reading(wanted, "lost")


def _rests(seen: Seen) -> bool:
    return seen.current is None and seen.phase == "Suspended"


def _without_run(seen: Seen, wanted: Wanted) -> Reading:
    """No run goes on."""
    if seen.phase == "Waiting":
        return Reading(wanted, "going")
    if seen.phase in ("Scheduled", "Suspended"):
        return Reading(wanted, "resting")
    last = seen.last
    if last is None:
        return Reading(wanted, "resting", settled=False)
    if wanted.requested is not None or last.generation >= wanted.generation:
        return Reading(replace(wanted, run=last.id), "over", last)
    return Reading(wanted, "resting", last, settled=False)
