"""Results of a run's summary queries as its driver tells them: as much as a status can hold.

They are rows of the tenant's own data, and are kept for each run of the history: a large result
must not make the object too large to be written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from lancemill_api.status import SummaryResult

MOST_RESULTS, MOST_COLUMNS, MOST_ROWS = 64, 64, 100
LONGEST_NAME, LONGEST_TEXT = 253, 1024
MOST_BYTES = 16 * 1024
"""Of all results of a run; rows beyond it are left out."""


def summaries(said: Any) -> tuple[Mapping[str, Any], ...]:
    """The results that make sense, without the rows that are too many."""
    left, found = MOST_BYTES, []
    for one in said[:MOST_RESULTS] if isinstance(said, list) else ():
        if not isinstance(one, dict):
            continue
        rows = list(_fitting(one.get("rows"), left))
        left -= sum(map(_size, rows))
        columns = one.get("columns")
        kept = columns[:MOST_COLUMNS] if isinstance(columns, list) else []
        try:
            made = SummaryResult.model_validate({**one, "columns": kept, "rows": rows})
        except ValidationError:
            continue
        found.append(made.model_dump(mode="json", by_alias=True))
    return tuple(found)


def _fitting(rows: Any, left: int) -> Iterator[dict[str, Any]]:
    for row in rows[:MOST_ROWS] if isinstance(rows, list) else ():
        if not isinstance(row, dict):
            continue
        kept = {name: _cut(one) for name, one in row.items() if len(name) <= LONGEST_NAME}
        left -= _size(kept)
        if left < 0:
            return
        yield kept


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[: LONGEST_TEXT - 1] + "…"
    return value


def _size(row: Mapping[str, Any]) -> int:
    return len(json.dumps(row).encode())
