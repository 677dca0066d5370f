"""What a worker tells of a shard, while it does it and at its end."""

from __future__ import annotations

from dataclasses import dataclass

from lancemill.engine.ray.counts import Charge, Counts
from lancemill.engine.ray.told import Told
from lancemill.engine.result import ShardResult

REPORT_S = 0.5
"""How often a worker tells what it has counted."""


@dataclass(frozen=True, slots=True)
class Report:
    """The newest of a shard; the last one has its result, or its error."""

    counts: Counts
    """All that was counted for the shard so far."""
    charges: tuple[Charge, ...] = ()
    """Rows that failed since the last report."""
    cpu_seconds: float = 0.0
    """CPU time since the last report."""
    streams: int = 0
    result: ShardResult | None = None
    told: Told | None = None
    """The error that ended the shard."""
    lost: bool = False
    """Whether that was the death of a process, so that the shard may be tried again."""
