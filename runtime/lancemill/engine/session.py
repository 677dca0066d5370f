"""A job from its manifest to its page, with signals minded: what the CLI and Python share."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lancemill.engine.limits import Guard, Limits
from lancemill.engine.page import write_page
from lancemill.engine.prepare import Prepared, prepare_job
from lancemill.engine.run import RunInProgress, RunOptions, Watcher
from lancemill.engine.settle import record_refusal
from lancemill.engine.signals import interruptible
from lancemill.engine.work import require
from lancemill.errors import GaveUp, LancemillError, ManifestError, RunConflict
from lancemill.manifest import Job
from lancemill.report.summary import RunSummary
from lancemill_api.quantities import seconds


def run_job(
    job: Job,
    options: RunOptions,
    watcher: Watcher,
    *,
    page: Path | None = None,
    begun: Callable[[RunInProgress], None] = lambda run: None,
) -> RunSummary:
    """Run one pipeline on this machine; the summary also of a run that failed or was stopped.

    `begun` is given the run, to look at it while it goes on.
    Raises ManifestError and StorageError for what is found before the run begins.
    """
    require(options.engine)
    options = replace(options, manifest=job.text, sample_first=_sample_first(job, options))
    run = RunInProgress(_prepared(job, options), options, watcher)
    begun(run)
    for note in run.prepared.notes:
        watcher.event(note)
    with interruptible(run) as wake, _guard(run, options, wake):
        try:
            summary = run.execute()
        except ManifestError:
            raise
        except LancemillError as error:
            _say_how_to_go_on(error, run, job)
            summary = run.failed(error)
    return write_page(run, summary, job, page)


def _prepared(job: Job, options: RunOptions) -> Prepared:
    try:
        return prepare_job(job)
    except ManifestError as error:
        if options.epoch:  # who ordered the attempt asks the ledger why it failed
            record_refusal(job, options.run or "", options.epoch, error)
        raise


def _say_how_to_go_on(error: LancemillError, run: RunInProgress, job: Job) -> None:
    """Add the command that resumes the run, where there is something to resume."""
    if run.snapshot is None or isinstance(error, RunConflict) or run.options.sample:
        return
    if job.arguments:
        limit = [] if run.options.limit is None else ["--limit", str(run.options.limit)]
        command = shlex.join(["lancemill", "run", *job.arguments, *limit, "--resume", run.run])
    else:
        command = f".run(resume={run.run!r})"
    error.remedy = f"{error.remedy}, then  {command}" if error.remedy else command


def _guard(run: RunInProgress, options: RunOptions, wake: Callable[[], None]) -> Guard:
    """Who stops the run where it is late or stands still."""

    def give_up(error: GaveUp) -> None:
        run.give_up(error)
        if run.beginning:  # else it looks by itself, and nobody else's handler is in its way
            wake()

    asked = run.prepared.pipeline.spec.run

    def heeded(name: str) -> float | None:
        # Nobody but the operator has promised anything about a manifest that does not say it.
        said = options.epoch or name in asked.model_fields_set
        return (seconds(getattr(asked, name)) or None) if said else None

    operations = {step.name: step.operation for step in run.plan.steps}
    limits = Limits(options.deadline_seconds, heeded("stall_timeout"), heeded("start_timeout"))
    return Guard(limits, lambda: run.meter, operations, give_up)


def _sample_first(job: Job, options: RunOptions) -> int | None:
    """Where somebody else orders the run, its manifest is heeded; here there is `--sample`."""
    asked = job.pipeline.spec.run.sample
    return asked.rows if asked is not None and options.epoch and not options.sample else None
