"""What came of many lives: how many were judged, and everything that is not as it must be."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kube.control_plane import ControlPlane
from kube.mutation.judges import Verdict, judged, known
from kube.mutation.life import dataset_lives, pipeline_lives
from kube.mutation.lives import Life
from kube.namespaces import fresh_namespace


@dataclass
class Findings:
    """Counts, and what is wrong, each with the manifests that show it."""

    manifests: int = 0
    accepted: int = 0
    """By both."""
    refused: int = 0
    """By both."""
    known: Counter[str] = field(default_factory=Counter)
    """Accepted by the API server only, for these reasons."""
    ends: Counter[str] = field(default_factory=Counter)
    """Where lives came to rest: the reason of Ready."""
    alive: int = 0
    """Lives that were led by the operator itself."""
    wrong: list[dict[str, Any]] = field(default_factory=list)

    def __iadd__(self, other: Findings) -> Findings:
        self.manifests += other.manifests
        self.accepted += other.accepted
        self.refused += other.refused
        self.known += other.known
        self.ends += other.ends
        self.alive += other.alive
        self.wrong += other.wrong
        return self

    def __str__(self) -> str:
        counts = f"{self.manifests} manifests: {self.accepted} accepted, {self.refused} refused"
        return (
            f"{counts}, known differences {dict(self.known)}, at rest {dict(self.ends)}, "
            f"by the operator itself {self.alive}, wrong {len(self.wrong)}"
        )


def examined(plane: ControlPlane, lives: Sequence[Life]) -> Findings:
    """Every manifest judged by both, and what was accepted led through the operator's decisions."""
    with fresh_namespace(plane, "mutation") as namespace:
        verdicts = judged(plane, namespace, [one for life in lives for one in life.states])
    found = Findings(manifests=len(verdicts))
    waiting = iter(verdicts)
    for life in lives:
        own = [next(waiting) for _ in life.states]
        for verdict in own:
            _count(verdict, found)
        _lead(life, [one.answer for one in own if one.accepted], found)
    return found


def _count(verdict: Verdict, found: Findings) -> None:
    if verdict.difference:
        found.wrong.append({"why": verdict.difference, "manifest": verdict.document})
    elif not verdict.accepted:
        found.refused += 1
    elif not verdict.mistakes:
        found.accepted += 1
    else:
        why = {known(verdict.document, *one) or "" for one in verdict.mistakes}
        found.known[" and ".join(sorted(why))] += 1


def _lead(life: Life, states: list[Any], found: Findings) -> None:
    if not states:
        return
    try:
        if life.kind == "LanceDataset":
            said = dataset_lives(states, life.fates).conditions
        else:
            said = pipeline_lives(states, life.fates).status.conditions
    except Exception:
        why = traceback.format_exc()
        found.wrong.append({"why": why, "manifests": states, "fates": life.fates})
        return
    found.ends[next(one.reason for one in said if one.type == "Ready")] += 1
