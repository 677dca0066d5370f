"""What a run asks of its output before it commits: `spec.validate`, and `spec.summary`."""

from __future__ import annotations

import operator
from decimal import Decimal
from typing import Any

from lancemill.errors import ValidationFailed
from lancemill.report.summary import SummaryTable, Validation
from lancemill.sinks.sink import Staged
from lancemill_api import MultimodalPipeline


def validate(pipeline: MultimodalPipeline, staged: Staged) -> list[Validation]:
    """Every condition with what was found; ValidationFailed when one does not hold."""
    found = [_validated(one, staged) for one in pipeline.spec.validate_]
    broken = [one for one in found if not one.ok]
    if broken:
        raise ValidationFailed(
            "; ".join(f"{one.name}: found {one.found}, expected {one.expected}" for one in broken),
            remedy="mend the data or the query of spec.validate; the finished shards are kept",
        )
    return found


def summarise(pipeline: MultimodalPipeline, staged: Staged) -> list[SummaryTable]:
    """The results of the summary queries."""
    asked = pipeline.spec.summary
    return [SummaryTable.of(one.name, one.query, staged.query(one.query)) for one in asked]


def _validated(one: Any, staged: Staged) -> Validation:
    table = staged.query(one.query)
    if table.num_rows != 1 or table.num_columns != 1:
        found = f"{table.num_rows} rows of {table.num_columns} columns"
        return Validation(one.name, one.query, found, "one number", ok=False)
    value = table.column(0)[0].as_py()
    if value is not None and not isinstance(value, int | float | Decimal):
        return Validation(one.name, one.query, str(value), "a number", ok=False)
    expect = one.expect
    asked = [
        (f"{words} {limit:g}", value is not None and holds(value, limit))
        for words, limit, holds in (
            ("at least", expect.min, operator.ge),
            ("at most", expect.max, operator.le),
            ("exactly", expect.equals, operator.eq),
        )
        if limit is not None
    ]
    expected = " and ".join(words for words, _ in asked)
    return Validation(one.name, one.query, str(value), expected, all(ok for _, ok in asked))
