"""Which nodes are alike in what they must be able to do for a plan, and what that is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lancemill.engine.ray.pools import Pool
from lancemill.plan.step import Plan


@dataclass(frozen=True, slots=True)
class Unit:
    """Nodes that are alike, and the pools whose workers they run."""

    group: str | None
    device: bool
    pools: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.group or ("GPU nodes" if self.device else "nodes")


def units_of(pools: Sequence[Pool]) -> tuple[Unit, ...]:
    """The units of a plan, those without GPUs first. Without groups, nodes with GPUs are others."""
    by_key: dict[tuple[str | None, bool], list[int]] = {}
    for number, pool in enumerate(pools):
        key = (pool.group, bool(pool.gpus) if pool.group is None else False)
        by_key.setdefault(key, []).append(number)
    units = [
        Unit(group, any(pools[number].gpus for number in numbers), tuple(numbers))
        for (group, _), numbers in by_key.items()
    ]
    return tuple(sorted(units, key=lambda unit: unit.device))


def part_of(
    unit: Unit, pools: Sequence[Pool], plan: Plan, first: int, ledger: str
) -> dict[str, Any]:
    """What a unit's nodes do of the run, as plain values: stages; the first row, where they read
    the source; the ledger's URI, where they write."""
    steps = [step for number in unit.pools for step in plan.steps[_span(pools[number])]]
    return {
        "stages": [part.place.stage for step in steps for part in step.parts],
        "first": first if 0 in unit.pools else None,
        "ledger": ledger if len(pools) - 1 in unit.pools else None,
    }


def _span(pool: Pool) -> slice:
    return slice(pool.first, pool.last)
