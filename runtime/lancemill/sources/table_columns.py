"""The columns that a table source is asked for, against those that it has."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from lancemill.errors import PlanError

PATH = "spec.source.table"


def chosen(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """`schema` with only `columns`, in their order; PlanError for one that is not there, or that
    is there more than once."""
    if columns is None:
        twice = next((name for name, n in Counter(schema.names).items() if n > 1), None)
        if twice is not None:
            raise PlanError.at(
                PATH,
                f"the table has several columns '{twice}', and rows have one value for a name; "
                "write it with other names, or name the columns to read in columns, without it",
            )
        return schema
    for index, column in enumerate(columns):
        if column not in schema.names:
            near = difflib.get_close_matches(column, schema.names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise PlanError.at(
                f"{PATH}.columns[{index}]",
                f"the table has no column '{column}'; {hint}there are: {', '.join(schema.names)}",
            )
        if schema.names.count(column) > 1:
            raise PlanError.at(
                f"{PATH}.columns[{index}]",
                f"the table has several columns '{column}'; write it with other names",
            )
    return pa.schema([schema.field(column) for column in columns])
