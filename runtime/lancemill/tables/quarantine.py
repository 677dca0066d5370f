"""The rows that were set aside, with their reasons: a Lance dataset beside the one they missed.

It outlives ledgers, can be read by anything that reads Lance, and takes a run's rows exactly once,
by the same protocol as the dataset itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from lancemill.sinks.sink import Committed, RunRef
from lancemill.storage import absolute, lance_options, open_store
from lancemill.tables import commit
from lancemill.tables.commit import Checkpoint, Proposal
from lancemill.tables.create import STORAGE_VERSION, create
from lancemill.tables.history import History
from lancemill.tables.journal import LedgerJournal
from lancemill.tables.table import Table

SUFFIX = ".quarantine"
BEGUN = "quarantine.begun"
BATCH_ROWS = 8192

SCHEMA = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("pipeline", pa.string(), nullable=False),
        pa.field("shard", pa.int64()),
        pa.field("position", pa.int64()),
        pa.field("key", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("message", pa.string()),
        pa.field("action", pa.string()),
        pa.field("time", pa.timestamp("us", "UTC")),
    ]
)
"""`position` is the row in the source's snapshot, from 0; -1 for rows refused at the commit."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that were set aside."""

    rows: tuple[Mapping[str, Any], ...]
    total: int
    """How many there are, shown or not."""


def set_aside(
    uri: str,
    run: RunRef,
    faults: Iterable[Mapping[str, Any]],
    storage: object | None = None,
    *,
    checkpoint: Checkpoint = lambda _: None,
) -> Committed:
    """Put the run's `faults` into the quarantine at `uri`, once, however often it is called."""
    table = Table(uri, lance_options(storage, uri))
    done = commit.settle(table, run, 0)
    rows = _rows(run, faults)
    first = None if done is not None else next(rows, None)
    if first is None:
        return done or Committed(version=None, rows=0)
    create(table, SCHEMA)
    fragments = _write(table, chain([first], rows))
    total = sum(fragment.num_rows for fragment in fragments)

    def propose(dataset: Any, past: History) -> Proposal:
        from lance import LanceOperation

        return Proposal(LanceOperation.Append(fragments), total, dataset.version)

    ledger = open_store(f"{uri.removesuffix(SUFFIX)}.runs/{run.run}", storage)
    return commit.commit_once(
        table, propose, run, 0, journal=LedgerJournal(ledger, BEGUN), checkpoint=checkpoint
    )


def read(
    uri: str,
    *,
    run: str | None = None,
    reason: str | None = None,
    stage: str | None = None,
    limit: int | None = None,
    storage: object | None = None,
) -> Found:
    """The rows in the quarantine at `uri` that have all that is asked for, oldest first."""
    uri = absolute(uri)
    dataset = Table(uri, lance_options(storage, uri)).find()
    if dataset is None:
        return Found((), 0)
    asked = {"run": run, "reason": reason, "stage": stage}
    conditions = [f"{name} = {_text(value)}" for name, value in asked.items() if value is not None]
    where = " and ".join(conditions) or None
    total = dataset.count_rows(filter=where)
    rows = dataset.scanner(filter=where, limit=limit).to_table().to_pylist() if total else []
    return Found(tuple(rows), total)


def _rows(run: RunRef, faults: Iterable[Mapping[str, Any]]) -> Iterator[pa.RecordBatch]:
    """The rows of the dataset, some at a time: one percent of a billion is ten million."""
    same = {"run": run.run, "pipeline": run.pipeline, "time": datetime.now(UTC)}
    known = set(SCHEMA.names)
    stream = iter(faults)
    while some := list(islice(stream, BATCH_ROWS)):
        rows = [{**{k: _utf8(v) for k, v in one.items() if k in known}, **same} for one in some]
        yield pa.RecordBatch.from_pylist(rows, SCHEMA)


def _utf8(value: Any) -> Any:
    """Text as Arrow can hold it: a file's name that is no UTF-8 comes with lone surrogates, and
    behind the commit it is too late to refuse them."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _write(table: Table, rows: Iterator[pa.RecordBatch]) -> list[Any]:
    from lance.fragment import write_fragments

    fragments: list[Any] = write_fragments(
        pa.RecordBatchReader.from_batches(SCHEMA, rows),
        table.uri,
        schema=SCHEMA,
        mode="append",
        data_storage_version=STORAGE_VERSION,
        enable_stable_row_ids=True,
        storage_options=table.storage_options,
    )
    return fragments


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
