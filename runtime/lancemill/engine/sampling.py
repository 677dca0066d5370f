"""Some rows through everything before a run begins: what the whole will take, and whether it can.

The rows are from all over the source, of the run's own listing; what they make is looked at as
the whole will be, and thrown away. A row that ends a run ends it here, before hours of work. A
condition of `validate` that does not hold on a part may hold on the whole: it is told, no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from lancemill import figures
from lancemill.engine.checks import validate
from lancemill.engine.progress import gpu_time
from lancemill.engine.request import Request
from lancemill.engine.result import ShardResult
from lancemill.engine.work import Work
from lancemill.errors import ValidationFailed
from lancemill.report.summary import Estimate
from lancemill.sources.source import Snapshot


class Sampling:
    """One attempt's sample. `do` at most once; `work` may be told to stop."""

    def __init__(
        self,
        request: Request,
        snapshot: Snapshot,
        rows: int,
        attempt: int,
        tell: Callable[[str], None],
    ) -> None:
        self._request = replace(request, options=replace(request.options, sample=rows))
        self._snapshot = snapshot
        # Each attempt's own: one that was overtaken and lives on removes its own rows only.
        self._ref = replace(request.ref, run=f"{request.run[:48]}.sample-{attempt}")
        self._tell = tell
        shards = list(self._request.shards(snapshot, 0))
        self.rows = sum(shard.rows for shard in shards)
        self._shards = len(shards)
        self.work = Work(self._request, shards, tell)

    def do(self, cpu_seconds: Callable[[], float]) -> Estimate | None:
        """What the whole will take; None where the work was stopped."""
        self._tell(f"a sample of {figures.rows(self.rows)} goes first")
        sink, schema = self._request.prepared.sink, self._request.prepared.plan.output
        base = sink.prepare(schema, self._ref)
        results: list[ShardResult] = []
        began, before = time.monotonic(), cpu_seconds()
        try:
            self.work.do((), self._snapshot, base, results.append)
            self.work.meter.rest()
            if len(results) < self._shards:
                return None
            self._check(results, base)
        finally:
            sink.discard([one.output for one in results], base)
        estimate = self._estimate(results, time.monotonic() - began, cpu_seconds() - before)
        self._tell(self._words(results, estimate))
        return estimate

    def _check(self, results: list[ShardResult], base: dict[str, object]) -> None:
        prepared = self._request.prepared
        outputs = [one.output for one in sorted(results, key=lambda one: one.shard.index)]
        staged = prepared.sink.stage(outputs, prepared.plan.output, base)
        try:
            validate(prepared.pipeline, staged)
        except ValidationFailed as error:
            self._tell(f"of the sample, a condition does not hold: {error}")

    def _estimate(self, results: list[ShardResult], took: float, cpu: float) -> Estimate:
        """What grows with the rows is told from what does not: starting, loading models."""
        meter = self.work.meter
        factor = self._snapshot.rows / max(1, self.rows)
        flowed = min(1.0, meter.moving_seconds / took) if took > 0 else 1.0
        grown = 1.0 - flowed + flowed * factor
        size = sum(one.output.bytes for one in results)
        gpu, _ = gpu_time(meter.totals())
        return Estimate(
            self._snapshot.rows,
            took * grown,
            round(size * factor),
            cpu_seconds=round((cpu + meter.cpu_elsewhere) * grown, 3),
            gpu_seconds=round(gpu * grown, 3),
        )

    def _words(self, results: list[ShardResult], whole: Estimate) -> str:
        aside = sum(len(one.faults) for one in results)
        parts = [
            f"of the sample, {figures.count(aside)} set aside"
            if aside
            else "the sample is through",
            f"the whole, estimated: {figures.rows(whole.rows)}",
            f"about {figures.duration(whole.seconds)}",
            f"{figures.size(whole.bytes_out)} out",
            f"cpu {figures.duration(whole.cpu_seconds or 0.0)}",
        ]
        if whole.gpu_seconds:
            parts.append(f"gpu {figures.duration(whole.gpu_seconds)}")
        return " · ".join(parts)
