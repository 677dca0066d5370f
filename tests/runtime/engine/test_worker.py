"""The worker: order, completeness, faulty rows, retries, and stopping."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.engine.chunk import Chunk
from lancemill.engine.faults import Budget, FaultPolicy, Rule
from lancemill.engine.meter import Meter
from lancemill.engine.sizing import regroup
from lancemill.engine.worker import SOURCE_STAGE, Worker
from lancemill.errors import BudgetExceeded, RunError
from lancemill.ops.operation import Fault, Outcome, WorkerContext
from lancemill.plan.step import Step
from support.rows import Function, Rows, plan_of, step

SCHEMA = Rows(1).schema


def same(batch: pa.RecordBatch) -> Outcome:
    return Outcome(batch)


def run(
    snapshot: Rows,
    *steps: Step,
    policy: FaultPolicy | None = None,
    max_rate: float = 1.0,
    max_rows: int | None = None,
) -> list[Chunk]:
    names = [SOURCE_STAGE, *(one.name for one in steps)]
    meter = Meter(names, snapshot.n)
    budget = Budget(snapshot.n, max_rate, max_rows)
    with Worker(
        plan_of(snapshot, *steps), WorkerContext(cores=2), policy or FaultPolicy(), budget, meter
    ) as worker:
        return list(worker.stream(snapshot, snapshot.shards()))


def numbers(chunks: list[Chunk]) -> list[int | None]:
    return [n for chunk in chunks for n in chunk.batch.column("n").to_pylist()]


def odd_fault(batch: pa.RecordBatch) -> Outcome:
    """Rows with an odd number fail; what is made of them is null."""
    odd = [row for row, n in enumerate(batch.column("n").to_pylist()) if n % 2]
    kept = pc.if_else(pc.equal(pc.bit_wise_and(batch["n"], 1), 0), batch["n"], None)
    rows = pa.record_batch([batch["key"], kept], schema=SCHEMA)
    return Outcome(rows, tuple(Fault(row, "odd", "Odd", f"row {row} is odd") for row in odd))


@settings(deadline=None, max_examples=30)
@given(n=st.integers(0, 200), size=st.integers(1, 60), batch=st.integers(1, 70))
def test_every_row_comes_out_once_in_order_whatever_the_sizes(
    n: int, size: int, batch: int
) -> None:
    io = step("io", same, SCHEMA, bound_by="io")
    device = step("device", same, SCHEMA, serial=True, batch_rows=batch)
    chunks = run(Rows(n, size), io, step("cpu", same, SCHEMA), device)
    assert numbers(chunks) == list(range(n))
    assert [p for chunk in chunks for p in chunk.position.tolist()] == list(range(n))
    assert sum(chunk.rows_in for chunk in chunks) == n
    ends = [chunk.shard.index for chunk in chunks if chunk.last]
    assert ends == list(range(len(ends)))
    assert len(ends) == len(list(Rows(n, size).shards()))


@pytest.mark.parametrize(
    ("keys", "called"),
    [
        ([b"\xff\x00", b"ok", None], ["\\xff\x00", "ok", None]),
        ([[1, 2], None, []], ["[1, 2]", None, "[]"]),
        ([{"a": 1}, None, {"a": 2}], ["{'a': 1}", None, "{'a': 2}"]),
    ],
)
def test_a_key_that_is_no_text_is_told_as_one(
    keys: list[Any], called: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"key": keys, "n": [0, 1, 2]})
    monkeypatch.setattr(Rows, "schema", table.schema)
    monkeypatch.setattr(Rows, "read", lambda *_: iter(table.to_batches()))
    chunks = run(Rows(3), step("same", same, table.schema))
    assert [key for chunk in chunks for key in chunk.key.to_pylist()] == called


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 9), max_size=12), rows=st.integers(1, 7))
def test_regrouped_chunks_are_whole_but_for_the_last_of_a_shard(
    sizes: list[int], rows: int
) -> None:
    shard = next(Rows(1).shards())

    def chunk(start: int, count: int, last: bool = False) -> Chunk:
        position = np.arange(start, start + count)
        key = pa.array([str(p) for p in position], pa.string())
        batch = pa.RecordBatch.from_arrays([pa.array(position, pa.int64())], ["n"])
        return Chunk(shard, batch, position, key, rows_in=count, last=last)

    starts = np.cumsum([0, *sizes]).tolist()
    given_chunks = [chunk(start, size) for start, size in zip(starts, sizes, strict=False)]
    got = list(regroup(iter([*given_chunks, chunk(0, 0, last=True)]), rows))
    assert got[-1].last
    counts = [one.batch.num_rows for one in got[:-1]]
    assert all(count == rows for count in counts[:-1])
    assert numbers(got) == list(range(sum(sizes)))
    assert sum(one.rows_in for one in got) == sum(sizes)


def test_faulty_rows_are_left_out_and_told_with_their_place_and_key() -> None:
    chunks = run(Rows(25), step("odd", odd_fault, SCHEMA))
    assert numbers(chunks) == list(range(0, 25, 2))
    faults = [fault for chunk in chunks for fault in chunk.faults]
    assert [fault.position for fault in faults] == list(range(1, 25, 2))
    assert [fault.key for fault in faults] == [f"k{n}" for n in range(1, 25, 2)]
    assert {(fault.stage, fault.reason, fault.action) for fault in faults} == {
        ("odd", "Odd", "quarantine")
    }


def test_a_faulty_row_is_kept_with_its_null_where_the_policy_says_null() -> None:
    chunks = run(Rows(6), step("odd", odd_fault, SCHEMA), policy=FaultPolicy("null"))
    assert numbers(chunks) == [0, None, 2, None, 4, None]
    assert {f.action for chunk in chunks for f in chunk.faults} == {"null"}


def test_a_faulty_row_ends_the_run_where_the_policy_says_fail() -> None:
    with pytest.raises(RunError, match=r"stage odd failed on row k1: Odd: row 1 is odd"):
        run(Rows(6), step("odd", odd_fault, SCHEMA), policy=FaultPolicy("fail"))


def test_the_first_rule_that_takes_a_fault_decides_about_it() -> None:
    rules = (
        Rule("null", pattern=re.compile("row 3 ")),
        Rule("quarantine", stage="odd"),
        Rule("fail"),
    )
    chunks = run(Rows(6), step("odd", odd_fault, SCHEMA), policy=FaultPolicy("fail", rules))
    assert numbers(chunks) == [0, 2, None, 4]


def test_rows_are_tried_again_as_often_as_their_rule_says_and_only_they() -> None:
    seen: Counter[int] = Counter()

    def flaky(batch: pa.RecordBatch) -> Outcome:
        values = batch.column("n").to_pylist()
        seen.update(values)
        failing = [row for row, n in enumerate(values) if n in (3, 7) and seen[n] < n]
        return Outcome(batch, tuple(Fault(row, "flaky", "Busy", "again") for row in failing))

    policy = FaultPolicy("quarantine", (Rule("retry", reason="Busy", attempts=4),))
    chunks = run(Rows(10), step("flaky", flaky, SCHEMA), policy=policy)
    assert numbers(chunks) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert seen == Counter({**dict.fromkeys(range(10), 1), 3: 3, 7: 4})


def test_a_filter_says_where_its_rows_come_from() -> None:
    def only_thirds(batch: pa.RecordBatch) -> Outcome:
        keep = np.array([row for row, n in enumerate(batch["n"].to_pylist()) if n % 3 == 0], int)
        return Outcome(batch.take(pa.array(keep)), origin=keep.astype(np.int64))

    chunks = run(Rows(30), step("third", only_thirds, SCHEMA, shape="filter"))
    assert numbers(chunks) == list(range(0, 30, 3))
    assert [p for chunk in chunks for p in chunk.position.tolist()] == list(range(0, 30, 3))
    assert sum(chunk.rows_in for chunk in chunks) == 30


def test_the_run_ends_as_soon_as_more_rows_failed_than_are_allowed() -> None:
    seen: list[int] = []

    def note(batch: pa.RecordBatch) -> Outcome:
        seen.extend(batch.column("n").to_pylist())
        return odd_fault(batch)

    with pytest.raises(BudgetExceeded, match=r"of 10,000 rows failed \(.*at most 1.00%\)"):
        run(Rows(10_000, 100), step("odd", note, SCHEMA), max_rate=0.01)
    assert len(seen) < 2_000


def test_an_error_of_an_operation_itself_ends_the_run_and_all_threads() -> None:
    def broken(batch: pa.RecordBatch) -> Outcome:
        raise RunError("the model is gone")

    with pytest.raises(RunError, match="the model is gone"):
        run(Rows(1000), step("a", same, SCHEMA), step("b", broken, SCHEMA))
    left = [t.name for t in threading.enumerate() if t.name.startswith("lancemill")]
    assert left == []


def test_a_stopped_worker_takes_no_further_rows_and_leaves_its_shard_unfinished() -> None:
    snapshot = Rows(100_000, 100_000)
    plan = plan_of(snapshot, step("a", same, SCHEMA))
    meter = Meter([SOURCE_STAGE, "a"], snapshot.n)
    with Worker(plan, WorkerContext(), FaultPolicy(), Budget(1, 1, None), meter) as worker:
        stream = worker.stream(snapshot, snapshot.shards())
        next(stream)
        worker.stop()
        rest = list(stream)
    assert not any(chunk.last for chunk in rest)
    assert sum(chunk.rows_in for chunk in rest) < 90_000


def test_a_row_that_a_filter_failed_on_is_set_aside_where_the_policy_says_null() -> None:
    """There is no row that a null could be kept in, and none may be lost without a word."""

    def positive(batch: pa.RecordBatch) -> Outcome:
        keep = np.array([row for row, n in enumerate(batch["n"].to_pylist()) if n != 3], np.int64)
        faults = tuple(
            Fault(row, "positive", "Bad", "no number")
            for row, n in enumerate(batch["n"].to_pylist())
            if n == 3
        )
        return Outcome(batch.take(pa.array(keep)), faults, keep)

    bad = step("positive", positive, SCHEMA, shape="filter")
    chunks = run(Rows(6), bad, policy=FaultPolicy("null"))
    assert numbers(chunks) == [0, 1, 2, 4, 5]
    assert [(f.position, f.action) for c in chunks for f in c.faults] == [(3, "quarantine")]


def test_an_operation_that_cannot_be_closed_does_not_hide_why_the_run_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(batch: pa.RecordBatch) -> Outcome:
        raise RunError("the model is gone")

    class Stuck(Function):
        def close(self) -> None:
            raise OSError("the device is gone")

    one = step("a", same, SCHEMA)
    one = replace(one, bound=replace(one.done, open=lambda _: Stuck(same)))
    with pytest.raises(RunError, match="the model is gone"):
        run(Rows(100), one, step("b", broken, SCHEMA))
    assert numbers(run(Rows(20), one)) == list(range(20))
    assert "stage 'a' could not be closed: OSError: the device is gone" in caplog.text


def test_calls_of_an_io_operation_get_fewer_rows_where_rows_are_large() -> None:
    """Objects behind a column of addresses, whose sizes nobody knows beforehand."""
    schema = SCHEMA.append(pa.field("bytes", pa.large_binary()))
    calls: list[int] = []

    def fetch(size: int) -> Step:
        def fetched(batch: pa.RecordBatch) -> Outcome:
            calls.append(batch.num_rows)
            return Outcome(batch.append_column("bytes", pa.array([b"x" * size] * len(batch))))

        made = step("fetch", lambda b: widened(fetched(b)), schema, bound_by="io")
        return replace(made, bound=replace(made.done, makes=frozenset({"bytes"})))

    def widened(outcome: Outcome) -> Outcome:
        return Outcome(outcome.rows.cast(schema))

    assert numbers(run(Rows(100, 50), fetch(3 << 20))) == list(range(100))
    assert sum(calls) == 100
    assert max(calls) == 2
    calls.clear()
    assert numbers(run(Rows(1000, 500), fetch(10))) == list(range(1000))
    assert sum(calls) == 1000
    assert max(calls) > 100
