"""Drives one run from its ledger to its commit: the only place that knows the order of things.

    claim → record (or resume) → shards → validate → commit → quarantine → outcome → page

Each step may be the last one of this process. What is done twice is done to the same end: the
record and each shard are create-only, the commit asks the dataset first, and everything behind
the commit is repeated by a resumed run until the outcome is written.
"""

from __future__ import annotations

import contextlib
import re
import resource
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow as pa

from lancemill.engine.books import close_books, close_left_open
from lancemill.engine.checks import summarise, validate
from lancemill.engine.faults import Budget, policy_of
from lancemill.engine.finish import begin, finish, summaries_of
from lancemill.engine.ledger import FAILED, Ledger
from lancemill.engine.local import HEAD, SINK_STAGE, LocalEngine
from lancemill.engine.portion import first_rows, spread
from lancemill.engine.prepare import Prepared
from lancemill.engine.progress import Meter
from lancemill.engine.result import ShardResult
from lancemill.engine.worker import SOURCE_STAGE, Worker
from lancemill.errors import (
    Interrupted,
    LancemillError,
    ManifestError,
    Mistake,
    RunConflict,
    StorageError,
)
from lancemill.plan.meaning import difference, hash_of, meaning_of
from lancemill.plan.segments import target_shard_bytes
from lancemill.report.summary import End, Estimate, Result, RunSummary, SummaryTable, Validation
from lancemill.sinks.sink import Committed, RunRef
from lancemill.sources.source import Shard, Snapshot
from lancemill.storage import open_store

STOP_WITHIN_S = 1.0
"""What a run that is stopped still finishes. What takes longer is done again when it goes on."""


class Watcher(Protocol):
    """Whoever shows a run as it goes."""

    def start(self, title: str, meter: Meter) -> None: ...

    def event(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the caller asks beyond the manifest."""

    run: str | None = None
    """Id to resume or to give; None makes a new one."""
    resume: bool = False
    """The id must be that of an earlier run."""
    limit: int | None = None
    """Only the source's first rows."""
    sample: int | None = None
    """So many rows through everything, on a detached commit; the dataset does not change."""
    shard_bytes: int | None = None
    """Bytes of the source in a shard: what a run that dies has to do again. None: by its size."""
    manifest: str = ""
    """The manifest's text, kept with the run."""
    epoch: int = 0
    """Given by whoever orders the run's attempts: a higher one takes over from a lower one."""


def new_run_id() -> str:
    """A short random id; the create-only claim refuses one that is in use."""
    return uuid.uuid4().hex[:8]


class RunInProgress:
    """One attempt at a run. `execute` may be called once."""

    def __init__(self, prepared: Prepared, options: RunOptions, watcher: Watcher) -> None:
        self.prepared = prepared
        self.options = options
        self.watcher = watcher
        self.plan = prepared.plan
        self.sink = prepared.sink
        self.run = new_run_id() if options.run is None else _checked(options.run)
        self.meaning = meaning_of(
            prepared.pipeline, self.plan, options.limit if options.sample is None else None
        )
        if options.sample is not None:
            # Its shards are others than the run's, and are thrown away.
            self.meaning["sample"] = options.sample
        self.ref = RunRef(
            run=self.run,
            pipeline=self.plan.pipeline,
            meaning=hash_of(self.meaning),
            inputs=self.plan.reads,
        )
        folder = f"{self.sink.uri}.runs/{self.run}"
        self.ledger = Ledger(self.run, open_store(folder, self.sink.storage))
        self.results: dict[int, ShardResult] = {}
        self.meter: Meter | None = None
        self.snapshot: Snapshot | None = None
        self.head: pa.Table | None = None
        """The first rows of the output, for the page."""
        self._committed: Committed | None = None
        self._begun = False
        """Whether it has been said that this attempt commits."""
        self._failed = False
        """Whether it has been said that the run fails, by this attempt and by any other."""
        self._overtaken = False
        self._worker: Worker | None = None
        self.beginning = False
        """True until the source is listed: nothing has been done that had to be finished."""
        self._interrupted = False
        self._began = time.monotonic()
        self._cpu_began = _cpu_seconds()
        self._started_at = datetime.now(UTC).isoformat(timespec="milliseconds")

    def interrupt(self) -> None:
        """Stop soon: no further rows; finished shards are kept. May be called from a signal."""
        self._interrupted = True
        if self._worker is not None:
            self._worker.stop(STOP_WITHIN_S)

    def _stop_overtaken(self) -> None:
        self._overtaken = True
        self.interrupt()

    def execute(self) -> RunSummary:
        """Do the run; its summary, or the error that ended it (with what is kept)."""
        if self.options.resume and self.ledger.record() is None:
            raise RunConflict(
                f"there is no run {self.run} of {self.sink.uri} to resume",
                remedy="`lancemill runs` lists them",
            )
        self.beginning = True
        self.ledger.claim(self.options.epoch, self._stop_overtaken)
        ended: LancemillError | None = None
        try:
            return self._execute()
        except LancemillError as error:
            ended = error
            self._say_what_is_kept(error)
            self._record_failure(error)
            raise
        finally:
            self.ledger.release(ended)

    def _record_failure(self, error: LancemillError) -> None:
        """In the ledger, where another attempt would fail in the same way."""
        if not error.final or self._begun or self.options.sample:
            return
        # Why the run fails is told all the same, here; the ledger then says that it is open.
        with contextlib.suppress(StorageError):
            self.ledger.decide(FAILED, error=type(error).__name__, message=str(error))
            self._failed = True

    # -- the order of things

    def _execute(self) -> RunSummary:
        record = self._record()
        self.beginning = False
        base = record["base"]
        self.snapshot = snapshot = self.prepared.source.open_snapshot(record["snapshot"])
        done = None if self.options.sample else self.sink.committed(self.ref, base)
        if done is not None:
            return self._finished_before(replace(done, already=True))
        begun = None if self.options.sample else self.ledger.begun()
        if begun is not None:
            self._begun = True
            return self._finished_before(finish(self.sink, self.ledger, record, begun[1]))
        if snapshot.rows == 0:
            return self._nothing_to_do(record)
        shards = list(self._shards(snapshot, record["shardBytes"]))
        self._run_shards(snapshot, shards, base)
        outputs = [self.results[shard.index].output for shard in shards]
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

    def _begin(self, schema: pa.Schema | None, summaries: Sequence[SummaryTable] = ()) -> None:
        """From here on the run is committed: by this attempt, or by who comes after it."""
        seconds = _cpu_seconds() - self._cpu_began
        begin(self.ledger, self.ref, schema, summaries, seconds)
        self._begun = True

    def _finished_before(self, done: Committed) -> RunSummary:
        """An earlier attempt has committed, or has left its commit to this one."""
        self.results = self.ledger.finished()
        _, begun = self.ledger.begun() or (0, {})
        return self._conclude(done, [], summaries_of(begun))

    def _record(self) -> dict[str, Any]:
        """The run's record: that of an earlier attempt if it means the same, else a new one."""
        record = self.ledger.record()
        if record is None:
            # An attempt that was faster has listed the source, and may have done shards of it.
            return self._same_meaning(self.ledger.write_record(self._new_record()))
        return self._same_meaning(record)

    def _same_meaning(self, record: dict[str, Any]) -> dict[str, Any]:
        if record["meaningHash"] != self.ref.meaning:
            changes = list(difference(record["meaning"], self.meaning))
            raise RunConflict(
                f"run {self.run} was started with another manifest: {'; '.join(changes[:4])}",
                remedy="start a new run for the new manifest, or put the old one back to resume",
                final=True,
            )
        return record

    def _new_record(self) -> dict[str, Any]:
        previous = None if self.options.sample else self._previous_snapshot()
        snapshot = self.prepared.source.take_snapshot(self.ledger.source_folder, previous)
        shard_bytes = self.options.shard_bytes or target_shard_bytes(snapshot.bytes)
        return {
            "run": self.run,
            "pipeline": self.plan.pipeline,
            "startedAt": self._started_at,
            "sample": self.options.sample,
            "meaning": self.meaning,
            "meaningHash": self.ref.meaning,
            "manifest": self.options.manifest,
            "snapshot": snapshot.document,
            "shardBytes": shard_bytes,
            "shards": sum(1 for _ in self._shards(snapshot, shard_bytes)),
            "base": self.sink.prepare(self.plan.output, self.ref),
        }

    @property
    def _incremental(self) -> bool:
        objects = self.prepared.pipeline.spec.source.objects
        return objects is not None and objects.incremental

    def _previous_snapshot(self) -> dict[str, Any] | None:
        """The source as the last committed run of this pipeline saw it, for `incremental`."""
        if not self._incremental:
            return None
        last = self.sink.last_run(self.plan.pipeline)
        if last is None:
            return None
        ledger = Ledger(last, open_store(f"{self.sink.uri}.runs/{last}", self.sink.storage))
        record = ledger.record()
        if record is None:
            raise RunConflict(
                f"the ledger of run {last} is gone, so what it has read is not known",
                remedy="restore it, or set source.objects.incremental to false once",
            )
        close_left_open(self.sink, ledger, record)
        snapshot: dict[str, Any] = record["snapshot"]
        # A run by --limit has listed more than it has read, whether it was incremental or not.
        done = record["meaning"].get("limit")
        return snapshot if done is None else {**snapshot, "done": done}

    def _shards(self, snapshot: Snapshot, target_bytes: int) -> Iterator[Shard]:
        shards = snapshot.shards(target_bytes)
        if self.options.sample:
            return spread(snapshot.rows, snapshot.bytes, self.options.sample)
        if self.options.limit is not None:
            return first_rows(shards, self.options.limit)
        return shards

    def _run_shards(self, snapshot: Snapshot, shards: Sequence[Shard], base: Any) -> None:
        errors = self.prepared.pipeline.spec.errors
        total = sum(shard.rows for shard in shards)
        self.results = self.ledger.finished()
        todo = [shard for shard in shards if shard.index not in self.results]
        budget = Budget(total, errors.max_rate, errors.max_rows)
        if self.options.sample:
            budget = Budget(total, 1.0, None)  # how many rows fail is what a sample is to find out
        names = [SOURCE_STAGE, *(step.name for step in self.plan.steps), SINK_STAGE]
        meter = Meter(names, total, shards_total=len(shards), max_fault_rate=errors.max_rate)
        self.meter = meter
        finished = list(self.results.values())
        meter.resumed(sum(result.rows_in for result in finished), len(finished))
        for result in finished:
            for fault in result.faults:
                meter.set_aside(fault.reason)
            budget.charge([(fault.reason, fault.message) for fault in result.faults])
        self.watcher.start(f"{self.plan.pipeline} · run {self.run}", meter)
        if finished:
            self.watcher.event(f"{len(finished)} of {len(shards)} shards are done already")
        if todo:  # else nothing need be opened, no model be loaded
            self._work_on(todo, snapshot, base, budget, meter)
        if len(self.results) < len(shards):
            self._interrupted = True
        self._stop_if_asked()

    def _work_on(
        self, todo: Sequence[Shard], snapshot: Snapshot, base: Any, budget: Budget, meter: Meter
    ) -> None:
        policy = policy_of(self.prepared.pipeline.spec.errors)
        with Worker(self.plan, self.prepared.context, policy, budget, meter) as self._worker:
            if self._interrupted:
                self._worker.stop(STOP_WITHIN_S)
            writer = self.sink.writer(self.plan.output, base)
            engine = LocalEngine(self._worker, writer, meter)
            for result in engine.run(snapshot, iter(todo)):
                self._finish(replace(result, attempt=self.ledger.attempt), base)

    def _stop_if_asked(self) -> None:
        if self._overtaken:
            self.ledger.still_mine()
        if self._interrupted:
            raise Interrupted(f"run {self.run} was stopped")

    def _finish(self, result: ShardResult, base: Any) -> None:
        if self.ledger.finish(result):
            self.results[result.shard.index] = result
            return
        # Another attempt was faster: its fragments count, ours will never be committed.
        self.sink.discard([result.output], base)
        self.results.update(self.ledger.finished())

    # -- after the rows

    def _conclude(
        self,
        committed: Committed,
        validations: list[Validation],
        summaries: list[SummaryTable],
    ) -> RunSummary:
        """Behind the commit: everything here may be repeated."""
        self._committed = committed
        self.ledger.still_mine()  # else who came after it closes the books
        close_books(self.sink, self.ledger, self.ref, committed, self.results)
        message = ""
        if committed.already:
            message = f"run {self.run} had been committed before; nothing was changed"
        return self._summary(
            "succeeded",
            rows_out=committed.rows,
            version=committed.version,
            validations=validations,
            summaries=summaries,
            message=message,
        )

    def _nothing_to_do(self, record: dict[str, Any]) -> RunSummary:
        said = record["snapshot"].get("told", "")
        if self.options.sample is None:
            self._begin(None)
            self._committed = Committed(version=None, rows=0)
            close_books(self.sink, self.ledger, self.ref, self._committed, {})
        return self._summary("nothing-to-do", message=said or "the source has no rows to do")

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
        rows = sum(result.rows_in for result in self.results.values())
        seconds = time.monotonic() - self._began
        factor = snapshot.rows / max(1, rows)
        size = sum(result.output.bytes for result in self.results.values())
        return self._summary(
            "succeeded",
            rows_out=sum(result.output.rows for result in self.results.values()),
            validations=validations,
            summaries=summaries,
            message="a sample: the dataset was not changed",
            estimate=Estimate(snapshot.rows, seconds * factor, round(size * factor)),
        )

    def _summary(self, result: Result, **told: Any) -> RunSummary:
        reasons: dict[str, int] = {}
        for one in self.results.values():
            for fault in one.faults:
                reasons[fault.reason] = reasons.get(fault.reason, 0) + 1
        for refused in self._committed.set_aside if self._committed else ():
            reasons[refused["reason"]] = reasons.get(refused["reason"], 0) + 1
        meter = self.meter
        mine = self.ledger.attempt
        return RunSummary(
            pipeline=self.plan.pipeline,
            run=self.run,
            result=result,
            rows_in=sum(one.rows_in for one in self.results.values()),
            resumed_rows=sum(one.rows_in for one in self.results.values() if one.attempt != mine),
            quarantined=reasons,
            dataset=self.sink.uri,
            duration_seconds=time.monotonic() - self._began,
            cpu_seconds=_cpu_seconds() - self._cpu_began,
            bytes_in=meter.bytes_in if meter else 0,
            bytes_out=sum(one.output.bytes for one in self.results.values()),
            stages=meter.totals() if meter else (),
            max_fault_rate=self.prepared.pipeline.spec.errors.max_rate,
            started_at=self._started_at,
            end=self._end(result),
            **told,
        )

    def failed(self, error: LancemillError) -> RunSummary:
        """The summary of a run that `error` ended."""
        result: Result = "interrupted" if isinstance(error, Interrupted) else "failed"
        self._overtaken |= isinstance(error, RunConflict) and not error.final
        return self._summary(
            result,
            message=str(error),
            kept=error.kept,
            remedy=error.remedy,
            exit_status=error.exit_status,
        )

    def _end(self, result: Result) -> End:
        """What can be said of the run for good."""
        if self.options.sample:
            return "unknown"
        if result in ("succeeded", "nothing-to-do"):
            return "committed"
        if self._failed:
            return "failed"
        # Also where the failure may not be told in the ledger: it is somebody else's run by then.
        return "unknown" if self._begun or self._overtaken else "resumable"

    def _say_what_is_kept(self, error: LancemillError) -> None:
        total = self.meter.shards_total if self.meter else None
        if total is None or isinstance(error, RunConflict):
            return
        if self._committed is not None:
            version = self._committed.version
            which = "" if version is None else f" as version {version}"
            error.kept = f"the rows are committed{which}; the run's books are not closed yet"
        elif not error.kept:
            error.kept = f"nothing was committed; {len(self.results)} of {total} shards are kept"


def _checked(run: str) -> str:
    """The id, which names a folder of the ledger; ManifestError for one that cannot."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", run) is None:
        wanted = "expected at most 63 letters, digits, dots, dashes and underscores"
        raise ManifestError(
            [Mistake("the run's id", f"is {run[:80]!r}, {wanted}")], "lancemill run"
        )
    return run


def _cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime
