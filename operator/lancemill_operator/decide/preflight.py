"""What can be known to be wrong before a pod starts: told with the place and the remedy."""

from __future__ import annotations

from dataclasses import dataclass

from lancemill_api.dataset import LanceDataset
from lancemill_operator.decide.case import Case


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a run cannot begin yet."""

    reason: str
    message: str
    is_wrong: bool = True
    """Whether somebody must do something about it; else it will pass by itself."""


def datasets(case: Case) -> tuple[LanceDataset, ...]:
    """The LanceDatasets that a run's specification holds: the one that it writes to."""
    lance = case.pipeline.spec.sink.lance
    name = lance.dataset if lance is not None else None
    view = case.facts.datasets.get(name) if name else None
    return (view.spec,) if view is not None and view.spec is not None else ()


def problem(case: Case) -> Problem | None:
    """What keeps the run from beginning; nothing is lost by waiting for it to be put right."""
    if case.facts.missing:
        first = case.facts.missing[0]
        message = "; ".join(one.told for one in case.facts.missing)
        return Problem(f"{first.kind}NotFound", message)
    return _dataset(case)


def warning(case: Case) -> str:
    """Worker groups that no node fits now: an autoscaler may add one, so this stops nothing."""
    if case.facts.capacity is None:
        return ""
    return "; ".join(f"{group}: {why}" for group, why in sorted(case.facts.capacity.unfit.items()))


def _dataset(case: Case) -> Problem | None:
    """The dataset that the run writes to is made before its first writer, by its own reconciler."""
    lance = case.pipeline.spec.sink.lance
    if lance is None or lance.dataset is None:
        return None
    view = case.facts.datasets.get(lance.dataset)
    place = "spec.sink.lance.dataset"
    if view is None or not view.exists:
        return Problem(
            "LanceDatasetNotFound",
            f"{place}  there is no LanceDataset '{lance.dataset}' in this namespace; "
            "create it, or give uri",
        )
    if not view.ready:
        return Problem(
            "LanceDatasetNotReady",
            f"{place}  LanceDataset {lance.dataset} is not ready: "
            + (view.problem or "not looked at yet"),
            is_wrong=view.stalled,
        )
    return None
