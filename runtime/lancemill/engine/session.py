"""A job from its manifest to its page, with signals minded: what the CLI and Python share."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from lancemill.engine.page import write_page
from lancemill.engine.prepare import Prepared, prepare_job
from lancemill.engine.run import RunInProgress, RunOptions, Watcher
from lancemill.engine.settle import record_refusal
from lancemill.errors import Interrupted, LancemillError, ManifestError, RunConflict
from lancemill.manifest import Job
from lancemill.report.summary import RunSummary


def run_job(
    job: Job, options: RunOptions, watcher: Watcher, *, page: Path | None = None
) -> RunSummary:
    """Run one pipeline on this machine; the summary also of a run that failed or was stopped.

    Raises ManifestError and StorageError for what is found before the run begins.
    """
    run = RunInProgress(_prepared(job, options), replace(options, manifest=job.text), watcher)
    with _interruptible(run, watcher):
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


@contextmanager
def _interruptible(run: RunInProgress, watcher: Watcher) -> Iterator[None]:
    """SIGINT and SIGTERM stop the run at the next rows; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        run.interrupt()
        if run.beginning:
            raise Interrupted(f"run {run.run} was stopped before its first row")

    before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
