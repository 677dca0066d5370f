"""Finishes a commit that an attempt has said it makes, whoever that was and wherever it died.

Before an attempt touches the dataset it puts the verdict `commits` into the ledger, with all that
the commit needs beside the shards' records. From then on the run *will* be committed: by that
attempt, by the next one, or by who settles the run. So nobody ever has to find out whether a
process that cannot be reached is about to commit.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from lancemill.engine.ledger import COMMITS, Ledger
from lancemill.engine.spent import Spent
from lancemill.errors import LancemillError, RunError
from lancemill.report.summary import SummaryTable
from lancemill.sinks.sink import Committed, RunRef, Sink


def begin(
    ledger: Ledger,
    ref: RunRef,
    schema: pa.Schema | None,
    summaries: Sequence[SummaryTable],
    spent: Spent,
) -> None:
    """Say that this attempt commits (None: that there was nothing to); Overtaken if it may not."""
    ledger.decide(
        COMMITS,
        inputs=ref.inputs,
        schema=None if schema is None else _to_text(schema),
        summary=[asdict(one) for one in summaries],
        **spent.to_json(),
    )


def finish(
    sink: Sink, ledger: Ledger, record: Mapping[str, Any], begun: Mapping[str, Any]
) -> Committed:
    """Commit what `begun` says, unless that is done."""
    if begun["schema"] is None:
        return Committed(version=None, rows=0)
    results = ledger.finished()
    lost = sorted(set(range(record["shards"])) - set(results))
    if lost:
        raise RunError(
            f"run {record['run']} cannot be finished: of its {record['shards']} shards the records "
            f"of {len(lost)} are gone from its ledger ({', '.join(map(str, lost[:4]))})",
            remedy="restore the ledger, or start a new run",
            final=True,
        )
    outputs = [results[index].output for index in sorted(results)]
    schema, base = _from_text(begun["schema"]), record["base"]
    try:
        return sink.commit(ref_of(record, begun), outputs, schema, base)
    except LancemillError:
        sink.discard((), base)  # of what was staged to commit it: the shards are kept
        raise


def ref_of(record: Mapping[str, Any], begun: Mapping[str, Any] | None = None) -> RunRef:
    """Who commits, as the ledger tells it."""
    inputs = tuple((begun or {}).get("inputs", ()))
    return RunRef(record["run"], record["pipeline"], record["meaningHash"], inputs)


def summaries_of(begun: Mapping[str, Any]) -> list[SummaryTable]:
    """The results of spec.summary that `begun` holds."""
    return [
        SummaryTable(
            name=one["name"],
            query=one["query"],
            columns=tuple(one["columns"]),
            rows=tuple(tuple(row) for row in one["rows"]),
            more=one["more"],
            numeric=tuple(one["numeric"]),
        )
        for one in begun.get("summary", ())
    ]


def _to_text(schema: pa.Schema) -> str:
    return base64.b64encode(schema.serialize()).decode()


def _from_text(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
