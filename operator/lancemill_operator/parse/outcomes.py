"""What a driver says of its run, over HTTP while it lives: read as from a stranger.

The driver runs in a tenant's namespace and may be of another version: what does not fit is left
out, texts are cut, and nothing that it sends can make the operator fail.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lancemill_api.status import Progress
from lancemill_operator.facts import Outcome, Verdict
from lancemill_operator.parse.redaction import redacted_json
from lancemill_operator.parse.summaries import summaries

LONGEST_MESSAGE = 4096
LONGEST_DIAGNOSIS = 512


@dataclass(frozen=True, slots=True)
class Spoken:
    """One answer of a driver."""

    run: str
    attempt: int
    progress: Progress | None = None
    outcome: Outcome | None = None


def spoken(answer: bytes) -> Spoken | None:
    """What the driver said; None where that is no answer at all."""
    said = redacted_json(json_of(answer))
    if not isinstance(said, dict) or not isinstance(said.get("run"), str):
        return None
    run, attempt = said["run"], _count(said.get("attempt"))
    given = said.get("outcome")
    return Spoken(
        run,
        attempt,
        progress(said.get("progress")),
        outcome(given, run, attempt) if isinstance(given, Mapping) else None,
    )


def json_of(text: bytes | str) -> Any:
    """The JSON value; None where it is none, or one made to break whoever reads it.

    Numbers that no other reader of JSON knows (NaN, those beyond 64 bits) are null: a status that
    holds one could never be written.
    """
    try:
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=lambda _: None
        )
    except (ValueError, RecursionError):
        return None


def progress(said: Any) -> Progress | None:
    """The progress, without the fields that make no sense."""
    if not isinstance(said, Mapping):
        return None
    known = {str(name): value for name, value in said.items()}
    for _ in range(len(known) + 1):
        try:
            return Progress.model_validate(known)
        except ValidationError as error:
            for name in {str(one["loc"][0]) for one in error.errors() if one["loc"]}:
                known.pop(name, None)
    return None


def outcome(said: Mapping[str, Any], run: str = "", attempt: int = 0) -> Outcome | None:
    """What came of the run; None where no verdict is given that we know."""
    try:
        verdict = Verdict(said.get("verdict", ""))
    except ValueError:
        return None
    version = said.get("datasetVersion")
    message, diagnosis = said.get("message"), said.get("diagnosis")
    return Outcome(
        run=said["run"] if isinstance(said.get("run"), str) else run,
        attempt=_count(said.get("attempt")) or attempt,
        verdict=verdict,
        rows=_count(said.get("rows")),
        quarantined=_count(said.get("quarantined")),
        bytes=_count(said.get("bytes")),
        dataset_version=_count(version) if version is not None else None,
        cpu_seconds=_figure(said.get("cpuSeconds")),
        gpu_seconds=_figure(said.get("gpuSeconds")),
        gpu_idle_seconds=_figure(said.get("gpuIdleSeconds")),
        diagnosis=diagnosis[:LONGEST_DIAGNOSIS] if isinstance(diagnosis, str) else "",
        summary=summaries(said.get("summary")),
        message=message[:LONGEST_MESSAGE] if isinstance(message, str) else "",
    )


def _whole(digits: str) -> int | None:
    number = int(digits)
    return number if abs(number) < 2**63 else None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _figure(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and value > 0 else 0.0
