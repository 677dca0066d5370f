"""Where rows come from: object tables and tables, read through snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lancemill.sources.source import Source


def open_source(
    spec: Any,
    *,
    base: Path,
    with_row_id: bool = False,
    ledger_storage: object | None = None,
    only_missing: tuple[str, ...] = (),
) -> Source:
    """The source that `spec` (the API's `Source`) describes; nothing is read yet.

    `base`: where relative paths start. `with_row_id`: a Lance table also gives `_rowid`.
    `ledger_storage`: the storage block of the dataset beside which snapshots are kept.
    `only_missing`: of a Lance table that has these columns, only rows that lack one of them.
    """
    if spec.objects is not None:
        from lancemill.sources.prefix import open_prefix

        return open_prefix(spec.objects, base, ledger_storage)
    from lancemill.sources.table import open_table

    return open_table(spec.table, base, with_row_id, ledger_storage, only_missing)
