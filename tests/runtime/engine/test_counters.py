"""What a stage's counters say while calls go on, workers come and go, and devices are held."""

from __future__ import annotations

import pytest

from lancemill.engine.counters import Call, StageCounters
from lancemill.engine.meter import Meter
from lancemill.engine.progress import StageTotals, gpu_time, gpu_time_by_stage, stage_progress


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_call_that_goes_on_counts_as_busy_and_is_told_with_its_length() -> None:
    time = Time()
    counters = StageCounters("embed", clock=time)
    with counters.working():
        time.now += 30
        told = counters.totals()
        assert (told.calls, told.calls_seconds, told.busy_seconds) == (1, 30, 30)
    assert counters.totals().calls == 0
    assert counters.totals().busy_seconds == 30


def test_a_call_that_waits_for_its_input_is_not_busy() -> None:
    time = Time()
    counters = StageCounters("sink", clock=time)
    with counters.working() as call:
        time.now += 2
        with call.waiting():
            time.now += 50
            assert counters.totals().calls == 0
            assert counters.totals().busy_seconds == pytest.approx(2)
        time.now += 3
    assert counters.totals().busy_seconds == pytest.approx(5)


def test_time_is_that_of_the_workers_that_were_there() -> None:
    time = Time()
    counters = StageCounters("embed", clock=time)
    counters.workers, counters.gpus = 1, 0.5
    time.now += 10
    counters.workers, counters.gpus = 4, 2
    time.now += 10
    told = counters.totals()
    assert (told.worker_seconds, told.gpu_seconds) == (50, 25)


def test_what_is_held_behind_the_last_row_is_not_the_stages() -> None:
    time = Time()
    meter = Meter(["embed"], 10, time)
    meter.stage("embed").gpus = 1
    time.now += 10
    meter.rest()
    time.now += 1000
    (told,) = meter.totals()
    assert (told.worker_seconds, told.gpu_seconds) == (10, 10)
    assert meter.sample().last_progress_seconds == 0, "a long commit is no stall"


def test_the_busy_share_is_true_where_workers_have_come_meanwhile() -> None:
    time = Time()
    meter = Meter(["embed"], 10, time)
    counters = meter.stage("embed")
    time.now += 90
    counters.workers = 9
    calls = [Call(counters) for _ in range(9)]
    for call in calls:
        call.start()
    time.now += 10
    (told,) = stage_progress(meter.history()[0], meter.history()[-1])
    assert told.busy_fraction == pytest.approx(90 / 180)


def test_rows_that_were_set_aside_are_told_by_stage_and_reason() -> None:
    meter = Meter(["fetch", "decode"], 10)
    meter.set_aside("Truncated", stage="decode")
    meter.set_aside("Truncated", 2, stage="decode")
    meter.set_aside("NullKey", stage="no stage of ours")
    fetch, decode = meter.totals()
    assert (fetch.faults_by_reason, decode.faults_by_reason) == ({}, {"Truncated": 3})
    assert meter.sample().quarantined == {"Truncated": 3, "NullKey": 1}


def test_what_is_no_row_can_say_that_the_run_lives() -> None:
    time = Time()
    meter = Meter(["embed"], 10, time)
    time.now += 100
    assert meter.sample().last_progress_seconds == 100
    meter.touch()
    assert meter.sample().last_progress_seconds == 0


def test_gpu_time_is_idle_while_its_stage_does_not_work() -> None:
    time = Time()
    counters = StageCounters("embed", clock=time)
    counters.workers = counters.gpus = 2
    with counters.working():  # one of two
        time.now += 10
    time.now += 30
    told = counters.totals()
    assert (told.gpu_seconds, told.gpu_busy_seconds) == (80, 10)
    assert gpu_time([told]) == (80, 70)


def test_work_that_is_told_late_lets_no_counter_fall() -> None:
    time = Time()
    counters = StageCounters("embed", clock=time)
    counters.gpus = 1
    idle = 0.0
    for _ in range(20):
        time.now += 0.5
        _, told = gpu_time([counters.totals()])
        assert told >= idle
        idle = told
        time.now += 0.5
        counters.add(busy_seconds=0.75)
    held, idle = gpu_time([counters.totals()])
    assert held == pytest.approx(20)
    assert idle == pytest.approx(5, abs=1)


def test_stages_that_share_a_gpu_hold_it_once() -> None:
    both = [
        StageTotals(name, pool="gpu", gpu_seconds=10.0, gpu_busy_seconds=busy)
        for name, busy in (("embed", 3.0), ("caption", 4.0))
    ]
    assert gpu_time(both) == (10, 3)
    assert gpu_time_by_stage(both) == {"embed": (10, 3)}


def test_workers_elsewhere_tell_for_how_long_they_were_there() -> None:
    time = Time()
    counters = StageCounters("decode", clock=time)
    counters.done_elsewhere()
    counters.workers = 3
    time.now += 100
    assert counters.totals().worker_seconds == 0, "a counter that begins higher would have to fall"
    counters.add(busy_seconds=40.0, worker_seconds=50.0)
    time.now += 100
    counters.add(busy_seconds=40.0, worker_seconds=50.0)
    told = counters.totals()
    assert (told.busy_seconds, told.worker_seconds, told.workers) == (80, 100, 3)


def test_calls_elsewhere_go_on_at_least_since_the_last_of_them_was_heard_of() -> None:
    time = Time()
    counters = StageCounters("caption", clock=time)
    time.now += 300
    counters.add(calls=2)
    time.now += 30
    assert (counters.totals().calls, counters.totals().calls_seconds) == (2, 60)
    counters.add(calls=-2)
    assert (counters.totals().calls, counters.totals().calls_seconds) == (0, 0)


def test_rows_move_from_the_first_to_the_last_without_what_loads_before_them() -> None:
    time = Time()
    meter = Meter(["source", "embed"], 10, time)
    assert meter.moving_seconds == 0
    time.now += 60
    meter.stage("source").add(rows_in=5)
    time.now += 10
    meter.stage("embed").add(rows_out=5)
    time.now += 100
    assert meter.moving_seconds == 10
