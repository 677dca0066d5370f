"""Times as the API server writes them (whole seconds, UTC), lengths as people read them, pauses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def text(moment: datetime) -> str:
    """`2026-11-21T13:05:00Z`; parts of a second are cut off."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(written: str) -> datetime:
    """The moment that `written` names. Raises ValueError."""
    return datetime.fromisoformat(written)


def since(written: str | None, now: datetime) -> timedelta:
    """How long ago that was; nothing where it is not known or lies ahead (clocks differ)."""
    return timedelta() if written is None else max(timedelta(), now - parse(written))


def spoken(length: timedelta) -> str:
    """For people: `45s`, `5m`, `2h30m`, `3d4h`."""
    seconds = int(length.total_seconds())
    parts = [
        (seconds // 86400, "d"),
        (seconds // 3600 % 24, "h"),
        (seconds // 60 % 60, "m"),
        (seconds % 60, "s"),
    ]
    told = [f"{number}{unit}" for number, unit in parts if number]
    return "".join(told[:2]) or "0s"


def doubled(first: timedelta, longest: timedelta, failures: int) -> timedelta:
    """How long to wait after so many failures: `first`, twice that after each further one."""
    return min(longest, first * (1 << min(max(0, failures - 1), 10)))
