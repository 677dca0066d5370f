"""Whether another attempt follows a failed one, and after how long.

| class          | another attempt            | first wait, doubled each time, at most |
|----------------|----------------------------|----------------------------------------|
| application    | unless its driver says no  | 10 s, 5 min                            |
| infrastructure | yes                        | 5 s, 5 min                             |
| capacity       | yes                        | 1 min, 10 min                          |
| deadline       | no                         |                                        |

All attempts together stay within `run.retries` and `run.timeout`.
"""

from __future__ import annotations

from datetime import timedelta

from lancemill_api.status import Failures
from lancemill_operator import times
from lancemill_operator.decide.attempts import FailureClass

_WAITS = {
    FailureClass.APPLICATION: (timedelta(seconds=10), timedelta(minutes=5)),
    FailureClass.INFRASTRUCTURE: (timedelta(seconds=5), timedelta(minutes=5)),
    FailureClass.CAPACITY: (timedelta(minutes=1), timedelta(minutes=10)),
}
LONGEST_WAIT = max(longest for _, longest in _WAITS.values()) + timedelta(seconds=2)
"""Longer than this no attempt is ever put off."""


def counted(failures: Failures, failure: FailureClass) -> Failures:
    """`failures` with one more of that class."""
    name = failure.value
    return failures.model_copy(update={name: getattr(failures, name) + 1})


def total(failures: Failures) -> int:
    """Attempts that have failed."""
    return failures.application + failures.infrastructure + failures.capacity


def wait(failures: Failures, failure: FailureClass) -> timedelta:
    """Time before the next attempt, where `failures` counts the one that has just failed."""
    first, longest = _WAITS[failure]
    return times.doubled(first, longest, getattr(failures, failure.value))
