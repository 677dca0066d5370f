"""What Prometheus reads."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from lancemill_operator.kinds import DATASET, PIPELINE
from lancemill_operator.metrics import Metrics
from lancemill_operator.store import Store

Object = dict[str, Any]
RUN = {
    "id": "r",
    "result": "Succeeded",
    "rows": 10,
    "startTime": "2026-11-21T10:00:00Z",
    "endTime": "2026-11-21T10:00:30Z",
}
CATS = {"namespace": "n", "pipeline": "cats"}


def body(name: str, **status: Any) -> Object:
    metadata = {"name": name, "namespace": "n", "uid": name, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {}, "status": status}


def told(metrics: Metrics) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def test_the_last_run_is_told_as_its_status_has_it() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats", lastRun=RUN))
    found = told(metrics)
    assert found["lancemill_run_rows"] == [(CATS, 10)]
    assert found["lancemill_run_duration_seconds"] == [(CATS, 30)]
    assert found["lancemill_last_success_timestamp_seconds"] == [(CATS, 1795255230)]


def test_a_failure_does_not_hide_when_a_run_last_succeeded() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    failed = {**RUN, "result": "Failed", "endTime": "2026-11-22T10:00:00Z"}
    store.saw(PIPELINE, body("cats", lastRun=failed, runs=[failed, RUN]))
    assert told(metrics)["lancemill_last_success_timestamp_seconds"] == [(CATS, 1795255230)]


def test_a_dataset_is_told_with_the_bytes_that_only_old_versions_use() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(DATASET, body("lake", version=3, rows=7, fragments=2, liveBytes=10, physicalBytes=25))
    found = told(metrics)
    labels = {"namespace": "n", "dataset": "lake"}
    assert found["lancemill_dataset_version"] == [(labels, 3)]
    assert found["lancemill_dataset_rows"] == [(labels, 7)]
    assert found["lancemill_dataset_fragments"] == [(labels, 2)]
    assert found["lancemill_dataset_live_bytes"] == [(labels, 10)]
    assert found["lancemill_dataset_dead_bytes"] == [(labels, 15)]


def test_series_end_with_their_object() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats", lastRun=RUN))
    metrics.run_ended("n", "cats", "Succeeded")
    assert told(metrics)["lancemill_runs_total"] == [
        ({**CATS, "result": "Succeeded"}, 1),
        ({**CATS, "result": "Failed"}, 0),
        ({**CATS, "result": "Cancelled"}, 0),
    ]
    store.lost(PIPELINE, "n", "cats")
    metrics.forget("n", "cats")
    found = told(metrics)
    for name in ("lancemill_run_rows", "lancemill_runs_total"):
        assert name not in found, name


def test_ends_of_runs_are_counted_by_their_result() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats"))
    for result in ("Succeeded", "Failed", "Succeeded"):
        metrics.run_ended("n", "cats", result)
    counted = {labels["result"]: value for labels, value in told(metrics)["lancemill_runs_total"]}
    assert counted == {"Succeeded": 2, "Failed": 1, "Cancelled": 0}


def test_what_a_run_has_cost_is_told_with_its_currency_and_only_where_there_are_prices() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats", lastRun=RUN))
    assert "lancemill_run_cost" not in told(metrics)
    paid = {**RUN, "cost": {"amount": 0.25, "currency": "EUR"}}
    store.saw(PIPELINE, body("dogs", lastRun=paid))
    labels = {"namespace": "n", "pipeline": "dogs", "currency": "EUR"}
    assert told(metrics)["lancemill_run_cost"] == [(labels, 0.25)]


def test_a_run_has_rows_done_while_it_goes_on_and_none_while_it_is_suspended() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    going = {"currentRun": {"id": "r", "state": "Running"}}
    store.saw(PIPELINE, body("cats", **going))
    assert told(metrics)["lancemill_run_rows_done"] == [(CATS, 0)]
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats", **going, progress={"rowsDone": 7}))
    assert told(metrics)["lancemill_run_rows_done"] == [(CATS, 7)]
    assert told(metrics)["lancemill_run_active"] == [(CATS, 1)]
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    paused = {"currentRun": {"id": "r", "state": "Suspended"}}
    store.saw(PIPELINE, body("cats", **paused, progress={"rowsDone": 7}))
    assert "lancemill_run_rows_done" not in told(metrics)
    assert told(metrics)["lancemill_run_active"] == [(CATS, 0)]


def test_calls_are_counted_by_verb_kind_and_code() -> None:
    metrics = Metrics()
    metrics.called("apply", "MultimodalPipeline", "200")
    labels = {"verb": "apply", "kind": "MultimodalPipeline", "code": "200"}
    assert (labels, 1) in told(metrics)["lancemill_operator_api_calls_total"]


def test_a_status_of_any_shape_is_survived() -> None:
    metrics, store = Metrics(), Store()
    metrics.observe(store)
    store.saw(PIPELINE, body("cats", lastRun={"startTime": "soon", "endTime": None}))
    assert told(metrics)["lancemill_run_duration_seconds"] == [(CATS, 0)]
