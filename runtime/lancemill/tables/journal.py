"""A small object in a run's ledger that says: a commit was begun."""

from __future__ import annotations

from dataclasses import dataclass

from lancemill.storage import Location


@dataclass(frozen=True, slots=True)
class LedgerJournal:
    """A `Journal` of `commit_once`, kept as the object `name` in the run's ledger."""

    ledger: Location
    name: str = "commit.begun"

    def begun(self) -> bool:
        return self.ledger.get(self.name) is not None

    def begin(self) -> None:
        self.ledger.put_new(self.name, b"{}")
