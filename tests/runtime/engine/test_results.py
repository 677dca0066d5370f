"""Finished shards, as a driver keeps them and as they lie in the ledger."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from lancemill.engine.chunk import RowFault
from lancemill.engine.ledger import Ledger
from lancemill.engine.result import ShardResult
from lancemill.engine.results import Results
from lancemill.errors import StorageError
from lancemill.sinks.sink import ShardOutput
from lancemill.sources.source import Shard
from lancemill.storage import open_store

FRAGMENT = {
    "id": 0,
    "files": [
        {"fields": [0, 1], "column_indices": [0, 1], "file_size_bytes": 10, "path": "a.lance"}
    ],
    "physical_rows": 4,
    "deletion_file": None,
}


def result(index: int, faults: int = 1) -> ShardResult:
    start = index * 4
    name = f"data/{index:048d}.lance"
    told = tuple(
        RowFault(start + n, f"ä{n}.jpg", "decode", "Truncated", "it ends", "quarantine")
        for n in range(faults)
    )
    output = ShardOutput((FRAGMENT | {"path": name},), (name,), 4 - faults, 1 << 40)
    return ShardResult(Shard(index, start, start + 4, 99), 4, output, told, (start, start + 1), 3)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("r1", open_store(str(tmp_path / "runs" / "r1")))


def test_what_is_kept_comes_out_as_it_went_in_and_in_the_order_of_the_source() -> None:
    results = Results()
    for index in (2, 0, 1):
        results[index] = result(index)
    assert list(results.in_order()) == [result(0), result(1), result(2)]
    assert dict(results) == {index: result(index) for index in range(3)}
    assert (len(results), set(results), 1 in results, 3 in results) == (3, {0, 1, 2}, True, False)


def test_a_finished_shard_takes_little_of_the_drivers_memory() -> None:
    texts = [result(index).to_json() for index in range(1000)]
    results = Results()
    results.add(texts[0])
    tracemalloc.start()
    try:
        for text in texts:
            results.add(text)
        taken = tracemalloc.get_traced_memory()[0] / len(results)
    finally:
        tracemalloc.stop()
    # As objects such a result takes 3,000 bytes.
    assert taken < 700


def test_every_shard_of_a_ledger_is_read_back(ledger: Ledger) -> None:
    for index in range(70):
        assert ledger.finish(result(index))
    assert list(ledger.finished().in_order()) == [result(index) for index in range(70)]
    assert ledger.recorded(5) == result(5)
    assert ledger.recorded(70) is None


def test_a_ledger_without_shards_has_no_results(ledger: Ledger) -> None:
    assert len(ledger.finished()) == 0


def test_a_shard_that_cannot_be_read_is_told_and_not_left_out(
    ledger: Ledger, tmp_path: Path
) -> None:
    for index in range(40):
        ledger.finish(result(index))
    broken = tmp_path / "runs" / "r1" / "done" / "00000020.json"
    broken.unlink()
    broken.symlink_to(broken)
    with pytest.raises(StorageError, match=r"done/00000020\.json"):
        ledger.finished()
