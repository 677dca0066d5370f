"""What the engine is made of, where it needs no Ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.engine.chunk import Chunk
from lancemill.engine.meter import Meter
from lancemill.engine.ray.blocks import (
    BLOCKS_AHEAD,
    end_of,
    grouped,
    pack,
    piece_rows,
    pieces_of,
    rows_of,
    unpack,
)
from lancemill.engine.ray.careful import Search, Trying
from lancemill.engine.ray.counts import NOTHING, Charge, add_new, counts_of, take_back
from lancemill.engine.ray.pools import pools_of
from lancemill.engine.ray.shards import DEATHS, NODES, Shards
from lancemill.engine.ray.told import error_of, tell
from lancemill.errors import BudgetExceeded, Mistake, PlanError, RunError, StorageError
from lancemill.plan.build import build
from lancemill.sources.source import Shard

SHARD = Shard(0, 100, 300, 1)


# --- which steps run together


def plan(*placements: dict[str, Any] | None) -> Any:
    """A plan of one text stage after the other, placed so."""
    from lancemill_api.manifest import load

    stages = [
        {"name": f"s{index}", "format": {"text": "x", "into": f"c{index}"}, "placement": placement}
        for index, placement in enumerate(placements)
    ]
    import json

    document = {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": {"table": {"format": "csv", "uri": "a.csv"}},
            "stages": [{k: v for k, v in one.items() if v is not None} for one in stages],
            "sink": {"jsonl": {"uri": "b.jsonl"}},
        },
    }
    (pipeline,) = load(json.dumps(document), source="test").pipelines
    return build(pipeline, pa.schema([("a", pa.string())]))


CPU, GPU = {"group": "cpu"}, {"group": "gpu", "gpus": 1}


def test_on_a_laptop_groups_are_one_and_gpus_are_not() -> None:
    made = plan(CPU, {"group": "other"}, GPU)
    assert [(p.first, p.last, p.group, p.gpus, p.cpus) for p in pools_of(made, grouped=False)] == [
        (0, 2, None, 0, 1),
        (2, 3, None, 1, 0),
    ]


def test_in_a_cluster_each_group_has_its_pool() -> None:
    made = plan(CPU, {"group": "other", "cpus": 2}, GPU)
    assert [(p.group, p.gpus, p.cpus) for p in pools_of(made, grouped=True)] == [
        ("cpu", 0, 1),
        ("other", 0, 2),
        ("gpu", 1, 0),
    ]


def test_who_waits_takes_no_core_from_those_it_waits_for() -> None:
    made = plan(CPU, GPU, {"group": "cpu", "cpus": 2})
    assert [p.cpus for p in pools_of(made, grouped=True)] == [1, 0, 0]


def test_a_plan_without_stages_has_one_pool() -> None:
    assert [(p.first, p.last) for p in pools_of(plan(), grouped=True)] == [(0, 0)]


# --- blocks


def chunk(start: int, rows: int, rows_in: int | None = None) -> Chunk:
    position = np.arange(start, start + rows, dtype=np.int64)
    batch = pa.record_batch({"a": pa.array(position * 2)})
    key = pa.array([str(one) for one in position])
    return Chunk(SHARD, batch, position, key, rows if rows_in is None else rows_in)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=20), st.integers(1, 100))
def test_blocks_hold_every_row_once_and_in_order_whatever_was_left_out(
    parts: list[tuple[int, int]], rows: int
) -> None:
    chunks, at = [], SHARD.start
    for kept, dropped in parts:
        chunks.append(chunk(at, kept, kept + dropped))
        at += kept + dropped
    empty = pa.RecordBatch.from_pylist([], pa.schema([("a", pa.int64())]))
    ended = [*chunks, end_of(SHARD, empty)]
    blocks = [pack(together) for together in grouped(iter(ended), rows)]
    found = [unpack(block, SHARD, empty) for block in blocks]
    expected = [p for one in chunks for p in one.position.tolist()]
    assert [p for one in found for p in one.position.tolist()] == expected
    assert [v for one in found for v in one.batch.column("a").to_pylist()] == [
        2 * p for p in expected
    ]
    assert [k for one in found for k in one.key.to_pylist()] == [str(p) for p in expected]
    assert sum(one.rows_in for one in found) == at - SHARD.start


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 100), st.data())
def test_who_does_a_piece_again_makes_the_same_blocks_whichever_rows_fail_then(
    sizes: list[int], rows: int, data: st.DataObject
) -> None:
    def covered() -> list[int]:
        chunks = []
        for size in sizes:
            kept = data.draw(st.integers(0, size))
            cut = data.draw(st.integers(0, kept))
            chunks += [chunk(0, cut, size), chunk(cut, kept - cut, 0)]
        return [pack(together).rows_in for together in grouped(iter(chunks), rows)]

    assert covered() == covered()


@given(st.integers(0, 500), st.integers(1, 300))
def test_pieces_cover_a_shard(length: int, rows: int) -> None:
    pieces = pieces_of(Shard(3, 10, 10 + length, 1), rows)
    assert [p for one in pieces for p in range(one.start, one.stop)] == list(range(10, 10 + length))


@given(st.integers(0, 100_000), st.integers(1, 4096), st.integers(0, 64))
def test_two_shards_have_a_piece_for_each_stream_where_they_have_the_blocks(
    rows: int, block: int, streams: int
) -> None:
    size = piece_rows(rows, block, streams)
    pieces = pieces_of(Shard(0, 0, rows, 1), size)
    assert 2 * len(pieces) >= min(streams, rows // block)


@given(st.integers(1, 100_000), st.integers(1, 4096), st.integers(0, 64))
def test_a_stream_never_stands_still_for_a_piece_that_is_too_long_nor_is_one_cut_too_short(
    rows: int, block: int, streams: int
) -> None:
    size = piece_rows(rows, block, streams)
    assert size <= block * BLOCKS_AHEAD
    assert size >= min(rows, -(-block // 2)), "a shard of a block and a row has two halves"
    last = pieces_of(Shard(0, 0, rows, 1), size)[-1]
    assert size - last.rows < -(-rows // size), "the last one is as long as the others, nearly"


def test_a_block_is_some_megabytes() -> None:
    tensor = pa.fixed_shape_tensor(pa.uint8(), (224, 224, 3))
    assert rows_of(pa.schema([("image", tensor)])) == 55
    assert rows_of(pa.schema([("text", pa.string())])) == 4096


# --- deaths, and what they cost


def test_a_shard_that_was_lost_is_the_next_one_and_after_two_deaths_done_with_care() -> None:
    shards = Shards([Shard(index, 0, 1, 1) for index in range(3)])
    first = shards.next()
    assert first is not None
    for _ in range(NODES - 1):
        assert shards.lost(first, blamed=0) == 0, "its node went with it"
        assert shards.next() == first
    for _ in range(DEATHS - 1):
        shards.lost(first, blamed=1)
        assert shards.next() == first
    shards.lost(first, blamed=1)
    assert shards.next() != first
    assert shards.next_careful() == first
    assert shards.next_careful() is None


def test_a_shard_whose_nodes_go_again_and_again_is_done_with_care_too() -> None:
    shards = Shards([SHARD])
    assert shards.next() == SHARD
    for _ in range(NODES * DEATHS - 1):
        shards.lost(SHARD, blamed=0)
        assert shards.next() == SHARD
    shards.lost(SHARD, blamed=0)
    assert shards.next() is None
    assert shards.next_careful() == SHARD


def test_rows_that_fail_again_with_their_shard_are_charged_once() -> None:
    shards = Shards([SHARD])
    bad = [Charge("Truncated", "cut"), Charge("Truncated", "cut"), Charge("Timeout", "slow")]
    assert shards.new_charges(SHARD, 0, bad[:2]) == bad[:2]
    shards.lost(SHARD, blamed=1)
    assert shards.new_charges(SHARD, 0, bad[:1]) == []
    assert shards.new_charges(SHARD, 1, bad[1:]) == bad[2:]


@given(
    st.integers(1, 120),
    st.sets(st.integers(0, 119), max_size=3),
)
def test_rows_that_kill_are_found_and_no_others_are_blamed(length: int, killers: set[int]) -> None:
    shard = Shard(0, 1000, 1000 + length, 1)
    bad = {1000 + one for one in killers if one < length}
    search, children = Search(shard), 0
    while True:
        children += 1
        assert children < 30
        spans = search.spans()
        dead = next((span for span in spans if bad & set(range(*span))), None)
        if dead is None:
            break
        search.died(Trying(*dead), "decode", "WorkerCrashed", "…")
    assert set(search.blamed) == bad
    done = [row for span in spans for row in range(*span)]
    assert done == [row for row in range(shard.start, shard.stop) if row not in bad]


def test_what_a_lost_worker_counted_is_taken_back() -> None:
    run, lost, again = (Meter(["decode"], None) for _ in range(3))
    for meter in (lost, again):
        meter.advance(7, bytes_in=70)
        meter.stage("decode").add(rows_in=7, rows_out=6, faults=1, busy_seconds=2.0)
        meter.set_aside("Truncated", stage="decode")
    add_new(run, NOTHING, counts_of(lost))
    take_back(run, counts_of(lost))
    add_new(run, NOTHING, counts_of(again))
    (totals,) = run.totals()
    assert (run.rows_done, totals.rows_in, totals.rows_out, totals.faults) == (7, 7, 6, 1)
    assert totals.faults_by_reason == {"Truncated": 1}
    assert run.sample().quarantined == {"Truncated": 1}
    assert totals.busy_seconds == pytest.approx(4.0), "the time was spent"


# --- errors


def test_errors_of_ours_arrive_as_themselves() -> None:
    for error in (
        RunError("no", remedy="do", final=True),
        StorageError("gone"),
        BudgetExceeded("too many", final=False),
    ):
        found = error_of(tell(error))
        assert type(found) is type(error)
        assert (str(found), found.remedy, found.final) == (str(error), error.remedy, error.final)


def test_other_errors_arrive_in_words() -> None:
    class Odd(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("cannot be pickled")

    found = error_of(tell(Odd("first line\nsecond line")))
    assert isinstance(found, RunError)
    assert str(found) == "a worker failed: Odd: first line"
    plan_error = error_of(tell(PlanError([Mistake("spec.stages[0]", "is wrong")])))
    assert isinstance(plan_error, RunError)
    assert plan_error.final
    assert "spec.stages[0]" in str(plan_error)
