"""Listings too large for memory: put into order, and compared with an earlier one, by DuckDB.

It spills to the spool folder when its share of memory is used up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lancemill.sources.snapshot_file import GROUP_ROWS

if TYPE_CHECKING:
    import duckdb

MEMORY = "512MB"

_NEW_OR_CHANGED = """
    SELECT now.* FROM read_parquet($now) now
    LEFT JOIN read_parquet($before) before ON now.key = before.key
    WHERE before.key IS NULL
       OR (now.etag IS NOT NULL AND before.etag IS NOT NULL AND now.etag <> before.etag)
       OR ((now.etag IS NULL OR before.etag IS NULL)
           AND (now.size IS DISTINCT FROM before.size
                OR now.last_modified IS DISTINCT FROM before.last_modified))
    ORDER BY now.key
"""

_DONE = """
    SELECT * FROM read_parquet($seen) WHERE key NOT IN (
        SELECT key FROM read_parquet($rows, file_row_number = true) WHERE file_row_number >= $done)
"""


def in_key_order(listing: Path, schema: pa.Schema, scratch: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a listing, sorted by the bytes of their keys."""
    with _spilling_duckdb(scratch) as con:
        rows = con.sql("SELECT * FROM read_parquet($now) ORDER BY key", params=_at(now=listing))
        yield from _typed(rows, schema)


def new_or_changed(
    listing: Path, before: Path, schema: pa.Schema, scratch: Path
) -> Iterator[pa.RecordBatch]:
    """Rows of `listing` whose key `before` does not have, or has with another etag (where either
    has none: with another size or time), in key order."""
    with _spilling_duckdb(scratch) as con:
        rows = con.sql(_NEW_OR_CHANGED, params=_at(now=listing, before=before))
        yield from _typed(rows, schema)


def without_undone(
    seen: Path, rows: Path, done: int, schema: pa.Schema, scratch: Path
) -> Iterator[pa.RecordBatch]:
    """The listing `seen` of a run that did only the first `done` of its `rows`, without the keys
    of the others: to the next run those are new."""
    with _spilling_duckdb(scratch) as con:
        found = con.sql(_DONE, params={**_at(seen=seen, rows=rows), "done": done})
        yield from _typed(found, schema)


def _at(**paths: Path) -> dict[str, object]:
    return {name: str(path) for name, path in paths.items()}


def _typed(rows: duckdb.DuckDBPyRelation, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in rows.to_arrow_reader(GROUP_ROWS):
        yield pa.RecordBatch.from_arrays(
            [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)],
            schema=schema,
        )


@contextmanager
def _spilling_duckdb(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    con = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(scratch / "spill"),
            "autoinstall_known_extensions": False,
        },
    )
    try:
        con.execute("SET TimeZone = 'UTC'")
        yield con
    finally:
        con.close()
