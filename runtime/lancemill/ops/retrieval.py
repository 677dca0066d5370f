"""What went wrong with one retrieval, and whether it is worth repeating.

Pure: the clock and the chance come in, so that the waiting can be read and tested.
"""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0
"""A server that asks for more is not waited for: the row is given up instead."""

RETRIED_STATUS = frozenset({408, 429, *range(500, 600)} - {501, 505})


class RetrievalError(Exception):
    """Something could not be retrieved. `wait_s` is what a server asked for by Retry-After."""

    def __init__(
        self, reason: str, message: str, *, transient: bool = False, wait_s: float | None = None
    ) -> None:
        self.reason = reason
        self.transient = transient
        self.wait_s = wait_s
        super().__init__(message)


def wait_before(attempt: int, failure: RetrievalError, chance: float) -> float | None:
    """Seconds to wait before attempt number `attempt` (from 2); None where it has no point.

    The wait doubles, spread by `chance` in [0, 1) from half to the whole, so that rows which one
    overload made fail do not come back together.
    """
    if not failure.transient or (failure.wait_s or 0.0) > LONGEST_RETRY_AFTER_S:
        return None
    wait = min(FIRST_WAIT_S * 2.0 ** (attempt - 2), LONGEST_WAIT_S) * (0.5 + chance / 2)
    return max(wait, failure.wait_s or 0.0)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or a date), None where there is none."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
