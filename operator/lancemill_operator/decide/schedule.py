"""When a schedule is due: cron's five fields in a time zone, looked at rather than waited for.

A start that was missed, since the operator was away or the run before was still going on, is made
up for once, by the latest of those missed.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    latest, following = _around(run, now)
    if latest is not None and (latest <= answered or _too_late(run, now - latest)):
        latest = None
    return Due(latest, following)


_NEAR, _BEFORE = timedelta(hours=3), timedelta(hours=6)


def _around(run: Run, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The last time up to `now`, and the first one after it.

    cronsim takes an hour that a zone has twice for one where it starts within it, and backwards
    finds the other one of the two. So near a change of a zone's offset it is asked forwards, from
    some hours before: what was said to come next then comes, and only once.
    """
    # Backwards excludes where it starts from, and a schedule knows whole minutes only.
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    latest = next(_times(run, minute, reverse=True), None)
    if latest is None or (_is_calm(run, latest) and _is_calm(run, now)):
        return latest, next(_times(run, now), None)
    last = None
    for moment in _times(run, latest - _BEFORE):
        if moment > now:
            return last, moment
        last = moment
    return last, None


def _is_calm(run: Run, moment: datetime) -> bool:
    """Whether the zone keeps its offset for some hours about that moment."""
    zone = ZoneInfo(run.time_zone)
    offsets = {(moment + by).astimezone(zone).utcoffset() for by in (-_NEAR, _NEAR)}
    return len(offsets) == 1


def _times(run: Run, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """The schedule's times after `start`, or before it."""
    assert run.schedule is not None
    local = start.astimezone(ZoneInfo(run.time_zone))
    for moment in CronSim(MACROS.get(run.schedule, run.schedule), local, reverse):
        yield moment.astimezone(UTC)


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
