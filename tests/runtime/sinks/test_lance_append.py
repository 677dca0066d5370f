"""Appending: rows in source order, once, seen by nobody before the commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lancemill.errors import RunConflict, RunError
from support.pour import pour

TENSOR = pa.fixed_shape_tensor(pa.uint8(), [2, 2, 3])
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("image", pa.binary()),
        pa.field("pixels", TENSOR),
    ]
)


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    pixels = pa.array([[n % 256] * 12 for n in numbers], TENSOR.storage_type)
    return pa.table(
        [
            [f"k{n}" for n in numbers],
            list(numbers),
            [None if n % 3 == 0 else bytes([n]) * 100_000 for n in numbers],
            pa.ExtensionArray.from_storage(TENSOR, pixels),
        ],
        schema=SCHEMA,
    )


def test_rows_come_out_in_the_order_of_their_shards(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 5), rows(5, 5), rows(5, 9)])
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 0
    assert [len(output.fragments) for output in run.outputs] == [1, 0, 1]
    done = run.commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    assert (done.rows, done.already) == (9, False)
    assert dataset.checkout_version(done.version).to_table() == dataset.to_table()
    assert dataset.to_table() == rows(0, 9)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_maps_are_stored_whatever_their_inner_fields_are_called(
    open_lance: Any, tmp_path: Path, mode: str
) -> None:
    pairs = pa.map_(pa.string(), pa.int32())
    values = [[("a", 1)], None, []]
    nested = pa.array([[value] for value in values], pa.list_(pairs))
    given = pa.table({"m": pa.array(values, pairs), "nested": nested})
    pq.write_table(given, tmp_path / "in.parquet")
    read = pq.ParquetFile(tmp_path / "in.parquet")
    assert "('m')" in str(read.schema_arrow.field("m").type)
    table = pa.Table.from_batches(list(read.iter_batches()), schema=read.schema_arrow)
    for run in ("r1", "r2"):
        assert open_lance(mode=mode).fit(table.schema) == []
        pour(open_lance(mode=mode), [table], run=run).commit()
    found = lance.dataset(tmp_path / "cats.lance").to_table()
    assert found.to_pylist() == given.to_pylist() * (2 if mode == "append" else 1)


def test_pictures_that_fill_several_pages_come_back_as_they_were(
    open_lance: Any, tmp_path: Path
) -> None:
    kind = pa.fixed_shape_tensor(pa.uint8(), [512, 512, 3])
    size = kind.storage_type.list_size
    pixels = pa.array([None if n == 4 else bytes([n]) * size for n in range(9)], pa.binary(size))
    values = pa.Array.from_buffers(pa.uint8(), 9 * size, [None, pixels.buffers()[1]])
    stored = pa.FixedSizeListArray.from_arrays(values, size, mask=pixels.is_null())
    images = pa.ExtensionArray.from_storage(kind, stored)
    given = pa.table({"n": pa.array(range(9)), "image": images, "note": ["x"] * 9})
    pour(open_lance(), [given]).commit()
    assert lance.dataset(tmp_path / "cats.lance").to_table() == given


def test_a_dataset_is_made_with_stable_row_ids_and_the_stable_format(
    open_lance: Any, tmp_path: Path
) -> None:
    pour(open_lance(), [rows(0, 1)])
    dataset = lance.dataset(tmp_path / "cats.lance")
    assert dataset.has_stable_row_ids
    assert dataset.data_storage_version == "2.2"


def test_committing_again_changes_nothing(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 4)])
    first = run.commit()
    version = lance.dataset(tmp_path / "cats.lance").version
    again = run.commit()
    assert (again.version, again.rows, again.already) == (first.version, 4, True)
    dataset = lance.dataset(tmp_path / "cats.lance")
    assert (dataset.version, dataset.count_rows()) == (version, 4)


def test_no_rows_make_no_version(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 0)])
    before = lance.dataset(tmp_path / "cats.lance").version
    done = run.commit()
    assert (done.version, done.rows) == (before, 0)
    assert lance.dataset(tmp_path / "cats.lance").version == before


def test_the_version_says_which_run_made_it(open_lance: Any, tmp_path: Path) -> None:
    done = pour(open_lance(), [rows(0, 2)], run="7f3a").commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    said = dataset.read_transaction(done.version).transaction_properties
    assert said["lancemill.run"] == "7f3a"
    assert said["lancemill.pipeline"] == "cats"
    assert said["lancemill.meaning"] == "m-7f3a"


def test_what_others_append_meanwhile_stays(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 2)])
    lance.dataset(tmp_path / "cats.lance").insert(rows(100, 103))
    run.commit()
    keys = lance.dataset(tmp_path / "cats.lance").to_table(columns=["key"]).column("key")
    assert keys.to_pylist() == ["k100", "k101", "k102", "k0", "k1"]


def test_a_dataset_replaced_meanwhile_is_refused(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 2)])
    lance.write_dataset(rows(50, 51), tmp_path / "cats.lance", mode="overwrite")
    with pytest.raises(RunConflict, match=r"was replaced \(version 2, Overwrite\)") as refused:
        run.commit()
    assert refused.value.remedy == "start a new run"
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 1


def test_a_column_made_anew_meanwhile_is_refused(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(), [rows(0, 2)])
    dataset = lance.dataset(tmp_path / "cats.lance")
    dataset.drop_columns(["n"])
    with pytest.raises(RunConflict, match="column 'n' was dropped or changed"):
        run.commit()


def test_blobs_lie_beside_the_rows_and_are_counted(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(blobs=["image"]), [rows(0, 5)])
    (output,) = run.outputs
    sizes = [(tmp_path / "cats.lance" / name).stat().st_size for name in output.files]
    assert sum(sizes) == output.bytes > 300_000
    assert any(name.endswith(".blob") for name in output.files)
    run.commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    read = dataset.to_table(columns=["image"], blob_handling="all_binary").column("image")
    assert read.to_pylist() == rows(0, 5).column("image").to_pylist()


def test_discard_removes_exactly_the_files_of_its_outputs(open_lance: Any, tmp_path: Path) -> None:
    run = pour(open_lance(blobs=["image"]), [rows(0, 5), rows(5, 9)])
    dropped, kept = run.outputs
    run.stage()
    run.sink.discard([dropped], run.base)
    data = tmp_path / "cats.lance" / "data"
    left = {str(p.relative_to(data.parent)) for p in data.rglob("*") if p.is_file()}
    assert left == set(kept.files)
    assert not list((tmp_path / "cats.lance" / "_versions").glob("d*"))


def test_files_that_a_clean_up_took_are_told_before_the_commit(
    open_lance: Any, tmp_path: Path
) -> None:
    run = pour(open_lance(), [rows(0, 2), rows(2, 4)])
    run.base["time"] -= 8 * 24 * 3600
    (tmp_path / "cats.lance" / run.outputs[0].files[0]).unlink()
    with pytest.raises(RunError, match="1 files that run r1 has written are gone"):
        run.commit()
    assert lance.dataset(tmp_path / "cats.lance").version == 1
    again = pour(open_lance(), [rows(0, 2)], run="r2")
    again.base["time"] -= 8 * 24 * 3600
    assert again.commit().rows == 2


def test_an_error_of_the_pipeline_comes_out_as_it_was(open_lance: Any) -> None:
    run = pour(open_lance(), [rows(0, 1)])

    def broken() -> Any:
        yield rows(0, 2).to_batches()[0]
        raise RunError("the model died")

    writer = run.sink.writer(SCHEMA, run.base)
    from lancemill.sources.source import Shard

    with pytest.raises(RunError, match="the model died"):
        writer.write(Shard(1, 0, 4, 1), broken())


def test_a_null_where_the_dataset_has_none_is_told(open_lance: Any, tmp_path: Path) -> None:
    strict = pa.schema([pa.field("key", pa.string(), nullable=False)])
    lance.write_dataset(pa.table([["a"]], schema=strict), tmp_path / "cats.lance")
    loose = pa.table({"key": pa.array(["b", None])})
    with pytest.raises(RunError, match="column 'key' has a null, and is never null there"):
        pour(open_lance(), [loose])


def test_the_last_run_is_known_by_pipeline(open_lance: Any) -> None:
    sink = open_lance()
    assert sink.last_run("cats") is None
    pour(sink, [rows(0, 1)], run="a").commit()
    pour(sink, [rows(1, 2)], run="b").commit()
    pour(sink, [rows(2, 3)], run="c", pipeline="dogs").commit()
    assert (sink.last_run("cats"), sink.last_run("dogs")) == ("b", "c")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_rows_of_a_kindred_type_are_turned_into_the_datasets(
    open_lance: Any, tmp_path: Path, kind: pa.DataType
) -> None:
    pour(open_lance(), [pa.table({"key": ["a"]})], run="a").commit()
    pour(open_lance(), [pa.table({"key": pa.array(["b"], kind)})], run="b").commit()
    assert lance.dataset(tmp_path / "cats.lance").to_table() == pa.table({"key": ["a", "b"]})


def test_overwrite_replaces_the_rows_and_keeps_older_versions(
    open_lance: Callable[..., Any], tmp_path: Path
) -> None:
    first = pour(open_lance(), [rows(0, 3)], run="a").commit()
    done = pour(open_lance("overwrite"), [rows(10, 12), rows(12, 14)], run="b").commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    assert dataset.to_table() == rows(10, 14)
    assert dataset.has_stable_row_ids
    assert dataset.checkout_version(first.version).count_rows() == 3
    assert done.rows == 4


def test_overwrite_may_change_the_schema(open_lance: Callable[..., Any], tmp_path: Path) -> None:
    pour(open_lance(), [rows(0, 3)], run="a").commit()
    other = pa.table({"name": ["x", "y"], "scores": [[1.0], [2.0, 3.0]]})
    pour(open_lance("overwrite"), [other], run="b").commit()
    assert lance.dataset(tmp_path / "cats.lance").to_table() == other


def test_overwrite_does_not_drop_rows_that_came_in_meanwhile(
    open_lance: Callable[..., Any], tmp_path: Path
) -> None:
    pour(open_lance(), [rows(0, 3)], run="a").commit()
    run = pour(open_lance("overwrite"), [rows(10, 12)], run="b")
    pour(open_lance(), [rows(3, 4)], run="c").commit()
    with pytest.raises(RunConflict, match=r"was changed \(version 4\) while run b"):
        run.commit()
    assert lance.dataset(tmp_path / "cats.lance").count_rows() == 4


def test_overwrite_is_not_kept_from_its_work_by_maintenance(
    open_lance: Callable[..., Any], tmp_path: Path
) -> None:
    pour(open_lance(), [rows(0, 3)], run="a").commit()
    pour(open_lance(), [rows(3, 6)], run="b").commit()
    run = pour(open_lance("overwrite"), [rows(10, 12)], run="c")
    dataset = lance.dataset(tmp_path / "cats.lance")
    dataset.optimize.compact_files()
    dataset.create_scalar_index("n", "BTREE")
    run.commit()
    assert lance.dataset(tmp_path / "cats.lance").to_table() == rows(10, 12)
