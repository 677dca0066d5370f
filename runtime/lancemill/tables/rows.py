"""Some rows of a dataset, for people to look at."""

from __future__ import annotations

import pyarrow as pa

from lancemill import figures
from lancemill.errors import StorageError
from lancemill.storage import absolute, lance_options
from lancemill.tables.table import Table


def read_rows(
    uri: str,
    *,
    start: int = 0,
    rows: int = 24,
    version: int | None = None,
    storage: object | None = None,
) -> tuple[pa.Table, str]:
    """`rows` rows from row `start` on, blobs as bytes, and a line that says what they are of."""
    uri = absolute(uri)
    dataset = Table(uri, lance_options(storage, uri)).open(version)
    total = dataset.count_rows()
    if start and start >= total:
        raise StorageError(
            f"{uri}: has {figures.rows(total)}, none from row {start} on",
            remedy=f"ask for a row below {total}",
        )
    scanner = dataset.scanner(offset=start, limit=rows, blob_handling="all_binary")
    found = scanner.to_table()
    which = f"rows {start} to {start + found.num_rows - 1} of {figures.count(total)}"
    about = figures.rows(total) if found.num_rows == total else which
    return found, f"version {dataset.version}, {about}"
