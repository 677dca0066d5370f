"""What came of a run, for whoever ordered it (the operator): small JSON, never more than was asked.

Two tell it: a driver at its end, and `settle` from the ledger of a driver that could not. Only
what cannot change any more is told; where that is not known yet there is no outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lancemill.report.summary import RunSummary, SummaryTable

Verdict = Literal["Committed", "NotCommitted", "Failed"]
"""NotCommitted may be gone on with; Failed would fail in the same way."""

LONGEST = 4096
"""Bytes that a container's termination message may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a run."""

    run: str
    attempt: int
    """The epoch under which it is told."""
    verdict: Verdict
    rows: int = 0
    quarantined: int = 0
    bytes: int = 0
    dataset_version: int | None = None
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    gpu_idle_seconds: float = 0.0
    summary: tuple[Mapping[str, Any], ...] = ()
    """Results of spec.summary: name, columns, and rows as objects."""
    diagnosis: str = ""
    """What held it up, in a sentence; empty where that was not measured."""
    message: str = ""

    @classmethod
    def of(cls, summary: RunSummary, epoch: int) -> Outcome | None:
        """What a driver can say at its end; None where only the ledger can (`settle`)."""
        if summary.end == "unknown":
            return None
        verdicts: dict[str, Verdict] = {"committed": "Committed", "failed": "Failed"}
        gpu = summary.gpu_seconds or 0.0
        return cls(
            run=summary.run,
            attempt=epoch,
            verdict=verdicts.get(summary.end, "NotCommitted"),
            rows=summary.rows_out,
            quarantined=summary.set_aside,
            bytes=summary.bytes_out,
            dataset_version=summary.version,
            cpu_seconds=round(summary.cpu_seconds or 0.0, 3),
            gpu_seconds=round(gpu, 3),
            gpu_idle_seconds=round(gpu * (summary.gpu_idle_share or 0.0), 3),
            summary=tuple(table_json(one) for one in summary.summaries),
            diagnosis=summary.diagnosis,
            message=". ".join(part for part in (summary.message, summary.kept) if part),
        )

    def to_json(self) -> dict[str, Any]:
        """camelCase, as the API's status."""
        return {
            "run": self.run,
            "attempt": self.attempt,
            "verdict": self.verdict,
            "rows": self.rows,
            "quarantined": self.quarantined,
            "bytes": self.bytes,
            "datasetVersion": self.dataset_version,
            "cpuSeconds": self.cpu_seconds,
            "gpuSeconds": self.gpu_seconds,
            "gpuIdleSeconds": self.gpu_idle_seconds,
            "summary": list(self.summary),
            "diagnosis": self.diagnosis,
            "message": self.message,
        }

    def to_text(self, longest: int = LONGEST) -> str:
        """One line of JSON of at most `longest` bytes: rows of the summary are left out from the
        end on, then its tables, then the end of the message."""
        for smaller in _smaller(self):
            text = _line(smaller.to_json())
            if _size(text) <= longest:
                return text
        bare = replace(self, summary=(), diagnosis="", message="")
        room = longest - _size(_line(bare.to_json())) + len('""')
        return _line(replace(bare, message=cut(self.message, room)).to_json())


def table_json(table: SummaryTable) -> dict[str, Any]:
    """A result as the status has it."""
    columns = list(table.columns)
    rows = [dict(zip(columns, row, strict=True)) for row in table.rows]
    return {"name": table.name, "columns": columns, "rows": rows}


def cut(text: str, room: int) -> str:
    """`text`, or as much from its start as takes `room` bytes in JSON, with an ellipsis."""
    if _size(_line(text)) <= room:
        return text
    while text and (over := _size(_line(text + "…")) - room) > 0:
        # A character takes at most six bytes: this never removes too many.
        text = text[: -max(1, over // 6)]
    return text + "…" if text else ""


def _smaller(whole: Outcome) -> Iterable[Outcome]:
    yield whole
    for rows in (20, 8, 3, 1, 0):
        some = ({**one, "rows": one["rows"][:rows]} for one in whole.summary)
        yield replace(whole, summary=tuple(some))
    for tables in range(len(whole.summary) - 1, -1, -1):
        some = ({**one, "rows": []} for one in whole.summary[:tables])
        yield replace(whole, summary=tuple(some))


def _size(text: str) -> int:
    return len(text.encode())


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
