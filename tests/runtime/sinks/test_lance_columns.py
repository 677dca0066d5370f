"""New columns for rows that exist: the old data files are not touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from lancemill.errors import RunConflict
from support.pour import Pour, pour, run_ref

TENSOR = pa.fixed_shape_tensor(pa.float32(), [2, 2])


def rows(start: int, stop: int) -> pa.Table:
    return pa.table({"key": [f"k{n}" for n in range(start, stop)], "n": list(range(start, stop))})


@pytest.fixture
def cats(open_lance: Any, tmp_path: Path) -> Path:
    """A dataset of two fragments, one row deleted."""
    pour(open_lance(), [rows(0, 5)], run="a").commit()
    pour(open_lance(), [rows(5, 9)], run="b").commit()
    lance.dataset(tmp_path / "cats.lance").delete("n = 2")
    return tmp_path / "cats.lance"


def made(cats: Path, *names: str, factor: int = 1, where: str | None = None) -> pa.Table:
    """New values for rows of the dataset, as a pipeline makes them, with their row ids."""
    there = lance.dataset(cats).to_table(columns=["n"], with_row_id=True, filter=where)
    numbers = [n * factor for n in there.column("n").to_pylist()]
    vectors = pa.array([[n, n, n, n] for n in numbers], TENSOR.storage_type)
    columns = {
        "vector": pa.array([[n, -n] for n in numbers], pa.list_(pa.float32(), 2)),
        "tensor": pa.ExtensionArray.from_storage(TENSOR, vectors),
        "thumb": pa.array([bytes([n % 256]) * 70_000 for n in numbers], pa.binary()),
        "label": pa.array([f"l{n}" for n in numbers]),
        "parts": pa.array([[f"p{n}"] * (n % 3) for n in numbers]),
    }
    table = pa.table({name: columns[name] for name in names})
    return table.append_column("_rowid", there.column("_rowid"))


def add(open_lance: Any, new: pa.Table, run: str = "c", **fields: Any) -> Pour:
    names = [name for name in new.schema.names if name != "_rowid"]
    sink = open_lance("addColumns", columns=names, **fields)
    return pour(sink, [new.slice(0, 3), new.slice(3)], run=run)


def files_of(cats: Path) -> dict[Path, tuple[int, int, int]]:
    stats = {path: path.stat() for path in (cats / "data").rglob("*") if path.is_file()}
    return {path: (s.st_ino, s.st_mtime_ns, s.st_size) for path, s in stats.items()}


def values(cats: Path, name: str) -> dict[int, Any]:
    found = lance.dataset(cats).to_table(columns=["n", name], blob_handling="all_binary")
    return {row["n"]: row[name] for row in found.to_pylist()}


def test_every_kind_of_column_is_added_and_no_old_file_is_touched(
    open_lance: Any, cats: Path
) -> None:
    before = files_of(cats)
    new = made(cats, "vector", "tensor", "thumb", "label", "parts")
    done = add(open_lance, new, blobs=["thumb"]).commit()
    assert files_of(cats).items() >= before.items()
    dataset = lance.dataset(cats)
    assert (done.rows, dataset.count_rows()) == (8, 8)
    found = dataset.to_table(blob_handling="all_binary")
    assert found.select(["key", "n"]) == pa.concat_tables([rows(0, 2), rows(3, 9)])
    for name in ("vector", "tensor", "label", "parts", "thumb"):
        assert found.column(name).to_pylist() == new.column(name).to_pylist(), name
    assert found.schema.field("tensor").type == TENSOR


def test_rows_that_failed_stay_null(open_lance: Any, cats: Path) -> None:
    add(
        open_lance, made(cats, "label", "thumb", where="n > 3 and n != 6"), blobs=["thumb"]
    ).commit()
    assert values(cats, "label") == {
        0: None,
        1: None,
        3: None,
        4: "l4",
        5: "l5",
        6: None,
        7: "l7",
        8: "l8",
    }
    assert [n for n, thumb in values(cats, "thumb").items() if thumb is None] == [0, 1, 3, 6]


def test_the_column_says_who_made_it_of_what(open_lance: Any, cats: Path) -> None:
    add(open_lance, made(cats, "label"), run="c").commit()
    said = lance.dataset(cats).schema.field("label").metadata
    assert said[b"lancemill.pipeline"] == b"cats"
    assert said[b"lancemill.meaning"] == b"m-c"
    assert json.loads(said[b"lancemill.inputs"]) == ["key"]


def test_the_new_columns_are_not_seen_before_the_commit(open_lance: Any, cats: Path) -> None:
    run = add(open_lance, made(cats, "label"))
    staged = run.stage()
    assert lance.dataset(cats).schema.names == ["key", "n"]
    assert staged.query("select count(*) c from output where label is null").to_pylist() == [
        {"c": 0}
    ]
    assert staged.schema.names == ["label"]


def test_what_others_do_meanwhile_is_respected(open_lance: Any, cats: Path) -> None:
    run = add(open_lance, made(cats, "label"))
    dataset = lance.dataset(cats)
    dataset.delete("n = 7")
    dataset.insert(rows(20, 22))
    dataset = lance.dataset(cats)
    dataset.optimize.compact_files()
    run.commit()
    assert values(cats, "label") == {
        **{n: f"l{n}" for n in (0, 1, 3, 4, 5, 6, 8)},
        20: None,
        21: None,
    }


@pytest.mark.parametrize("refresh", [False, True])
def test_a_row_that_is_replaced_meanwhile_does_not_get_the_value_of_what_it_was(
    open_lance: Any, cats: Path, refresh: bool
) -> None:
    if refresh:
        lance.dataset(cats).add_columns(pa.schema([pa.field("label", pa.string())]))
    run = add(open_lance, made(cats, "label"))
    again = pa.table({"key": ["k3", "k30"], "n": [300, 30]})
    pour(open_lance("upsert", key=["key"]), [again], run="u").commit()
    lance.dataset(cats).update({"n": "50"}, where="n = 5")
    lance.dataset(cats).optimize.compact_files()
    run.commit()
    found = values(cats, "label")
    assert {n for n, label in found.items() if label is None} == {300, 30, 50}
    assert all(label == f"l{n}" for n, label in found.items() if label is not None)


@pytest.mark.parametrize("stable", [True, False])
def test_rows_that_moved_since_the_version_that_was_read_are_not_missed_silently(
    tmp_path: Path, open_lance: Any, stable: bool
) -> None:
    uri = tmp_path / "cats.lance"
    for start in (0, 5):
        lance.write_dataset(
            rows(start, start + 5), str(uri), mode="append", enable_stable_row_ids=stable
        )
    new = made(uri, "label")
    read = lance.dataset(uri).version
    lance.dataset(uri).optimize.compact_files()
    sink = open_lance("addColumns", columns=["label"])
    if not stable:
        with pytest.raises(RunConflict, match="was compacted"):
            sink.prepare(new.schema, run_ref("c"), read=read)
        return
    run = Pour(sink, new.schema, run_ref("c"), sink.prepare(new.schema, run_ref("c"), read=read))
    run.write([new]).commit()
    assert values(uri, "label") == {n: f"l{n}" for n in range(10)}


def test_a_pinned_version_of_rows_that_were_overwritten_is_refused(
    open_lance: Any, cats: Path
) -> None:
    new, read = made(cats, "label"), lance.dataset(cats).version
    lance.write_dataset(rows(0, 3), str(cats), mode="overwrite")
    with pytest.raises(RunConflict, match="was replaced"):
        open_lance("addColumns", columns=["label"]).prepare(new.schema, run_ref("c"), read=read)


def test_rows_appended_during_the_commit_make_it_try_again(open_lance: Any, cats: Path) -> None:
    run = add(open_lance, made(cats, "label"))
    seen: list[str] = []

    def another(point: str) -> None:
        seen.append(point)
        if seen == ["proposed"]:
            lance.dataset(cats).insert(rows(20, 21))

    run.sink.checkpoint = another  # type: ignore[attr-defined]
    run.commit()
    assert seen == ["proposed", "proposed", "committed", "settled"]
    assert values(cats, "label")[20] is None
    data = {file.path for f in lance.dataset(cats).get_fragments() for file in f.metadata.files}
    assert {path.name for path in (cats / "data").iterdir()} == data


def test_refreshing_what_is_missing_leaves_the_rest(open_lance: Any, cats: Path) -> None:
    add(open_lance, made(cats, "label", "thumb", where="n > 3"), run="c", blobs=["thumb"]).commit()
    before = files_of(cats)
    run = add(open_lance, made(cats, "label", "thumb", factor=10), run="d", refresh="missing")
    done = run.commit()
    assert done.rows == 3
    assert files_of(cats).items() >= before.items()
    assert values(cats, "label") == {
        0: "l0",
        1: "l10",
        3: "l30",
        **{n: f"l{n}" for n in range(4, 9)},
    }
    assert values(cats, "thumb")[3] == bytes([30]) * 70_000
    assert values(cats, "thumb")[4] == bytes([4]) * 70_000


def test_a_refresh_of_what_is_missing_says_what_that_is(open_lance: Any) -> None:
    columns = ["vector", "tensor"]
    assert open_lance("addColumns", columns=columns).only_missing == ("vector", "tensor")
    assert open_lance("addColumns", columns=columns, refresh="all").only_missing == ()
    assert open_lance("append", columns=columns).only_missing == ()


def test_refreshing_all_replaces_values_and_says_so(open_lance: Any, cats: Path) -> None:
    add(open_lance, made(cats, "vector", "tensor"), run="c").commit()
    new = made(cats, "vector", "tensor", factor=3)
    add(open_lance, new, run="d", refresh="all").commit()
    assert list(values(cats, "vector").values()) == new.column("vector").to_pylist()
    assert list(values(cats, "tensor").values()) == new.column("tensor").to_pylist()
    said = lance.dataset(cats).schema.field("vector").metadata
    assert said[b"lancemill.meaning"] == b"m-d"


def test_nothing_is_left_beside_the_dataset(open_lance: Any, cats: Path) -> None:
    add(open_lance, made(cats, "label")).commit()
    assert not (cats.parent / "cats.lance.runs" / "c" / "rows.lance").exists()


def told(sink: Any, *names: str, kind: pa.DataType | None = None) -> list[str]:
    fields = [pa.field(name, kind or pa.string()) for name in (*names, "_rowid")]
    return [str(mistake) for mistake in sink.fit(pa.schema(fields))]


def test_wrong_manifests_are_told_before_anything_runs(
    open_lance: Any, cats: Path, tmp_path: Path
) -> None:
    add(open_lance, made(cats, "label")).commit()
    assert told(open_lance("addColumns", columns=["new"]), "new") == []
    assert told(open_lance("addColumns", columns=["label"]), "label") == []
    assert told(open_lance("addColumns", columns=["label", "new"]), "label", "new") == [
        "spec.sink.lance.columns  cats has label and has not new: one run either adds columns or "
        "refreshes them; write two pipelines"
    ]
    assert told(open_lance("addColumns", columns=["label"]), "label", kind=pa.int64()) == [
        "spec.sink.lance.columns[0]  'label' is int64, cats has string"
    ]
    nowhere = open_lance("addColumns", columns=["a"], uri="nowhere.lance")
    assert told(nowhere, "a") == [
        f"spec.sink.lance  {tmp_path}/nowhere.lance does not exist: addColumns adds to a dataset"
    ]
