"""How DuckDB is told to read CSV and JSON, and how what it finds wrong is told to people."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lancemill.errors import StorageError

if TYPE_CHECKING:
    import duckdb

SEPARATORS = ",\t;|"
MAX_RECORD_BYTES = 64 << 20
"""Of one line or JSON record: DuckDB keeps buffers of this size."""


def csv_rows(
    con: duckdb.DuckDBPyConnection, files: Mapping[Path, str], *, lines: bool = False
) -> duckdb.DuckDBPyRelation:
    """The rows of CSV files whose first line names the columns. `files`: how users know them.

    The separator is the one that the first line has most of: left to find it, DuckDB takes a file
    with one malformed line for a file of one column. Numbers that would not be what was written
    stay text: 007 is the name of a thing and not 7, 1e400 is more than a double holds, and whole
    numbers beyond 128 bits have no type in Arrow.
    """
    del lines
    # An empty file has no column; DuckDB gives it one of its own making.
    paths = [path for path in files if _has_text(path)] or list(files)
    separator = _common_separator(paths, files)
    # Where no comment is named, DuckDB takes rows that begin with # for comments, and drops them.
    fixed = f"delim = {_quoted(separator)}, header = true, quote = '\"', escape = '\"'"
    fixed += ", comment = ''"
    options = f"{fixed}, skip = 0, union_by_name = true, max_line_size = {MAX_RECORD_BYTES}"
    found = _sql(con, "read_csv", paths, f"{options}, sample_size = -1")
    kinds = {name: str(kind) for name, kind in zip(found.columns, found.types, strict=True)}
    numbers = [name for name, kind in kinds.items() if kind in ("BIGINT", "DOUBLE", "HUGEINT")]
    names = [name for name, kind in kinds.items() if kind == "BIGNUM"]
    if numbers:
        text = _sql(con, "read_csv", paths, f"{options}, all_varchar = true")
        altered = text.aggregate(", ".join(map(_altered, numbers))).fetchall()[0]
        names += [name for name, is_altered in zip(numbers, altered, strict=True) if is_altered]
    if not names:
        return found
    types = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names)
    return _sql(con, "read_csv", paths, f"{options}, sample_size = -1, types = {{{types}}}")


def _altered(column: str) -> str:
    """SQL over a column's text: whether it would be another text for some row as a number."""
    name = _name(column)
    padded = f"regexp_matches({name}, '^[+-]?0[0-9]')"
    too_large = f"isinf(try_cast({name} AS DOUBLE)) AND regexp_matches({name}, '[0-9]')"
    return f"bool_or({padded} OR coalesce({too_large}, false))"


def json_rows(
    con: duckdb.DuckDBPyConnection, files: Mapping[Path, str], *, lines: bool
) -> duckdb.DuckDBPyRelation:
    """The records of JSON files: one a line, or an array (or a single one) for a file."""
    kind = "newline_delimited" if lines else "auto"
    options = f"format = '{kind}', sample_size = -1, union_by_name = true"
    return _sql(
        con, "read_json", list(files), f"{options}, maximum_object_size = {MAX_RECORD_BYTES}"
    )


def malformed(message: str, kind: str, names: Mapping[Path, str]) -> StorageError:
    """The error for files that could not be read. `names`: how users know the files."""
    path = next((path for path in names if str(path) in message), next(iter(names)))
    where = names[path]
    if kind == "jsonl":
        line = _first_bad_line(path)
        if line is not None:
            return StorageError(
                f"{where}: line {line[0]} is no JSON record ({line[1]})",
                remedy="correct or remove that line; format json is for one record over many lines",
            )
    if kind == "csv":
        row = _first_uneven_row(path)
        if row is not None:
            number, columns, expected = row
            return StorageError(
                f"{where}: line {number} has {columns} values, the first line names {expected}",
                remedy="correct or remove that line; quote values that hold the separator",
            )
    return StorageError(
        f"{where}: no readable {kind} ({_reason(message)})",
        remedy="check the file, and that spec.source.table.format is right",
    )


def _sql(
    con: duckdb.DuckDBPyConnection, function: str, paths: Sequence[Path], options: str
) -> duckdb.DuckDBPyRelation:
    files = ", ".join(_quoted(_literal(path)) for path in paths)
    return con.sql(f"SELECT * FROM {function}([{files}], {options})")


def _literal(path: Path) -> str:
    """A path that DuckDB does not take for a glob."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _common_separator(paths: Sequence[Path], names: Mapping[Path, str]) -> str:
    """The separator of all files; one of a single column has none, and fits any."""
    firsts: dict[str, Path] = {}
    for path in paths:
        separator = _separator(path)
        if separator is not None:
            firsts.setdefault(separator, path)
    if len(firsts) > 1:
        (one, first), (other, second) = list(firsts.items())[:2]
        raise StorageError(
            f"{names[second]}: the first line is separated by {_shown(other)}, that of "
            f"{names[first]} by {_shown(one)}",
            remedy="write them with one separator, or read them by two pipelines",
        )
    return next(iter(firsts), ",")


def _shown(separator: str) -> str:
    return "tab" if separator == "\t" else f"'{separator}'"


def _separator(path: Path) -> str | None:
    """What the first line has most of; None where it has none of them."""
    with _text(path) as file:
        first = file.readline(1 << 20)
    unquoted = re.sub(r'"[^"]*"', "", first)
    best = max(SEPARATORS, key=lambda separator: unquoted.count(separator))
    return best if best in unquoted else None


def _has_text(path: Path) -> bool:
    with _text(path) as file:
        return any(line.strip() for line in file)


def _text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def _first_bad_line(path: Path) -> tuple[int, str] | None:
    """DuckDB counts a record that lacks its end as part of the next line."""
    with _text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                json.loads(line)
            except ValueError as error:
                return number, str(error).split(": line")[0]
    return None


def _first_uneven_row(path: Path) -> tuple[int, int, int] | None:
    """DuckDB may give up on such a file before it knows which line is to blame."""
    with _text(path) as file:
        rows = csv.reader(file, delimiter=_separator(path) or ",")
        expected = len(next(rows, []))
        try:
            for row in rows:
                if row and len(row) != expected:
                    return rows.line_num, len(row), expected
        except csv.Error:
            return None
    return None


def _reason(message: str) -> str:
    text = re.sub(r"^(\w+ )*(Error|Exception): ", "", message.strip())
    lines: Iterator[str] = (line.strip() for line in text.splitlines())
    reason = next((line for line in lines if line), "unknown")
    return reason if len(reason) <= 200 else reason[:199] + "…"
