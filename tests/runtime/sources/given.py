"""Sources as manifests give them, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.sources import open_source
from lancemill.sources.source import Snapshot, Source
from lancemill_api.source import Source as Spec


def objects(uri: str, base: Path, ledger_storage: object = None, **fields: Any) -> Source:
    spec = Spec.model_validate({"objects": {"uri": uri, **fields}})
    return open_source(spec, base=base, ledger_storage=ledger_storage)


def table(uri: str, form: str, base: Path, *, with_row_id: bool = False, **fields: Any) -> Source:
    spec = Spec.model_validate({"table": {"uri": uri, "format": form, **fields}})
    return open_source(spec, base=base, with_row_id=with_row_id)


def rows(
    snapshot: Snapshot,
    columns: Sequence[str] | None = None,
    target_bytes: int = 1 << 30,
    max_rows: int = 100,
    max_bytes: int = 1 << 30,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for batch in batches(snapshot, columns, target_bytes, max_rows, max_bytes):
        found += batch.to_pylist()
    return found


def batches(
    snapshot: Snapshot,
    columns: Sequence[str] | None,
    target_bytes: int,
    max_rows: int,
    max_bytes: int = 1 << 30,
) -> Iterator[pa.RecordBatch]:
    for shard in snapshot.shards(target_bytes):
        names = snapshot.schema.names if columns is None else columns
        yield from snapshot.read(shard, names, max_rows, max_bytes)


def keys(snapshot: Snapshot) -> list[str]:
    return [row["key"] for row in rows(snapshot, ["key"])]
