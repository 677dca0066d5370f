"""What `show` and `view` tell of a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import lance
import pyarrow as pa
import pytest

from lancemill.errors import StorageError
from lancemill.sinks import open_sink
from lancemill.tables.rows import read_rows
from lancemill.tables.show import describe
from lancemill_api.sink import Sink as SinkSpec
from support.pour import pour


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    return pa.table(
        {
            "key": [f"k{n}" for n in numbers],
            "image": pa.array([bytes([n]) * 100_000 for n in numbers], pa.binary()),
            "vector": pa.array([[n, n] for n in numbers], pa.list_(pa.float32(), 2)),
        }
    )


@pytest.fixture
def cats(tmp_path: Path) -> str:
    lance_spec = {"uri": "cats.lance", "mode": "upsert", "key": ["key"], "blobs": ["image"]}
    spec = SinkSpec.model_validate({"lance": lance_spec})
    for run, start in (("a", 0), ("b", 5)):
        pour(open_sink(spec, {}, base=tmp_path), [rows(start, start + 5)], run=run).commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    dataset.create_scalar_index("key", "BTREE")
    lance.dataset(tmp_path / "cats.lance").delete("key = 'k3'")
    pour(open_sink(spec, {}, base=tmp_path), [rows(20, 21)], run="c").commit()
    return str(tmp_path / "cats.lance")


def test_sizes_count_the_blobs_beside_the_rows(cats: str) -> None:
    found = describe(cats)
    assert (found.rows, found.deleted_rows, found.fragments) == (10, 1, 3)
    assert found.live_bytes > 1_100_000
    files = [path.stat().st_size for path in Path(cats).rglob("*") if path.is_file()]
    assert found.physical_bytes == sum(files) > found.live_bytes


def test_versions_say_which_run_made_them(cats: str) -> None:
    found = describe(cats)
    made = {one.run: one for one in found.versions if one.run}
    assert [one.rows for one in (made["a"], made["b"], made["c"])] == [5, 10, 10]
    assert made["a"].pipeline == "cats"
    assert made["a"].time < made["b"].time < made["c"].time
    assert found.versions[0].version == found.version


def test_columns_are_told_as_manifests_write_them(cats: str) -> None:
    key, image, vector = describe(cats).columns
    assert (key.type, key.primary_key, key.nullable) == ("string", True, False)
    assert (image.type, image.blob) == ("binary", True)
    assert vector.type == "float32[2]"


def test_rows_that_an_index_does_not_know_are_counted(cats: str) -> None:
    (index,) = describe(cats).indices
    assert (index.columns, index.unindexed_rows) == (("key",), 1)


def test_lines_fit_a_terminal_and_json_can_be_written(cats: str) -> None:
    found = describe(cats)
    lines = list(found.lines())
    assert "10 rows (1 row deleted)" in lines[0]
    assert any(line.startswith("key") and "primary key, never null" in line for line in lines)
    assert any("cats/a" in line for line in lines)
    assert not any("updateconfig" in line for line in lines)
    assert json.loads(json.dumps(found.to_json()))["columns"][0]["name"] == "key"


def test_a_dataset_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no Lance dataset here"):
        describe(str(tmp_path / "dogs.lance"))


def test_rows_to_look_at_have_their_blobs_as_bytes(cats: str) -> None:
    table, about = read_rows(cats, start=2, rows=3)
    assert table.column("key").to_pylist() == ["k2", "k4", "k5"]
    assert table.column("image")[0].as_py() == b"\x02" * 100_000
    assert about.endswith("rows 2 to 4 of 10")
    assert read_rows(cats, version=1)[0].num_rows == 0
    with pytest.raises(StorageError, match="has 10 rows, none from row 99 on"):
        read_rows(cats, start=99)
