"""Times as the API server and as Go's text has them: whole seconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def said(text: str) -> str:
    """As Go prints a time within a message."""
    return read(text).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def of_milliseconds(number: int) -> str:
    return written(datetime.fromtimestamp(number / 1000, UTC))
