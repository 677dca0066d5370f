"""Earlier runs of a dataset, as their ledgers tell them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lancemill.engine.ledger import Ledger
from lancemill.storage import Location


@dataclass(frozen=True, slots=True)
class PastRun:
    """One run."""

    run: str
    pipeline: str
    state: str
    """`committed`, `nothing-to-do`, `sample`, or `unfinished` (running, failed or stopped: it can
    be resumed)."""
    started_at: str
    rows: int | None
    version: int | None
    quarantined: int | None

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        told = asdict(self)
        told["startedAt"] = told.pop("started_at")
        return told


def history(folder: Location) -> list[PastRun]:
    """The runs whose ledgers lie in `folder` (`<dataset>.runs`), oldest first."""
    found = []
    for ledger in _runs_below(folder):
        record = ledger.record()
        if record is None:
            continue
        outcome = ledger.outcome()
        state = _state(record, outcome)
        told = outcome or {}
        found.append(
            PastRun(
                run=ledger.run,
                pipeline=record["pipeline"],
                state=state,
                started_at=record["startedAt"],
                rows=told.get("rows"),
                version=told.get("version"),
                quarantined=told.get("quarantined"),
            )
        )
    return sorted(found, key=lambda one: (one.started_at, one.run))


def _runs_below(folder: Location) -> Iterator[Ledger]:
    """The ledgers of every run of a dataset (`<dataset>.runs`), in the order of their ids."""
    names = {name.split("/")[0] for name in folder.list("") if "/" in name}
    for run in sorted(names):
        yield Ledger(run, folder.child(run))


def _state(record: dict[str, Any], outcome: dict[str, Any] | None) -> str:
    if record.get("sample"):
        return "sample"
    if outcome is None:
        return "unfinished"
    return "committed" if record["snapshot"]["rows"] else "nothing-to-do"
