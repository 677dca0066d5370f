"""A run's metrics, as Prometheus' own reader takes them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.samples import Sample

from lancemill.engine.exposition import exposition
from lancemill.engine.meter import Meter
from lancemill.engine.progress import StageTotals

EMBED = StageTotals(
    "embed",
    rows_in=100,
    rows_out=98,
    busy_seconds=29.0,
    wait_in_seconds=70.5,
    bytes_in=1000,
    bytes_out=50,
    queue_depth=2,
    workers=2,
    worker_seconds=100.0,
    gpus=2.0,
    gpu_seconds=100.0,
    gpu_busy_seconds=29.0,
    batches=10,
    faults_by_reason={"Truncated": 2},
)
COMMON = {"namespace": "lake", "pipeline": "cats"}


def read(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = list(parser.text_string_to_metric_families(text))
    assert len({one.name for one in families}) == len(families), "a family is told twice"
    samples: list[Sample] = [sample for one in families for sample in one.samples]
    found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
    assert len(found) == len(samples), "a series is told twice"
    return found


def value(text: str, name: str, **labels: str) -> float:
    return read(text)[f"lancemill_{name}", frozenset({**COMMON, **labels}.items())]


def test_a_stage_is_told_with_its_rows_its_time_and_its_devices() -> None:
    text = exposition(COMMON, [EMBED], None)
    assert value(text, "rows_total", stage="embed", direction="in") == 100
    assert value(text, "rows_total", stage="embed", direction="out") == 98
    assert value(text, "bytes_total", stage="embed", direction="out") == 50
    assert value(text, "rows_quarantined_total", stage="embed", reason="Truncated") == 2
    assert value(text, "stage_busy_seconds_total", stage="embed") == 29
    assert value(text, "stage_wait_seconds_total", stage="embed") == 70.5
    assert value(text, "actors", stage="embed") == 2
    assert value(text, "gpu_seconds_total", stage="embed") == 100
    assert value(text, "gpu_idle_seconds_total", stage="embed") == pytest.approx(71)
    assert value(text, "queue_depth_rows", stage="embed") == 20


def test_a_stage_that_holds_no_gpu_has_no_gpu_that_idles() -> None:
    text = exposition(COMMON, [replace(EMBED, gpu_seconds=0.0)], None)
    assert "gpu_idle_seconds_total{" not in text


def test_the_run_is_told_with_how_far_it_is() -> None:
    meter = Meter(["embed"], 50)
    meter.advance(20)
    text = exposition(COMMON, meter.totals(), meter.sample())
    assert value(text, "run_source_rows") == 50
    assert value(text, "run_source_rows_done") == 20


def test_a_source_of_unknown_length_has_no_total() -> None:
    assert "run_source_rows " not in exposition({}, (), Meter(["embed"], None).sample())


def test_no_label_stands_where_nothing_is_known() -> None:
    text = exposition({"namespace": "", "pipeline": "cats"}, [EMBED], None)
    assert "namespace" not in text


def test_counters_never_fall_while_a_run_goes_on() -> None:
    meter = Meter(["embed"], 50)
    counters = meter.stage("embed")
    counters.gpus = 1.0
    before: dict[object, float] = {}
    for _ in range(20):
        with counters.working():
            counters.add(rows_in=1)
        now = read(exposition(COMMON, meter.totals(), None))
        for series, number in now.items():
            if series[0].endswith("_total"):
                assert number >= before.get(series, 0.0), series
        before = dict(now)


seconds = st.floats(0, 1e12, allow_nan=False)
stages = st.builds(
    StageTotals,
    name=st.text(min_size=1, max_size=20),
    rows_in=st.integers(0, 2**63),
    queue_depth=st.integers(0, 10**6),
    batches=st.integers(0, 10**6),
    busy_seconds=seconds,
    worker_seconds=seconds,
    gpu_seconds=seconds,
    gpu_busy_seconds=seconds,
    faults_by_reason=st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 9)),
)


@given(st.lists(stages, max_size=4, unique_by=lambda one: one.name), st.text(max_size=20))
def test_any_run_can_be_read(found: list[StageTotals], pipeline: str) -> None:
    series = read(exposition({"pipeline": pipeline}, found, None))
    for one in found:
        name = {("stage", one.name), ("direction", "in")}
        labels = frozenset(name | ({("pipeline", pipeline)} if pipeline else set()))
        assert series["lancemill_rows_total", labels] == one.rows_in


GPU_STEPS = st.tuples(
    st.sampled_from(["time", "embed", "caption", "gpus", "rest"]), st.integers(0, 20)
)


@given(st.lists(GPU_STEPS, max_size=40))
def test_gpu_time_never_falls_whatever_shares_the_gpus_and_whoever_lets_them_go(
    steps: list[tuple[str, int]],
) -> None:
    now = [100.0]
    meter = Meter(["embed", "caption"], None, lambda: now[0])
    stages = [meter.stage("embed"), meter.stage("caption")]
    for stage in stages:
        stage.pool = "gpu"
    before: dict[str, float] = {}
    for what, amount in steps:
        now[0] += 0.5
        if what == "time":
            now[0] += amount
        elif what == "gpus":
            for stage in stages:
                stage.workers = stage.gpus = amount % 4
        elif what == "rest":
            meter.rest()
        else:
            meter.stage(what).add(busy_seconds=amount)  # told late, and both at once
        told = {
            name: amount
            for (name, _), amount in read(exposition({}, meter.totals(), None)).items()
            if name.startswith("lancemill_gpu")
        }
        assert all(told[name] >= amount for name, amount in before.items())
        held, idle = (told.get(f"lancemill_gpu_{kind}seconds_total", 0.0) for kind in ("", "idle_"))
        assert idle <= held + 1e-6
        before = told
