"""What a dataset says about its own past: transactions, and the runs that made versions.

A run's commit carries the run's id in its transaction properties. Lance keeps transactions only
as long as it keeps versions, so the last runs of each pipeline are also mirrored in the dataset's
configuration, which stays. The mirror is written last: a run that stands there is wholly done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

RUN = "lancemill.run"
PIPELINE = "lancemill.pipeline"
MEANING = "lancemill.meaning"
ROWS = "lancemill.rows"
KEY = "lancemill.key"
READ = "lancemill.read"
"""The version that a proposal was made for: Lance puts another one into a transaction that it
rebases."""

MIRROR = "lancemill.run."
"""Configuration key of a pipeline's mirror, completed by the pipeline's name."""
MIRRORED_RUNS = 16
"""Runs remembered for each pipeline: about 100 bytes each in every manifest."""

PAGE = 256
"""Transactions read at once: an addColumns commit lists every fragment, so they can be large."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The transaction that made a version."""

    version: int
    transaction: Any

    @property
    def operation(self) -> str:
        """The operation's name, `Append`; `BaseOperation` for those that pylance does not show."""
        return type(self.transaction.operation).__name__

    @property
    def properties(self) -> dict[str, str]:
        return dict(self.transaction.transaction_properties or {})

    def by_run(self, run: str) -> bool:
        return self.properties.get(RUN) == run


@dataclass(frozen=True, slots=True)
class History:
    """The transactions after a version, oldest first."""

    entries: tuple[Entry, ...]
    complete: bool
    """False when some of them are gone with versions that were cleaned up."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the mirror remembers it."""

    run: str
    version: int
    rows: int
    meaning: str = ""


def since(dataset: Any, base: int) -> History:
    """What happened between version `base` and the version that `dataset` is at."""
    wanted = dataset.version - base
    entries = list(_backwards(dataset, wanted))
    return History(tuple(reversed(entries)), complete=len(entries) >= wanted)


def _backwards(dataset: Any, wanted: int) -> Iterator[Entry]:
    """At most `wanted` entries from the newest on; ends where the history has been cleaned up."""
    version = dataset.version
    while wanted > 0:
        page = dataset.get_transactions(min(PAGE, wanted))
        for transaction in page:
            if transaction is None:
                return
            yield Entry(version, transaction)
            version -= 1
        wanted -= len(page)
        if wanted <= 0 or version < 1 or len(page) < PAGE:
            return
        try:
            dataset = dataset.checkout_version(version)
        except (OSError, ValueError):
            return


def mirrored(dataset: Any, pipeline: str) -> list[RunRecord]:
    """The last runs of `pipeline` that the configuration remembers, newest first."""
    text = dataset.config().get(MIRROR + pipeline)
    return [RunRecord(**one) for one in json.loads(text)] if text else []


def mirror_text(records: list[RunRecord]) -> str:
    """The configuration's value for `records`."""
    newest = sorted(records, key=lambda record: -record.version)[:MIRRORED_RUNS]
    return json.dumps([asdict(record) for record in newest], separators=(",", ":"))


def last_run(dataset: Any, pipeline: str) -> str | None:
    """The newest run of `pipeline` that has a commit in `dataset`.

    The mirror may lag behind by a run that was killed just after its commit: what is newer than
    the mirror is looked up among the transactions.
    """
    known = mirrored(dataset, pipeline)
    after = known[0].version if known else 0
    newest: dict[str, int] = {}
    for entry in since(dataset, after).entries:
        if entry.properties.get(PIPELINE) == pipeline:
            # A run's first version counts: later ones are a lost race's, and are taken back.
            newest.setdefault(entry.properties[RUN], entry.version)
    if newest:
        return max(newest, key=lambda run: newest[run])
    return known[0].run if known else None
