"""Merging by key: replaced or added, once, whoever else writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lance import LanceDataset, LanceOperation, Transaction

from lancemill.sinks import open_sink
from lancemill.tables import history
from lancemill_api.sink import Sink as SinkSpec
from support.pour import Pour, pour


def rows(numbers: list[int], factor: int = 1) -> pa.Table:
    images = [None if n % 3 == 0 else bytes([n % 256]) * 70_000 for n in numbers]
    return pa.table(
        {
            "key": [f"k{n}" for n in numbers],
            "n": [n * factor for n in numbers],
            "image": pa.array(images, pa.binary()),
        }
    )


def there(folder: Path) -> dict[str, dict[str, Any]]:
    found = lance.dataset(folder / "cats.lance").to_table(blob_handling="all_binary").to_pylist()
    assert len({row["key"] for row in found}) == len(found)
    return {row["key"]: row for row in found}


def by_key(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in table.to_pylist()}


def test_known_keys_are_replaced_and_new_ones_added(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"], blobs=["image"])
    pour(sink, [rows([0, 1, 2]), rows([3])], run="a").commit()
    ids = lance.dataset(tmp_path / "cats.lance").to_table(columns=["key"], with_row_id=True)
    done = pour(sink, [rows([2, 7]), rows([3, 8, 9], 10)], run="b").commit()
    expected = by_key(rows([0, 1, 2, 7])) | by_key(rows([3, 8, 9], 10))
    assert there(tmp_path) == expected
    assert (done.rows, done.set_aside) == (5, ())
    now = lance.dataset(tmp_path / "cats.lance").to_table(columns=["key"], with_row_id=True)
    kept = dict(zip(*(ids.column(name).to_pylist() for name in ids.schema.names), strict=True))
    assert (
        kept.items()
        <= dict(
            zip(*(now.column(name).to_pylist() for name in now.schema.names), strict=True)
        ).items()
    )


def test_doing_it_twice_gives_the_same(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"])
    pour(sink, [rows([0, 1]), rows([2])], run="a").commit()
    pour(sink, [rows([0, 1]), rows([2])], run="b").commit()
    assert there(tmp_path) == by_key(rows([0, 1, 2]))


def test_an_index_finds_what_was_merged_and_not_what_was_replaced(
    open_lance: Any, tmp_path: Path
) -> None:
    sink = open_lance("upsert", key=["key"])
    pour(sink, [rows(list(range(10))), rows(list(range(10, 20)))], run="a").commit()
    uri = tmp_path / "cats.lance"
    for column in ("key", "n"):
        lance.dataset(uri).create_scalar_index(column, "BTREE")
    pour(sink, [rows([3, 12, 30], 100)], run="b").commit()
    for step in range(2):
        dataset = lance.dataset(uri)
        for where, expected in (
            ("n = 300", ["k3"]),
            ("n = 3", []),
            ("n = 1200", ["k12"]),
            ("key = 'k3'", ["k3"]),
            ("key = 'k30'", ["k30"]),
            ("n = 4", ["k4"]),
        ):
            found = dataset.to_table(columns=["key"], filter=where).column("key").to_pylist()
            assert found == expected, (step, where)
        if step == 0:
            dataset.optimize.optimize_indices()
            lance.dataset(uri).optimize.compact_files()


def test_replaced_rows_take_over_ids_in_the_order_of_the_run(
    open_lance: Any, tmp_path: Path
) -> None:
    sink = open_lance("upsert", key=["key"])
    pour(sink, [rows([0, 1, 2, 3])], run="a").commit()
    pour(sink, [rows([3, 1, 9], 10), rows([0], 10)], run="b").commit()
    found = lance.dataset(tmp_path / "cats.lance").to_table(columns=["n"], with_row_id=True)
    assert dict(zip(found["n"].to_pylist(), found["_rowid"].to_pylist(), strict=True)) == {
        2: 2,
        30: 3,
        10: 1,
        0: 0,
        90: 4,
    }
    assert found["n"].to_pylist() == [2, 30, 10, 0, 90]


def test_a_key_that_the_dataset_had_twice_is_there_once_afterwards(
    open_lance: Any, tmp_path: Path
) -> None:
    lance.write_dataset(rows([0, 1, 1, 2]), tmp_path / "cats.lance")
    pour(open_lance("upsert", key=["key"]), [rows([1, 3], 10)]).commit()
    assert {key: row["n"] for key, row in there(tmp_path).items()} == {
        "k0": 0,
        "k1": 10,
        "k2": 2,
        "k3": 30,
    }


def test_new_rows_come_in_the_order_of_the_source(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"])
    pour(sink, [rows([5])], run="a").commit()
    numbers = [5, *range(100, 400)]
    shards = [rows(numbers[start : start + 40]) for start in range(0, len(numbers), 40)]
    pour(sink, shards, run="b").commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    new = dataset.to_table(columns=["n"], filter="n >= 100").column("n").to_pylist()
    assert new == numbers[1:]


def test_rows_that_are_all_new_are_not_written_again(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"])
    run = pour(sink, [rows([0, 1]), rows([2])])
    files = {path: path.stat() for path in (tmp_path / "cats.lance" / "data").iterdir()}
    run.commit()
    assert {path: path.stat() for path in (tmp_path / "cats.lance" / "data").iterdir()} == files
    assert set(there(tmp_path)) == {"k0", "k1", "k2"}


def test_files_that_the_merge_does_not_use_are_removed(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"], blobs=["image"])
    pour(sink, [rows([0, 1, 2])], run="a").commit()
    run = pour(sink, [rows([1, 2, 4])], run="b")
    run.commit()
    data = tmp_path / "cats.lance" / "data"
    left = {str(p.relative_to(data.parent)) for p in data.rglob("*") if p.is_file()}
    assert not left & set(run.outputs[0].files)
    assert there(tmp_path) == by_key(rows([0, 1, 2, 4]))


def test_the_first_of_equal_keys_stays_and_the_others_are_told(
    open_lance: Any, tmp_path: Path
) -> None:
    sink = open_lance("upsert", key=["key"])
    first = pa.table({"key": ["a", "b", "a"], "n": [1, 2, 3]})
    second = pa.table({"key": pa.array(["b", None, "c"]), "n": [4, 5, 6]})
    run = pour(sink, [first, second])
    done = run.commit()
    assert {key: row["n"] for key, row in there(tmp_path).items()} == {"a": 1, "b": 2, "c": 6}
    told = [(row["key"], row["reason"]) for row in done.set_aside]
    assert told == [("None", "NullKey"), ("a", "DuplicateKey"), ("b", "DuplicateKey")]
    assert run.committed().set_aside == done.set_aside  # type: ignore[union-attr]


def test_columns_that_the_run_does_not_make_keep_their_values(
    open_lance: Any, tmp_path: Path
) -> None:
    pour(open_lance("upsert", key=["key"], blobs=["image"]), [rows([0, 1, 2])], run="a").commit()
    some = rows([2, 5], 10).select(["n", "key"])
    pour(open_lance("upsert", key=["key"]), [some], run="b").commit()
    found = there(tmp_path)
    assert (found["k2"]["n"], found["k2"]["image"]) == (20, rows([2]).column("image")[0].as_py())
    assert (found["k5"]["n"], found["k5"]["image"]) == (50, None)


def test_a_key_of_several_columns(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["a", "b"])
    first = pa.table({"a": [1, 1], "b": ["x", "y"], "n": [1, 2]})
    pour(sink, [first], run="a").commit()
    pour(sink, [pa.table({"a": [1, 2], "b": ["y", "x"], "n": [3, 4]})], run="b").commit()
    found = lance.dataset(tmp_path / "cats.lance").to_table().sort_by("n").to_pylist()
    assert [(row["a"], row["b"], row["n"]) for row in found] == [
        (1, "x", 1),
        (1, "y", 3),
        (2, "x", 4),
    ]


def test_a_key_that_another_writer_adds_during_the_merge_is_there_once(
    open_lance: Any, tmp_path: Path
) -> None:
    pour(open_lance("upsert", key=["key"]), [rows([0])], run="a").commit()
    sink = open_lance("upsert", key=["key"])
    run = pour(sink, [rows([0, 1, 2])], run="b")
    uri = str(tmp_path / "cats.lance")

    def another(point: str) -> None:
        if point == "proposed" and lance.dataset(uri).count_rows() == 1:
            lance.dataset(uri).insert(rows([1, 7], 100))

    sink.checkpoint = another
    run.commit()
    assert {key: row["n"] for key, row in there(tmp_path).items()} == {
        "k0": 0,
        "k1": 1,
        "k2": 2,
        "k7": 700,
    }


def overtaken(open_lance: Any, also: Callable[[str], None]) -> Pour:
    """A merge of k1 = 1, during whose commit another one adds k1 = 100; `also` follows both."""
    pour(open_lance("upsert", key=["key"]), [rows([0])], run="a").commit()
    sink = open_lance("upsert", key=["key"])
    run = pour(sink, [rows([1], 1)], run="b")

    def another(point: str) -> None:
        if point == "proposed" and lance.dataset(sink.uri).count_rows() == 1:
            pour(open_lance("upsert", key=["key"]), [rows([1], 100)], run="c").commit()
        also(point)

    sink.checkpoint = another
    return run


@pytest.mark.parametrize("compacted", [False, True])
def test_a_key_that_another_merge_adds_meanwhile_is_there_once(
    open_lance: Any, tmp_path: Path, compacted: bool
) -> None:
    def compact(point: str) -> None:
        if point == "proposed" and compacted:
            lance.dataset(tmp_path / "cats.lance").optimize.compact_files()

    overtaken(open_lance, compact).commit()
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 2
    assert {key: row["n"] for key, row in there(tmp_path).items()} == {"k0": 0, "k1": 1}


def test_what_replaced_a_doubled_key_later_stays_when_its_merge_is_resumed(
    open_lance: Any, tmp_path: Path
) -> None:
    def die(point: str) -> None:
        if point == "committed":
            raise KeyboardInterrupt

    run = overtaken(open_lance, die)
    with pytest.raises(KeyboardInterrupt):
        run.commit()
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 3
    pour(open_lance("upsert", key=["key"]), [rows([1], 7)], run="d").commit()
    run.sink.checkpoint = lambda _: None  # type: ignore[attr-defined]
    assert run.commit().already
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 2
    assert {key: row["n"] for key, row in there(tmp_path).items()} == {"k0": 0, "k1": 7}


def test_the_key_is_lances_own_primary_key(open_lance: Any, tmp_path: Path) -> None:
    pour(open_lance("upsert", key=["key"]), [rows([0])])
    field = lance.dataset(tmp_path / "cats.lance").schema.field("key")
    assert not field.nullable
    assert field.metadata[b"lance-schema:unenforced-primary-key"] == b"true"


def test_a_merge_doubled_by_a_lost_race_is_taken_back(open_lance: Any, tmp_path: Path) -> None:
    sink = open_lance("upsert", key=["key"])
    pour(sink, [rows([0])], run="a").commit()
    run = pour(sink, [rows([1, 1, 2])], run="b")
    uri = str(tmp_path / "cats.lance")
    old = lance.dataset(uri)
    nothing = history.History((), True)
    for _ in range(2):
        made = sink._propose(run.ref, run.outputs, run.schema, run.base, old, nothing)
        said = {**made.properties, **history.made_by(run.ref), "lancemill.read": str(old.version)}
        LanceDataset.commit(
            uri, Transaction(old.version, made.operation, transaction_properties=said)
        )
    assert lance.dataset(uri).count_rows() == 5
    assert run.commit().already
    assert set(there(tmp_path)) == {"k0", "k1", "k2"}
    assert isinstance(made.operation, LanceOperation.Append)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    runs=st.lists(
        st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_any_merges_give_what_a_dictionary_gives(
    runs: list[list[list[int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    expected: dict[str, int] = {}
    for number, shards in enumerate(runs):
        spec = {"lance": {"uri": "cats.lance", "mode": "upsert", "key": ["key"]}}
        sink = open_sink(SinkSpec.model_validate(spec), {}, base=folder)
        numbers = iter(range(100))
        tables = [
            pa.table(
                {
                    "key": pa.array([f"k{n}" for n in shard], pa.string()),
                    "n": pa.array([1000 * number + next(numbers) for _ in shard], pa.int64()),
                }
            )
            for shard in shards
        ]
        pour(sink, tables, run=f"r{number}").commit()
        this: dict[str, int] = {}
        for row in pa.concat_tables(tables).to_pylist():
            this.setdefault(row["key"], row["n"])
        expected |= this
    assert {key: row["n"] for key, row in there(folder).items()} == expected
