"""Errors on their way to the driver: as themselves where they are ours, in words where not.

An exception that Ray carries arrives as another one, with a traceback in its text; one that cannot
be pickled does not arrive. So workers hand over what is to be told, as plain values.
"""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from lancemill import errors
from lancemill.errors import LancemillError, ManifestError, RunError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an error."""

    kind: str
    message: str
    remedy: str = ""
    final: bool = False
    trace: str = ""


def tell(error: BaseException) -> Told:
    """`error` as values."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, LancemillError):
        return Told(type(error).__name__, str(error), error.remedy, error.final, trace)
    first = str(error).strip().splitlines()[0] if str(error).strip() else ""
    words = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return Told("", f"a worker failed: {words}", trace=trace)


def error_of(told: Told) -> LancemillError:
    """The error that `told` is of."""
    log.debug("raised by a worker\n%s", told.trace)
    kind = getattr(errors, told.kind, RunError) if told.kind else RunError
    if issubclass(kind, ManifestError) or not issubclass(kind, RunError):
        kind = RunError  # made of more than a message; what is wrong, the message tells
    error: LancemillError = kind(told.message, remedy=told.remedy, final=told.final)
    return error
