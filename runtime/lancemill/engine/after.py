"""What an earlier run says about the next one: how fast each stage was, and what held it up.

Read from the run's outcome in its ledger, which keeps the totals of the stages of the attempt that
committed. Nothing is guessed: a stage that was not measured is not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lancemill import figures
from lancemill.engine.ledger import Ledger
from lancemill.engine.progress import StageTotals, per_second
from lancemill.engine.request import checked_id
from lancemill.engine.spent import Spent
from lancemill.errors import RunError
from lancemill.sinks.sink import Sink
from lancemill.storage import open_store


@dataclass(frozen=True, slots=True)
class After:
    """An earlier run of the dataset."""

    run: str
    pipeline: str
    spent: Spent

    @property
    def rows(self) -> int:
        """Rows of the source that its last attempt took."""
        return self.spent.stages[0].rows_out if self.spent.stages else 0

    @property
    def seconds(self) -> float:
        """Time in which they flowed."""
        return self.spent.seconds

    @property
    def rows_per_second(self) -> float:
        return per_second(self.rows, self.seconds)

    def lines(self, rows: int | None) -> Iterator[str]:
        """In words; with what it means for a source of `rows` rows."""
        if not self.rows or not self.seconds:
            yield f"after    run {self.run}: its last attempt read no rows, so nothing was measured"
            return
        took = f"{figures.rows(self.rows)} in {figures.duration(self.seconds)}"
        yield f"after    run {self.run} of {self.pipeline}: {took}, {self._rate()}"
        width = max(len(stage.name) for stage in self.spent.stages)
        for stage in self.spent.stages:
            if (pace := self._pace(stage)) is not None:
                busy = min(1.0, stage.busy_seconds / stage.worker_seconds)
                yield f"   {stage.name:<{width}} {busy:4.0%} busy, could do {figures.rate(pace)}"
        if self.spent.diagnosis:
            yield f"   {self.spent.diagnosis}"
        if rows:
            long = figures.duration(rows / self.rows_per_second)
            yield f"   at that rate, {figures.rows(rows)} take {long}"

    def to_json(self) -> dict[str, Any]:
        """For scripts; the totals are those of the ledger."""
        return {
            "run": self.run,
            "pipeline": self.pipeline,
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "diagnosis": self.spent.diagnosis or None,
            **self.spent.times(),
            "stages": [
                {
                    "name": one.name,
                    "busySeconds": one.busy_seconds,
                    "rowsPerSecond": self._pace(one),
                }
                for one in self.spent.stages
            ],
        }

    def _pace(self, stage: StageTotals) -> float | None:
        """Rows per second that its workers could take if they always had work."""
        if stage.busy_seconds <= 0 or not stage.rows_in or stage.worker_seconds <= 0:
            return None
        share = min(1.0, stage.busy_seconds / stage.worker_seconds)
        return per_second(stage.rows_in, self.seconds * share)

    def _rate(self) -> str:
        return figures.rate(self.rows_per_second)


def after(sink: Sink, run: str) -> After:
    """RunError where there is no such run, or where it has not come to its end."""
    ledger = Ledger(checked_id(run), open_store(f"{sink.uri}.runs/{run}", sink.storage))
    record, outcome = ledger.record(), ledger.outcome()
    if record is None:
        raise RunError(f"there is no run {run} of {sink.uri}", remedy="`lancemill runs` lists them")
    if outcome is None:
        raise RunError(
            f"run {run} has not been committed, and only then it is kept how its stages did",
            remedy="give one that `lancemill runs` calls committed",
        )
    return After(run, record["pipeline"], Spent.from_json(outcome))
