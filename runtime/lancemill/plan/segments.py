"""Cuts a plan into segments: adjacent steps with one placement, which run in one worker."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from lancemill.plan.step import Plan, Step


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps that run together."""

    group: str | None
    """Worker group that the manifest asks for; None where it leaves the choice."""
    gpus: float
    steps: tuple[Step, ...]


def segments(plan: Plan) -> tuple[Segment, ...]:
    """The plan's segments, in order; one without steps where the plan has none."""
    cut = [
        Segment(group, gpus, tuple(steps))
        for (group, gpus), steps in groupby(
            plan.steps, key=lambda step: (step.placement.group, step.placement.gpus)
        )
    ]
    return tuple(cut) or (Segment(None, 0, ()),)


def target_shard_bytes(total_bytes: int) -> int:
    """How large a shard should be, for a source of `total_bytes`.

    64 MiB keeps what a dead worker loses small. A source of more than 64 GiB gets larger shards,
    so that their number stays near a thousand, and at most 1 GiB ones, so that a retry stays cheap.
    """
    mib = 1 << 20
    return min(max(64 * mib, total_bytes // 1024), 1024 * mib)
