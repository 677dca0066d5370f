"""`source.objects.where`: SQL on an object's metadata, checked before anything is listed.

The user's SQL runs in a DuckDB of its own that can reach nothing: no files, no network, no
extensions, no settings, and no table but the object table's rows.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lancemill.errors import StorageError
from lancemill.sources.listing import SCHEMA

if TYPE_CHECKING:
    import duckdb

_TABLE = "objects"


def check_where(sql: str) -> str | None:
    """What is wrong with the condition `sql`, in one line; None when it can be used."""
    import duckdb

    if not sql.strip():
        return "it is empty, expected a condition"
    con = _closed_duckdb()
    con.register(_TABLE, _unknown_row())
    try:
        # The line break ends a comment at the end of the user's SQL.
        con.execute(f"SELECT 1 FROM {_TABLE} WHERE ({sql}\n)").fetchall()
        kind = con.execute(f"DESCRIBE SELECT ({sql}\n) FROM {_TABLE}").fetchall()[0][1]
        statement = f"SELECT * FROM {_TABLE} WHERE ({sql}\n)"
        parsed = con.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()[0][0]
    except duckdb.Error as error:
        return _told(str(error))
    finally:
        con.close()
    if "SUBQUERY" in _classes(json.loads(parsed)):
        return "subqueries are not possible here: there is only the object's own row"
    if kind != "BOOLEAN":
        return f"it is {kind}, expected a condition (BOOLEAN)"
    return None


def where_filter(sql: str) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """A function that keeps a batch's rows for which `sql` holds, in order."""
    import duckdb

    con = _closed_duckdb()

    def kept(batch: pa.RecordBatch) -> pa.RecordBatch:
        con.register(_TABLE, pa.Table.from_batches([batch]))
        try:
            # One thread keeps the rows' order, so that the answers fit the batch.
            answers = con.execute(f"SELECT coalesce(({sql}\n), false) AS kept FROM {_TABLE}")
            mask = answers.fetchnumpy()["kept"]
        except duckdb.Error as error:
            raise StorageError(f"spec.source.objects.where: {_told(str(error))}") from None
        finally:
            con.unregister(_TABLE)
        return batch.filter(pa.array(mask, pa.bool_()))

    return kept


def _closed_duckdb() -> duckdb.DuckDBPyConnection:
    import duckdb

    con = duckdb.connect(
        ":memory:",
        config={
            "threads": 1,
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        },
    )
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET lock_configuration = true")
    return con


def _unknown_row() -> pa.Table:
    """A row to try the condition on: some mistakes (`size > '1k'`) show only when it runs. All of
    it is null, so that only what the condition itself says can be wrong, no made-up key."""
    return pa.table([pa.nulls(1, one.type) for one in SCHEMA], names=SCHEMA.names)


def _classes(node: Any) -> Iterator[str]:
    """The class of every expression in DuckDB's serialised syntax tree."""
    if isinstance(node, dict):
        if isinstance(node.get("class"), str):
            yield node["class"]
        for child in node.values():
            yield from _classes(child)
    elif isinstance(node, list):
        for child in node:
            yield from _classes(child)


def _told(message: str) -> str:
    unknown = re.search(r'Referenced column "([^"]+)" not found', message)
    if unknown:
        near = difflib.get_close_matches(unknown[1], SCHEMA.names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"there is no column '{unknown[1]}'; {hint}there are: {', '.join(SCHEMA.names)}"
    if "disabled by configuration" in message or "disabled through configuration" in message:
        return "it may use the object's metadata only, no files, network or extensions"
    return re.sub(r"^\w+ Error: ", "", message.strip().splitlines()[0])
