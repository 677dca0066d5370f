"""What is written behind a commit: the quarantine and the run's outcome.

May be done again and again, by the run itself or by the next one of its pipeline: a run that died
right behind its commit has read its objects, and what it set aside must not be lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lancemill.engine.ledger import Ledger
from lancemill.engine.results import Results
from lancemill.engine.spent import Spent
from lancemill.sinks.sink import Committed, RunRef, Sink


def close_books(
    sink: Sink,
    ledger: Ledger,
    ref: RunRef,
    committed: Committed,
    results: Results,
) -> None:
    """Put what `ref` set aside into the quarantine, and say in its ledger how it ended."""
    failed = sum(len(result.faults) for result in results.values()) + len(committed.set_aside)
    if failed:
        from lancemill.tables.quarantine import set_aside

        set_aside(f"{sink.uri}.quarantine", ref, _faults(committed, results), sink.storage)
    if ledger.outcome() is None:
        _, begun = ledger.begun() or (0, {})
        ledger.write_outcome(
            {
                "run": ref.run,
                "version": committed.version,
                "rows": committed.rows,
                "quarantined": failed,
                "bytes": sum(result.output.bytes for result in results.values()),
                **Spent.from_json(begun).to_json(),
                "summary": begun.get("summary", []),
                "committedAt": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )


def _faults(committed: Committed, results: Results) -> Iterator[Mapping[str, Any]]:
    """Every row that failed, in the order of the source; then those that the commit refused."""
    for result in results.in_order():
        for fault in result.faults:
            yield {"shard": result.shard.index, **asdict(fault)}
    for refused in committed.set_aside:
        yield {"shard": -1, "position": -1, **refused}


def close_left_open(sink: Sink, ledger: Ledger, record: Mapping[str, Any]) -> None:
    """Close the books of an earlier run, where it died between its commit and that."""
    if ledger.outcome() is not None:
        return
    ref = RunRef(record["run"], record["pipeline"], record["meaningHash"])
    committed = sink.committed(ref, record["base"])
    if committed is not None:
        close_books(sink, ledger, ref, committed, ledger.finished())
