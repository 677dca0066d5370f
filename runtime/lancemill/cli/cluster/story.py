"""A pipeline in a cluster, in words: lines for people, objects for scripts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from lancemill import figures
from lancemill.cli.cluster.remote import progress_of
from lancemill.cli.cluster.seen import Seen, age
from lancemill.cli.columns import table_lines
from lancemill.report.block import Line, block_lines
from lancemill.report.summary import SummaryTable
from lancemill.report.words import summary_lines
from lancemill_api.quantities import seconds
from lancemill_api.status import FinishedRun

UNSEEN_SECONDS = 15.0
"""After so long without a word, the operator is not there."""
_MARKS = {"Succeeded": "✓", "Failed": "✗", "Cancelled": "■"}


def table(all_of_them: Sequence[Seen], now: datetime, *, namespaces: bool) -> list[str]:
    """As `kubectl get mmp`, with why it waits."""
    heads = ["NAME", "READY", "PHASE", "PROGRESS", "ROWS", "DATASET", "VERSION", "AGE", "WHY"]
    rows = [[one.namespace, *_row(one, now)] for one in all_of_them]
    if namespaces:
        return list(table_lines(["NAMESPACE", *heads], rows))
    return list(table_lines(heads, [row[1:] for row in rows]))


def title(seen: Seen) -> str:
    """`cats · run 7f3a, attempt 2`"""
    current = seen.current
    if current is None:
        return seen.name
    attempt = f", attempt {current.attempt}" if current.attempt > 1 else ""
    return f"{seen.name} · run {current.id}{attempt}"


def block(seen: Seen, now: datetime, width: int) -> list[Line]:
    """The run that goes on, as a local one is shown; while it does not work, why it waits."""
    progress = seen.status.progress
    working = seen.phase == "Running" and progress is not None
    if working and progress is not None:
        lines = block_lines(title(seen), progress_of(progress, _elapsed(seen, now)), width)
    else:
        lines = [Line(" · ".join(filter(None, (title(seen), *_state(seen, now)))), "bold")]
        lines += [Line(f" {part}") for part in _wrapped(reasons(seen, now), width - 1)]
    degraded = seen.condition("Degraded")
    if degraded is not None and degraded.status == "True" and degraded.message != seen.message:
        said = f"{degraded.reason}: {degraded.message}"
        lines += [Line(f" {part}", "yellow") for part in _wrapped(said, width - 1)]
    return lines


def reasons(seen: Seen, now: datetime) -> str:
    """Why it is as it is; with what to do where nobody but the reader can."""
    if not seen.is_observed:
        waited = age(seen.created, now) if seen.status.observed_generation < 0 else None
        if waited is not None and waited > UNSEEN_SECONDS:
            return (
                "the operator has not looked at it yet; is it running? "
                "kubectl get deployments -A -l app.kubernetes.io/part-of=lancemill"
            )
        return "the operator has not looked at it yet"
    told = seen.message
    return told if not told or told.startswith(seen.reason) else f"{seen.reason}: {told}"


def describe(seen: Seen, now: datetime, width: int) -> list[Line]:
    """All that matters of one pipeline: what goes on, what has been, what to do."""
    lines: list[Line] = []
    if seen.current is not None or seen.last is None or not seen.is_observed:
        lines += block(seen, now, width)
    if seen.last is not None:
        lines += [Line(one) for one in closing_lines(seen, seen.last)]
    waiting = seen.phase == "Waiting" or seen.says("Accepted", "False")
    if seen.current is None and seen.last is not None and waiting:
        said = f"the next run waits: {reasons(seen, now)}"
        lines += [Line(f" {part}", "yellow") for part in _wrapped(said, width - 1)]
    if seen.status.next_run_time:
        lines.append(Line(f" next run   {seen.status.next_run_time}"))
    if seen.requested is not None and seen.is_observed:
        lines.append(Line(f" requested  a run, at {seen.requested}"))
    if len(seen.status.runs) > 1:
        lines += [Line(one) for one in _runs(seen.status.runs)]
    return lines


def closing_lines(seen: Seen, run: FinishedRun) -> list[str]:
    """A run that has ended: what came of it, and how to go on."""
    below = [
        *_resources(run),
        *summary_lines([_summary_table(one) for one in run.summary]),
        *_go_on(seen, run),
    ]
    return [_headline(seen, run), *(f"  {line}" for line in below)]


def to_json(seen: Seen) -> dict[str, Any]:
    """The stable schema of `status --json`: the status as it is, with what names and explains it.

    {"name", "namespace", "generation", "phase", "reason", "message", "dataset", "status": {…}}
    """
    return {
        "name": seen.name,
        "namespace": seen.namespace,
        "generation": seen.generation,
        "phase": seen.phase or None,
        "reason": seen.reason or None,
        "message": seen.message or None,
        "dataset": seen.dataset or None,
        "status": seen.status.model_dump(mode="json", by_alias=True, exclude={"handled"}),
    }


def _row(seen: Seen, now: datetime) -> list[object]:
    ready, progress, last = seen.condition("Ready"), seen.status.progress, seen.last
    old = age(seen.created, now)
    version = last.dataset_version if last is not None else None
    return [
        seen.name,
        ready.status if ready else "",
        seen.phase,
        progress.text or "" if progress else "",
        figures.count(progress.rows_done) if progress else "",
        seen.dataset,
        "" if version is None else version,
        "" if old is None else figures.duration(old),
        "" if seen.phase in ("Running", "Succeeded") else _cut(reasons(seen, now), 80),
    ]


def _elapsed(seen: Seen, now: datetime) -> float:
    current = seen.current
    return (age(current.start_time, now) if current is not None else None) or 0.0


def _state(seen: Seen, now: datetime) -> Iterator[str]:
    yield seen.phase or "New"
    current = seen.current
    if current is not None and (past := age(current.start_time, now)) is not None:
        yield figures.duration(past)


def _headline(seen: Seen, run: FinishedRun) -> str:
    who = f"{_MARKS.get(run.result, '✗')} {seen.name} · run {run.id}"
    took = f" · {took}" if (took := _took(run)) else ""
    if run.result != "Succeeded":
        why = run.message.rstrip(".") or run.reason or "no reason was given"
        word = "cancelled" if run.result == "Cancelled" else "failed"
        return f"{who} · {word}: {why}{took}"
    version = f" version {run.dataset_version}" if run.dataset_version else ""
    target = f" → {seen.dataset}{version}" if seen.dataset else ""
    aside = f" · {figures.count(run.quarantined)} set aside" if run.quarantined else ""
    return f"{who} · {figures.rows(run.rows)}{target}{took}{aside}"


def _took(run: FinishedRun) -> str:
    start, end = run.start_time, run.end_time
    if start and end:
        passed = age(start, datetime.fromisoformat(end))
        return figures.duration(passed) if passed is not None else ""
    try:
        return figures.duration(seconds(run.duration)) if run.duration else ""
    except ValueError:
        return run.duration or ""


def _resources(run: FinishedRun) -> Iterator[str]:
    parts = []
    if run.bytes:
        parts.append(f"{figures.size(run.bytes)} out")
    if run.cpu_seconds:
        parts.append(f"cpu {figures.duration(run.cpu_seconds)}")
    if run.gpu_seconds:
        idle = figures.share(min(1.0, run.gpu_idle_seconds / run.gpu_seconds))
        parts.append(f"gpu {figures.duration(run.gpu_seconds)}, idle {idle}")
    if run.cost:
        parts.append(figures.money(run.cost.amount, run.cost.currency))
    if run.attempts > 1:
        parts.append(f"{run.attempts} attempts")
    if parts:
        yield " · ".join(parts)
    if run.diagnosis:
        yield run.diagnosis


def _go_on(seen: Seen, run: FinishedRun) -> Iterator[str]:
    within = f" -n {seen.namespace}" if seen.namespace else ""
    if run.result == "Failed":
        if run.ray_job is not None:
            yield f"logs:    lancemill logs {seen.name}{within}     (its cluster is still there)"
        yield f"go on:   mend it, then  lancemill rerun {seen.name}{within}"
    elif run.result == "Cancelled":
        yield f"go on:   lancemill rerun {seen.name}{within}"


def _summary_table(found: Any) -> SummaryTable:
    return SummaryTable.of_rows(found.name, found.columns, found.rows)


def _runs(runs: Sequence[FinishedRun]) -> Iterator[str]:
    heads = ("RUN", "RESULT", "ATTEMPTS", "ROWS", "SET ASIDE", "VERSION", "ENDED (UTC)", "TOOK")
    rows = [
        (
            one.id,
            one.result,
            one.attempts,
            figures.count(one.rows),
            figures.count(one.quarantined),
            one.dataset_version or "",
            (one.end_time or "").removesuffix("Z").replace("T", " "),
            _took(one),
        )
        for one in runs
    ]
    yield ""
    yield from table_lines(heads, rows)


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(" ".join(text.split()), max(30, width), break_on_hyphens=False)


def _cut(text: str, room: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= room else text[: room - 1] + "…"
