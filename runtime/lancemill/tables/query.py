"""SQL over rows that are not a table yet: DuckDB reads just the columns that a query needs.

DuckDB is given an Arrow dataset of our own. It asks such a dataset for the columns that are left
after its optimiser, each time that the query reads `output`, so nothing is materialised and a
self-join works. The filters that it pushes down are carried out by Arrow, which knows all of
Arrow's types; pylance's own reading of them fails for binaries, vectors and structs.

Of large bytes a query mostly asks whether they are null. The parsed query tells, and then the
bytes are not read: rows get an empty value, or null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.dataset as pads

from lancemill.errors import RunError
from lancemill.media.types import IMAGE

LONGEST_ARRAY = 100_000
"""DuckDB's fixed-size arrays end here; a longer vector is shown to it as a list."""

NULL_TESTS = ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL")


class Rows(Protocol):
    """Rows that can be scanned again and again, in order."""

    @property
    def schema(self) -> pa.Schema: ...

    def scan(
        self, columns: Sequence[str], only_nulls: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """The rows' `columns`. Of those in `only_nulls` it matters only what is null."""
        ...


def query(sql: str, rows: Rows) -> pa.Table:
    """The result of `sql` over `rows` as table `output`; RunError with DuckDB's words."""
    failures: list[Exception] = []
    with closing(connection()) as database:
        needs = _needs(database, sql, rows.schema)
        database.register("output", _relation(rows, needs, failures))
        try:
            return database.sql(sql).to_arrow_table()
        except Exception as error:
            if failures:
                # Why rows could not be read comes back through DuckDB as a traceback's text.
                raise failures[0] from error
            raise RunError(f"query '{_short(sql)}': {_first_line(error)}") from error


def check_query(sql: str, schema: pa.Schema) -> str | None:
    """What is wrong with `sql` for a table `output` of `schema`; None if it can be run."""
    import duckdb

    with closing(connection()) as database:
        nothing = {name: pa.array([], visible(schema.field(name).type)) for name in schema.names}
        database.register("output", pa.table(nothing))
        try:
            statements = database.extract_statements(sql)
            if len(statements) != 1:
                return f"has {len(statements)} statements, expected one select"
            if statements[0].type != duckdb.StatementType.SELECT:
                return f"is a {statements[0].type.name} statement, expected a select"
            database.sql(f"explain {sql}").fetchall()
        except Exception as error:
            return _first_line(error)
    return None


def visible(kind: pa.DataType) -> pa.DataType:
    """The type as which DuckDB sees a column of type `kind`."""
    if getattr(kind, "extension_name", "") == "lance.blob.v2":
        return pa.large_binary()
    if isinstance(kind, pa.BaseExtensionType):
        return visible(kind.storage_type)
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_fixed_size_list(kind):
        item = visible(kind.value_type)
        return pa.list_(item) if kind.list_size > LONGEST_ARRAY else pa.list_(item, kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.large_list(visible(kind.value_type))
    if pa.types.is_struct(kind) and kind != IMAGE:
        return pa.struct([pa.field(one.name, visible(one.type)) for one in kind])
    return kind


def as_visible(values: pa.Array) -> pa.Array:
    """`values` as DuckDB sees them."""
    while isinstance(values, pa.ExtensionArray):
        values = values.storage
    wanted = visible(values.type)
    return values if values.type == wanted else values.cast(wanted)


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a query may need of each column."""

    every: bool
    """True where the query's text does not tell which columns it names (`select *`)."""
    values: frozenset[str]
    """Columns whose values count."""
    nulls: frozenset[str]
    """Columns of which it only counts what is null."""

    def of(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Of `names` (which DuckDB wants): those to read, and those to read the nulls of."""
        if self.every:
            return list(names), []
        read = [name for name in names if name in self.values or name in self.nulls]
        return read, [name for name in read if name not in self.values]


def _relation(rows: Rows, needs: _Needs, failures: list[Exception]) -> pads.Dataset:
    schema = pa.schema([pa.field(one.name, visible(one.type)) for one in rows.schema])

    class Relation(pads.Dataset):  # type: ignore[misc]
        def __init__(self) -> None:
            """The parent's wants a dataset of C++."""

        @property
        def schema(self) -> pa.Schema:
            return schema

        def scanner(self, columns: Sequence[str] | None = None, **asked: Any) -> pads.Scanner:
            wanted = list(schema.names if columns is None else columns)
            where = asked.get("filter")
            scanned = [*wanted, *_only_filtered(where, wanted, schema)]
            narrowed = pa.schema([schema.field(name) for name in scanned])
            batches = _noting(_scan(rows, needs, narrowed), failures)
            reader = pa.RecordBatchReader.from_batches(narrowed, batches)
            return pads.Scanner.from_batches(
                reader, columns=wanted, filter=where, batch_readahead=1, fragment_readahead=1
            )

    return Relation()


def _only_filtered(where: Any, wanted: Sequence[str], schema: pa.Schema) -> list[str]:
    """Columns that only the filter reads: DuckDB leaves them out of what it asks for."""
    text = "" if where is None else str(where)
    return [
        name
        for name in schema.names
        if name not in wanted and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    ]


def _scan(rows: Rows, needs: _Needs, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    read, only_nulls = needs.of(schema.names)
    if not read:
        # Where no column is named, as in count(*), any column gives the number of rows.
        scanned = only_nulls = _cheapest(rows.schema)
    else:
        scanned = read
    for batch in rows.scan(scanned, only_nulls):
        columns = [
            as_visible(batch.column(field.name))
            if field.name in read
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _noting(
    batches: Iterator[pa.RecordBatch], failures: list[Exception]
) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except Exception as error:
        failures.append(error)
        raise


def _cheapest(schema: pa.Schema) -> list[str]:
    """The column with the fewest bytes in a row."""

    def width(name: str) -> int:
        try:
            return int(schema.field(name).type.bit_width)
        except ValueError:
            return 1_000_000

    return [min(schema.names, key=width)]


def _needs(database: Any, sql: str, schema: pa.Schema) -> _Needs:
    # All rows are fetched: DuckDB allows no other work on a connection with an open result.
    ((tree,),) = database.execute("select json_serialize_sql($1::varchar)", [sql]).fetchall()
    found = _Mentions({name.lower(): name for name in schema.names})
    parsed = json.loads(tree)
    if parsed.get("error"):
        return _Needs(True, frozenset(), frozenset())
    found.visit(parsed, inside=None)
    return _Needs(found.every, frozenset(found.values), frozenset(found.nulls - found.values))


class _Mentions:
    """Collects which columns a parsed query names. Too many is slow, too few would be wrong: every
    text that is a column's name counts as a mention, and what may mean all columns means all."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns
        self.every = False
        self.values: set[str] = set()
        self.nulls: set[str] = set()

    def visit(self, node: Any, inside: str | None) -> None:
        if isinstance(node, list):
            for one in node:
                self.visit(one, inside)
        elif isinstance(node, str):
            name = self.columns.get(node.lower())
            if name is not None:
                self.values.add(name)
        elif isinstance(node, dict):
            self._visit_node(node, inside)

    def _visit_node(self, node: dict[str, Any], inside: str | None) -> None:
        kind = node.get("type")
        if kind in ("STAR", "PIVOT", "SHOW_REF") or node.get("ref_type") == "NATURAL":
            self.every = True
        if kind == "COLUMN_REF":
            self._visit_reference(node["column_names"], inside)
            return
        here = "null" if kind in NULL_TESTS or _is_plain_count(node) else None
        for key, child in node.items():
            if key in ("children", "arguments"):
                self.visit(child, here)
            elif key == "expression" and kind is None:
                # What stands between a function and its argument.
                self.visit(child, inside)
            else:
                self.visit(child, None)

    def _visit_reference(self, names: list[str], inside: str | None) -> None:
        known = [self.columns[name.lower()] for name in names if name.lower() in self.columns]
        if not known:
            self.every = True
        (self.nulls if inside == "null" and len(names) == 1 else self.values).update(known)


def _is_plain_count(node: dict[str, Any]) -> bool:
    is_count = node.get("type") == "FUNCTION" and node.get("function_name") == "count"
    return is_count and not node.get("distinct")


def quoted(column: str) -> str:
    """A column's name as SQL has it."""
    return '"' + column.replace('"', '""') + '"'


def connection() -> Any:
    """DuckDB in memory that reaches neither files nor network, and sees no other's tables.

    A cursor of one instance: what is registered is its own, and an instance takes 25 ms to make.
    """
    return _instance().cursor()


@cache
def _instance() -> Any:
    import duckdb

    return duckdb.connect(config={"enable_external_access": False, "lock_configuration": True})


def _first_line(error: Exception) -> str:
    """DuckDB's own words: what kind of error it is goes before a colon, its context below."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"^(\w+ )+Error: ", "", lines[0])
    hints = [line for line in lines[1:] if line.startswith("Candidate bindings")]
    return " ".join([text, *hints[:1]]).rstrip()


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 60 else text[:57] + "…"
