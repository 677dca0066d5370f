"""What happens to rows that fail (`spec.errors`)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from lancemill_api.base import Model
from lancemill_api.quantities import Duration
from lancemill_api.scalars import Name


def _regular(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise PydanticCustomError(
            "regex", "is no regular expression: {reason}", {"reason": str(error)}
        ) from None
    return text


class Match(Model):
    """Which failures a rule is about; what is not given matches all."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Reason code, such as HttpStatus or Truncated. Default: any."""
    regex: (
        Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_regular)]
        | None
    ) = None
    """Regular expression to be found in the failure's message. Default: any."""


class ErrorRule(Model):
    """What to do about some failures."""

    stage: Name | None = None
    """Name of the stage where they happen. Default: any."""
    match: Match = Match()
    """Which failures. Default: all of the stage."""
    action: Literal["retry", "quarantine", "null", "fail"]
    """retry (then as onRow says), quarantine (set the row aside), "null" (keep the row, with null
    for what was not made), fail (end the run)."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Attempts with action retry, the first one included. Default: 3."""
    backoff: Duration = "2s"
    """Time before the second attempt; doubled for each one after it. Default: 2s."""


class Errors(Model):
    """What happens to rows that fail, and how many may."""

    on_row: Literal["quarantine", "null", "fail"] = "quarantine"
    """quarantine (set the row aside, with its reason), "null" (in quotes: keep the row, with null
    for what was not made) or fail (end the run). Default: quarantine."""
    max_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of rows that may fail, 0 to 1; with more the run ends early and nothing is
    committed. Default: 0.01."""
    max_rows: Annotated[int, Field(ge=0, le=2**53)] | None = None
    """Largest number of rows that may fail. Default: no limit but maxRate."""
    rules: Annotated[tuple[ErrorRule, ...], Field(max_length=64)] = ()
    """Exceptions from onRow; the first that matches wins. Default: none."""
