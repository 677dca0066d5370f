"""From a manifest to something that can run: opens source and sink, asks what they know, plans.

The thin shell around the pure plan: every mistake that source, models and target can tell is
gathered here, before anything runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.code import provide
from lancemill.engine.context import local_context
from lancemill.errors import ManifestError, Mistake, PlanError
from lancemill.manifest import Job
from lancemill.ops.operation import WorkerContext
from lancemill.plan.build import build, parts_of
from lancemill.plan.step import Plan
from lancemill.sinks import open_sink
from lancemill.sinks.sink import Sink
from lancemill.sources import open_source
from lancemill.sources.source import Source
from lancemill.storage import absolute
from lancemill_api import LanceDataset, MultimodalPipeline


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked pipeline with its ends open."""

    pipeline: MultimodalPipeline
    plan: Plan
    source: Source
    sink: Sink
    context: WorkerContext
    datasets: Mapping[str, LanceDataset] = field(default_factory=dict)
    """LanceDatasets that the manifest's names mean, for a worker that prepares it elsewhere."""
    notes: tuple[str, ...] = ()
    """What took time before anything ran, in words."""


def prepare_job(job: Job) -> Prepared:
    """A job of a manifest file, prepared for this machine; errors name the file."""
    try:
        return prepare(job.pipeline, job.datasets, job.base, local_context(job))
    except ManifestError as error:
        error.source = error.source or job.source
        raise


def prepare(
    pipeline: MultimodalPipeline,
    datasets: Mapping[str, LanceDataset],
    base: Path,
    context: WorkerContext,
) -> Prepared:
    """Opens both ends and plans; PlanError with every mistake, StorageError from a store."""
    code = provide.code(pipeline.spec, base)
    context = replace(context, code=code.folder, code_sha256=code.sha256)
    sink = open_sink(pipeline.spec.sink, datasets, base=base)
    source = open_source(
        pipeline.spec.source,
        base=base,
        with_row_id=sink.needs_row_id,
        ledger_storage=sink.storage,
        only_missing=sink.only_missing,
    )
    schema = source.schema()
    mistakes = _check_row_ids(pipeline, sink, base)
    resolved, notes = _resolve(pipeline, context, mistakes), code.notes
    if mistakes and pipeline.spec.requirements and any(one.udf for one in pipeline.spec.stages):
        # A function may be a package's own. Else packages are left to whoever calls functions: on
        # a cluster's head they would only take time and room.
        mistakes = _check_row_ids(pipeline, sink, base)
        notes += provide.packages(pipeline.spec)
        resolved = _resolve(pipeline, context, mistakes)
    try:
        plan = build(pipeline, schema, resolved, always_keep=sink.needs_columns)
    except PlanError as error:
        raise PlanError([*mistakes, *error.mistakes]) from None
    mistakes += sink.fit(plan.output)
    mistakes += _check_queries(pipeline, plan.output)
    if mistakes:
        raise PlanError(mistakes)
    return Prepared(pipeline, plan, source, sink, context, datasets, notes)


def _check_row_ids(pipeline: MultimodalPipeline, sink: Sink, base: Path) -> list[Mistake]:
    """A sink that matches rows by their ids needs a source that reads the very same dataset."""
    if not sink.needs_row_id:
        return []
    table = pipeline.spec.source.table
    if table is not None and table.format == "lance" and absolute(table.uri, base) == sink.uri:
        return []
    return [
        Mistake(
            "spec.source",
            f"mode addColumns adds to rows that it has read: expected table: {{format: lance, "
            f"uri: {sink.uri}}}",
        )
    ]


def _resolve(
    pipeline: MultimodalPipeline, context: WorkerContext, mistakes: list[Mistake]
) -> dict[str, Any]:
    """What operations must look up before they can be bound: a model's signature."""
    found: dict[str, Any] = {}
    for part in parts_of(pipeline):
        module = importlib.import_module(f"lancemill.ops.{part.operation}")
        if not hasattr(module, "resolve"):
            continue
        try:
            found[part.place.stage] = module.resolve(part.spec, context, part.place)
        except PlanError as error:
            mistakes.extend(error.mistakes)
    return found


def _check_queries(pipeline: MultimodalPipeline, output: pa.Schema) -> list[Mistake]:
    """What is wrong with `validate` and `summary` for these columns."""
    spec = pipeline.spec
    asked = [("validate", index, one.query) for index, one in enumerate(spec.validate_)]
    asked += [("summary", index, one.query) for index, one in enumerate(spec.summary)]
    if not asked:
        return []
    from lancemill.tables.query import check_query

    mistakes = []
    for where, index, query in asked:
        message = check_query(query, output)
        if message is not None:
            mistakes.append(Mistake(f"spec.{where}[{index}].query", message))
    return mistakes
