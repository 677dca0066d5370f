"""What `lancemill plan` shows: the plan, and what listing the source tells, without running it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace

from lancemill.engine.after import after
from lancemill.engine.prepare import Prepared, prepare_job
from lancemill.manifest import Job
from lancemill.plan.explain import Facts, to_json, to_text
from lancemill.plan.segments import target_shard_bytes
from lancemill.plan.step import Plan
from lancemill.sources.source import Snapshot
from lancemill_api import MultimodalPipeline


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan with its facts."""

    plan: Plan
    facts: Facts

    def to_text(self) -> str:
        """As a tree for people."""
        return to_text(self.plan, self.facts)

    def to_json(self) -> str:
        """For scripts."""
        return to_json(self.plan, self.facts)


def preview(job: Job, *, listing: bool = True, after_run: str | None = None) -> Preview:
    """Plan a job; with `listing` the source is listed too, for counts and bytes; with `after_run`
    what that run of the dataset tells of this one is added."""
    prepared = prepare_job(job)
    earlier = after(prepared.sink, after_run) if after_run is not None else None
    shown = _listed(prepared) if listing else preview_of(prepared, None)
    if earlier is None:
        return shown
    told = tuple(earlier.lines(shown.facts.rows))
    return replace(shown, facts=replace(shown.facts, after=told, after_json=earlier.to_json()))


def _listed(prepared: Prepared) -> Preview:
    with tempfile.TemporaryDirectory(prefix="lancemill-plan-") as folder:
        return preview_of(prepared, prepared.source.take_snapshot(folder))


def preview_of(prepared: Prepared, snapshot: Snapshot | None) -> Preview:
    """The plan of an opened pipeline, with what its snapshot tells."""
    pipeline = prepared.pipeline
    facts = Facts(
        source=_source_words(pipeline),
        sink=_sink_words(pipeline),
        validations=len(pipeline.spec.validate_),
        summaries=len(pipeline.spec.summary),
        errors=_errors_words(pipeline),
        ignored=_ignored_locally(pipeline),
    )
    if snapshot is not None:
        facts = replace(
            facts,
            rows=snapshot.rows,
            bytes=snapshot.bytes,
            shards=sum(1 for _ in snapshot.shards(target_shard_bytes(snapshot.bytes))),
            told=str(snapshot.document.get("told", "")),
        )
    return Preview(prepared.plan, facts)


def _source_words(pipeline: MultimodalPipeline) -> str:
    kind, source = pipeline.spec.source.given
    return f"{getattr(source, 'format', kind)} {source.uri}"


def _sink_words(pipeline: MultimodalPipeline) -> str:
    kind, sink = pipeline.spec.sink.given
    where = getattr(sink, "dataset", None) or sink.uri
    return f"{kind} {where} {getattr(sink, 'mode', '')}".rstrip()


def _errors_words(pipeline: MultimodalPipeline) -> str:
    errors = pipeline.spec.errors
    most = f"at most {errors.max_rate:.2%}"
    most += f", {errors.max_rows:,} rows" if errors.max_rows is not None else ""
    return f"{errors.on_row}, {most}"


def _ignored_locally(pipeline: MultimodalPipeline) -> list[str]:
    """Fields that the manifest sets and that mean something in a cluster only."""
    spec = pipeline.spec
    of_a_cluster = ["runtime", "cluster"]
    if spec.run.model_fields_set - {"stall_timeout"}:
        of_a_cluster.append("run")
    found = [f"spec.{name}" for name in of_a_cluster if name in spec.model_fields_set]
    for index, stage in enumerate(spec.stages):
        given = stage.placement.model_fields_set - {"batch_size"} if stage.placement else ()
        found += [f"spec.stages[{index}].placement.{name}" for name in sorted(given)]
    return found
