"""MultimodalPipeline: from a source by stages into a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from lancemill_api.base import Model
from lancemill_api.cluster import Cluster
from lancemill_api.code import Code, Requirement
from lancemill_api.failures import Errors
from lancemill_api.metadata import Metadata
from lancemill_api.rules import AtLeastOne, Cel, Finding, NoRepeats, NotAbove, Unique, given
from lancemill_api.run import Run
from lancemill_api.runtime import Runtime
from lancemill_api.scalars import Name, Query
from lancemill_api.sink import Sink
from lancemill_api.source import Source
from lancemill_api.stage import Stage
from lancemill_api.status import PipelineStatus

API_VERSION = "lancemill.dev/v1alpha1"


class Expect(Model):
    """What the query's one value must be."""

    must_hold = (AtLeastOne(("min", "max", "equals")), NotAbove("min", "max"))

    min: float | None = None
    """Smallest value. Default: no limit."""
    max: float | None = None
    """Largest value. Default: no limit."""
    equals: float | None = None
    """The very value. Default: any."""


class Validation(Model):
    """A condition on the output: nothing is committed where it does not hold."""

    name: Name
    """Name of the condition, unique in the pipeline."""
    query: Query
    """SQL over the table output that gives one number, such as select count(*) from output where
    image is null."""
    expect: Expect
    """What that number must be."""


class Summary(Model):
    """A query whose result is shown with the run."""

    name: Name
    """Name of the query, unique in the pipeline."""
    query: Query
    """SQL over the table output, such as select type, count(*) n from output group by type."""


@dataclass(frozen=True, slots=True)
class PlacementsFitTheCluster:
    """A stage's worker group exists, and its workers have the GPUs that the stage asks for."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        groups = _named(_mapping(value.get("cluster")).get("workerGroups"))
        if not groups:
            return
        for at, stage in enumerate(_entries(value.get("stages"))):
            placement = _mapping(_mapping(stage).get("placement"))
            name, gpus = placement.get("group"), placement.get("gpus", 0)
            path = f"stages[{at}].placement"
            if isinstance(name, str) and name not in groups:
                yield (
                    f"{path}.group",
                    f"'{name}' is no worker group; there are: " + ", ".join(groups),
                )
            elif isinstance(name, str) and isinstance(gpus, int | float):
                has = _mapping(groups[name].get("resources")).get("gpu", 0)
                if isinstance(has, int) and gpus > has:
                    yield (
                        f"{path}.gpus",
                        f"is {gpus:g}, but workers of group {name} have {has}; lower it, take "
                        "another group, or raise the group's resources.gpu",
                    )

    def cel(self) -> Cel:
        placed = "!has(s.placement) || !has(s.placement.group)"
        fits = (
            "g.name == s.placement.group && (!has(s.placement.gpus) || s.placement.gpus <= "
            "double(has(g.resources) && has(g.resources.gpu) ? g.resources.gpu : 0))"
        )
        return Cel(
            "!has(self.cluster) || !has(self.stages) || self.stages.all(s, "
            f"{placed} || self.cluster.workerGroups.exists(g, {fits}))",
            "each placement.group must name a worker group of spec.cluster whose workers have the "
            "GPUs that placement.gpus asks for",
        )


@dataclass(frozen=True, slots=True)
class ErrorRulesNameStages:
    """The stage of an error rule exists."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        stages = _named(value.get("stages"))
        for at, rule in enumerate(_entries(_mapping(value.get("errors")).get("rules"))):
            name = _mapping(rule).get("stage")
            if isinstance(name, str) and name not in stages:
                there = ", ".join(stages) or "none"
                yield f"errors.rules[{at}].stage", f"'{name}' is no stage; there are: {there}"

    def cel(self) -> Cel:
        return Cel(
            "!has(self.errors) || !has(self.errors.rules) || self.errors.rules.all(r, "
            "!has(r.stage) || (has(self.stages) && self.stages.exists(s, s.name == r.stage)))",
            "each errors.rules[].stage must name a stage",
        )


@dataclass(frozen=True, slots=True)
class IncrementalKeepsEarlierRows:
    """A source of new rows only does not go where the rows of earlier runs are replaced."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        objects = _mapping(_mapping(value.get("source")).get("objects"))
        sink = _mapping(value.get("sink"))
        if objects.get("incremental") is not True:
            return
        files = [kind for kind in ("parquet", "jsonl") if given(sink, kind)]
        overwrites = _mapping(sink.get("lance")).get("mode") == "overwrite"
        for into in [*files, *(["lance, mode overwrite"] if overwrites else [])]:
            yield (
                "source.objects.incremental",
                f"is true beside sink.{into}, which replaces the rows of earlier runs by the new "
                "ones; expected a lance sink with mode append or upsert, or no incremental",
            )

    def cel(self) -> Cel:
        source, lance = "self.source.objects", "self.sink.lance"
        overwrites = f"has({lance}) && has({lance}.mode) && {lance}.mode == 'overwrite'"
        return Cel(
            f"!has({source}) || !has({source}.incremental) || !{source}.incremental || "
            f"!(has(self.sink.parquet) || has(self.sink.jsonl) || {overwrites})",
            "source.objects.incremental goes with a lance sink of mode append or upsert: the "
            "others replace the rows of earlier runs",
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _entries(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else ()


def _named(value: Any) -> dict[str, Mapping[str, Any]]:
    mappings = (_mapping(entry) for entry in _entries(value))
    return {one["name"]: one for one in mappings if isinstance(one.get("name"), str)}


class PipelineSpec(Model):
    """From a source by stages into a sink."""

    must_hold = (
        Unique("stages"),
        Unique("validate"),
        Unique("summary"),
        NoRepeats("requirements"),
        PlacementsFitTheCluster(),
        ErrorRulesNameStages(),
        IncrementalKeepsEarlierRows(),
    )

    source: Source
    """Where rows come from: exactly one of objects and table."""
    stages: Annotated[tuple[Stage, ...], Field(max_length=64)] = ()
    """What is done to them, in this order; each has a name and exactly one operation. Default:
    nothing."""
    validate_: Annotated[tuple[Validation, ...], Field(alias="validate", max_length=64)] = ()
    """Conditions on the output, checked before it is committed. Default: none."""
    summary: Annotated[tuple[Summary, ...], Field(max_length=64)] = ()
    """Queries over the output, shown with the run. Default: none."""
    sink: Sink
    """Where rows go: exactly one of lance, parquet and jsonl."""
    errors: Errors = Errors()
    """What happens to rows that fail, and how many may."""
    code: Code | None = None
    """Your own functions, for stages with udf. Default: files beside the manifest, and what the
    image has."""
    requirements: Annotated[tuple[Requirement, ...], Field(max_length=64)] = ()
    """Python packages that your functions need beside what the image has, each with its versions.
    Wheels only; kept between runs. Default: none."""
    runtime: Runtime = Runtime()
    """What the pods of a run hold: image, identity, environment. A local run does not read it."""
    cluster: Cluster | None = None
    """The Ray cluster of a run. A local run does not read it. Default: one group of one worker."""
    run: Run = Run()
    """When and how often a run happens in a cluster. A local run does not read it."""


class MultimodalPipeline(Model):
    """From objects or tables to a curated dataset: fetch, decode, resize, infer, and write."""

    api_version: Literal["lancemill.dev/v1alpha1"]
    """lancemill.dev/v1alpha1."""
    kind: Literal["MultimodalPipeline"]
    """MultimodalPipeline."""
    metadata: Metadata
    """Name and labels of the object."""
    spec: PipelineSpec
    """What is to be done."""
    status: PipelineStatus | None = None
    """What has come of it; written by the operator."""

    @property
    def name(self) -> str:
        return self.metadata.name
