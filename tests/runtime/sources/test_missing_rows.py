"""Of a Lance dataset, the rows that lack a value: found, cut into shards, and read in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.sources.lance_table import LanceTable
from lancemill.sources.missing_rows import SCANNED_ROWS, Runs
from lancemill.sources.source import Shard


def runs_of(lacks: list[bool]) -> Runs:
    edges = np.flatnonzero(np.diff(np.array(lacks), prepend=False, append=False))
    starts, stops = edges[0::2], edges[1::2]
    lengths = stops - starts
    return Runs(starts, stops, np.cumsum(lengths) - lengths)


@settings(deadline=None)
@given(
    runs=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 150)), max_size=12),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
)
def test_any_part_of_the_rows_is_read_in_order(
    runs: list[tuple[int, int]], low: float, high: float
) -> None:
    lacks = [flag for there, gone in runs for flag in [False] * there + [True] * gone]
    rows = [at for at, flag in enumerate(lacks) if flag]
    found = runs_of(lacks)
    start, stop = sorted((int(low * len(rows)), int(high * len(rows))))
    reads = list(found.reads(start, stop))
    assert [at for some in reads for at in some] == rows[start:stop]
    assert found.rows == len(rows)
    assert all(isinstance(some, range) or len(some) < 2 * SCANNED_ROWS for some in reads)


def table(folder: Path, rows: int, gone: list[int]) -> LanceTable:
    """Rows in several fragments, some deleted, with a plain and a blob column that have holes."""
    uri = str(folder / "t.lance")
    numbers = list(range(rows))
    values = [None if n in gone else n * 10 for n in numbers]
    blobs = [None if n % 7 == 3 else bytes([n % 250]) * 70_000 for n in numbers]
    schema = pa.schema([("n", pa.int64()), ("v", pa.int64()), lance.blob_field("b", nullable=True)])
    columns = [pa.array(numbers), pa.array(values, pa.int64()), lance.blob_array(blobs)]
    lance.write_dataset(
        pa.Table.from_arrays(columns, schema=schema),
        uri,
        max_rows_per_file=50,
        data_storage_version="2.2",
        enable_stable_row_ids=True,
    )
    lance.dataset(uri).delete("n = 5 or n = 60")
    return LanceTable(uri, None, None, True, None, ("v",))


def everything(source: Any, columns: list[str]) -> pa.Table:
    snapshot = source.open_snapshot(source.take_snapshot("").document)
    shards = list(snapshot.shards(2_000_000))
    assert sum(shard.rows for shard in shards) == snapshot.rows
    read = [b for s in shards for b in snapshot.read(s, columns, 16, 1 << 20)]
    return pa.Table.from_batches(read)


def test_only_rows_that_lack_the_value_are_read_with_their_ids_and_blobs(tmp_path: Path) -> None:
    gone = [3, 5, 6, 17, *range(40, 130), 139]
    source = table(tmp_path, 140, gone)
    dataset = lance.dataset(source.uri)
    expected = dataset.to_table(columns=["n"], filter="v is null", with_row_id=True)
    found = everything(source, ["n", "b", "_rowid"])
    assert found["n"].to_pylist() == expected["n"].to_pylist()
    assert found["_rowid"].to_pylist() == expected["_rowid"].to_pylist()
    for n, data in zip(found["n"].to_pylist(), found["b"].to_pylist(), strict=True):
        assert data == (None if n % 7 == 3 else bytes([n % 250]) * 70_000)
    document = source.take_snapshot("").document
    assert document["told"] == f"{len(expected)} of 138 rows of version 2 lack v"
    assert (
        document["bytes"]
        < LanceTable(source.uri, None, None, True, None).take_snapshot("").document["bytes"]
    )


def test_a_row_is_read_by_its_number_among_those(tmp_path: Path) -> None:
    source = table(tmp_path, 20, [4, 9, 11])
    snapshot = source.take_snapshot("")
    (batch,) = snapshot.read(Shard(0, 1, 2, 0), ["n"], 1, 1 << 20)
    assert batch["n"].to_pylist() == [9]


def test_where_a_column_is_not_there_yet_all_rows_lack_it(tmp_path: Path) -> None:
    source = table(tmp_path, 20, [4])
    both = LanceTable(source.uri, None, None, True, None, ("v", "new"))
    assert both.take_snapshot("").rows == 19


def test_where_nothing_is_missing_there_is_nothing_to_read(tmp_path: Path) -> None:
    snapshot = table(tmp_path, 20, []).take_snapshot("")
    assert (snapshot.rows, list(snapshot.shards(1000))) == (0, [])
    assert snapshot.document["told"] == "0 of 19 rows of version 2 lack v"
