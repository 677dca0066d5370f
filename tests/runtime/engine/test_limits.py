"""When a run gives up by itself, and what it then says of the stage that stands still."""

from __future__ import annotations

import threading

import pytest

from lancemill.engine.limits import Guard, Limits, stands_still
from lancemill.engine.meter import Meter
from lancemill.engine.progress import StageTotals
from lancemill.errors import GaveUp

OPERATIONS = {"fetch": "fetch", "caption": "udf"}


def at_work(name: str, calls: int = 0, each: float = 0.0) -> StageTotals:
    return StageTotals(name, calls=calls, calls_seconds=calls * each)


def test_of_stages_in_a_call_the_last_one_is_what_the_others_wait_for() -> None:
    stages = [at_work("source"), at_work("fetch", 8, 900), at_work("caption", 1, 905)]
    said = stands_still([*stages, at_work("sink")], OPERATIONS)
    assert said == "stage 'caption' (udf) has been in a call for 15 min 5 s"


def test_calls_are_told_with_their_number() -> None:
    said = stands_still([at_work("source"), at_work("fetch", 8, 90), at_work("sink")], OPERATIONS)
    assert said == "stage 'fetch' (fetch) has been in 8 calls for 1 min 30 s each"


def test_a_sink_that_writes_is_named_without_an_operation() -> None:
    said = stands_still([at_work("source"), at_work("fetch"), at_work("sink", 1, 60)], OPERATIONS)
    assert said.startswith("stage 'sink' has been in a call")


def test_where_nobody_is_at_work_the_source_is_what_is_waited_for() -> None:
    assert stands_still([at_work("source"), at_work("sink")], {}).startswith("the source gives no")


def guarded(limits: Limits, meter: Meter | None = None) -> list[GaveUp]:
    """What the guard gives up with."""
    given: list[GaveUp] = []
    fired = threading.Event()

    def give_up(error: GaveUp) -> None:
        given.append(error)
        fired.set()

    with Guard(limits, lambda: meter, {}, give_up):
        fired.wait(60)
    return given


def test_a_run_that_is_late_gives_up_once() -> None:
    (error,) = guarded(Limits(deadline_seconds=0.05))
    assert "the run's time is over" in str(error)
    assert error.exit_status == 4


def test_a_run_that_stands_still_gives_up_and_says_where_it_stands() -> None:
    meter = Meter(["source", "caption", "sink"], 10)
    with meter.stage("caption").working():
        (error,) = guarded(Limits(stall_seconds=0.05), meter)
    assert "spec.run.stallTimeout" in str(error)
    assert "stage 'caption' has been in a call" in str(error)
    assert "stallTimeout" in error.remedy


def test_without_limits_nobody_gives_up() -> None:
    with Guard(Limits(), lambda: Meter(["source"], 10), {}, pytest.fail):
        threading.Event().wait(0.1)


def test_before_rows_flow_nothing_stands_still() -> None:
    with Guard(Limits(stall_seconds=0.01), lambda: None, {}, pytest.fail):
        threading.Event().wait(0.1)


def test_behind_the_last_row_nothing_stands_still() -> None:
    meter = Meter(["source", "sink"], 10)
    meter.rest()
    with Guard(Limits(stall_seconds=0.01), lambda: meter, {}, pytest.fail):
        threading.Event().wait(0.1)


def test_a_run_whose_workers_are_on_their_way_does_not_stand_still() -> None:
    meter = Meter(["source", "sink"], 10)
    meter.lacks_workers(True)
    with Guard(Limits(stall_seconds=0.01), lambda: meter, {}, pytest.fail):
        threading.Event().wait(0.1)


def test_a_run_whose_workers_have_come_stands_still_from_then_on() -> None:
    now = [100.0]
    meter = Meter(["source", "sink"], 10, lambda: now[0])
    meter.lacks_workers(True)
    now[0] += 3600
    assert meter.sample().last_progress_seconds == 0
    meter.lacks_workers(False)
    now[0] += 5
    assert meter.sample().last_progress_seconds == 5
    meter.lacks_workers(False)
    assert meter.sample().last_progress_seconds == 5


def test_a_run_whose_workers_do_not_come_gives_up_and_says_what_it_waits_for() -> None:
    meter = Meter(["source", "sink"], 10)
    meter.lacks_workers(True)
    (error,) = guarded(Limits(stall_seconds=60, start_seconds=0.05), meter)
    assert "no room for the run's workers" in str(error)
    assert "spec.run.startTimeout" in str(error)
    assert error.exit_status == 4


def test_workers_that_come_and_go_are_waited_for_anew() -> None:
    now = [100.0]
    meter = Meter(["source", "sink"], 10, lambda: now[0])
    for _ in range(3):
        meter.lacks_workers(True)
        now[0] += 20
        meter.lacks_workers(True)
        assert meter.lacking_seconds == 20
        meter.lacks_workers(False)
        assert meter.lacking_seconds == 0
