"""What there is to say about a run that is over: made once by the engine, told everywhere the same.

The terminal's closing lines, the last JSON line, the page and the operator's `status.lastRun` are
all made from a `RunSummary`. A figure that was not measured is None and is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lancemill.engine.progress import StageTotals
from lancemill.report.verdict import diagnose

if TYPE_CHECKING:
    import pyarrow as pa

    from lancemill_api.status import Cost

Result = Literal["succeeded", "failed", "interrupted", "nothing-to-do"]
End = Literal["committed", "failed", "resumable", "unknown"]


@dataclass(frozen=True, slots=True)
class Validation:
    """One query of `spec.validate` and what it found."""

    name: str
    query: str
    found: str
    """What the query gave, or the error that it ended with."""
    expected: str
    """In words: `at most 0`."""
    ok: bool


@dataclass(frozen=True, slots=True)
class SummaryTable:
    """One query of `spec.summary` and its result, as text."""

    name: str
    query: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0
    """Rows that are not shown."""
    numeric: tuple[bool, ...] = ()
    """Which columns hold numbers, and are aligned to the right."""

    @classmethod
    def of(cls, name: str, query: str, table: pa.Table, limit: int = 100) -> SummaryTable:
        """The first `limit` rows of an Arrow table."""
        import pyarrow as pa

        shown = table.slice(0, limit)
        columns = [column.to_pylist() for column in shown.columns]
        kinds = [field.type for field in table.schema]
        return cls(
            name=name,
            query=query,
            columns=tuple(table.column_names),
            rows=tuple(tuple(_cell(value) for value in row) for row in zip(*columns, strict=True)),
            more=max(0, table.num_rows - limit),
            numeric=tuple(
                bool(pa.types.is_integer(kind) or pa.types.is_floating(kind)) for kind in kinds
            ),
        )

    @classmethod
    def of_rows(
        cls, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
    ) -> SummaryTable:
        """Rows as JSON holds them: those of `status.lastRun` of the API."""
        return cls(
            name=name,
            query="",
            columns=tuple(columns),
            rows=tuple(tuple(_cell(row.get(column)) for column in columns) for row in rows),
            numeric=tuple(
                bool(rows) and all(_is_number(row.get(column)) for row in rows)
                for column in columns
            ),
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a sample run says about the whole."""

    rows: int
    """Rows of the whole source."""
    seconds: float
    bytes_out: int
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As in `status.progress.estimate` of the API; without what was not measured."""
        told = {
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "bytesOut": self.bytes_out,
            "cpuSeconds": self.cpu_seconds,
            "gpuSeconds": self.gpu_seconds,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run that is over."""

    pipeline: str
    run: str
    result: Result
    rows_in: int = 0
    """Rows of the source that the run dealt with."""
    rows_out: int = 0
    """Rows that are in the dataset; 0 where nothing was committed."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """Rows set aside, by reason."""
    dataset: str = ""
    """URI of the dataset."""
    dataset_name: str = ""
    """Its name, where the manifest names one."""
    version: int | None = None
    duration_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    gpu_idle_share: float | None = None
    cost: Cost | None = None
    """Of that time, where prices are known."""
    stages: Sequence[StageTotals] = ()
    validations: Sequence[Validation] = ()
    summaries: Sequence[SummaryTable] = ()
    message: str = ""
    """What happened, where the result is not `succeeded`."""
    kept: str = ""
    """What a resumed run will find."""
    remedy: str = ""
    """How to go on."""
    report: str = ""
    """Where the page is."""
    estimate: Estimate | None = None
    """Of the whole, from a sample; None for a whole run."""
    max_fault_rate: float | None = None
    """`spec.errors.maxRate`."""
    resumed_rows: int = 0
    """Rows of `rows_in` that an earlier attempt had done."""
    started_at: str = ""
    """ISO 8601, UTC."""
    end: End = "unknown"
    """What came of the run: `failed` where it would fail again, `unknown` where this attempt
    cannot say (it was overtaken, or its commit's answer was lost): then the ledger is asked."""
    exit_status: int = 0

    @property
    def set_aside(self) -> int:
        """Rows in the quarantine."""
        return sum(self.quarantined.values())

    @property
    def diagnosis(self) -> str:
        """What held it up, in a sentence; empty where that was not measured."""
        told = diagnose(self.stages)
        return "" if told is None else told.words

    @property
    def target(self) -> str:
        """What people call the dataset."""
        return self.dataset_name or self.dataset

    @property
    def rows_per_second(self) -> float | None:
        """Rows that this attempt did, by its time."""
        done = self.rows_in - self.resumed_rows
        return done / self.duration_seconds if done > 0 and self.duration_seconds > 0 else None

    def to_json(self) -> dict[str, Any]:
        """The stable schema of `--json`: camelCase, as the API's status."""
        return {
            "pipeline": self.pipeline,
            "run": self.run,
            "result": self.result,
            "end": self.end,
            "startedAt": self.started_at or None,
            "durationSeconds": round(self.duration_seconds, 3),
            "rowsIn": self.rows_in,
            "rowsOut": self.rows_out,
            "resumedRows": self.resumed_rows,
            "quarantined": dict(self.quarantined),
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "cpuSeconds": self.cpu_seconds,
            "gpuSeconds": self.gpu_seconds,
            "gpuIdleShare": self.gpu_idle_share,
            "cost": None if self.cost is None else self.cost.model_dump(by_alias=True),
            "dataset": self.dataset or None,
            "datasetName": self.dataset_name or None,
            "datasetVersion": self.version,
            "diagnosis": self.diagnosis or None,
            "stages": [_stage_json(stage) for stage in self.stages],
            "validations": [asdict(validation) for validation in self.validations],
            "summaries": [_table_json(table) for table in self.summaries],
            "message": self.message or None,
            "kept": self.kept or None,
            "remedy": self.remedy or None,
            "report": self.report or None,
            "estimate": None if self.estimate is None else self.estimate.to_json(),
        }


def _stage_json(stage: StageTotals) -> dict[str, Any]:
    return {
        "name": stage.name,
        "rowsIn": stage.rows_in,
        "rowsOut": stage.rows_out,
        "faults": stage.faults,
        "busySeconds": round(stage.busy_seconds, 3),
        "waitInSeconds": round(stage.wait_in_seconds, 3),
        "blockedSeconds": round(stage.blocked_seconds, 3),
        "bytesIn": stage.bytes_in,
        "bytesOut": stage.bytes_out,
        "workers": stage.workers,
        "workerSeconds": round(stage.worker_seconds, 3),
        "pool": stage.pool or None,
        "lane": stage.lane or None,
        "gpuSeconds": round(stage.gpu_seconds, 3),
    }


def _table_json(table: SummaryTable) -> dict[str, Any]:
    return {
        "name": table.name,
        "query": table.query,
        "columns": list(table.columns),
        "rows": [list(row) for row in table.rows],
        "more": table.more,
    }


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"
