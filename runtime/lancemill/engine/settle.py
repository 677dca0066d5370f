"""Finds out what came of a run for good, and keeps its attempts from changing that afterwards.

    close → committed? → a commit begun? finish it → failed for good? → may be gone on with

An attempt that was given up may still be alive: stopped, or cut off from everybody but the store.
So it is not asked and not waited for. Its verdict in the ledger is taken from it; where it was
faster and has said that it commits, its commit is finished here, and the run *is* committed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lancemill.engine.attempt import BEAT_SECONDS
from lancemill.engine.books import close_books
from lancemill.engine.finish import finish, ref_of, summaries_of
from lancemill.engine.ledger import FAILED, Ledger
from lancemill.engine.outcome import Outcome, Verdict, table_json
from lancemill.engine.spent import Spent, spent_before
from lancemill.errors import ManifestError, Overtaken, RunError, StorageError
from lancemill.manifest import Job
from lancemill.sinks import open_sink
from lancemill.sinks.sink import Committed, Sink
from lancemill.storage import open_store

PATIENCE_S = 60.0
"""How long a living attempt that has begun to commit is left to finish that by itself."""


def settle_job(job: Job, run: str, epoch: int) -> Outcome:
    """What came of the run under attempts below `epoch`; none of them does anything after this.

    Raises StorageError where the store does not answer: then nothing is known, ask again.
    """
    try:
        sink = _sink(job)
    except ManifestError as error:  # a run that knows no place for its rows has not begun
        return Outcome(run=run, attempt=epoch, verdict="Failed", message=str(error))
    return settle(sink, run, epoch)


def settle(sink: Sink, run: str, epoch: int) -> Outcome:
    """The same, for the run's sink."""
    ledger = _ledger(sink, run)
    below = ledger.close_below(epoch)
    record = ledger.record()
    try:
        if record is not None and _is_committed(sink, ledger, record, epoch):
            return _committed(ledger, epoch)
    except StorageError:
        raise
    except RunError as error:
        if not error.final:
            raise
        return Outcome(run=run, attempt=epoch, verdict="Failed", message=str(error))
    return _not_committed(ledger, record, epoch, below)


def record_refusal(job: Job, run: str, epoch: int, error: ManifestError) -> None:
    """Say in the run's ledger that its manifest does not fit, where there is a place for one.

    Raises Overtaken where this attempt may not say anything any more; what else keeps it from
    being said matters less than the error itself.
    """
    try:
        ledger = _ledger(_sink(job), run)
        ledger.claim(epoch)
        try:
            ledger.decide(FAILED, error=type(error).__name__, message=str(error))
        finally:
            ledger.release(error)
    except Overtaken:
        raise
    except (RunError, ManifestError):
        return


def _sink(job: Job) -> Sink:
    return open_sink(job.pipeline.spec.sink, job.datasets, base=job.base)


def _ledger(sink: Sink, run: str) -> Ledger:
    return Ledger(run, open_store(f"{sink.uri}.runs/{run}", sink.storage))


def _is_committed(sink: Sink, ledger: Ledger, record: Mapping[str, Any], epoch: int) -> bool:
    """Whether the run is committed, its books closed; finishes what was begun."""
    if ledger.outcome() is not None:
        return True
    begun = ledger.begun()
    if begun is not None and ledger.who(begun[0]).get("epoch", 0) < epoch:
        committed = _patiently(sink, ledger, record, begun)
    else:
        committed = sink.committed(ref_of(record), record["base"])
    if committed is not None:
        said = None if begun is None else begun[1]
        close_books(sink, ledger, ref_of(record, said), committed, ledger.finished())
    return committed is not None


def _patiently(
    sink: Sink, ledger: Ledger, record: Mapping[str, Any], begun: tuple[int, Mapping[str, Any]]
) -> Committed | None:
    """Two that commit one run at the same time do it once, but one of them takes rows back: who
    is alive is left alone for a while."""
    attempt, said = begun
    until = time.monotonic() + PATIENCE_S
    while ledger.alive(attempt) and time.monotonic() < until:
        time.sleep(BEAT_SECONDS / 5)
    return finish(sink, ledger, record, said)


def _committed(ledger: Ledger, epoch: int) -> Outcome:
    told = ledger.outcome() or {}
    tables, spent = summaries_of(told), Spent.from_json(told)
    return Outcome(
        run=ledger.run,
        attempt=epoch,
        verdict="Committed",
        rows=told.get("rows", 0),
        quarantined=told.get("quarantined", 0),
        bytes=told.get("bytes", 0),
        dataset_version=told.get("version"),
        cpu_seconds=spent.cpu,
        gpu_seconds=spent.gpu,
        gpu_idle_seconds=spent.gpu_idle,
        diagnosis=spent.diagnosis,
        summary=tuple(table_json(one) for one in tables),
    )


def _not_committed(
    ledger: Ledger, record: Mapping[str, Any] | None, epoch: int, below: list[int]
) -> Outcome:
    worked = [number for number in below if not ledger.who(number).get("settles")]
    last = worked[-1] if worked else 0
    said = ledger.verdict(last)
    if said.get("verdict") == FAILED:
        return _unfinished(ledger, epoch, "Failed", said["message"])
    message = _how_far(ledger, record)
    if why := (ledger.end(last) or {}).get("message"):
        message = f"{message}; attempt {last} ended: {why}"
    return _unfinished(ledger, epoch, "NotCommitted", message)


def _unfinished(ledger: Ledger, epoch: int, verdict: Verdict, message: str) -> Outcome:
    """What failed has cost as well."""
    spent = Spent().after(spent_before(ledger, ledger.latest() + 1))
    return Outcome(
        run=ledger.run,
        attempt=epoch,
        verdict=verdict,
        cpu_seconds=spent.cpu,
        gpu_seconds=spent.gpu,
        gpu_idle_seconds=spent.gpu_idle,
        message=message,
    )


def _how_far(ledger: Ledger, record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "it had not listed its source"
    total = record.get("shards")
    of = "" if total is None else f" of {total}"
    return f"{ledger.shards_done()}{of} shards are finished"
