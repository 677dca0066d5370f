"""What a sink wrote, read by tools that know nothing of Lancemill."""

from __future__ import annotations

from typing import Any

import duckdb
import lance
import pyarrow as pa
import pytest

from support.material import pictures
from support.pour import pour


@pytest.fixture(scope="module")
def photos() -> pa.Table:
    files = [path for path in pictures() if path.suffix in (".jpg", ".png")][:6]
    return pa.table(
        {
            "key": [path.name for path in files],
            "size": [path.stat().st_size for path in files],
            "image": pa.array([path.read_bytes() for path in files], pa.binary()),
        }
    )


@pytest.mark.parametrize("blobs", [[], ["image"]], ids=["inline", "blob"])
def test_pylance_alone_finds_a_picture_by_its_key(
    open_lance: Any, photos: pa.Table, blobs: list[str]
) -> None:
    sink = open_lance(blobs=blobs)
    pour(sink, [photos.slice(0, 4), photos.slice(4)]).commit()
    dataset = lance.dataset(sink.uri)
    for row in photos.to_pylist():
        where = f"key = '{row['key']}'"
        (found,) = dataset.to_table(filter=where, blob_handling="all_binary").to_pylist()
        assert found == row
    if blobs:
        read = dict(dataset.read_blobs("image", indices=[0, 5]))
        assert set(read.values()) == {photos["image"][0].as_py(), photos["image"][5].as_py()}


def test_duckdb_reads_the_dataset_through_arrow(open_lance: Any, photos: pa.Table) -> None:
    sink = open_lance()
    pour(sink, [photos]).commit()
    dataset = lance.dataset(sink.uri)
    with duckdb.connect() as database:
        database.register("cats", dataset)
        key = photos["key"][2].as_py()
        (row,) = database.sql(f"select size, image from cats where key = '{key}'").fetchall()
        assert row == (photos["size"][2].as_py(), photos["image"][2].as_py())
        total = database.sql("select count(*), sum(size) from cats").fetchall()
        assert total == [(6, sum(photos["size"].to_pylist()))]
