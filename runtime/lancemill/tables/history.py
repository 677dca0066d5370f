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

from lancemill.sinks.sink import RunRef

RUN = "lancemill.run"
PIPELINE = "lancemill.pipeline"
MEANING = "lancemill.meaning"
ROWS = "lancemill.rows"
KEY = "lancemill.key"
READ = "lancemill.read"
"""The version that a proposal was made for: Lance puts another one into a transaction that it
rebases."""

AFTER = "lancemill.after"
"""Of an incremental run's append: the run that it goes on from; empty for the first one."""

MIRROR = "lancemill.run."
"""Configuration key of a pipeline's mirror, completed by the pipeline's name."""
MIRRORED_RUNS = 16
"""Runs remembered for each pipeline: about 100 bytes each in every manifest."""

PAGE = 256
"""Transactions read at once: an addColumns commit lists every fragment, so they can be large."""


def made_by(run: RunRef) -> dict[str, str]:
    """What a version that `run` makes says of it."""
    return {RUN: run.run, PIPELINE: run.pipeline, MEANING: run.meaning}


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

    @property
    def maker(self) -> tuple[str | None, ...]:
        """The run that made it, its pipeline and what that meant; a run's id alone may be another
        run's, where a ledger was removed."""
        return tuple(self.properties.get(name) for name in (RUN, PIPELINE, MEANING))

    def by(self, run: RunRef) -> bool:
        return made_by(run).items() <= self.properties.items()


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


def transaction_of(dataset: Any, version: int) -> str | None:
    """The id of the transaction that made `version`, unlike that of any other dataset's; None
    when the version has been cleaned up."""
    if dataset.version != version:
        try:
            dataset = dataset.checkout_version(version)
        except (OSError, ValueError):
            return None
    found = dataset.get_transactions(1)
    return str(found[0].uuid) if found and found[0] is not None else None


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


def other_maker(dataset: Any, run: RunRef, recent: int) -> int | None:
    """The version that another run of the same id has made: of those that the configuration
    remembers, and of the last `recent` ones."""
    for key in dataset.config():
        if key.startswith(MIRROR):
            pipeline = key.removeprefix(MIRROR)
            for record in mirrored(dataset, pipeline):
                same = pipeline == run.pipeline and record.meaning in ("", run.meaning)
                if record.run == run.run and not same:
                    return record.version
    entries = since(dataset, max(0, dataset.version - recent)).entries
    others = (e for e in entries if e.properties.get(RUN) == run.run and not e.by(run))
    return next((entry.version for entry in others), None)


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
    runs = [(known[0].version, known[0].run)] if known else []
    for entry in since(dataset, known[0].version if known else 0).entries:
        if entry.operation == "Restore":
            # What came behind the version that stands again is undone.
            again = entry.transaction.operation.version
            runs = [(version, run) for version, run in runs if version <= again]
        made = entry.properties
        if made.get(PIPELINE) != pipeline or made[RUN] in (run for _, run in runs):
            # A run's first version counts: later ones are a lost race's, and are taken back.
            continue
        last = runs[-1][1] if runs else ""
        if made.get(AFTER, last) == last:
            runs.append((entry.version, made[RUN]))
    return runs[-1][1] if runs else None


def overtaken_by(dataset: Any, entry: Entry) -> str | None:
    """The run that came between that of `entry` and the one that it goes on from, if one did."""
    after = entry.properties.get(AFTER)
    try:
        before = None if after is None else dataset.checkout_version(entry.version - 1)
    except (OSError, ValueError):
        before = None  # cleaned up: what is that old has been settled
    last = None if before is None else last_run(before, entry.properties[PIPELINE])
    return None if last == (after or None) else last
