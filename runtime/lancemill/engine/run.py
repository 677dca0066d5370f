"""Drives one run from its ledger to its commit: the only place that knows the order of things.

    claim → record (or resume) → shards → validate → commit → quarantine → outcome → page

Each step may be the last one of this process. What is done twice is done to the same end: the
record and each shard are create-only, the commit asks the dataset first, and everything behind
the commit is repeated by a resumed run until the outcome is written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import pyarrow as pa

from lancemill.engine.account import Account
from lancemill.engine.books import close_books
from lancemill.engine.checks import summarise, validate
from lancemill.engine.finish import begin, finish, summaries_of
from lancemill.engine.ledger import FAILED
from lancemill.engine.local import HEAD
from lancemill.engine.meter import Meter
from lancemill.engine.prepare import Prepared
from lancemill.engine.record import record_of
from lancemill.engine.request import Request, RunOptions
from lancemill.engine.result import ShardResult
from lancemill.engine.sampling import Sampling
from lancemill.engine.spent import spent_before
from lancemill.engine.work import Work
from lancemill.errors import GaveUp, Interrupted, LancemillError, RunConflict, StorageError
from lancemill.report.summary import Estimate, RunSummary, SummaryTable, Validation
from lancemill.sinks.sink import Committed
from lancemill.sources.source import Shard, Snapshot

__all__ = ["RunInProgress", "RunOptions", "Watcher"]


class Watcher(Protocol):
    """Whoever shows a run as it goes."""

    def start(self, title: str, meter: Meter) -> None: ...

    def event(self, text: str) -> None: ...


class RunInProgress:
    """One attempt at a run. `execute` may be called once."""

    def __init__(self, prepared: Prepared, options: RunOptions, watcher: Watcher) -> None:
        self.request = Request.of(prepared, options)
        self.prepared = prepared
        self.options = options
        self.watcher = watcher
        self.plan = prepared.plan
        self.sink = prepared.sink
        self.run = self.request.run
        self.ref = self.request.ref
        self.ledger = self.request.ledger()
        self.account = Account(self.request)
        self.snapshot: Snapshot | None = None
        self.head: pa.Table | None = None
        """The first rows of the output, for the page."""
        self.beginning = False
        """True until there are rows to do or a commit to finish: whoever stops it may leave it
        wherever it stands."""
        self.estimate: Estimate | None = None
        """What a sample that went first has said of the whole."""
        self._work: Work | None = None
        self._interrupted = False
        self._ending: LancemillError | None = None

    def give_up(self, error: GaveUp) -> None:
        """Stop as soon, and end with `error`. May be called from any thread."""
        self._ending = self._ending or error
        self.interrupt()

    @property
    def stopped_by(self) -> LancemillError:
        """What a run that was told to stop ends with."""
        when = " before its first row" if self.beginning else ""
        return self._ending or Interrupted(f"run {self.run} was stopped{when}")

    def interrupt(self) -> None:
        """Stop soon: no further rows; finished shards are kept. May be called from a signal."""
        self._interrupted = True
        if self._work is not None:
            self._work.stop()

    def failed(self, error: LancemillError) -> RunSummary:
        """The summary of a run that `error` ended."""
        return self.account.summary_of_failure(error)

    def execute(self) -> RunSummary:
        """Do the run; its summary, or the error that ended it (with what is kept)."""
        if self.options.resume and self.ledger.record() is None:
            raise RunConflict(
                f"there is no run {self.run} of {self.sink.uri} to resume",
                remedy="`lancemill runs` lists them",
            )
        self.beginning = True
        ended: LancemillError | None = None
        try:
            self.ledger.spending = lambda: self.account.spent_here.times()
            self.account.attempt = self.ledger.claim(self.options.epoch, self._stop_overtaken)
            self.account.earlier = spent_before(self.ledger, self.account.attempt)
            return self._execute()
        except LancemillError as error:
            ended = error
            self.account.say_what_is_kept(error)
            self._record_failure(error)
            raise
        finally:
            self.ledger.release(ended)

    def _stop_overtaken(self) -> None:
        self.account.overtaken = True
        self.interrupt()

    def _record_failure(self, error: LancemillError) -> None:
        """In the ledger, where another attempt would fail in the same way."""
        if not error.final or self.account.begun or self.options.sample:
            return
        # Why the run fails is told all the same, here; the ledger then says that it is open.
        with contextlib.suppress(StorageError):
            self.ledger.decide(FAILED, error=type(error).__name__, message=str(error))
            self.account.failed = True

    # -- the order of things

    def _execute(self) -> RunSummary:
        record = self._record()
        base = record["base"]
        self.snapshot = snapshot = self.prepared.source.open_snapshot(record["snapshot"])
        earlier = None if self.options.sample else self._committed_before(record)
        if earlier is not None:
            return self._conclude_earlier(earlier)
        if snapshot.rows == 0:
            self._check_nothing(base)
            return self._nothing_to_do(record)
        self._sample_first(snapshot)
        shards = list(self.request.shards(snapshot, record["shardBytes"]))
        self._run_shards(snapshot, shards, base)
        outputs = [self.account.results[shard.index].output for shard in shards]
        try:
            staged = self.sink.stage(outputs, self.plan.output, base)
            validations = validate(self.prepared.pipeline, staged)
            summaries = summarise(self.prepared.pipeline, staged)
            self.head = staged.head(HEAD)
            self._stop_if_asked()
            if self.options.sample:
                return self._sampled(snapshot, outputs, base, validations, summaries)
            self.ledger.still_mine()
            self._begin(self.plan.output, summaries)
            committed = self.sink.commit(self.ref, outputs, self.plan.output, base)
        except LancemillError:
            self.sink.discard((), base)  # of the staging only: the shards are kept
            raise
        return self._conclude(committed, validations, summaries)

    def _record(self) -> dict[str, Any]:
        return record_of(self.request, self.ledger, self.account.started_at)

    def _committed_before(self, record: dict[str, Any]) -> Committed | None:
        """The commit of an earlier attempt: made, or left to this one to be finished."""
        done = self.sink.committed(self.ref, record["base"])
        if done is not None:
            return replace(done, already=True)
        told = self.ledger.outcome()
        if told is not None:  # the dataset remembers its last runs only
            return Committed(told.get("version"), told.get("rows", 0), already=True)
        begun = self.ledger.begun()
        if begun is None:
            return None
        self.beginning = False
        self.account.begun = True
        return finish(self.sink, self.ledger, record, begun[1])

    def _sample_first(self, snapshot: Snapshot) -> None:
        """Not where part of the run is done already, nor where it is no larger than its sample."""
        rows, account = self.options.sample_first, self.account
        if rows is None or rows >= snapshot.rows or self.ledger.shards_done():
            return
        sampling = Sampling(self.request, snapshot, rows, account.attempt, self.watcher.event)
        self.beginning = False
        self._work = sampling.work
        if self._interrupted:
            sampling.work.stop()
        self.estimate = sampling.do(lambda: account.spent_here.cpu)
        account.sampled(sampling.work.meter)
        self._interrupted |= self.estimate is None
        self._stop_if_asked()

    @property
    def meter(self) -> Meter | None:
        """Of the rows that flow now: the run's, or before them those of its sample."""
        return self._work.meter if self._work is not None else self.account.meter

    def _run_shards(self, snapshot: Snapshot, shards: Sequence[Shard], base: Any) -> None:
        account = self.account
        account.results = self.ledger.finished()
        self.beginning = False
        before = len(account.results)
        work = self._work = Work(self.request, shards, self.watcher.event)
        account.meter = work.meter
        work.resumed(account.results.values())
        self.watcher.start(f"{self.plan.pipeline} · run {self.run}", work.meter)
        if before:
            self.watcher.event(f"{before} of {len(shards)} shards are done already")
        if self._interrupted:  # before there was any work that could be told to stop
            work.stop()
        work.do(set(account.results), snapshot, base, lambda result: self._finish(result, base))
        work.meter.rest()
        if len(account.results) < len(shards):
            self._interrupted = True
        self._stop_if_asked()

    def _finish(self, result: ShardResult, base: Any) -> None:
        mine = replace(result, attempt=self.account.attempt)
        if self.ledger.finish(mine):
            self.account.results[mine.shard.index] = mine
            return
        # Another attempt was faster: its fragments count, ours will never be committed.
        self.sink.discard([mine.output], base)
        standing = self.ledger.recorded(mine.shard.index)
        if standing is not None:
            self.account.results[mine.shard.index] = standing

    def _stop_if_asked(self) -> None:
        if self.account.overtaken:
            self.ledger.still_mine()
        if self._interrupted:
            raise self.stopped_by

    def _begin(self, schema: pa.Schema | None, summaries: Sequence[SummaryTable] = ()) -> None:
        """From here on the run is committed: by this attempt, or by who comes after it."""
        begin(self.ledger, self.ref, schema, summaries, self.account.spent)
        self.account.begun = True

    # -- how it ends

    def _conclude(
        self,
        committed: Committed,
        validations: list[Validation],
        summaries: list[SummaryTable],
    ) -> RunSummary:
        """Behind the commit: everything here may be repeated."""
        self.beginning = False
        self.account.committed = committed
        self.ledger.still_mine()  # else who came after it closes the books
        close_books(self.sink, self.ledger, self.ref, committed, self.account.results)
        message = ""
        if committed.already:
            message = f"run {self.run} had been committed before; nothing was changed"
        return self.account.summary(
            "succeeded",
            rows_out=committed.rows,
            version=committed.version,
            validations=validations,
            summaries=summaries,
            message=message,
        )

    def _conclude_earlier(self, committed: Committed) -> RunSummary:
        """Behind a commit that is an earlier attempt's."""
        self.account.results = self.ledger.finished()
        _, begun = self.ledger.begun() or (0, {})
        return self._conclude(committed, [], summaries_of(begun))

    def _check_nothing(self, base: Any) -> None:
        """Conditions hold for no rows too; where only what is new is read, none are expected."""
        if "after" in base or self.sink.only_missing:
            return
        try:
            validate(self.prepared.pipeline, self.sink.stage([], self.plan.output, base))
        finally:
            self.sink.discard((), base)

    def _nothing_to_do(self, record: dict[str, Any]) -> RunSummary:
        said = record["snapshot"].get("told", "")
        self.beginning = False
        if self.options.sample is None:
            self._begin(None)
            committed = self.account.committed = Committed(version=None, rows=0)
            close_books(self.sink, self.ledger, self.ref, committed, self.account.results)
        return self.account.summary("nothing-to-do", message=said or "the source has no rows to do")

    def _sampled(
        self,
        snapshot: Snapshot,
        outputs: Sequence[Any],
        base: Any,
        validations: list[Validation],
        summaries: list[SummaryTable],
    ) -> RunSummary:
        self.ledger.forget_shards()
        self.sink.discard(outputs, base)
        return self.account.summary(
            "succeeded",
            rows_out=sum(result.output.rows for result in self.account.results.values()),
            validations=validations,
            summaries=summaries,
            message="a sample: the dataset was not changed",
            estimate=self.account.estimate(snapshot.rows),
        )
