"""Parquet and JSON lines: one object, whole or not at all, in source order."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.sinks import json_values, open_sink
from lancemill.sinks.sink import Committed
from lancemill_api.sink import Sink as SinkSpec
from support.pour import Pour, pour

KINDS = ("parquet", "jsonl")
TENSOR = pa.fixed_shape_tensor(pa.uint8(), [2, 3])
WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=datetime.UTC)


def rows(start: int, stop: int) -> pa.Table:
    numbers = list(range(start, stop))
    pixels = pa.array([[n] * 6 if n % 4 else None for n in numbers], TENSOR.storage_type)
    return pa.table(
        {
            "key": pa.array([f"ä{n}" for n in numbers], pa.string()),
            "n": pa.array(numbers, pa.int64()),
            "image": pa.array([bytes([n]) if n % 3 else None for n in numbers], pa.binary()),
            "pixels": pa.ExtensionArray.from_storage(TENSOR, pixels),
            "taken": pa.array([WHEN for _ in numbers], pa.timestamp("us", "UTC")),
        }
    )


def sink_at(folder: Path, kind: str, **fields: Any) -> Any:
    spec = {kind: {"uri": f"cats.{kind}", **fields}}
    return open_sink(SinkSpec.model_validate(spec), {}, base=folder)


def read(folder: Path, kind: str) -> pa.Table:
    path = folder / f"cats.{kind}"
    if kind == "parquet":
        return pq.read_table(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    schema = rows(0, 1).schema
    columns = [json_values.from_json([x[f.name] for x in lines], f.type) for f in schema]
    return pa.table(columns, schema=schema)


@pytest.mark.parametrize("kind", KINDS)
def test_the_object_has_all_rows_in_order_and_no_part_is_left(tmp_path: Path, kind: str) -> None:
    run = pour(sink_at(tmp_path, kind), [rows(0, 5), rows(5, 5), rows(5, 9)])
    assert not (tmp_path / f"cats.{kind}").exists()
    assert [len(output.files) for output in run.outputs] == [1, 0, 1]
    assert run.commit() == Committed(version=None, rows=9)
    assert read(tmp_path, kind) == rows(0, 9)
    assert not list((tmp_path / f"cats.{kind}.runs").rglob(f"*.{kind}"))
    assert run.committed() == Committed(version=None, rows=9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["proposed", "committed", "settled"])
def test_a_commit_that_ends_anywhere_is_finished_by_the_next_attempt(
    tmp_path: Path, kind: str, point: str
) -> None:
    run = pour(sink_at(tmp_path, kind), [rows(0, 5), rows(5, 9)])

    class Dead(BaseException):
        pass

    def die(here: str) -> None:
        if here == point:
            raise Dead

    run.sink.checkpoint = die  # type: ignore[attr-defined]
    with pytest.raises(Dead):
        run.commit()
    again = Pour(sink_at(tmp_path, kind), run.schema, run.ref, run.base, run.outputs)
    assert again.commit().already == (point == "settled")
    assert read(tmp_path, kind) == rows(0, 9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_does_not_replace_a_later_ones_object(tmp_path: Path, kind: str) -> None:
    first = pour(sink_at(tmp_path, kind), [rows(0, 2)], run="a")
    first.commit()
    pour(sink_at(tmp_path, kind), [rows(5, 9)], run="b").commit()
    assert first.commit().already
    assert read(tmp_path, kind) == rows(5, 9)
    assert sink_at(tmp_path, kind).last_run("cats") == "b"
    assert sink_at(tmp_path, kind).last_run("dogs") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_that_stood_still_does_not_replace_a_later_runs_object(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = pour(sink_at(tmp_path, kind), [rows(0, 2)], run="a")
    quick = Pour(sink_at(tmp_path, kind), slow.schema, slow.ref, slow.base, slow.outputs)
    join = type(slow.sink.format).join  # type: ignore[attr-defined]

    def stand_still(*given: Any) -> None:
        monkeypatch.setattr(type(given[0]), "join", join)
        join(*given)
        quick.commit()
        pour(sink_at(tmp_path, kind), [rows(5, 9)], run="b").commit()

    monkeypatch.setattr(type(slow.sink.format), "join", stand_still)  # type: ignore[attr-defined]
    assert slow.commit() == Committed(version=None, rows=2, already=True)
    assert read(tmp_path, kind) == rows(5, 9)
    assert sink_at(tmp_path, kind).last_run("cats") == "b"


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_writer_that_died_are_removed_with_the_others(tmp_path: Path, kind: str) -> None:
    pour(sink_at(tmp_path, kind), [rows(0, 2)], run="a")
    pour(sink_at(tmp_path, kind), [rows(0, 2)], run="a").commit()
    assert list((tmp_path / f"cats.{kind}.runs" / "a" / "parts").iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_join_leaves_the_old_object(tmp_path: Path, kind: str) -> None:
    pour(sink_at(tmp_path, kind), [rows(0, 2)], run="a").commit()
    run = pour(sink_at(tmp_path, kind), [rows(5, 7), rows(7, 9)], run="b")
    run.sink.discard(run.outputs[1:], run.base)
    with pytest.raises(Exception, match="cats"):
        run.commit()
    assert read(tmp_path, kind) == rows(0, 2)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"cats.{kind}", f"cats.{kind}.runs"}


@pytest.mark.parametrize("kind", KINDS)
def test_staged_rows_can_be_queried_and_looked_at(tmp_path: Path, kind: str) -> None:
    staged = pour(sink_at(tmp_path, kind), [rows(0, 5), rows(5, 9)]).stage()
    assert staged.rows == 9
    assert staged.query("select count(*) c, max(n) n from output").to_pylist() == [{"c": 9, "n": 8}]
    found = staged.query("select n from output where image is null or pixels is null")
    assert found.column("n").to_pylist() == [0, 3, 4, 6, 8]
    assert staged.query("select max(taken) from output").column(0)[0].as_py() == WHEN
    assert staged.head(6) == rows(0, 6)
    assert staged.head(1, ["n", "key"]).to_pylist() == [{"n": 0, "key": "ä0"}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_never_null_can_be_looked_at(tmp_path: Path, kind: str) -> None:
    schema = pa.schema([pa.field("key", pa.string(), nullable=False), ("n", pa.int64())])
    given = pa.table({"key": ["a", "b"], "n": [1, None]}, schema)
    staged = pour(sink_at(tmp_path, kind), [given]).stage()
    assert staged.head(2) == given
    assert staged.query("select count(key) as n from output").to_pylist() == [{"n": 2}]


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_make_an_object_without_rows(tmp_path: Path, kind: str) -> None:
    pour(sink_at(tmp_path, kind), [rows(0, 0)]).commit()
    assert read(tmp_path, kind).num_rows == 0


def test_a_parquet_file_says_which_run_made_it(tmp_path: Path) -> None:
    pour(sink_at(tmp_path, "parquet"), [rows(0, 2)], run="7f3a").commit()
    said = pq.read_metadata(tmp_path / "cats.parquet").metadata
    assert said[b"lancemill.run"] == b"7f3a"


def test_duckdb_reads_the_objects_as_an_outsider(tmp_path: Path) -> None:
    for kind in KINDS:
        pour(sink_at(tmp_path, kind), [rows(0, 5)]).commit()
    with duckdb.connect() as database:
        sql = f"select key, image from '{tmp_path}/cats.parquet' where n = 4"
        assert database.sql(sql).fetchall() == [("ä4", b"\x04")]
        sql = f"select key, from_base64(image) from '{tmp_path}/cats.jsonl' where n = 4"
        assert database.sql(sql).fetchall() == [("ä4", b"\x04")]


def test_values_are_written_as_json_has_them(tmp_path: Path) -> None:
    nested = pa.struct([("a", pa.int8()), ("b", pa.list_(pa.float64()))])
    table = pa.table(
        {
            "float": [1.5, float("nan"), float("-inf")],
            "struct": pa.array([{"a": 1, "b": [1.0, None]}, None, {"a": None, "b": []}], nested),
            "day": [datetime.date(2026, 1, 2), None, None],
            "price": [decimal.Decimal("1.50"), None, None],
            "wall": pa.array([1, None, None], pa.timestamp("ns")),
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
            "kind": pa.array(["x", None, "x"]).dictionary_encode(),
        }
    )
    pour(sink_at(tmp_path, "jsonl"), [table]).commit()
    first, second, third = map(json.loads, (tmp_path / "cats.jsonl").read_text().splitlines())
    assert first == {
        "float": 1.5,
        "struct": {"a": 1, "b": [1.0, None]},
        "day": "2026-01-02",
        "price": "1.50",
        "wall": "1970-01-01T00:00:00.000000001",
        "map": [["k", 1]],
        "kind": "x",
    }
    assert set(second.values()) == {None}
    assert (third["float"], third["struct"]) == (None, {"a": None, "b": []})


def test_times_with_a_zone_are_written_in_utc() -> None:
    paris = pa.array([WHEN, None], pa.timestamp("us", "Europe/Paris"))
    fixed = pa.array([WHEN], pa.timestamp("us", "+01:00"))
    assert json_values.to_json(paris) == ["2026-01-02T03:04:05.000600Z", None]
    assert json_values.to_json(fixed) == ["2026-01-02T03:04:05.000600Z"]
    assert json_values.from_json(json_values.to_json(paris), paris.type) == paris


def test_what_json_cannot_hold_is_told_by_its_column(tmp_path: Path) -> None:
    months = pa.month_day_nano_interval()
    union = pa.sparse_union([pa.field("a", pa.int8())])
    kinds = {"key": pa.string(), "span": months, "deep": pa.list_(pa.struct([("u", union)]))}
    schema = pa.schema([*kinds.items(), ("good", pa.map_(pa.string(), pa.time64("ns")))])
    told = [str(mistake) for mistake in sink_at(tmp_path, "jsonl").fit(schema)]
    assert [line.split(" is ")[0] for line in told] == [
        "spec.sink.jsonl  'span'",
        "spec.sink.jsonl  'deep'",
    ]
    assert sink_at(tmp_path, "parquet").fit(schema) == []


TYPES = st.recursive(
    st.sampled_from(
        [
            *(pa.int8(), pa.uint64(), pa.float32(), pa.bool_(), pa.string(), pa.large_binary()),
            *(pa.timestamp("us", "UTC"), pa.date32(), TENSOR),
            *(pa.time32("s"), pa.time64("ns"), pa.duration("ms")),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda kind: pa.list_(kind, 2)),
        inner.map(lambda kind: pa.map_(pa.string(), kind)),
        st.lists(inner, min_size=1, max_size=2).map(
            lambda kinds: pa.struct([(f"f{i}", kind) for i, kind in enumerate(kinds)])
        ),
    ),
    max_leaves=3,
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of `kind` as `to_json` writes them."""
    if kind == TENSOR:
        row = st.lists(st.integers(0, 255), min_size=3, max_size=3)
        found: st.SearchStrategy[Any] = st.lists(row, min_size=2, max_size=2)
    elif pa.types.is_struct(kind):
        found = st.fixed_dictionaries({one.name: values_of(one.type) for one in kind})
    elif pa.types.is_fixed_size_list(kind):
        found = st.lists(values_of(kind.value_type), min_size=2, max_size=2)
    elif pa.types.is_map(kind):
        pair = st.tuples(st.text(st.characters(codec="utf-8")), values_of(kind.item_type))
        found = st.lists(pair.map(list), max_size=3)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        found = st.lists(values_of(kind.value_type), max_size=3)
    else:
        found = {
            pa.int8(): st.integers(-128, 127),
            pa.uint64(): st.integers(0, 2**64 - 1),
            pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False),
            pa.bool_(): st.booleans(),
            pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
            pa.large_binary(): st.sampled_from(["", "AA==", "AAECAw=="]),
            pa.timestamp("us", "UTC"): st.just("2026-01-02T03:04:05.000600Z"),
            pa.date32(): st.just("2026-01-02"),
            pa.time32("s"): st.sampled_from(["00:00:00", "23:59:59"]),
            pa.time64("ns"): st.just("00:20:34.567890123"),
            pa.duration("ms"): st.integers(-(2**63) + 1, 2**63 - 1).map(str),
        }[kind]
    return st.none() | found


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=TYPES)
def test_what_json_says_is_what_arrow_had(data: Any, kind: pa.DataType) -> None:
    values = data.draw(st.lists(values_of(kind), max_size=5))
    array = json_values.from_json(values, kind)
    array.validate(full=True)
    assert array.type == kind
    assert json_values.to_json(array) == values
    if len(values) > 1:
        assert json_values.to_json(array.slice(1)) == values[1:]
