"""From a manifest to a plan: pure; what needs IO (schemas, model signatures) comes in as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from lancemill.errors import Mistake, PlanError
from lancemill.ops.operation import Place
from lancemill.plan.bind import bind_plan
from lancemill.plan.rules import optimise
from lancemill.plan.step import Part, Placement, Plan, Step
from lancemill_api import MultimodalPipeline
from lancemill_api.stage import Stage

KEY_COLUMNS = ("key", "uri", "id", "name")
"""Columns that name a row to a person, best first."""


def build(
    pipeline: MultimodalPipeline,
    source: pa.Schema,
    resolved: Mapping[str, Any] | None = None,
    always_keep: Sequence[str] = (),
) -> Plan:
    """The checked and optimised plan of `pipeline`; PlanError with every mistake.

    `source` is what the source has; `resolved` holds by stage name what an operation's `resolve`
    found out. `always_keep` names columns that the sink needs beside those that it stores.
    """
    sink_kind, sink = sink_of(pipeline)
    columns = sink.columns
    if columns is not None:
        columns = (*columns, *(name for name in always_keep if name not in columns))
    plan = Plan(
        pipeline=pipeline.metadata.name,
        source=source,
        sink_columns=columns,
        steps=tuple(_step(index, stage) for index, stage in enumerate(pipeline.spec.stages)),
        resolved=dict(resolved or {}),
        key=next((name for name in KEY_COLUMNS if name in source.names), None),
        local_uris=_local_uris(pipeline),
    )
    try:
        return optimise(bind_plan(plan))
    except PlanError as error:
        raise PlanError(_in_sink(mistake, sink_kind) for mistake in error.mistakes) from None


def _local_uris(pipeline: MultimodalPipeline) -> str | None:
    objects = pipeline.spec.source.objects
    if objects is None or ("://" in objects.uri and not objects.uri.startswith("file:")):
        return None
    return "uri"


def sink_of(pipeline: MultimodalPipeline) -> tuple[str, Any]:
    """The one sink that the manifest has, and its kind."""
    return pipeline.spec.sink.given


def parts_of(pipeline: MultimodalPipeline) -> list[Part]:
    """Each stage's operation, as the plan starts with them."""
    return [_part(index, stage) for index, stage in enumerate(pipeline.spec.stages)]


def _step(index: int, stage: Stage) -> Step:
    asked = stage.placement
    placement = Placement()
    if asked is not None:
        placement = Placement(asked.group, asked.gpus, asked.cpus, asked.batch_size)
    return Step(parts=(_part(index, stage),), placement=placement)


def _part(index: int, stage: Stage) -> Part:
    operation, spec = stage.given
    return Part(operation, spec, Place(stage.name, f"spec.stages[{index}].{operation}"))


def _in_sink(mistake: Mistake, sink: str) -> Mistake:
    """Binding knows sink columns by their index only; here they get their path."""
    if mistake.path.startswith("columns["):
        return replace(mistake, path=f"spec.sink.{sink}.{mistake.path}")
    return mistake
