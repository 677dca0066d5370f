"""sql: projections, filters and expressions on each batch, computed by DuckDB.

    columns that are computed with ─→ DuckDB ─→ computed columns, row numbers
    columns that are only named    ──────────────→ put beside them by row number

A batch that DuckDB refuses (a cast that fails, an overflow) is halved until the bad rows are
found; they alone are faults. `unnest` in the select list makes the operation expanding.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.errors import Mistake, PlanError, RunError
from lancemill.ops.arrow_types import deeply
from lancemill.ops.duckdb_session import connect, functions
from lancemill.ops.operation import (
    UNKNOWN,
    Applied,
    Bound,
    Fault,
    Outcome,
    Place,
    Shape,
    WorkerContext,
    require_column,
)
from lancemill.ops.sql_syntax import ROW, TABLE, QueryError, Select, read

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Rows = npt.NDArray[np.int64]

_ROW_WISE = {"PROJECTION", "FILTER", "UNNEST"}


@dataclass(frozen=True, slots=True)
class Query:
    """A query that fits its input."""

    schema: pa.Schema
    """Of the result."""
    carried: Mapping[str, str]
    """Result columns that are input columns, untouched."""
    computed: tuple[str, ...]
    """Result columns that DuckDB makes, as it orders them; empty names are not wanted."""
    used: tuple[str, ...]
    text: str
    shape: Shape

    @property
    def trivial(self) -> bool:
        """Whether there is nothing to compute: columns are chosen and renamed."""
        return not self.computed and self.shape == "map"


def bind(spec: Any, schema: pa.Schema, place: Place, resolved: Any = None) -> Bound:
    """Bind a query to its input table; DuckDB says what comes out."""
    del resolved
    path = place.at("query")
    connection = connect()
    try:
        select = read(connection, spec.query, schema.names, functions())
        query = _fitted(connection, select, schema, path)
    except QueryError as error:
        raise PlanError(Mistake(path, problem) for problem in error.problems) from None
    finally:
        connection.close()

    def open_(_: WorkerContext) -> Applied:
        return Sql(query, place.stage)

    made = {name for name in query.schema.names if query.carried.get(name) != name}
    return Bound(
        stage=place.stage,
        operation="sql",
        schema=query.schema,
        reads=select.named & set(schema.names),
        makes=frozenset(made),
        open=open_,
        shape=query.shape,
        summary=_summary(query, sorted(made)),
    )


def _summary(query: Query, made: list[str]) -> str:
    kept = {"map": "", "filter": "keeps some rows; ", "expand": "makes more rows; "}[query.shape]
    return f"{kept}→ {', '.join(made or query.schema.names)}"


def _fitted(connection: DuckDBPyConnection, select: Select, schema: pa.Schema, path: str) -> Query:
    used = tuple(name for name in schema.names if name in select.used)
    text = select.rewritten(connection)
    computed, operators = _described(connection, select, schema, used, text, path)
    shape: Shape = "map"
    if "UNNEST" in operators:
        shape = "expand"
    elif select.filtered:
        shape = "filter"
    fields, carried, names = _laid_out(select, schema, computed)
    repeated = sorted({field.name for field in fields if _count(fields, field.name) > 1})
    if repeated:
        raise QueryError(f"gives two columns the name '{repeated[0]}'; rename one with as")
    return Query(pa.schema(fields), carried, names, used, text, shape)


def _count(fields: list[pa.Field], name: str) -> int:
    return sum(field.name == name for field in fields)


def _laid_out(
    select: Select, schema: pa.Schema, computed: list[pa.Field]
) -> tuple[list[pa.Field], dict[str, str], tuple[str, ...]]:
    """Fields of the result, which of them are carried, and names of what DuckDB makes."""
    fields: list[pa.Field] = []
    carried: dict[str, str] = {}
    names: list[str] = []
    made = iter(computed)
    for item in select.items:
        found = next(made) if item.in_query else None
        if item.carried is not None:
            name = item.name or item.carried
            fields.append(schema.field(item.carried).with_name(name))
            carried[name] = item.carried
            names += [""] if item.in_query else []
        elif found is not None:
            fields.append(found.with_name(item.name or found.name))
            names.append(fields[-1].name)
    return fields, carried, tuple(names)


def _described(
    connection: DuckDBPyConnection,
    select: Select,
    schema: pa.Schema,
    used: tuple[str, ...],
    text: str,
    path: str,
) -> tuple[list[pa.Field], set[str]]:
    """What DuckDB makes of the query on an empty table: fields, and the plan's operators."""
    import duckdb

    empty = pa.schema([*(schema.field(name) for name in used), pa.field(ROW, pa.int64())])
    try:
        connection.register(TABLE, empty.empty_table())
        operators = _operators(connection, text)
        found = connection.sql(text).to_arrow_table().schema
    except duckdb.Error as error:
        untyped = any(schema.field(name).type == UNKNOWN for name in used)
        # No column's type would bring a function, a type or another column into being.
        if missing := _missing(error, select, schema, path):
            raise missing from None
        if untyped and not isinstance(error, duckdb.CatalogException):
            unknown = [pa.field(item.name or "?", UNKNOWN) for item in select.in_query]
            return unknown, set()
        raise QueryError(_first_line(error)) from None
    strange = operators - _ROW_WISE - {name for name in operators if name.endswith("_SCAN")}
    if strange:
        raise QueryError(f"does not work row by row: it needs {', '.join(sorted(strange))}")
    if len(found) != len(select.in_query) + 1:
        raise QueryError("has an expression that makes several columns; name them one by one")
    return [field.with_type(plain_type(field.type)) for field in found][:-1], operators


def _operators(connection: DuckDBPyConnection, text: str) -> set[str]:
    ((_, plan),) = connection.execute(f"explain (format json) {text}").fetchall()
    waiting, found = list(json.loads(plan)), set()
    while waiting:
        node = waiting.pop()
        found.add(str(node["name"]).strip())
        waiting += node["children"]
    return found


def _missing(error: Exception, select: Select, schema: pa.Schema, path: str) -> PlanError | None:
    """The mistake that a column is not there, where it is that which DuckDB found."""
    for name in select.unknown:
        if f'"{name}"' in str(error):
            try:
                require_column(schema, name, path)
            except PlanError as mistake:
                return mistake
    return None


def _first_line(error: Exception) -> str:
    return str(error).split("\n\nLINE")[0].replace("\n", " ").strip()


def plain_type(kind: pa.DataType) -> pa.DataType:
    """`kind` with the usual names inside of lists: DuckDB leaves them empty or calls them `l`."""
    return deeply(kind, _usual_list)


def _usual_list(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_type, kind.list_size)
    return pa.list_(kind.value_type) if pa.types.is_list(kind) else kind


class Sql:
    """An opened query. Each calling thread has a DuckDB of its own."""

    def __init__(self, query: Query, stage: str) -> None:
        self._query = query
        self._stage = stage
        self._local = threading.local()
        self._connections: list[DuckDBPyConnection] = []
        self._opening = threading.Lock()

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        if self._query.trivial:
            return Outcome(self._assembled(batch, None, {}))
        given = [batch.column(name) for name in self._query.used]
        numbers = pa.array(np.arange(len(batch)))
        rows = pa.RecordBatch.from_arrays([*given, numbers], [*self._query.used, ROW])
        parts, faults = self._computed(rows)
        table = pa.concat_tables(parts)
        origin: Rows = table.column(ROW).to_numpy()
        made = {
            name: _whole(table.column(index), self._query.schema.field(name).type)
            for index, name in enumerate(self._query.computed)
            if name
        }
        if self._query.shape == "map":
            return Outcome(self._assembled(batch, None, _spread(made, origin, len(batch))), faults)
        return Outcome(self._assembled(batch, origin, made), faults, origin)

    def close(self) -> None:
        with self._opening:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def _connection(self) -> DuckDBPyConnection:
        found: DuckDBPyConnection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = connect()
            with self._opening:
                self._connections.append(found)
        return found

    def _computed(self, rows: pa.RecordBatch) -> tuple[list[pa.Table], tuple[Fault, ...]]:
        """The query over `rows`, in parts, and the rows that it cannot do."""
        import duckdb

        parts: list[pa.Table] = []
        faults: list[Fault] = []
        waiting = [rows]
        while waiting:
            some = waiting.pop()
            try:
                parts.append(self._asked(some))
            except (duckdb.FatalException, duckdb.InternalException) as error:
                raise RunError(f"{self._stage}: DuckDB failed: {_first_line(error)}") from error
            except duckdb.BinderException as error:  # By types alone, so that no row can help.
                told = f"{self._stage}: the query does not fit its columns: {_first_line(error)}"
                raise RunError(told, final=True) from error
            except duckdb.Error as error:
                if len(some) > 1:
                    half = len(some) // 2
                    waiting += [some.slice(half), some.slice(0, half)]
                    continue
                row = some.column(ROW)[0].as_py()
                # Memory or disk that ran out, not the values.
                may_pass = isinstance(error, duckdb.OperationalError)
                faults.append(Fault(row, self._stage, "SqlError", _first_line(error), may_pass))
        return parts or [self._asked(rows.slice(0, 0))], tuple(faults)

    def _asked(self, rows: pa.RecordBatch) -> pa.Table:
        connection = self._connection()
        connection.register(TABLE, pa.Table.from_batches([_readable(rows)]))
        try:
            return connection.sql(self._query.text).to_arrow_table()
        finally:
            connection.unregister(TABLE)

    def _assembled(
        self, batch: pa.RecordBatch, origin: Rows | None, made: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        schema = self._query.schema
        columns = [
            made[name] if name in made else _chosen(batch.column(self._query.carried[name]), origin)
            for name in schema.names
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)


def _readable(rows: pa.RecordBatch) -> pa.RecordBatch:
    """`rows` as DuckDB can read them: it refuses a struct within a struct that does not begin at
    its buffers' start, as in a slice. An offset may stand at any depth, so that all are copied."""
    columns = [
        pa.concat_arrays([column]) if _has_nested_structs(column.type) else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def _has_nested_structs(kind: pa.DataType, inside: bool = False) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_nested_structs(kind.storage_type, inside)
    struct = pa.types.is_struct(kind) or pa.types.is_union(kind)
    if struct and inside:
        return True
    parts = (kind.field(index) for index in range(kind.num_fields))
    return any(_has_nested_structs(part.type, inside or struct) for part in parts)


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    return array if array.type == kind else array.cast(kind)


def _spread(made: dict[str, pa.Array], origin: Rows, rows: int) -> dict[str, pa.Array]:
    """Computed columns with a null for each row that DuckDB could not do."""
    if len(origin) == rows:
        return made
    places = np.full(rows, -1, np.int64)
    places[origin] = np.arange(len(origin))
    indices = pa.array(places, mask=places < 0)
    return {name: array.take(indices) for name, array in made.items()}


def _chosen(column: pa.Array, origin: Rows | None) -> pa.Array:
    """The rows `origin` of a column, without a copy where they are one run of it."""
    if origin is None:
        return column
    if len(origin) == 0:
        return column.slice(0, 0)
    first, last = int(origin[0]), int(origin[-1])
    if last - first + 1 == len(origin) and bool(np.all(np.diff(origin) == 1)):
        return column.slice(first, len(origin))
    return column.take(pa.array(origin))
