"""What a run has spent: CPU and GPU time of all its attempts, and each stage's totals of the last.

An attempt says it with each beat and as it ends, so that one that was killed is short of a few
seconds and no more. What the committing attempt says is kept in the ledger's outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lancemill.engine.ledger import Ledger
from lancemill.engine.progress import StageTotals, gpu_time
from lancemill.report.verdict import diagnose

_KEPT = (
    *("name", "rows_in", "rows_out", "faults", "busy_seconds", "wait_in_seconds"),
    *("blocked_seconds", "bytes_in", "bytes_out", "workers", "worker_seconds", "pool", "lane"),
    "gpus",
    *("gpu_seconds", "gpu_busy_seconds", "gpu_idle_seconds"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU and GPU time, in seconds; what was done with it, by stage."""

    cpu: float = 0.0
    gpu: float = 0.0
    """Held."""
    gpu_idle: float = 0.0
    """Held, and no stage worked."""
    stages: tuple[StageTotals, ...] = ()
    seconds: float = 0.0
    """For how long the rows of those stages flowed, by the clock: from the first to the last."""

    @classmethod
    def of(cls, cpu: float, stages: Iterable[StageTotals], seconds: float = 0.0) -> Spent:
        """What one attempt has spent."""
        stages = tuple(stages)
        return cls(cpu, *gpu_time(stages), stages, seconds)

    @property
    def diagnosis(self) -> str:
        """What held up the attempt of these stages; empty where that was not measured."""
        told = diagnose(self.stages)
        return "" if told is None else told.words

    def after(self, earlier: Iterable[Spent]) -> Spent:
        """Together with what earlier attempts have spent; the stages are those of this one."""
        every = (self, *earlier)
        return Spent(
            sum(one.cpu for one in every),
            sum(one.gpu for one in every),
            sum(one.gpu_idle for one in every),
            self.stages,
            self.seconds,
        )

    def times(self) -> dict[str, float]:
        """The three figures, as the ledger and the API name them."""
        return {
            "cpuSeconds": round(self.cpu, 3),
            "gpuSeconds": round(self.gpu, 3),
            "gpuIdleSeconds": round(self.gpu_idle, 3),
        }

    def to_json(self) -> dict[str, Any]:
        """For the ledger."""
        stages = [{name: asdict(one)[name] for name in _KEPT} for one in self.stages]
        return {**self.times(), "stages": stages, "flowSeconds": round(self.seconds, 3)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Spent:
        """What a ledger says; nothing of what it does not."""
        stages = tuple(
            StageTotals(**{name: one[name] for name in _KEPT if name in one})
            for one in said.get("stages", ())
        )
        cpu, gpu, idle = (float(said.get(name, 0.0)) for name in cls().times())
        return cls(cpu, gpu, idle, stages, float(said.get("flowSeconds", 0.0)))


def spent_before(ledger: Ledger, attempt: int) -> list[Spent]:
    """What each attempt before this one has said that it spent."""
    return [_said(ledger, number) for number in range(1, attempt)]


def _said(ledger: Ledger, attempt: int) -> Spent:
    said = ledger.end(attempt) or {}
    if "cpuSeconds" not in said:
        text = ledger.folder.get(f"attempts/{attempt:04d}.beat")
        beat = json.loads(text) if text else None
        said = beat if isinstance(beat, dict) else {}
    return Spent.from_json(said)
