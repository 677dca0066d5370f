"""The only place where a run makes a version of a dataset, exactly once.

Lance commits whatever it is given, twice if it is given twice, and its appends never conflict; so
the run's id travels with the commit, and the dataset's own history is asked before and after:

    settle → propose → commit → settle
               ↑__________|  when something else came first

*Settling* looks for the run's versions. The lowest one is the run's; rows that later ones added
(two drivers at work on one run) are taken back by fragment id, since both may refer to the same
data files. Last, the run is mirrored in the configuration, because the history goes away with
versions that are cleaned up. Each step finds what an earlier attempt left and goes on from there,
so a kill at any point is mended by the next call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lancemill.errors import LancemillError, RunConflict
from lancemill.sinks.sink import Committed, RunRef
from lancemill.storage import explain
from lancemill.tables import history, withdraw
from lancemill.tables.backoff import pause
from lancemill.tables.history import Entry, History, RunRecord
from lancemill.tables.table import Table

ATTEMPTS = 24
MIRROR_ATTEMPTS = 8
BROKEN_ATTEMPTS = 3
RECENT = 64
"""Versions that are looked through for what earlier runs have left."""

Checkpoint = Callable[[str], None]
"""Told where a commit is: `proposed`, `committed`, `settled`. A test may end the process there."""


def _nothing(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run wants to commit, made for the version of the dataset that it was given."""

    operation: Any
    """A `LanceOperation`."""
    rows: int
    """Rows that the run adds or changes."""
    read_version: int
    strict: bool = False
    """Refused when any other version came in between (Lance honours it for Overwrite only)."""
    properties: Mapping[str, str] | None = None


Propose = Callable[[Any, History], Proposal | None]
"""Makes the proposal for a dataset at its newest version, and what happened since the run's base;
None when there is nothing to commit. Called again after a conflict."""


class Journal(Protocol):
    """Remembers outside of the dataset that a commit was begun."""

    def begun(self) -> bool: ...

    def begin(self) -> None: ...


def commit_once(
    table: Table,
    propose: Propose,
    run: RunRef,
    base: int,
    *,
    journal: Journal,
    checkpoint: Checkpoint = _nothing,
) -> Committed:
    """Commit the run's proposal unless the run is committed already.

    `base` is the version that the dataset had when the run began. Raises RunConflict when what
    others did meanwhile leaves no right way to commit, StorageError when the store fails.
    """
    tried, broken = journal.begun(), 0
    for attempt in range(ATTEMPTS):
        dataset = table.open()
        done = settle(table, run, base, checkpoint=checkpoint)
        if done is not None:
            return replace(done, already=True)
        past = history.since(dataset, base)
        if tried and not past.complete:
            raise _unknowable(table, run)
        proposal = _proposed(table, propose, dataset, past, run, base)
        if isinstance(proposal, Committed):
            return proposal
        if proposal is None:
            return Committed(version=dataset.version, rows=0)
        journal.begin()
        checkpoint("proposed")
        try:
            _commit(table, proposal, run)
        except OSError as error:
            broken += not _is_conflict(error)
            tried = tried or not _is_conflict(error)
            _give_up(table, run, error, proposal.strict, broken)
            pause(attempt)
            continue
        checkpoint("committed")
        done = settle(table, run, base, checkpoint=checkpoint)
        if done is None:
            raise RunConflict(f"{table.uri}: the commit of run {run.run} is gone from the history")
        return done
    raise RunConflict(
        f"{table.uri}: {ATTEMPTS} attempts to commit met other writers each time",
        kept="the run's shards are kept",
        remedy="resume the run when the dataset is less busy",
    )


def settle(
    table: Table, run: RunRef, base: int, *, checkpoint: Checkpoint = _nothing
) -> Committed | None:
    """What the run has committed, with everything behind its commit done; None if it has not."""
    dataset = table.find()
    if dataset is None:
        return None
    known = next((r for r in history.mirrored(dataset, run.pipeline) if r.run == run.run), None)
    mine = [entry for entry in history.since(dataset, base).entries if entry.by(run)]
    if known is None and not mine:
        return None
    if known is None and (other := history.overtaken_by(dataset, mine[0])) is not None:
        withdraw.take_back(table, mine[0])
        raise behind(table, run, other)
    record = known or _record(run, mine[0])
    for entry in mine:
        # Also of a run that is mirrored: a driver that was overtaken may have committed since.
        if entry.version > record.version:
            withdraw.take_back(table, entry)
    if known is None:
        if history.KEY in mine[0].properties:
            withdraw.take_back_overtaken(table, mine[0])
        checkpoint("settled")
        _mirror(table, run.pipeline, record)
    return Committed(version=record.version, rows=record.rows)


def repair(table: Table) -> None:
    """Settle what drivers that died in a race left in the last versions.

    A driver can be overtaken, commit all the same, and die before it looks again; then the rows
    that it doubled stay until somebody calls this: each run does, before it begins.
    """
    dataset = table.find()
    if dataset is None:
        return
    start = max(0, dataset.version - RECENT)
    first: set[tuple[str | None, ...]] = set()
    for entry in history.since(dataset, start).entries:
        if history.RUN in entry.properties:
            if entry.maker in first or _is_late(dataset, entry):
                withdraw.take_back(table, entry)
            first.add(entry.maker)


def _is_late(dataset: Any, entry: Entry) -> bool:
    """Whether an incremental run's commit came behind another one of its pipeline, and its driver
    died before it saw that. A run that is mirrored has looked, and those before all that are have
    been looked at by them."""
    properties = entry.properties
    if history.AFTER not in properties:
        return False
    known = history.mirrored(dataset, properties[history.PIPELINE])
    if len(known) == history.MIRRORED_RUNS and entry.version < known[-1].version:
        return False
    if properties[history.RUN] in (record.run for record in known):
        return False
    return history.overtaken_by(dataset, entry) is not None


def behind(table: Table, run: RunRef, other: str) -> RunConflict:
    """What an incremental run found new, another one of its pipeline may have found too."""
    return RunConflict(
        f"{table.uri}: run {other} of {run.pipeline} was committed since run {run.run} saw which "
        "objects are new, and may have had the same ones",
        remedy="start a new run: it takes what is new by then",
        final=True,
    )


def refuse_taken(table: Table, run: RunRef) -> None:
    """RunConflict when another run of this id has written to the dataset: what stands there would
    be taken for this one's. A run's ledger tells it too, but may have been removed."""
    dataset = table.find()
    version = None if dataset is None else history.other_maker(dataset, run, RECENT)
    if version is not None:
        raise RunConflict(
            f"{table.uri}: version {version} was made by another run of the id {run.run}, whose "
            "ledger is gone",
            remedy="give this run another id",
            final=True,
        )


def _proposed(
    table: Table, propose: Propose, dataset: Any, past: History, run: RunRef, base: int
) -> Proposal | Committed | None:
    try:
        return propose(dataset, past)
    except Exception as error:
        # A driver that was faster may have removed what the proposal is made from.
        done = settle(table, run, base)
        if done is not None:
            return replace(done, already=True)
        if isinstance(error, LancemillError):
            raise
        raise explain(error, table.uri) from error


def _commit(table: Table, proposal: Proposal, run: RunRef) -> None:
    from lance import LanceDataset, Transaction

    properties = {
        **history.made_by(run),
        history.ROWS: str(proposal.rows),
        history.READ: str(proposal.read_version),
        **(proposal.properties or {}),
    }
    transaction = Transaction(
        proposal.read_version, proposal.operation, transaction_properties=properties
    )
    LanceDataset.commit(
        table.uri,
        transaction,
        max_retries=0 if proposal.strict else 20,
        storage_options=table.storage_options,
    )


def _is_conflict(error: OSError) -> bool:
    from lance.commit import CommitConflictError

    return isinstance(error, CommitConflictError)


def _give_up(table: Table, run: RunRef, error: OSError, strict: bool, broken: int) -> None:
    """Raise when another attempt would end in the same way."""
    if _is_conflict(error):
        if not strict and not getattr(error, "retryable", True):
            raise RunConflict(
                f"{table.uri} was changed while run {run.run} was going on, and its output does "
                f"not fit any more ({str(error).split(',')[0]})",
                remedy="start a new run",
                final=True,
            ) from error
    elif broken >= BROKEN_ATTEMPTS:
        raise explain(error, table.uri) from error


def _unknowable(table: Table, run: RunRef) -> RunConflict:
    return RunConflict(
        f"{table.uri}: an earlier attempt began to commit run {run.run}, and the versions that "
        "would show whether it did have been cleaned up",
        kept="the run's shards are kept",
        remedy="look for the run's rows in the dataset; if they are missing, start a new run",
        final=True,
    )


def _record(run: RunRef, entry: Entry) -> RunRecord:
    rows = int(entry.properties.get(history.ROWS, "0"))
    return RunRecord(run.run, entry.version, rows, run.meaning)


def _mirror(table: Table, pipeline: str, record: RunRecord) -> None:
    """Put `record` into the configuration. Losing every race for it does no harm: as long as the
    transactions are there they say the same, and the next settling tries again."""
    for attempt in range(MIRROR_ATTEMPTS):
        dataset = table.open()
        records = history.mirrored(dataset, pipeline)
        if any(known.run == record.run for known in records):
            return
        text = history.mirror_text([*records, record])
        try:
            dataset.update_config({history.MIRROR + pipeline: text})
        except OSError:
            pause(attempt)
            continue
        return
