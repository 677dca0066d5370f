"""What holds a run up: true sentences from measured time, and none where nothing was measured."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.engine.progress import COMPUTE, StageTotals
from lancemill.report.verdict import BUSY, MOST, Diagnosis, diagnose, lanes_of

SECONDS = 100.0


def stage(
    name: str,
    share: float,
    workers: int = 1,
    pool: str = "",
    gpus: float = 0.0,
    lane: str = "",
) -> StageTotals:
    """A stage that worked this share of a hundred seconds."""
    there = SECONDS * workers
    return StageTotals(
        name,
        busy_seconds=share * there,
        workers=workers,
        worker_seconds=there,
        pool=pool,
        lane=lane,
        gpus=gpus,
        gpu_seconds=gpus * SECONDS,
        gpu_busy_seconds=gpus * SECONDS * share,
    )


def found(*stages: StageTotals) -> Diagnosis:
    told = diagnose(stages)
    assert told is not None
    return told


def test_a_gpu_that_waits_for_decoding_is_told_with_how_many_workers_would_feed_it() -> None:
    told = found(
        stage("fetch", 0.2),
        stage("decode", 0.99, workers=2, pool="cpu", lane=COMPUTE),
        stage("embed", 0.41, pool="gpu", gpus=1),
    )
    assert told.words == (
        "decode is the bottleneck: the GPU waits 59% of the time; "
        "3 more CPU workers would balance it"
    )
    assert (told.stage, told.more) == ("decode", 3)
    assert told.gpu_waits == pytest.approx(0.59)


def test_a_gpu_at_work_all_the_time_is_the_bottleneck_itself() -> None:
    told = found(
        stage("decode", 0.5, workers=4, pool="cpu"),
        stage("embed", 0.98, workers=2, pool="gpu", gpus=2),
    )
    assert told.words == (
        "embed is the bottleneck: the GPU works 98% of the time; "
        "2 more GPU workers would balance it"
    )


def test_workers_that_another_stage_would_then_wait_for_balance_it_with_that_stage() -> None:
    told = found(
        stage("fetch", 0.8),
        stage("decode", 0.9, workers=8, pool="cpu", lane=COMPUTE),
        stage("embed", 0.1, pool="gpu", gpus=1),
    )
    assert told.words.endswith("1 more CPU worker would balance it with fetch")


def test_more_workers_of_a_stage_that_asks_others_help_as_far_as_those_answer() -> None:
    told = found(
        stage("fetch", 0.8, workers=8, pool="cpu"),
        stage("decode", 0.4, pool="cpu", lane=COMPUTE),
        stage("embed", 0.4, pool="gpu", gpus=1),
    )
    assert told.words == (
        "fetch is the bottleneck: the GPU waits 60% of the time; "
        "8 more CPU workers would balance it, if what fetch waits for keeps up"
    )


def test_a_factor_that_nobody_would_believe_is_not_counted_out() -> None:
    told = found(stage("decode", 1.0, pool="cpu"), stage("embed", 0.01, pool="gpu", gpus=1))
    assert told.words.endswith("even 10 times the CPU workers would not balance it")


def test_on_one_machine_without_a_gpu_no_number_of_cores_is_promised() -> None:
    told = found(
        stage("fetch", 0.17, workers=8),
        stage("decode", 0.99, workers=4, lane=COMPUTE),
        stage("sink", 0.29),
    )
    assert told.words == "decode is the bottleneck: busy 99% of the time, next is sink with 29%"
    assert told.more is None


def test_stages_that_share_their_workers_are_busy_together() -> None:
    told = found(
        stage("decode", 0.6, workers=4, lane=COMPUTE),
        stage("caption", 0.7),
        stage("jpeg", 0.35, workers=4, lane=COMPUTE),
    )
    assert told.words == (
        "decode is the bottleneck: its workers are busy 95% of the time, next is caption with 70%"
    )


def test_more_workers_of_a_pool_do_all_that_the_pool_does() -> None:
    told = found(
        stage("fetch", 0.9, workers=16, pool="cpu"),
        stage("decode", 0.99, workers=8, pool="cpu", lane=COMPUTE),
        stage("embed", 0.33, pool="gpu", gpus=1),
    )
    assert told.words == (
        "decode is the bottleneck: the GPU waits 67% of the time; "
        "16 more CPU workers would balance it"
    )


def test_where_nobody_is_busy_no_stage_is_blamed() -> None:
    told = found(stage("fetch", 0.3), stage("decode", 0.1, pool="cpu"))
    assert told.words == (
        "no stage is busy half of the time, fetch most with 30%: "
        "the run waits for its source or for the machine"
    )
    told = found(stage("fetch", 0.3), stage("embed", 0.2, pool="gpu", gpus=1))
    assert "fetch most with 30%, and the GPU waits 80% of it:" in told.words


def test_of_equally_busy_stages_the_later_one_holds_up_the_run() -> None:
    assert found(stage("decode", 0.9), stage("embed", 0.9)).stage == "embed"


@pytest.mark.parametrize("stages", [[], [StageTotals("decode")], [StageTotals("a", rows_in=5)]])
def test_nothing_is_told_where_nothing_was_measured(stages: list[StageTotals]) -> None:
    assert diagnose(stages) is None


shares = st.floats(0, 1, allow_nan=False)
runs = st.lists(
    st.tuples(
        *(shares, st.integers(1, 64), st.sampled_from(["", "cpu", "gpu"])),
        st.sampled_from(["", COMPUTE]),
    ),
    min_size=1,
    max_size=6,
).map(
    lambda drawn: [
        stage(f"s{at}", share, workers, pool, workers if pool == "gpu" else 0, lane)
        for at, (share, workers, pool, lane) in enumerate(drawn)
    ]
)


@given(runs)
def test_whatever_was_measured_shares_are_shares_and_the_stage_is_one_of_them(
    stages: list[StageTotals],
) -> None:
    told = diagnose(stages)
    if told is None:
        assert all(one.busy_seconds == 0 for one in stages)
        return
    assert told.stage in {one.name for one in stages}
    assert 0 < told.share <= 1
    assert told.gpu_waits is None or 0 <= told.gpu_waits <= 1
    assert (told.gpu_waits is None) == all(one.gpu_seconds == 0 for one in stages)
    assert "the GPU" not in told.words or told.gpu_waits is not None
    assert all(int(each) <= 100 for each in re.findall(r"(\d+)%", told.words))


@given(runs)
def test_no_lane_is_busier_than_the_one_that_is_named(stages: list[StageTotals]) -> None:
    told = diagnose(stages)
    if told is not None:
        assert max(lane.share for lane in lanes_of(stages)) == told.share


@given(runs)
def test_with_the_workers_that_are_told_it_is_balanced_and_with_one_less_it_is_not(
    stages: list[StageTotals],
) -> None:
    told = diagnose(stages)
    if told is None or told.more is None:
        return
    lanes = lanes_of(stages)
    (first,) = [lane for lane in lanes if any(one.name == told.stage for one in lane.stages)]
    apart = [lane for lane in lanes if lane is not first]
    if first.pool:
        apart = [lane for lane in apart if lane.pool != first.pool]
    second = max(lane.share for lane in apart)

    def spread(more: int) -> float:
        return first.share * first.workers / (first.workers + more)

    assert told.more > 0 and told.share >= BUSY
    assert spread(told.more) <= second * (1 + 1e-6)
    assert spread(told.more - 1) >= second * (1 - 1e-6)
    counted = re.search(r"; (\d+) more", told.words)
    assert (counted is None) == (told.more >= (MOST - 1) * first.workers)
    assert counted is None or int(counted[1]) == told.more


@given(runs, st.sampled_from([0.5, 2.0, 1024.0]))
def test_a_run_of_another_length_with_the_same_shares_is_told_the_same(
    stages: list[StageTotals], factor: float
) -> None:
    times = ("busy_seconds", "worker_seconds", "gpu_seconds", "gpu_busy_seconds")
    longer = [
        replace(one, **{name: getattr(one, name) * factor for name in times})  # type: ignore[arg-type]
        for one in stages
    ]
    assert diagnose(longer) == diagnose(stages)
