"""GPU time in which nobody worked, as a counter: it never falls.

Stages that share a GPU may work at once, and work is told late. So held less worked, of the whole
run, falls now and then; what is left of it between two looks does not, summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lancemill.engine.progress import StageTotals, gpu_pools, held_and_worked


@dataclass(slots=True)
class GpuIdle:
    """Sees all stages of a run now and then. Not for several threads at once."""

    _seen: dict[str, tuple[float, float]] = field(default_factory=dict)
    """GPU seconds held and worked at the last look, by pool."""
    _idle: dict[str, float] = field(default_factory=dict)

    def seen(self, stages: Sequence[StageTotals]) -> tuple[StageTotals, ...]:
        """The stages as they are now, told of their idle time."""
        firsts = {}
        for pool, members in gpu_pools(stages).items():
            firsts[members[0].name] = self._look(pool, held_and_worked(members))
        return tuple(
            replace(one, gpu_idle_seconds=firsts[one.name]) if one.name in firsts else one
            for one in stages
        )

    def _look(self, pool: str, now: tuple[float, float]) -> float:
        before = self._seen.get(pool, (0.0, 0.0))
        new = (now[0] - before[0]) - (now[1] - before[1])
        # What was worked beyond what was held is no debt: another stage worked at the same time.
        self._idle[pool] = self._idle.get(pool, 0.0) + max(0.0, new)
        self._seen[pool] = now
        return self._idle[pool]
