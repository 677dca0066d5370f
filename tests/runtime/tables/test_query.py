"""SQL over rows that are not a table: right for every type, reading what it must."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from lancemill.errors import RunError, StorageError
from lancemill.media.types import IMAGE, tensor
from lancemill.sinks import open_sink
from lancemill.tables.query import check_query, query
from lancemill_api.sink import Sink as SinkSpec
from support.pour import pour

PICTURES = tensor(200, 200, 3)
WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def every_type() -> pa.Table:
    picture = {"data": b"p", "height": 1, "width": 1, "channels": 1}
    pixels = pa.array([[1] * 120_000, None, [2] * 120_000], PICTURES.storage_type)
    return pa.table(
        {
            "key": ["a", "b", "c"],
            "n": pa.array([1, None, 3], pa.int32()),
            "bytes": pa.array([b"x" * 10, None, b""], pa.binary()),
            "blob": pa.array([b"y" * 70_000, None, b""], pa.binary()),
            "vector": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
            "half": pa.array([1.5, None, 2.5], pa.float16()),
            "pixels": pa.ExtensionArray.from_storage(PICTURES, pixels),
            "picture": pa.array([picture, None, picture], IMAGE),
            "list": [["a"], None, []],
            "taken": pa.array([WHEN, None, WHEN], pa.timestamp("us", "UTC")),
        }
    )


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("staged")
    spec = {"lance": {"uri": "cats.lance", "blobs": ["blob"]}}
    sink = open_sink(SinkSpec.model_validate(spec), {}, base=folder)
    table = every_type()
    return pour(sink, [table.slice(0, 1), table.slice(1)]).stage()


@pytest.mark.parametrize("name", every_type().schema.names)
def test_null_is_found_in_a_column_of_every_type(staged: Any, name: str) -> None:
    missing = 1 if every_type().column(name).null_count else 0
    for sql, expected in (
        (f"select count(*) from output where {name} is null", missing),
        (f"select count(*) from output where {name} is not null", 3 - missing),
        (f"select count({name}) from output", 3 - missing),
        (f"select count(*) filter (where {name} is null) from output", missing),
        (f"select sum(({name} is null)::int) from output", missing),
    ):
        assert staged.query(sql).column(0).to_pylist() == [expected], sql


@pytest.mark.parametrize("name", every_type().schema.names)
def test_values_of_every_type_come_out(staged: Any, name: str) -> None:
    found = staged.query(f"select {name} from output").column(0).to_pylist()
    expected = every_type().column(name)
    if name == "pixels":
        expected = expected.combine_chunks().storage
    assert found == expected.to_pylist()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select octet_length(blob) from output order by key", [70_000, None, 0]),
        ("select count(*) from (select * from output where blob = ''::blob)", [1]),
        ("select a.key from output a join output b on a.n = b.n order by 1", ["a", "c"]),
        ("with o as (select * from output) select max(n) from o", [3]),
        ("select count(distinct blob) from output", [2]),
        ("select picture.width from output where picture is not null", [1, 1]),
        ("from output select output.key where n = 3 or vector is null", ["b", "c"]),
        ("select first(o.key) from output o where half > 2", ["c"]),
        ("select count(*) from output natural join (select 'a' as key)", [1]),
    ],
)
def test_queries_of_many_forms_are_right(staged: Any, sql: str, expected: list[Any]) -> None:
    assert staged.query(sql).column(0).to_pylist() == expected


def test_the_first_rows_have_their_blobs_as_bytes(staged: Any) -> None:
    head = staged.head(2, ["key", "blob"])
    assert head.to_pydict() == {"key": ["a", "b"], "blob": [b"y" * 70_000, None]}
    assert staged.head(1).schema.names == every_type().schema.names
    assert staged.rows == 3


@dataclass
class Watched:
    """Rows that remember what was asked of them."""

    table: pa.Table
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def scan(
        self, columns: Sequence[str], only_nulls: Collection[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        self.asked.append((tuple(columns), tuple(only_nulls)))
        yield from self.table.select(list(columns)).to_batches(max_chunksize=1)


@pytest.mark.parametrize(
    ("sql", "columns", "only_nulls"),
    [
        ("select count(*) from output", ["half"], ["half"]),
        ("select key from output where n > 1", ["key", "n"], []),
        ("select count(*) from output where blob is null", ["blob"], ["blob"]),
        ("select count(blob), sum(n) from output", ["blob", "n"], ["blob"]),
        ("select count(distinct blob) from output", ["blob"], []),
        ("select octet_length(blob) from output where blob is not null", ["blob"], []),
        ("select * exclude (blob, pixels, picture) from output where n = 1", None, []),
        ("select key from (select * from output)", ["key"], []),
    ],
)
def test_only_what_a_query_needs_is_read(
    sql: str, columns: list[str] | None, only_nulls: list[str]
) -> None:
    rows = Watched(every_type())
    query(sql, rows)
    ((read, nulls),) = rows.asked
    if columns is None:
        assert not {"blob", "pixels", "picture"} & set(read)
    else:
        assert sorted(read) == sorted(columns)
    assert sorted(nulls) == sorted(only_nulls)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select getenv('HOME')",
    ],
)
def test_a_query_reaches_nothing_but_the_rows(staged: Any, sql: str) -> None:
    with pytest.raises(RunError):
        staged.query(sql)


def test_an_error_is_told_in_one_line(staged: Any) -> None:
    with pytest.raises(RunError) as raised:
        staged.query("select error('no such cat') from output")
    assert str(raised.value) == "query 'select error('no such cat') from output': no such cat"


def test_rows_that_cannot_be_read_are_told_as_what_they_are() -> None:
    class Broken(Watched):
        def scan(self, *_: Any, **__: Any) -> Iterator[pa.RecordBatch]:
            yield from super().scan(["n"])
            raise StorageError("lake: the bucket is gone")

    with pytest.raises(StorageError, match=r"^lake: the bucket is gone$"):
        query("select sum(n) from output", Broken(every_type()))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select count(*) from output where pixels is null", None),
        ("select count(blob), avg(vector[1]) from output", None),
        ("from output", None),
        (
            "select imag from output",
            'Referenced column "imag" not found in FROM clause! Candidate bindings:',
        ),
        ("select count(* from output", 'syntax error at or near "from"'),
        ("select count(*) from outputs", "Table with name outputs does not exist!"),
        ("select 1; select 2", "has 2 statements, expected one select"),
        ("", "has 0 statements, expected one select"),
        ("drop table output", "is a DROP statement, expected a select"),
        ("copy output to 'x.csv'", "is a COPY statement, expected a select"),
        ("select sum(key) from output", "No function matches the given name"),
        ("select * from read_csv('x.csv')", "Cannot access"),
    ],
)
def test_a_query_is_checked_before_there_are_rows(
    staged: Any, sql: str, message: str | None
) -> None:
    found = check_query(sql, staged.schema)
    if message is None:
        assert found is None
    else:
        assert found is not None and message in found and "\n" not in found


def test_a_blob_column_is_checked_as_bytes(tmp_path: Path) -> None:
    schema = pa.schema([lance.blob_field("image")])
    assert check_query("select octet_length(image) from output", schema) is None
