"""A plan for people and for scripts: what would be done, in which order, with which columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lancemill import figures
from lancemill.ops.arrow_types import type_text
from lancemill.plan.segments import segments
from lancemill.plan.step import Plan, Step


@dataclass(frozen=True, slots=True)
class Facts:
    """What listing the source told; None where it was not asked."""

    source: str
    """`objects s3://photos/cats/`."""
    sink: str
    """`lance cats-224 append`."""
    rows: int | None = None
    bytes: int | None = None
    shards: int | None = None
    told: str = ""
    """What the source says of its rows: how many were left out, and why."""
    validations: int = 0
    summaries: int = 0
    errors: str = ""
    ignored: Sequence[str] = field(default_factory=tuple)
    """Fields of the manifest that a local run has no use for."""
    after: Sequence[str] = ()
    """What an earlier run tells of this one, in words."""
    after_json: Mapping[str, Any] | None = None


def row_bytes(schema: pa.Schema) -> int | None:
    """Bytes of one row uncompressed, where the types alone tell; None where they do not."""
    total = 0
    for one in schema:
        width = _width(one.type)
        if width is None:
            return None
        total += width
    return total


def _width(kind: pa.DataType) -> int | None:
    if isinstance(kind, pa.FixedShapeTensorType):
        kind = kind.storage_type
    if pa.types.is_fixed_size_list(kind):
        inner = _width(kind.value_type)
        return None if inner is None else inner * int(kind.list_size)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return 32  # keys and labels; what a column of documents takes is not known before
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return None


def estimated_bytes(plan: Plan, facts: Facts) -> int | None:
    """Bytes that the sink will get, uncompressed; None where types and listing do not tell."""
    if facts.rows is None:
        return None
    width = row_bytes(plan.output)
    return None if width is None else width * facts.rows


def to_text(plan: Plan, facts: Facts) -> str:
    """The plan as a tree."""
    lines = [_headline(plan, facts), f" source   {facts.source}    {', '.join(plan.reads)}"]
    lines += [f"   {facts.told}"] if facts.told else []
    for segment in segments(plan):
        for index, step in enumerate(segment.steps):
            mark = "┌" if index == 0 else "├"
            lines.append(f" {mark} {segment.group or 'here':<6} {_step_line(plan, step)}")
    size = estimated_bytes(plan, facts)
    about = f" → about {figures.size(size)} before compression" if size is not None else ""
    lines.append(f" └ sink   {facts.sink}    {', '.join(plan.output.names)}{about}")
    lines += [f"   {one.name}: {type_text(one.type)}" for one in plan.output]
    lines += [f" rule     {note}" for note in plan.notes]
    lines.append(
        f" validate {facts.validations} · summary {facts.summaries} · errors: {facts.errors}"
    )
    if facts.ignored:
        lines.append(f" not heeded by a local run: {', '.join(facts.ignored)}")
    lines += [f" {one}" for one in facts.after]
    return "\n".join(lines)


def _headline(plan: Plan, facts: Facts) -> str:
    if facts.rows is None or facts.bytes is None or facts.shards is None:
        return f"{plan.pipeline} · source not listed"
    each = f" of about {figures.size(facts.bytes // facts.shards)}" if facts.shards else ""
    shards = "1 shard" if facts.shards == 1 else f"{facts.shards:,} shards"
    return f"{plan.pipeline} · {facts.rows:,} rows, {figures.size(facts.bytes)} · {shards}{each}"


def _step_line(plan: Plan, step: Step) -> str:
    bound = step.done
    made = [one for one in bound.schema if one.name in bound.makes]
    arrow = ", ".join(f"{one.name}: {type_text(one.type)}" for one in made)
    marks = [bound.summary] if bound.summary else [f"→ {arrow}"] if arrow else []
    if len(step.parts) > 1:
        marks.append("fused")
    if step.placement.gpus:
        marks.append(f"{step.placement.gpus:g} gpu")
    return f"{step.name:<14} {step.operation:<22} {'   '.join(marks)}".rstrip()


def to_json(plan: Plan, facts: Facts) -> str:
    """The plan for scripts; the schema is stable."""
    return json.dumps(
        {
            "pipeline": plan.pipeline,
            "source": {
                "what": facts.source,
                "reads": list(plan.reads),
                "rows": facts.rows,
                "bytes": facts.bytes,
                "told": facts.told or None,
            },
            "shards": facts.shards,
            "segments": [
                {
                    "group": segment.group,
                    "gpus": segment.gpus,
                    "steps": [_step_json(step) for step in segment.steps],
                }
                for segment in segments(plan)
            ],
            "sink": {
                "what": facts.sink,
                "schema": schema_json(plan.output),
                "estimatedBytes": estimated_bytes(plan, facts),
            },
            "rules": list(plan.notes),
            "ignoredLocally": list(facts.ignored),
            "after": facts.after_json,
        },
        indent=1,
    )


def _step_json(step: Step) -> Mapping[str, Any]:
    bound = step.done
    return {
        "name": step.name,
        "operation": step.operation,
        "stages": [part.place.stage for part in step.parts],
        "reads": sorted(bound.reads),
        "makes": sorted(bound.makes),
        "schema": schema_json(bound.schema),
        "boundBy": bound.bound_by,
        "shape": bound.shape,
    }


def schema_json(schema: pa.Schema) -> list[dict[str, Any]]:
    """A schema as a list of names, types and nullability."""
    return [
        {"name": one.name, "type": type_text(one.type), "nullable": one.nullable} for one in schema
    ]
