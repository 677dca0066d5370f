"""Tables as sources: Parquet and Lance where they lie, text read once."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.errors import PlanError, StorageError
from support.servers import S3Server

from .given import batches, rows, table


def parquet(path: Path, start: int, stop: int, group: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = pa.array([f"row {n}" for n in range(start, stop)], pa.string())
    made = pa.table({"n": pa.array(range(start, stop), pa.int64()), "text": text})
    pq.write_table(made, path, row_group_size=group)


class TestParquet:
    def test_a_folder_is_read_in_the_order_of_its_files(self, tmp_path: Path) -> None:
        parquet(tmp_path / "in/b.parquet", 25, 40)
        parquet(tmp_path / "in/a.parquet", 0, 25)
        parquet(tmp_path / "in/_temporary/x.parquet", 90, 99)
        (tmp_path / "in/notes.txt").write_text("no table")
        snapshot = table("in", "parquet", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert [row["n"] for row in rows(snapshot)] == list(range(40))
        assert (snapshot.rows, snapshot.document["told"]) == (40, "40 rows in 2 Parquet files")

    def test_a_glob_and_a_single_file_are_tables_too(self, tmp_path: Path) -> None:
        parquet(tmp_path / "in/a/1.parquet", 0, 3)
        parquet(tmp_path / "in/b/2.parquet", 3, 5)
        parquet(tmp_path / "in/b/2.old", 9, 10)
        for uri, expected in (("in/*/*.parquet", 5), ("in/b/2.old", 1)):
            snapshot = table(uri, "parquet", tmp_path).take_snapshot(str(tmp_path / "out"))
            assert snapshot.rows == len(rows(snapshot)) == expected

    def test_only_the_columns_asked_for_are_read_in_the_order_asked(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", 0, 5)
        source = table("a.parquet", "parquet", tmp_path, columns=["text", "n"])
        assert source.schema().names == ["text", "n"]
        snapshot = source.take_snapshot("")
        (shard,) = snapshot.shards(1 << 20)
        (batch,) = snapshot.read(shard, ["text"], 100, 1 << 20)
        assert batch.schema == pa.schema({"text": pa.string()})

    def test_a_column_that_is_not_there_is_a_mistake_of_the_manifest(self, tmp_path: Path) -> None:
        parquet(tmp_path / "a.parquet", 0, 5)
        with pytest.raises(PlanError, match="no column 'txet'; did you mean text") as caught:
            table("a.parquet", "parquet", tmp_path, columns=["n", "txet"]).schema()
        assert caught.value.mistakes[0].path == "spec.source.table.columns[1]"

    def test_columns_of_one_name_are_told_unless_others_are_chosen(self, tmp_path: Path) -> None:
        made = pa.Table.from_arrays([pa.array([n]) for n in (1, 2, 3)], names=["a", "a", "b"])
        pq.write_table(made, tmp_path / "a.parquet")
        for columns, place in ((None, ""), (["b", "a"], ".columns[1]")):
            with pytest.raises(PlanError, match="the table has several columns 'a'") as caught:
                table("a.parquet", "parquet", tmp_path, columns=columns).schema()
            assert caught.value.mistakes[0].path == f"spec.source.table{place}"
        assert rows(table("a.parquet", "parquet", tmp_path, columns=["b"]).take_snapshot("")) == [
            {"b": 3}
        ]

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=4),
        st.integers(1, 2000),
        st.integers(1, 40),
    )
    @settings(max_examples=25, deadline=None)
    def test_shards_read_alone_give_the_whole_table(
        self, tmp_path_factory: Any, files: list[tuple[int, int]], target: int, max_rows: int
    ) -> None:
        folder = tmp_path_factory.mktemp("in")
        start = 0
        for index, (count, group) in enumerate(files):
            parquet(folder / f"{index}.parquet", start, start + count, group)
            start += count
        source = table(str(folder), "parquet", folder)
        snapshot = source.open_snapshot(source.take_snapshot("").document)
        shards = list(snapshot.shards(target))
        parts = {
            shard.index: [
                row["n"]
                for batch in snapshot.read(shard, ["n"], max_rows, 1 << 20)
                for row in batch.to_pylist()
            ]
            for shard in reversed(shards)
        }
        assert [n for index in sorted(parts) for n in parts[index]] == list(range(start))
        assert [len(parts[shard.index]) for shard in shards] == [shard.rows for shard in shards]

    @pytest.mark.parametrize("change", ["content", "gone"])
    def test_a_file_that_changes_during_the_run_ends_it(self, tmp_path: Path, change: str) -> None:
        path = tmp_path / "a.parquet"
        parquet(path, 0, 20)
        snapshot = table("a.parquet", "parquet", tmp_path).take_snapshot("")
        assert len(rows(snapshot)) == 20
        parquet(path, 100, 120)
        os.utime(path, (1, 1))
        if change == "gone":
            path.unlink()
        with pytest.raises(StorageError, match=r"changed since the run began|does not exist"):
            rows(snapshot)

    def test_files_that_differ_are_told_apart_before_the_run(self, tmp_path: Path) -> None:
        parquet(tmp_path / "in/a.parquet", 0, 5)
        pq.write_table(pa.table({"n": ["x"], "text": ["y"]}), tmp_path / "in/b.parquet")
        with pytest.raises(StorageError, match=r"b\.parquet: column 'n' is string, in .* int64"):
            table("in", "parquet", tmp_path).take_snapshot("")

    def test_what_is_no_parquet_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"not a table")
        with pytest.raises(StorageError, match=r"a\.parquet: no readable Parquet"):
            table("a.parquet", "parquet", tmp_path).schema()
        with pytest.raises(StorageError, match="does not exist"):
            table("b.parquet", "parquet", tmp_path).schema()

    @pytest.mark.parametrize(
        ("kind", "plain"),
        [
            (pa.string_view(), pa.string()),
            (pa.binary_view(), pa.binary()),
            (pa.list_(pa.string_view()), pa.list_(pa.string())),
            (pa.large_list(pa.binary_view()), pa.large_list(pa.binary())),
            (pa.list_(pa.string_view(), 1), pa.list_(pa.string(), 1)),
            (pa.map_(pa.string(), pa.string_view()), pa.map_(pa.string(), pa.string())),
            (
                pa.struct({"a": pa.string_view(), "b": pa.list_(pa.binary_view())}),
                pa.struct({"a": pa.string(), "b": pa.list_(pa.binary())}),
            ),
        ],
        ids=str,
    )
    def test_views_are_read_as_plain_text_and_bytes(
        self, kind: pa.DataType, plain: pa.DataType, tmp_path: Path
    ) -> None:
        def value(text: str) -> object:
            if pa.types.is_struct(kind):
                return {"a": text, "b": [text.encode(), None]}
            flat = text if "string" in str(kind) else text.encode()
            if pa.types.is_map(kind):
                return [("k", flat)]
            return [flat] if kind.num_fields else flat

        values = [None, *(value(str(n) * 20) for n in range(1, 5))]
        written = pa.table({"v": pa.array(values, plain).cast(kind)})
        pq.write_table(written, tmp_path / "a.parquet")
        snapshot = table("a.parquet", "parquet", tmp_path).take_snapshot("")
        assert snapshot.schema.field("v").type.equals(plain)
        assert [row["v"] for row in rows(snapshot, ["v"])] == values

    def test_batches_stay_near_the_bytes_asked_for(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"b": [b"x" * 1000] * 100}), tmp_path / "a.parquet")
        snapshot = table("a.parquet", "parquet", tmp_path).take_snapshot("")
        sizes = [len(batch) for batch in batches_of_10_kib(snapshot)]
        assert sum(sizes) == 100
        assert max(sizes) <= 10

    def test_a_table_in_a_bucket_is_read_and_pinned_by_its_etag(
        self, s3: S3Server, tmp_path: Path
    ) -> None:
        parquet(tmp_path / "a.parquet", 0, 25)
        s3.put("t/a.parquet", (tmp_path / "a.parquet").read_bytes())
        snapshot = table(s3.uri("t/"), "parquet", tmp_path, storage=s3.storage()).take_snapshot("")
        assert [row["n"] for row in rows(snapshot, ["n"], 100, 7)] == list(range(25))
        parquet(tmp_path / "b.parquet", 1, 26)
        s3.put("t/a.parquet", (tmp_path / "b.parquet").read_bytes())
        with pytest.raises(StorageError, match="changed since the run began"):
            rows(snapshot)


def batches_of_10_kib(snapshot: Any) -> list[pa.RecordBatch]:
    return list(batches(snapshot, None, 1 << 30, 100, 10 << 10))


class TestLance:
    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Path:
        import lance

        schema = pa.schema([pa.field("n", pa.int64()), lance.blob_field("image")])
        made = pa.table(
            [pa.array(range(50)), lance.blob_array([bytes([n]) * 70_000 for n in range(50)])],
            schema=schema,
        )
        lance.write_dataset(
            made, tmp_path / "a.lance", data_storage_version="2.2", max_rows_per_file=20
        )
        return tmp_path / "a.lance"

    def test_rows_come_in_order_with_blobs_as_bytes(self, dataset: Path, tmp_path: Path) -> None:
        source = table(str(dataset), "lance", tmp_path)
        assert source.schema() == pa.schema({"n": pa.int64(), "image": pa.large_binary()})
        snapshot = source.take_snapshot("")
        assert 3_500_000 < snapshot.bytes < 3_600_000
        found = rows(snapshot, target_bytes=800_000, max_rows=4, max_bytes=200_000)
        assert [row["n"] for row in found] == list(range(50))
        assert all(row["image"] == bytes([row["n"]]) * 70_000 for row in found)

    def test_a_run_keeps_to_the_version_it_began_with(self, dataset: Path, tmp_path: Path) -> None:
        import lance

        source = table(str(dataset), "lance", tmp_path, columns=["n"])
        document = source.take_snapshot("").document
        lance.dataset(dataset).delete("n < 10")
        assert [row["n"] for row in rows(source.open_snapshot(document))] == list(range(50))
        newer = source.take_snapshot("")
        assert [row["n"] for row in rows(newer, target_bytes=30)] == list(range(10, 50))
        older = table(str(dataset), "lance", tmp_path, columns=["n"], version=1)
        assert older.take_snapshot("").rows == 50

    def test_row_ids_are_given_on_request(self, dataset: Path, tmp_path: Path) -> None:
        import lance

        source = table(str(dataset), "lance", tmp_path, with_row_id=True, columns=["n"])
        assert source.schema().names == ["n", "_rowid"]
        found = rows(source.take_snapshot(""), ["_rowid", "n"], target_bytes=100)
        ids = lance.dataset(dataset).to_table(columns=["n"], with_row_id=True)
        assert found == ids.select(["_rowid", "n"]).to_pylist()

    def test_a_missing_dataset_or_version_is_told(self, dataset: Path, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="there is no Lance dataset"):
            table("none.lance", "lance", tmp_path).schema()
        with pytest.raises(PlanError, match="has no version 99"):
            table(str(dataset), "lance", tmp_path, version=99).schema()

    def test_a_dataset_in_a_bucket_is_read(self, s3: S3Server, tmp_path: Path) -> None:
        import lance

        from lancemill.storage import lance_options

        options = lance_options(s3.storage(), s3.uri("t.lance"))
        lance.write_dataset(pa.table({"n": range(10)}), s3.uri("t.lance"), storage_options=options)
        source = table(s3.uri("t.lance"), "lance", tmp_path, storage=s3.storage())
        assert [row["n"] for row in rows(source.take_snapshot(""))] == list(range(10))

    def test_a_missing_bucket_is_told(self, s3: S3Server, tmp_path: Path) -> None:
        source = table("s3://nowhere/t.lance", "lance", tmp_path, storage=s3.storage())
        with pytest.raises(StorageError, match="nowhere"):
            source.schema()


class TestText:
    def test_a_csv_keeps_its_order_and_its_leading_zeros(self, tmp_path: Path) -> None:
        lines = [f"{n:05d};{n};{n / 2};2024-01-0{n % 9 + 1};'{n}'\n" for n in range(5000)]
        (tmp_path / "a.csv").write_text("id;n;half;day;quoted\n" + "".join(lines))
        source = table("a.csv", "csv", tmp_path)
        assert [str(one.type) for one in source.schema()] == [
            "string",
            "int64",
            "double",
            "date32[day]",
            "string",
        ]
        snapshot = source.take_snapshot(str(tmp_path / "out"))
        found = rows(snapshot, target_bytes=2000)
        assert [row["n"] for row in found] == list(range(5000))
        assert found[7]["id"] == "00007"

    def test_a_value_deep_in_the_file_decides_the_type(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("n\n" + "1\n" * 30_000 + "x\n")
        assert table("a.csv", "csv", tmp_path).schema() == pa.schema({"n": pa.string()})

    def test_rows_that_begin_with_a_hash_are_rows(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("tag,text\n#1,x\n#2,y\n3,z\n")
        snapshot = table("a.csv", "csv", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert [row["tag"] for row in rows(snapshot)] == ["#1", "#2", "3"]

    def test_numbers_that_no_type_holds_stay_text(self, tmp_path: Path) -> None:
        beyond = str(2**127)
        (tmp_path / "a.csv").write_text(f"id,x,y\n{beyond},1e400,1e300\n1,2,inf\n,,\n")
        snapshot = table("a.csv", "csv", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert rows(snapshot) == [
            {"id": beyond, "x": "1e400", "y": 1e300},
            {"id": "1", "x": "2", "y": float("inf")},
            {"id": None, "x": None, "y": None},
        ]

    @pytest.mark.parametrize("form", ["jsonl", "json"])
    def test_nested_json_keeps_its_structure(self, tmp_path: Path, form: str) -> None:
        records = [{"id": n, "image": {"uri": f"{n}.jpg", "tags": ["a"]}} for n in range(20)]
        text = "\n".join(map(json.dumps, records)) if form == "jsonl" else json.dumps(records)
        (tmp_path / f"a.{form}").write_text(text)
        snapshot = table(f"a.{form}", form, tmp_path).take_snapshot(str(tmp_path / "out"))
        assert rows(snapshot) == records
        assert snapshot.schema.field("image").type == pa.struct(
            {"uri": pa.string(), "tags": pa.list_(pa.field("l", pa.string()))}
        )

    def test_records_that_do_not_agree_are_kept_as_json_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": {"b": 2}}\n')
        snapshot = table("a.jsonl", "jsonl", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert snapshot.schema == pa.schema({"a": pa.string()})
        assert rows(snapshot) == [{"a": "1"}, {"a": '{"b":2}'}]

    def test_a_resumed_run_sees_the_rows_of_the_first_attempt(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("n\n1\n2\n")
        source = table("a.csv", "csv", tmp_path)
        document = source.take_snapshot(str(tmp_path / "out")).document
        (tmp_path / "a.csv").unlink()
        assert rows(source.open_snapshot(json.loads(json.dumps(document)))) == [{"n": 1}, {"n": 2}]

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.csv", "a,b\n1,x\n2,y,3\n", "line 3 has 3 values, the first line names 2"),
            ("a.csv", "a,b\n" + "1,x\n" * 3000 + "2\n", "line 3002 has 1 values"),
            ("a.jsonl", '{"a":1}\n{"a":\n{"a":2}\n', "line 2 is no JSON record"),
            ("a.jsonl", '{"a":1}\nnonsense\n', "line 2 is no JSON record"),
            ("a.json", '[{"a":1}, {"a"', "no readable json"),
        ],
    )
    def test_a_malformed_line_is_named(
        self, tmp_path: Path, name: str, text: str, message: str
    ) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(StorageError, match=message) as caught:
            table(name, name[2:], tmp_path).take_snapshot(str(tmp_path / "out"))
        assert str(caught.value).startswith(str(tmp_path / name))
        assert caught.value.remedy

    def test_files_with_wildcards_in_their_names_and_gzip_are_read(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        with gzip.open(tmp_path / "in" / "a[1]'s.csv.gz", "wt") as file:
            file.write("n\tm\n1\t2\n")
        snapshot = table("in", "csv", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert rows(snapshot) == [{"n": 1, "m": 2}]

    def test_files_with_different_separators_are_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in/a.csv").write_text("id,n\n1,2\n")
        (tmp_path / "in/b.csv").write_text("id;n\n3;4\n")
        with pytest.raises(StorageError, match=r"b\.csv: .* by ';', that of .*a\.csv by ','"):
            table("in", "csv", tmp_path).schema()

    def test_a_file_of_one_column_goes_with_any_separator(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in/a.csv").write_text("id\n1\n")
        (tmp_path / "in/b.csv").write_text("id;n\n3;4\n")
        snapshot = table("in", "csv", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert rows(snapshot) == [{"id": 1, "n": None}, {"id": 3, "n": 4}]

    @pytest.mark.parametrize("text", ["", "\n"])
    def test_a_file_without_a_line_adds_no_column(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in/a.csv").write_text(text)
        (tmp_path / "in/b.csv").write_text("id;n\n3;4\n")
        snapshot = table("in", "csv", tmp_path).take_snapshot(str(tmp_path / "out"))
        assert rows(snapshot) == [{"id": 3, "n": 4}]

    def test_only_the_chosen_columns_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("a,b,c\n1,2,3\n")
        source = table("a.csv", "csv", tmp_path, columns=["c", "a"])
        assert rows(source.take_snapshot(str(tmp_path / "out"))) == [{"c": 3, "a": 1}]

    @pytest.mark.parametrize(("name", "text"), [("a.csv", ""), ("a.csv", "n\n"), ("a.jsonl", "")])
    def test_a_file_without_rows_is_an_empty_table(
        self, tmp_path: Path, name: str, text: str
    ) -> None:
        (tmp_path / name).write_text(text)
        snapshot = table(name, name[2:], tmp_path).take_snapshot(str(tmp_path / "out"))
        assert (snapshot.rows, list(snapshot.shards(10))) == (0, [])

    def test_text_in_a_bucket_is_read(self, s3: S3Server, tmp_path: Path) -> None:
        s3.put("t/b.jsonl", b'{"n": 2}\n')
        s3.put("t/a.jsonl", b'{"n": 1}\n')
        source = table(s3.uri("t/"), "jsonl", tmp_path, storage=s3.storage())
        assert rows(source.take_snapshot(str(tmp_path / "out"))) == [{"n": 1}, {"n": 2}]
        s3.put("t/b.jsonl", b"{")
        with pytest.raises(StorageError, match=r"s3://test/t/b\.jsonl: line 1"):
            source.schema()
