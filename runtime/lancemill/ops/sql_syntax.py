"""What a query of a `sql` stage says, read from DuckDB's own parser.

The parser's JSON tells which columns are only passed through by name and which are computed with:
only the latter ever enter DuckDB, so that pictures are neither copied nor need a type that DuckDB
knows. It also tells what does not work row by row; all of that is refused, with the place where
it belongs. Nothing here looks at the query's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lancemill.ops.duckdb_session import Functions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = "input"
ROW = "__lancemill_row"
"""Column that carries a row's number through the query."""

Node = dict[str, Any]

_ELSEWHERE = "put it into spec.summary or spec.validate, which see the whole output"
_BEFORE = "filter in the source's where, or keep all rows"
_MODIFIERS = {
    "ORDER_MODIFIER": f"order by: rows keep the source's order; {_ELSEWHERE}",
    "LIMIT_MODIFIER": f"limit: {_BEFORE}; to try a few rows, use lancemill run --limit",
    "LIMIT_PERCENT_MODIFIER": f"limit: {_BEFORE}; to try a few rows, use lancemill run --limit",
    "DISTINCT_MODIFIER": f"distinct: {_ELSEWHERE}",
}
_SOURCES = {
    "EMPTY": "no from: write from input",
    "JOIN": f"a join: join in the source's table, or {_ELSEWHERE}",
    "SUBQUERY": "a subquery: write one select from input",
    "TABLE_FUNCTION": "a table function: write from input",
    "EXPRESSION_LIST": "values: write from input",
    "SHOW_REF": "describe or show: use lancemill plan to see the columns",
}
_CLAUSES = (
    ("group_expressions", f"group by: {_ELSEWHERE}"),
    ("having", f"having: {_ELSEWHERE}"),
    ("qualify", f"qualify: {_ELSEWHERE}"),
    ("sample", f"a sample: {_BEFORE}"),
)
_CLASSES = {
    "WINDOW": f"a window function: {_ELSEWHERE}",
    "SUBQUERY": "a subquery: write one select from input",
    "PARAMETER": "a parameter: write its value",
    "POSITIONAL_REFERENCE": "a column by position: write its name",
}
_NOW = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}


class QueryError(ValueError):
    """The query cannot be a stage's; `problems` has everything that stands against it."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True, slots=True)
class Item:
    """One column of the result."""

    expression: Node
    name: str | None = None
    """Its name; None where DuckDB chooses it."""
    carried: str | None = None
    """The input column that it is, when it is one by name and nothing else."""
    in_query: bool = False
    """Whether DuckDB must see it: computed ones, and aliases that other expressions use."""
    by_star: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """A query that works row by row, over known columns."""

    items: tuple[Item, ...]
    used: frozenset[str]
    """Input columns that expressions compute with: these alone enter DuckDB."""
    named: frozenset[str]
    """Input columns that the query names itself, not only by a star."""
    unknown: tuple[str, ...]
    """Names that are no column: aliases, parameters of lambdas, or mistakes."""
    tree: Node

    @property
    def filtered(self) -> bool:
        return self.tree["statements"][0]["node"].get("where_clause") is not None

    @property
    def in_query(self) -> tuple[Item, ...]:
        """The items that DuckDB computes, in its order."""
        return tuple(item for item in self.items if item.in_query)

    def rewritten(self, connection: DuckDBPyConnection) -> str:
        """The query reduced to what DuckDB computes, and the row's number as the last column."""
        tree = json.loads(json.dumps(self.tree))
        node = tree["statements"][0]["node"]
        row = _parsed(connection, f"select {ROW} from {TABLE}")["statements"][0]["node"]
        node["select_list"] = [item.expression for item in self.in_query] + row["select_list"]
        return _asked(connection, "select json_deserialize_sql(?)", json.dumps(tree))


def read(
    connection: DuckDBPyConnection, query: str, columns: Sequence[str], functions: Functions
) -> Select:
    """Understand `query` over an input of `columns`; QueryError where it cannot be a stage's."""
    tree = _parsed(connection, query)
    if len(tree["statements"]) != 1:
        count = len(tree["statements"])
        raise QueryError(f"has {count} statements; write one select from input")
    node: Node = tree["statements"][0]["node"]
    problems = _refusals(connection, node, functions, columns)
    if problems:
        raise QueryError(*dict.fromkeys(problems))
    names = _Names(columns, node["from_table"].get("alias") or TABLE)
    items = [item for each in node["select_list"] for item in _items(each, names)]
    select = _resolved(items, names, tree)
    _require_distinct(select.used)
    return select


def _require_distinct(used: frozenset[str]) -> None:
    """DuckDB would find the same column under each of two names that differ only in case."""
    folded: dict[str, str] = {}
    for name in sorted(used):
        other = folded.setdefault(name.lower(), name)
        if other != name:
            raise QueryError(
                f"computes with the columns '{other}' and '{name}', whose names SQL does not tell "
                "apart; rename one in an sql stage before: "
                f'select * rename ("{name}" as "{name}_2") from input'
            )


def _parsed(connection: DuckDBPyConnection, query: str) -> Node:
    tree: Node = json.loads(_asked(connection, "select json_serialize_sql(?)", query))
    if tree["error"]:
        if tree["error_type"] == "not implemented":
            raise QueryError("is no select; write one select from input")
        raise QueryError(str(tree["error_message"]).splitlines()[0])
    return tree


def _asked(connection: DuckDBPyConnection, query: str, parameter: str) -> str:
    ((found,),) = connection.execute(query, [parameter]).fetchall()
    return str(found)


def _walk(node: object) -> Iterator[Node]:
    """Every expression at or below `node`."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


# -- what does not work row by row


def _refusals(
    connection: DuckDBPyConnection, node: Node, functions: Functions, columns: Sequence[str]
) -> list[str]:
    if node["type"] != "SELECT_NODE":
        return [_has(f"union, intersect, except or recursion: {_ELSEWHERE}")]
    found = _source_refusals(node)
    found += [_has(_MODIFIERS[each["type"]]) for each in node["modifiers"]]
    found += [_has(text) for clause, text in _CLAUSES if node.get(clause)]
    if node.get("aggregate_handling") == "FORCE_AGGREGATES" and not node["group_expressions"]:
        found.append(_has(f"group by: {_ELSEWHERE}"))
    known = {name.lower() for name in columns}
    for parts in (node["select_list"], node.get("where_clause")):
        for expression in _walk(parts):
            found += _expression_refusals(connection, expression, functions, known)
    return found


def _has(what: str) -> str:
    name, _, advice = what.partition(": ")
    return f"has {name}, and a stage works on one row at a time; {advice}"


def _source_refusals(node: Node) -> list[str]:
    if node["cte_map"]["map"]:
        return [_has("with: write one select from input")]
    source = node["from_table"]
    if source["type"] != "BASE_TABLE":
        other = f"{str(source['type']).lower()} behind from: write from input"
        return [_has(_SOURCES.get(source["type"], other))]
    found = []
    qualified = source.get("schema_name") or source.get("catalog_name")
    if source["table_name"].lower() != TABLE or qualified:
        found.append(f"reads from '{source['table_name']}'; a stage's only table is input")
    if source.get("column_name_alias"):
        found.append(_has("new names behind from: write them with as"))
    if source.get("sample") or source.get("at_clause"):
        found.append(_has(f"a sample or version: {_BEFORE}"))
    return found


def _expression_refusals(
    connection: DuckDBPyConnection, expression: Node, functions: Functions, known: set[str]
) -> Iterator[str]:
    kind = expression["class"]
    names = [expression.get("alias") or "", *expression.get("column_names", ())]
    if any(name.lower() == ROW for name in names):
        yield f"has the name {ROW}, which is kept for the number of a row; use another"
    if kind in _CLASSES:
        yield _has(_CLASSES[kind])
    elif kind == "STAR" and (expression.get("columns") or expression.get("expr")):
        yield _has("columns(…): write the columns' names")
    elif kind == "COLUMN_REF" and len(expression["column_names"]) == 1:
        name = expression["column_names"][0].lower()
        if name in _NOW and name not in known:
            yield _unsteady(name)
    elif kind == "FUNCTION":
        yield from _function_refusals(connection, expression["function_name"].lower(), functions)


def _function_refusals(
    connection: DuckDBPyConnection, name: str, functions: Functions
) -> Iterator[str]:
    if name in functions.aggregates:
        shown = "count(*)" if name == "count_star" else f"{name}()"
        yield _has(f"the aggregate {shown}: {_ELSEWHERE}")
    elif name in functions.windows:
        yield _has(f"the window function {name}(): {_ELSEWHERE}")
    elif name in functions.unsteady:
        yield _unsteady(f"{name}()")
    elif name in functions.macros:
        body = _parsed(connection, f"select {functions.macros[name]}")
        own = [each["function_name"].lower() for each in _walk(body) if each["class"] == "FUNCTION"]
        refs = [each["column_names"][0] for each in _walk(body) if each["class"] == "COLUMN_REF"]
        if _NOW.intersection(refs) or functions.unsteady.intersection(own):
            yield _unsteady(f"{name}()")
        elif any(each["class"] == "SUBQUERY" for each in _walk(body)):
            yield _has(f"{name}(), which is a subquery: leave it out")


def _unsteady(name: str) -> str:
    return (
        f"has {name}, whose result is another each time, so that a resumed run would not be "
        "the same; take such a value from a column, or make it a udf"
    )


# -- which columns it names


class _Names:
    """Resolves names as DuckDB does: without regard to case, the exact one first."""

    def __init__(self, columns: Sequence[str], table: str) -> None:
        self.columns = columns
        self._tables = {table.lower(), TABLE}
        self._folded = {name.lower(): name for name in reversed(columns)}

    def column(self, name: str) -> str | None:
        return name if name in self.columns else self._folded.get(name.lower())

    def resolve(self, parts: Sequence[str]) -> tuple[str | None, bool]:
        """The column that a reference names, and whether it is the whole of it."""
        if len(parts) > 1 and parts[0].lower() in self._tables:
            column = self.column(parts[1])
            if column is not None:
                return column, len(parts) == 2
        return self.column(parts[0]), len(parts) == 1

    def is_table(self, name: str) -> bool:
        return not name or name.lower() in self._tables


def _items(expression: Node, names: _Names) -> Iterator[Item]:
    if expression["class"] == "STAR":
        yield from _starred(expression, names)
        return
    alias = expression.get("alias") or None
    if expression["class"] == "COLUMN_REF":
        column, whole = names.resolve(expression["column_names"])
        if column is not None and whole:
            yield Item(expression, alias or column, carried=column)
            return
    yield Item(expression, alias, in_query=True)


def _starred(star: Node, names: _Names) -> Iterator[Item]:
    if not names.is_table(star["relation_name"]):
        raise QueryError(f"has {star['relation_name']}.*; a stage's only table is input")
    excluded = {_known(name, names) for name in _excluded(star)}
    replaced = {_known(each["key"], names): each["value"] for each in star["replace_list"]}
    renamed = {
        _known(_column_of(each["key"]), names): each["value"]
        for each in star.get("rename_list", [])
    }
    for column in names.columns:
        if column in excluded:
            continue
        if column in replaced:
            yield Item({**replaced[column], "alias": column}, column, in_query=True)
        else:
            reference = {
                "class": "COLUMN_REF",
                "type": "COLUMN_REF",
                "alias": renamed.get(column, ""),
                "column_names": [column],
            }
            yield Item(reference, renamed.get(column, column), carried=column, by_star=True)


def _excluded(star: Node) -> Iterator[str]:
    yield from map(_column_of, star["exclude_list"])
    yield from map(_column_of, star.get("qualified_exclude_list", []))


def _column_of(name: str | Node) -> str:
    return str(name["column"]) if isinstance(name, dict) else name


def _known(name: str, names: _Names) -> str:
    column = names.column(name)
    if column is None:
        raise QueryError(
            f"names '{name}' beside *, which is no column; there are: {', '.join(names.columns)}"
        )
    return column


def _resolved(items: Sequence[Item], names: _Names, tree: Node) -> Select:
    node = tree["statements"][0]["node"]
    computing = [item.expression for item in items if item.in_query]
    used, unknown = _references([computing, node.get("where_clause")], names)
    folded = {name.lower() for name in unknown}
    final = []
    for item in items:
        # An alias of a column that another expression refers to must stay in the query.
        if item.carried and item.name and item.name.lower() in folded:
            used.add(item.carried)
            item = replace(item, in_query=True)
        final.append(item)
    stars = [each for each in node["select_list"] if each["class"] == "STAR"]
    beside = {names.column(name) or name for star in stars for name in _excluded(star)}
    plain = {item.carried for item in items if item.carried and not item.by_star}
    return Select(
        items=tuple(final),
        used=frozenset(used),
        named=frozenset(used | plain | beside),
        unknown=tuple(unknown),
        tree=tree,
    )


def _references(parts: object, names: _Names) -> tuple[set[str], list[str]]:
    used: set[str] = set()
    unknown: list[str] = []
    for expression in _walk(parts):
        if expression["class"] == "STAR":
            used.update(names.columns)
        elif expression["class"] == "COLUMN_REF":
            column, _ = names.resolve(expression["column_names"])
            if column is None:
                unknown.append(expression["column_names"][0])
            else:
                used.add(column)
    return used, list(dict.fromkeys(unknown))
