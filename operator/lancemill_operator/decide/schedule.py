"""When a schedule is due: cron's five fields in a time zone, looked at rather than waited for.

A start that was missed, since the operator was away or the run before was still going on, is made
up for once, by the latest of those missed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from lancemill_api.quantities import seconds
from lancemill_api.run import Run

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class Due:
    """What a schedule says now."""

    start: datetime | None
    """The latest time that has passed and was not answered."""
    next: datetime | None
    """The next one; None where there is none (30 February)."""


def mistakes(run: Run) -> tuple[str, ...]:
    """What is wrong with schedule and time zone, each with its place."""
    found: list[str] = []
    try:
        ZoneInfo(run.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(
            f"spec.run.timeZone  is '{run.time_zone}', which the IANA database does not know; "
            "expected a name such as Europe/Berlin"
        )
    if run.schedule is not None and (wrong := _wrong(run.schedule)):
        found.append(
            f"spec.run.schedule  is '{run.schedule}': {wrong}; expected five fields of cron such "
            'as "0 3 * * *", or one of ' + ", ".join(MACROS)
        )
    return tuple(found)


def key(run: Run) -> str:
    """What the status remembers a schedule by."""
    return f"{run.schedule} {run.time_zone}"


def due(run: Run, answered: datetime, now: datetime) -> Due:
    """What the schedule says at `now`, when all up to `answered` has been answered."""
    if run.schedule is None or mistakes(run):
        return Due(None, None)
    # Backwards excludes where it starts from, and a schedule knows whole minutes only.
    latest = _first(run, now.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True)
    following = _first(run, now, reverse=False)
    if latest is not None and (latest <= answered or _too_late(run, now - latest)):
        latest = None
    return Due(latest, following)


def _first(run: Run, start: datetime, *, reverse: bool) -> datetime | None:
    assert run.schedule is not None
    local = start.astimezone(ZoneInfo(run.time_zone))
    times_of_it = CronSim(MACROS.get(run.schedule, run.schedule), local, reverse)
    moment = next(times_of_it, None)
    return None if moment is None else moment.astimezone(UTC)


def _too_late(run: Run, late: timedelta) -> bool:
    return run.starting_deadline is not None and late.total_seconds() > seconds(
        run.starting_deadline
    )


def _wrong(schedule: str) -> str:
    if schedule.startswith("@") and schedule not in MACROS:
        return "no such macro"
    try:
        CronSim(MACROS.get(schedule, schedule), datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error).lower() or "is not cron"
    return ""
