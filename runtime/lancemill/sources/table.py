"""Which reader a table needs, by its format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lancemill.sources.source import Source
from lancemill.storage import absolute, open_store


def open_table(
    spec: Any,
    base: Path,
    with_row_id: bool = False,
    ledger_storage: object | None = None,
    only_missing: tuple[str, ...] = (),
) -> Source:
    """The source of `spec.source.table`."""
    uri = absolute(spec.uri, base)
    open_store(uri, spec.storage)
    columns = tuple(spec.columns) if spec.columns else None
    if spec.format == "lance":
        from lancemill.sources.lance_table import LanceTable

        return LanceTable(uri, columns, spec.version, with_row_id, spec.storage, only_missing)
    if spec.format == "parquet":
        from lancemill.sources.parquet_table import ParquetTable

        return ParquetTable(uri, columns, spec.storage)
    from lancemill.sources.text_table import TextTable

    return TextTable(uri, spec.format, columns, spec.storage, ledger_storage)
