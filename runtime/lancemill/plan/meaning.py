"""What a run means: everything that decides its output, and nothing that does not.

A run is resumed only by work of the same meaning: operations, code, model hashes and inputs count;
cluster, placement, batch sizes, retries, time limits and error rules do not, so that a run that
died of memory goes on with more memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lancemill.plan.build import sink_of
from lancemill.plan.step import Plan
from lancemill_api import MultimodalPipeline

TUNING = frozenset(
    {"batchSize", "timeout", "attempts", "isolation", "setup", "rowTimeout", "restartAfter"}
    | {"storage", "placement"}
)
"""Fields of a specification that say how, not what."""


def meaning_of(pipeline: MultimodalPipeline, plan: Plan, limit: int | None) -> dict[str, Any]:
    """The run's meaning as plain data, in the manifest's own order of stages."""
    by_stage = {
        part.place.stage: step.done.meaning for step in plan.steps for part in step.parts[:1]
    }
    stages = [
        {
            "operation": part.operation,
            **_plain(part.spec),
            "facts": dict(by_stage.get(part.place.stage, {})),
        }
        for step in plan.steps
        for part in step.parts
    ]
    kind, sink = sink_of(pipeline)
    return {
        "source": _plain(pipeline.spec.source),
        "stages": stages,
        "sink": {"kind": kind, **_plain(sink)},
        "limit": limit,
        **({"requirements": sorted(asked)} if (asked := pipeline.spec.requirements) else {}),
    }


def _plain(model: Any) -> dict[str, Any]:
    dumped = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain: dict[str, Any] = _without_tuning(dumped)
    return plain


def _without_tuning(value: Any) -> Any:
    if isinstance(value, Mapping):
        # What a user's own function is given has the user's names, whatever they are.
        return {
            k: v if k == "args" else _without_tuning(v) for k, v in value.items() if k not in TUNING
        }
    if isinstance(value, list):
        return [_without_tuning(one) for one in value]
    return value


def hash_of(meaning: Mapping[str, Any]) -> str:
    """A short, stable hash of a meaning (16 hex digits of SHA-256 over canonical JSON)."""
    text = json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """What differs, one line each: `stages[1].width: 224 before, 256 now`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            below = f"{path}.{key}" if path else str(key)
            yield from difference(before.get(key), after.get(key), below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from difference(one, other, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_short(before)} before, {_short(after)} now"


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 60 else text[:57] + "..."
