"""What an attempt has done so far, and what can be said of the run from it, at whatever end."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lancemill.engine.meter import Meter
from lancemill.engine.request import Request
from lancemill.engine.results import Results
from lancemill.engine.spent import Spent
from lancemill.errors import GaveUp, Interrupted, LancemillError, RunConflict
from lancemill.report.summary import End, Estimate, Result, RunSummary
from lancemill.sinks.sink import Committed
from lancemill_api.prices import VARIABLE, Prices


class Account:
    """Kept by the run as it goes."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.attempt = 0
        """Its number in the ledger, once the run is claimed."""
        self.results: Results = Results()
        """Every finished shard, whoever did it."""
        self.meter: Meter | None = None
        self.committed: Committed | None = None
        self.begun = False
        """Whether it has been said that this attempt commits."""
        self.failed = False
        """Whether it has been said that the run fails, by this attempt and by any other."""
        self.overtaken = False
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._began = time.monotonic()
        self._cpu_began = _cpu_seconds()

        self.earlier: list[Spent] = []
        """What earlier attempts have spent."""

    @property
    def spent_here(self) -> Spent:
        """What this attempt has spent: its process, its children, its workers elsewhere."""
        meter = self.meter
        own = _cpu_seconds() - self._cpu_began
        if meter is None:
            return Spent(own)
        return Spent.of(own + meter.cpu_elsewhere, meter.totals(), meter.moving_seconds)

    def sampled(self, meter: Meter) -> None:
        """Workers elsewhere have spent this on the run's sample; what it took here is counted."""
        elsewhere = Spent.of(meter.cpu_elsewhere, meter.totals())
        self.earlier.append(replace(elsewhere, stages=()))

    @property
    def spent(self) -> Spent:
        """What the run has spent, all attempts together."""
        return self.spent_here.after(self.earlier)

    def summary(self, result: Result, **told: Any) -> RunSummary:
        """The run's summary."""
        results = self.results.values()
        meter, prepared, spent = self.meter, self._request.prepared, self.spent
        return RunSummary(
            pipeline=prepared.plan.pipeline,
            run=self._request.run,
            result=result,
            rows_in=sum(one.rows_in for one in results),
            resumed_rows=sum(one.rows_in for one in results if one.attempt != self.attempt),
            quarantined=self._reasons(),
            dataset=prepared.sink.uri,
            duration_seconds=time.monotonic() - self._began,
            cpu_seconds=spent.cpu,
            gpu_seconds=spent.gpu or None,
            cost=Prices.of_text(os.environ.get(VARIABLE, "")).cost(spent.cpu, spent.gpu),
            gpu_idle_share=spent.gpu_idle / spent.gpu if spent.gpu else None,
            bytes_in=meter.bytes_in if meter else 0,
            bytes_out=sum(one.output.bytes for one in results),
            stages=spent.stages,
            max_fault_rate=prepared.pipeline.spec.errors.max_rate,
            started_at=self.started_at,
            end=self._end(result),
            **told,
        )

    def summary_of_failure(self, error: LancemillError) -> RunSummary:
        """The summary of a run that `error` ended."""
        asked = isinstance(error, Interrupted) and not isinstance(error, GaveUp)
        result: Result = "interrupted" if asked else "failed"
        self.overtaken |= isinstance(error, RunConflict) and not error.final
        return self.summary(
            result,
            message=str(error),
            kept=error.kept,
            remedy=error.remedy,
            exit_status=error.exit_status,
        )

    def estimate(self, rows: int) -> Estimate:
        """What the rows that were done say about a source of `rows` rows."""
        results = self.results.values()
        factor = rows / max(1, sum(result.rows_in for result in results))
        size = sum(result.output.bytes for result in results)
        return Estimate(rows, (time.monotonic() - self._began) * factor, round(size * factor))

    def say_what_is_kept(self, error: LancemillError) -> None:
        """Add to the error that ends the run what a resumed one will find."""
        total = self.meter.shards_total if self.meter else None
        if total is None or isinstance(error, RunConflict):
            return
        if self.committed is not None:
            version = self.committed.version
            which = "" if version is None else f" as version {version}"
            error.kept = f"the rows are committed{which}; the run's books are not closed yet"
        elif not error.kept:
            error.kept = f"nothing was committed; {len(self.results)} of {total} shards are kept"

    def _reasons(self) -> dict[str, int]:
        """Rows that were set aside, by reason."""
        reasons: dict[str, int] = {}
        for one in self.results.values():
            for fault in one.faults:
                reasons[fault.reason] = reasons.get(fault.reason, 0) + 1
        for refused in self.committed.set_aside if self.committed else ():
            reasons[refused["reason"]] = reasons.get(refused["reason"], 0) + 1
        return reasons

    def _end(self, result: Result) -> End:
        """What can be said of the run for good."""
        if self._request.options.sample:
            return "unknown"
        if result in ("succeeded", "nothing-to-do"):
            return "committed"
        if self.failed:
            return "failed"
        # Also where the failure may not be told in the ledger: it is somebody else's run by then.
        return "unknown" if self.begun or self.overtaken else "resumable"


def _cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
