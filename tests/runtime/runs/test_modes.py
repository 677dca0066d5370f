"""What a run does to what is there already: by each mode of each sink."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from .given import Place, lance, lancemill, one_line, picture

LANCE_ROWS = {"table": {"uri": "out.lance", "format": "lance"}}
NEVER = [{"name": "never", "query": "select count(*) from output", "expect": {"max": 0}}]


def grey(into: str = "grey") -> dict[str, Any]:
    """Stages and sink that add a column to `out.lance`, of the pictures in it."""
    return {
        "source": LANCE_ROWS,
        "stages": [
            {"name": "decode", "decode": {"column": "image", "into": into, "mode": "L"}},
            {"name": "tiny", "resize": {"column": into, "width": 4, "height": 4}},
        ],
        "sink": {"lance": {"uri": "out.lance", "mode": "addColumns", "columns": [into]}},
    }


def data_files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Identity, size and time of every data file below `folder`."""
    return {
        str(path.relative_to(folder)): (s.st_ino, s.st_size, s.st_mtime_ns)
        for path in (folder / "data").rglob("*")
        if (s := path.stat()) and path.is_file()
    }


def test_append_adds_the_rows_again(place: Place) -> None:
    keys = place.pictures(3)
    for times in (1, 2):
        assert place.run().status == 0
        assert place.keys() == keys * times


def test_overwrite_replaces_all_rows_and_keeps_the_older_version(place: Place) -> None:
    import lance as library

    keys = place.pictures(4)
    place.run()
    before = place.dataset().version
    (place.folder / "pictures" / keys[0]).unlink()
    assert place.run(sink=lance(mode="overwrite")).status == 0
    assert place.keys() == keys[1:]
    old = library.dataset(str(place.folder / "out.lance"), version=before)
    assert old.count_rows() == 4


def test_overwrite_may_change_the_schema(place: Place) -> None:
    place.pictures(2)
    place.run()
    other = {"lance": {"uri": "out.lance", "mode": "overwrite", "columns": ["uri", "key"]}}
    assert place.run(sink=other, stages=[]).status == 0
    assert place.dataset().schema.names == ["uri", "key"]


def test_upsert_of_the_same_content_twice_leaves_the_same_rows(place: Place) -> None:
    keys = place.pictures(4)
    upsert = lance(mode="upsert", key=["key"])
    place.run(sink=upsert)
    first = place.dataset().to_table()
    assert place.run(sink=upsert).status == 0
    assert place.dataset().to_table().sort_by("key").equals(first.sort_by("key"))
    assert sorted(place.keys()) == keys


def test_upsert_replaces_what_changed_and_adds_what_is_new(place: Place) -> None:
    keys = place.pictures(4)
    upsert = lance(mode="upsert", key=["key"])
    place.run(sink=upsert)
    before = {r["key"]: r["image"] for r in place.dataset().to_table().to_pylist()}
    (place.folder / "pictures" / keys[2]).write_bytes(picture(77))
    new = place.pictures(1, start=4)
    assert place.run(sink=upsert).status == 0
    after = {r["key"]: r["image"] for r in place.dataset().to_table().to_pylist()}
    assert sorted(after) == [*keys, *new]
    assert {key for key in keys if before[key] != after[key]} == {keys[2]}


def test_columns_are_added_without_touching_the_old_files(place: Place) -> None:
    place.pictures(5)
    place.run()
    before, rows = data_files(place.folder / "out.lance"), place.dataset().to_table()
    told = place.run("--run-id", "adds", **grey())
    assert told.status == 0, told.all
    after = data_files(place.folder / "out.lance")
    assert before.items() <= after.items()
    dataset = place.dataset()
    table = dataset.to_table()
    assert table.schema.names == [*rows.schema.names, "grey"]
    assert table.drop_columns(["grey"]).equals(rows)
    assert table.column("grey").null_count == 0
    metadata = dataset.schema.field("grey").metadata
    told_there = b" ".join([*metadata.keys(), *metadata.values()]).decode()
    assert "cats" in told_there and "image" in told_there, metadata


def test_added_columns_are_those_of_their_rows(place: Place) -> None:
    import numpy as np

    from .given import opened

    place.pictures(7)
    place.run()
    place.run(**grey())
    for row in place.dataset().to_table().to_pylist():
        there = np.asarray(row["grey"], float).reshape(-1)
        pixels = np.asarray(opened(row["image"]).convert("L"), float)
        expected = pixels.reshape(4, 2, 4, 2).mean((1, 3)).reshape(-1)
        assert abs(there.mean() - expected.mean()) < 6


def test_a_table_in_parquet_is_seen_when_all_of_it_is_there(place: Place) -> None:
    keys = place.pictures(6)
    sink = {"parquet": {"uri": "out", "columns": ["key", "size", "image"]}}
    assert place.run(sink=sink, validate=NEVER).status == 1
    assert list((place.folder / "out").glob("**/*.parquet")) == []
    told = place.run(sink=sink)
    assert told.status == 0, told.all
    table = pq.read_table(place.folder / "out")
    assert table.column("key").to_pylist() == keys
    assert table.column("image").null_count == 0


def test_lines_of_json_are_seen_when_all_of_them_are_there(place: Place) -> None:
    keys = place.pictures(6)
    sink = {"jsonl": {"uri": "out.jsonl", "columns": ["key", "size"]}}
    assert place.run(sink=sink, validate=NEVER).status == 1
    assert not (place.folder / "out.jsonl").exists()
    told = place.run(sink=sink)
    assert told.status == 0, told.all
    lines = (place.folder / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["key"] for line in lines] == keys


def test_a_column_that_the_dataset_does_not_have_is_told_before_anything_runs(
    place: Place,
) -> None:
    place.pictures(2)
    place.run()
    wide = {"lance": {"uri": "out.lance", "columns": ["key", "size", "image", "etag"]}}
    line = one_line(place.run(sink=wide), 2)
    assert "mistake" in line
    assert len(place.keys()) == 2


def test_a_summary_and_show_tell_what_was_made(place: Place) -> None:
    place.pictures(3)
    told = place.run(
        summary=[{"name": "many", "query": "select count(*) n, sum(size) bytes from output"}]
    )
    assert "many:" in told.out
    shown = lancemill("show", place.folder / "out.lance")
    assert shown.status == 0, shown.all
    assert "key" in shown.out and "3" in shown.out


def test_a_refresh_of_what_is_missing_does_only_that(place: Place) -> None:
    place.pictures(4)
    place.run()
    assert place.run(**grey()).status == 0
    place.pictures(2, start=4)
    place.run(
        source={"objects": {"uri": "pictures", "include": ["p004.jpg", "p005.jpg"]}},
    )
    assert place.dataset().count_rows(filter="grey is null") == 2
    before = place.dataset().to_table().slice(0, 4)
    status, told = place.run_json(**grey())
    assert (status, told["rowsIn"], told["rowsOut"]) == (0, 2, 2)
    after = place.dataset().to_table()
    assert after.slice(0, 4).equals(before)
    assert after["grey"].null_count == 0
    assert "0 of 6 rows" in place.run(**grey()).all
