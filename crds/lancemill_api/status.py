"""What the operator says about our resources: typed, but ready for what a later version adds.

Unlike a specification, a status may hold fields that this version does not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from lancemill_api.base import Model
from lancemill_api.rules import Unique

Count = Annotated[int, Field(ge=0)]
Figure = Annotated[float, Field(ge=0)]
Word = Annotated[str, Field(max_length=253)]
Message = Annotated[str, Field(max_length=32768)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]


class Observed(Model):
    """Part of a status."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class Condition(Observed):
    """One thing that is true, false or not known, after Kubernetes' convention (KEP-1623)."""

    type: Word
    """What it is about, such as Ready."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    observed_generation: int = -1
    """Generation of the specification that it is about."""
    last_transition_time: Time
    """When status last changed."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, as one word in CamelCase."""
    message: Message = ""
    """Why, for people."""


Conditions = Annotated[tuple[Condition, ...], Field(max_length=32)]


class Bottleneck(Observed):
    """The stage that the others wait for."""

    stage: Word
    """Name of the stage."""
    share: Figure
    """Share of the time in which it was busy, 0 to 1."""


class StageProgress(Observed):
    """How one stage does."""

    name: Word
    """Name of the stage."""
    rows_in: Count = 0
    """Rows taken."""
    rows_out: Count = 0
    """Rows given."""
    rows_per_second: Figure = 0
    """Rows given per second."""
    busy_fraction: Figure = 0
    """Share of the time in which it was busy, 0 to 1."""
    queue_depth: Count = 0
    """Rows that wait before it."""
    actors: Count = 0
    """Workers or actors that do it."""


class Estimate(Observed):
    """What the whole run will take, as its sample has shown."""

    rows: Count = 0
    """Rows of the source."""
    seconds: Figure = 0
    """Time."""
    bytes_out: Count = 0
    """Bytes to write."""
    cpu_seconds: Figure = 0
    """CPU time."""
    gpu_seconds: Figure = 0
    """GPU time held."""


class Progress(Observed):
    """How far a run is."""

    text: Word | None = None
    """How far, for people and for `kubectl get`, such as 38%."""

    percent: Annotated[float, Field(ge=0, le=100)] = 0
    """Share of the rows that are done, in percent."""
    rows_done: Count = 0
    """Rows done."""
    rows_total: Count | None = None
    """Rows to do, where known."""
    rows_per_second: Figure = 0
    """Rows per second, lately."""
    bytes_per_second: Figure = 0
    """Bytes read per second, lately."""
    eta_seconds: Figure | None = None
    """Seconds to go, where known."""
    last_progress_seconds: Figure | None = None
    """Seconds since a row was last done."""
    estimate: Estimate | None = None
    """What the whole will take, where spec.run.sample asked."""
    bottleneck: Bottleneck | None = None
    """The stage that the others wait for."""
    stages: Annotated[tuple[StageProgress, ...], Field(max_length=64)] = ()
    """How each stage does."""


class Failures(Observed):
    """Attempts of a run that have failed, by class."""

    application: Count = 0
    """The pipeline's own code or data."""
    infrastructure: Count = 0
    """Nodes, pods, network, Ray."""
    capacity: Count = 0
    """No room for its workers in time."""


class CurrentRun(Observed):
    """The run that goes on."""

    id: Word
    """Id of the run."""
    cause: Word = ""
    """What started it, such as generation 3 or schedule 2026-11-21T03:00:00Z."""
    generation: int = -1
    """Generation of the specification that it runs."""
    attempt: Count = 1
    """Number of the attempt, from 1."""
    state: Literal["Starting", "Running", "Stopping", "Settling", "Waiting", "Suspended"] = (
        "Starting"
    )
    """What the attempt is at: Starting, Running, Stopping (its cluster is being taken down),
    Settling (its ledger is asked what came of it), Waiting (for the next attempt), Suspended."""
    why: Word = ""
    """Why the attempt was given up, as one word in CamelCase."""
    failure: Literal["", "application", "infrastructure", "capacity", "deadline"] = ""
    """Class of the failure; empty where the attempt did not fail."""
    message: Message = ""
    """Why the attempt was given up, for people."""
    ray_job: Word | None = None
    """Name of the RayJob."""
    ray_job_uid: Word | None = None
    """Uid of the RayJob, once it was seen."""
    start_time: Time | None = None
    """When the run started."""
    attempt_time: Time | None = None
    """When the attempt started; while Waiting, when the next one does; while Suspended or Stopping,
    since when."""
    first_row_time: Time | None = None
    """When the first row was seen done."""
    failures: Failures = Failures()
    """Attempts that have failed."""
    suspended_seconds: Count = 0
    """Time for which the run was suspended, which does not count against its timeout."""


class Handled(Observed):
    """What has been answered by a run: it starts no other one."""

    spec: Word | None = None
    """Hash of what was run: the specification without when and how often."""
    requested_at: Annotated[str, Field(max_length=1024)] | None = None
    """Value of the annotation lancemill.dev/run-requested-at."""
    schedule: Word | None = None
    """The schedule with its time zone."""
    schedule_time: Time | None = None
    """Latest time of the schedule that was answered; at first, when the schedule was first seen."""
    triggers: Annotated[dict[Word, Count], Field(max_length=16)] = Field(default_factory=dict)
    """Version of each dataset of spec.run.triggers."""


class SummaryResult(Observed):
    """The result of a query of spec.summary."""

    name: Word
    """Name of the query."""
    columns: Annotated[tuple[Word, ...], Field(max_length=64)] = ()
    """Columns of the result."""
    rows: Annotated[tuple[dict[str, Any], ...], Field(max_length=100)] = ()
    """Its first rows."""


class Cost(Observed):
    """What a run has cost, by the prices that the operator was given."""

    amount: Figure
    """How much."""
    currency: Word
    """In which currency, such as EUR."""


class FinishedRun(Observed):
    """A run that has ended."""

    id: Word
    """Id of the run."""
    cause: Word = ""
    """What started it."""
    generation: int = -1
    """Generation of the specification that it ran."""
    attempts: Count = 1
    """Attempts that it took."""
    result: Literal["Succeeded", "Failed", "Cancelled"]
    """Succeeded, Failed or Cancelled."""
    reason: Word = ""
    """Why, as one word in CamelCase."""
    start_time: Time | None = None
    """When it started."""
    end_time: Time | None = None
    """When its end was seen."""
    ray_job: Word | None = None
    """Name of its last RayJob; None once that was deleted."""
    rows: Count = 0
    """Rows written."""
    quarantined: Count = 0
    """Rows set aside."""
    bytes: Count = 0
    """Bytes written."""
    duration: Word | None = None
    """How long it took."""
    dataset_version: Count | None = None
    """Version of the dataset that holds its rows."""
    summary: Annotated[tuple[SummaryResult, ...], Field(max_length=64)] = ()
    """Results of spec.summary."""
    cpu_seconds: Figure = 0
    """CPU time used, in seconds."""
    gpu_seconds: Figure = 0
    """GPU time held, in seconds."""
    gpu_idle_seconds: Figure = 0
    """GPU time held and not used, in seconds."""
    cost: Cost | None = None
    """What that time has cost; None where the operator was given no prices."""
    diagnosis: Message = ""
    """What held it up, in a sentence, from the measured time of its stages."""
    message: Message = ""
    """What happened, in a sentence."""


class PipelineStatus(Observed):
    """What has come of a pipeline."""

    must_hold = (Unique("conditions", "type"),)

    observed_generation: int = -1
    """Generation of the specification that this status is about; -1 before the first."""
    conditions: Conditions = ()
    """Accepted, Preflight, Reconciling, Stalled, Ready, Succeeded, Failed, Suspended, Degraded."""
    phase: Word | None = None
    """The state in a word, for people; programs read conditions."""
    progress: Progress | None = None
    """How far the present run is."""
    current_run: CurrentRun | None = None
    """The run that goes on."""
    handled: Handled = Handled()
    """What has been answered by a run."""
    next_run_time: Time | None = None
    """When the schedule starts the next run."""
    last_run: FinishedRun | None = None
    """The last run that has ended."""
    runs: Annotated[tuple[FinishedRun, ...], Field(max_length=50)] = ()
    """Runs that have ended, the latest first, as many as spec.run.historyLimit says."""


class LastCommit(Observed):
    """Where the dataset's latest version comes from."""

    text: Word | None = None
    """Pipeline and run, for people and for `kubectl get`, such as cats/7f3a."""
    run: Word | None = None
    """Id of the run."""
    pipeline: Word | None = None
    """Name of the pipeline."""
    version: Count | None = None
    """The version."""
    time: Time | None = None
    """When it was committed."""


class ColumnState(Observed):
    """A column of the dataset as it is."""

    name: Word
    """Name of the column."""
    type: Annotated[str, Field(max_length=1024)]
    """Its type."""


class DatasetStatus(Observed):
    """What a dataset is like now."""

    must_hold = (Unique("conditions", "type"),)

    observed_generation: int = -1
    """Generation of the specification that this status is about; -1 before the first."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, SchemaDrift, StorageUnsupported, AccessDenied, BucketMissing."""
    version: Count | None = None
    """Latest version."""
    rows: Count | None = None
    """Rows in it."""
    fragments: Count | None = None
    """Fragments in it."""
    size: Word | None = None
    """Size of the latest version, for people and for `kubectl get`, such as 1.9 GB."""
    live_bytes: Count | None = None
    """Bytes of the latest version."""
    physical_bytes: Count | None = None
    """Bytes of all versions together."""
    format_version: Word | None = None
    """Version of Lance's data storage format."""
    schema_: Annotated[tuple[ColumnState, ...], Field(alias="schema", max_length=1024)] = ()
    """Columns as they are."""
    last_commit: LastCommit | None = None
    """Where the latest version comes from."""
    tags: Annotated[dict[Word, Count], Field(max_length=256)] = Field(default_factory=dict)
    """Version that each tag names."""
    probe_token: Word | None = None
    """The question that this status answers: of a generation and of the commits known then."""
    probe_time: Time | None = None
    """When the dataset was last looked at."""
    probe_failures: Count = 0
    """Looks that failed since the last good one."""
