"""Gathers what the page of a run shows, and writes it: into the ledger, and where the user asks.

Runs behind the commit, so nothing here may fail a run: a page that cannot be made is told as an
event. Pictures of the input are read again, a few rows of them, by the run's own fetch stage.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lancemill.engine.preview import preview_of
from lancemill.errors import GaveUp, Overtaken
from lancemill.manifest import Job
from lancemill.report.summary import RunSummary
from lancemill.sources.source import Shard, Snapshot

if TYPE_CHECKING:
    from lancemill.engine.run import RunInProgress
    from lancemill.ops.operation import Applied
    from lancemill.report.contact import Pair
    from lancemill.report.page import SetAsideRow

SET_ASIDE = 24
MOST_BYTES = 16 << 20
"""Larger objects are not read again for a thumbnail."""
AT_ONCE = 8
"""Pictures that are read again together."""


def write_page(run: RunInProgress, summary: RunSummary, job: Job, also: Path | None) -> RunSummary:
    """Write the run's page; the summary with where it is."""
    if run.snapshot is None or (run.account.meter is None and also is None):
        return summary  # nothing moved: there is nothing to show
    hurried = summary.result == "interrupted" or summary.exit_status == GaveUp.exit_status
    if hurried and also is None:
        return summary  # who stops a run does not wait for pictures
    try:
        text = _page(run, summary, job)
        place = ""
        with suppress(Overtaken):  # then it is another attempt's run, and page
            run.ledger.still_mine()
            run.ledger.folder.put("report.html", text.encode())
            place = f"{run.ledger.folder.uri}/report.html"
        if also is not None:
            also.parent.mkdir(parents=True, exist_ok=True)
            also.write_text(text, encoding="utf-8")
            place = str(also)
    except Exception as error:
        run.watcher.event(f"no page was written: {type(error).__name__}: {error}")
        return summary
    return replace(summary, report=place)


def _page(run: RunInProgress, summary: RunSummary, job: Job) -> str:
    from lancemill.report.page import RunPage, installed_versions, render

    return render(
        RunPage(
            summary=summary,
            history=run.account.meter.history() if run.account.meter else (),
            plan=preview_of(run.prepared, run.snapshot).to_text(),
            manifest=job.text,
            pairs=_pairs(run),
            set_aside=_set_aside(run),
            versions=installed_versions(),
            hashes=_hashes(run),
            command=shlex.join(["lancemill", "run", *job.arguments]) if job.arguments else "",
        )
    )


def _hashes(run: RunInProgress) -> dict[str, str]:
    found = {"meaning": run.ref.meaning}
    for step in run.plan.steps:
        for name, value in step.done.meaning.items():
            found[f"{step.name} {name}"] = str(value)
    return found


def _pairs(run: RunInProgress) -> list[Pair]:
    """The first rows of the output, each beside the picture that it was made from."""
    from lancemill.report.contact import picture_columns, picture_rows, pictures_of_pairs

    head = run.head
    if head is None or head.num_rows == 0:
        return []
    columns = picture_columns(head)
    heads = (place for one in run.account.results.in_order() for place in one.head)
    positions = list(islice(heads, head.num_rows))
    if not columns or len(positions) != head.num_rows:
        return []
    before = _inputs(run, positions)
    after = picture_rows(head.column(columns[-1]))
    return pictures_of_pairs(
        (key, data, picture) for (key, data), picture in zip(before, after, strict=True)
    )


def _set_aside(run: RunInProgress) -> list[SetAsideRow]:
    from lancemill.report.page import set_aside_rows

    every = (fault for one in run.account.results.in_order() for fault in one.faults)
    faults = list(islice(every, SET_ASIDE))
    # What could not be fetched is not asked for again, with all of its attempts and timeouts.
    fetch = run.plan.steps[0].name if run.plan.steps else None
    there = [fault for fault in faults if fault.stage != fetch]
    pictures = zip(there, _inputs(run, [fault.position for fault in there]), strict=True)
    found = {fault.position: data for fault, (_, data) in pictures}
    return set_aside_rows(
        {**asdict(fault), "picture": found.get(fault.position)} for fault in faults
    )


def _inputs(run: RunInProgress, positions: Sequence[int]) -> Iterator[tuple[str, Any]]:
    """For each row of the source its key, and its picture's bytes where there are any."""
    plan = run.plan
    snapshot = run.snapshot
    assert snapshot is not None
    first = plan.steps[0].done if plan.steps else None
    fetch = first.open(run.prepared.context) if first and first.operation == "fetch" else None
    made = sorted(first.makes)[0] if fetch and first else _picture_column(plan.source)
    columns = list(dict.fromkeys([*plan.reads, *([plan.key] if plan.key else [])]))
    if "size" in plan.source.names and "size" not in columns:
        columns.append("size")
    try:
        for start in range(0, len(positions), AT_ONCE):
            rows = [_row(snapshot, one, columns) for one in positions[start : start + AT_ONCE]]
            keys = [str(r[plan.key][0].as_py()) if plan.key else "" for r in rows]
            wanted = [made is not None and not _large(row) for row in rows]
            asked = [row for row, want in zip(rows, wanted, strict=True) if want]
            found = _bytes_of(asked, made or "", plan.reads, fetch)
            for at, (key, want) in enumerate(zip(keys, wanted, strict=True)):
                yield key or str(positions[start + at]), next(found) if want else None
    finally:
        if fetch is not None:
            fetch.close()


def _bytes_of(
    rows: Sequence[pa.RecordBatch], column: str, reads: Sequence[str], fetch: Applied | None
) -> Iterator[Any]:
    """The picture of each row; they are fetched all at once."""
    if not rows:
        return
    batch = pa.concat_batches(rows)
    if fetch is not None:
        batch = fetch(batch.select(list(reads))).rows
    yield from batch.column(column).to_pylist()


def _large(row: pa.RecordBatch) -> bool:
    return "size" in row.schema.names and (row["size"][0].as_py() or 0) > MOST_BYTES


def _row(snapshot: Snapshot, position: int, columns: Sequence[str]) -> pa.RecordBatch:
    shard = Shard(0, position, position + 1, 0)
    (batch,) = snapshot.read(shard, columns, 1, MOST_BYTES)
    return batch


def _picture_column(schema: pa.Schema) -> str | None:
    from lancemill.ops.operation import is_binary

    return next((one.name for one in schema if is_binary(one.type)), None)
