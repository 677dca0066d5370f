"""What the counters say about a run, by a clock of the test's own."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import pytest

from lancemill.engine.meter import HISTORY_POINTS, Meter, StageCounters
from lancemill.engine.progress import StageProgress, find_bottleneck


@dataclass
class FakeClock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def stage(name: str, busy: float) -> StageProgress:
    return StageProgress(name, 0, 0, 0.0, busy, 0, 0, 1)


def test_rates_are_those_of_the_last_ten_seconds_not_of_the_whole_run() -> None:
    clock = FakeClock()
    meter = Meter(["decode"], 10_000, clock)
    for _ in range(20):
        clock.sleep(1)
        meter.advance(10, bytes_in=1_000)
        meter.sample()
    for _ in range(10):
        clock.sleep(1)
        meter.advance(100, bytes_in=10_000)
        progress = meter.sample()
    assert progress.rows_done == 1_200
    assert progress.rows_per_second == pytest.approx(100)
    assert progress.bytes_per_second == pytest.approx(10_000)
    assert progress.eta_seconds == pytest.approx(88)
    assert progress.percent == pytest.approx(12)


def test_a_stage_is_busy_by_the_share_of_its_workers_time() -> None:
    clock = FakeClock()
    meter = Meter(["decode"], None, clock)
    meter.stage("decode").workers = 4
    clock.sleep(2)
    meter.stage("decode").add(rows_in=10, rows_out=9, faults=1, busy_seconds=6.0)
    progress = meter.sample()
    assert progress.stages[0].busy_fraction == pytest.approx(0.75)
    assert progress.stages[0].rows_per_second == pytest.approx(5)
    assert progress.percent is None
    assert progress.eta_seconds is None


def test_a_call_that_is_still_going_on_counts_as_busy() -> None:
    clock = FakeClock()
    counters = StageCounters("model", clock=clock)
    with counters.working():
        clock.sleep(30)
        assert counters.totals().busy_seconds == pytest.approx(30)
        clock.sleep(1)
    clock.sleep(9)
    assert counters.totals().busy_seconds == pytest.approx(31)


def test_no_addition_of_any_thread_is_lost() -> None:
    counters = StageCounters("decode")

    def work() -> None:
        for _ in range(2_000):
            counters.add(rows_in=1, rows_out=1, busy_seconds=0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = counters.totals()
    assert (totals.rows_in, totals.rows_out, totals.busy_seconds) == (8_000, 8_000, 4_000.0)


def test_time_without_progress_counts_from_the_last_row_that_moved_in_any_stage() -> None:
    clock = FakeClock()
    meter = Meter(["fetch", "decode"], 100, clock)
    clock.sleep(5)
    meter.stage("fetch").add(rows_in=1)
    clock.sleep(7)
    meter.stage("decode").add(wait_in_seconds=7)
    assert meter.sample().last_progress_seconds == pytest.approx(7)


def test_the_busiest_stage_is_the_bottleneck_and_the_next_is_named() -> None:
    found = find_bottleneck([stage("fetch", 0.17), stage("decode", 0.99), stage("embed", 0.29)])
    assert found is not None
    assert (found.stage, found.share) == ("decode", 0.99)
    assert found.words == "decode is the bottleneck: busy 99% of the time, next is embed with 29%"


def test_of_equally_busy_stages_the_later_one_is_the_bottleneck() -> None:
    found = find_bottleneck([stage("decode", 0.9), stage("embed", 0.9)])
    assert found is not None
    assert found.stage == "embed"


def test_where_every_stage_waits_the_words_say_so() -> None:
    found = find_bottleneck([stage("fetch", 0.3), stage("decode", 0.1)])
    assert found is not None
    assert "waits for its source" in found.words


def test_while_nothing_works_there_is_no_bottleneck() -> None:
    assert find_bottleneck([stage("fetch", 0.0)]) is None
    assert find_bottleneck([]) is None


def test_rows_of_an_earlier_attempt_are_done_but_not_claimed_by_the_rate() -> None:
    clock = FakeClock()
    meter = Meter(["decode"], 1_000, clock, shards_total=10)
    meter.resumed(rows=900, shards=9)
    clock.sleep(1)
    meter.advance(10)
    progress = meter.sample()
    assert progress.rows_done == 910
    assert progress.rows_per_second == pytest.approx(10)
    assert (progress.shards_done, progress.shards_total) == (9, 10)


def test_the_history_stays_bounded_and_keeps_first_last_and_order() -> None:
    clock = FakeClock()
    meter = Meter(["decode"], None, clock)
    for _ in range(5_000):
        clock.sleep(1)
        meter.advance(3)
        meter.sample()
    history = meter.history()
    assert HISTORY_POINTS / 3 < len(history) <= HISTORY_POINTS
    assert history[0].seconds == 0
    assert history[-1].seconds == pytest.approx(5_000)
    assert history[-1].rows_done == 15_000
    times = [point.seconds for point in history]
    assert times == sorted(set(times))


def test_an_empty_source_is_done_at_once() -> None:
    assert Meter(["decode"], 0, FakeClock()).sample().percent == 100


def test_the_json_has_the_names_of_the_api_and_only_plain_values() -> None:
    clock = FakeClock()
    meter = Meter(["decode"], 12_408, clock)
    clock.sleep(1)
    meter.stage("decode").add(rows_in=402, rows_out=400, faults=2, busy_seconds=0.99)
    meter.advance(402)
    meter.set_aside("Truncated", 2)
    found = json.loads(json.dumps(meter.sample().to_json()))
    assert set(found) >= {
        "percent",
        "rowsDone",
        "rowsTotal",
        "rowsPerSecond",
        "bytesPerSecond",
        "etaSeconds",
        "lastProgressSeconds",
        "bottleneck",
        "stages",
    }
    assert found["percent"] == 3
    assert found["bottleneck"] == {"stage": "decode", "share": 0.99}
    assert (
        found["stages"][0].items()
        >= {
            "name": "decode",
            "rowsIn": 402,
            "rowsOut": 400,
            "rowsPerSecond": 402.0,
            "busyFraction": 0.99,
            "queueDepth": 0,
            "actors": 1,
        }.items()
    )
    assert found["quarantined"] == {"Truncated": 2}
