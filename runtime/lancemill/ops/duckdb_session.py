"""A DuckDB that can do nothing but compute, and what it knows about its own functions.

Queries come with manifests: no files, no network, no extensions, no variables of this process, and
a configuration that cannot be changed back. One thread and no optimizer, so that rows keep their
order and a plan has just the operators that the query asks for (the optimizer turns `in (…)` into
a join). Each thread has an instance of its own: a cursor would not take over these settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CLOSED_IN: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "threads": "1",
}
_SETTINGS = (
    "PRAGMA disable_optimizer",
    "SET TimeZone = 'UTC'",
    "SET lock_configuration = true",
)


def connect() -> DuckDBPyConnection:
    """A fresh, empty, locked instance in memory (about 20 ms)."""
    import duckdb

    connection = duckdb.connect(":memory:", config=_CLOSED_IN)
    for setting in _SETTINGS:
        connection.execute(setting)
    return connection


@dataclass(frozen=True, slots=True)
class Functions:
    """DuckDB's functions by what matters to a query that works on one row at a time."""

    aggregates: frozenset[str]
    windows: frozenset[str]
    unsteady: frozenset[str]
    """Those that may give another result tomorrow, or for the same row in another batch."""
    macros: dict[str, str]
    """Scalar macros and the expression that each stands for."""


@cache
def functions() -> Functions:
    """The functions of the installed DuckDB, asked once in a process."""
    connection = connect()
    rows = connection.execute(
        "select function_name, function_type, coalesce(stability, 'CONSISTENT'), macro_definition"
        " from duckdb_functions()"
    ).fetchall()
    connection.close()
    scalars = {name for name, kind, _, _ in rows if kind in ("scalar", "macro")}

    def of_kind(wanted: str) -> frozenset[str]:
        return frozenset(name for name, kind, _, _ in rows if kind == wanted) - scalars

    return Functions(
        aggregates=of_kind("aggregate"),
        windows=of_kind("window"),
        unsteady=frozenset(
            name for name, kind, stable, _ in rows if kind == "scalar" and stable != "CONSISTENT"
        )
        - {"error"},
        macros={name: body for name, kind, _, body in rows if kind == "macro" and body},
    )
