"""Every query of the dashboard and every alert, asked of a real Prometheus that scrapes real series
by the chart's PodMonitors."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from helm.chart import CHART, Helm, only
from helm.panels import picture
from helm.picture import asked
from helm.prometheus import PATIENCE, Pod, Prometheus, promtool, running, scrape_jobs
from helm.scene import (
    NAMESPACE,
    Driver,
    GpuStage,
    OperatorMetrics,
    Scene,
    chosen,
    operator_pod,
    scene,
)

INTERVAL = "500ms"
BOARD = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Seen:
    prometheus: Prometheus
    driver: Driver
    pods: list[Pod]


@pytest.fixture(scope="module")
def seen(
    both: tuple[Helm, Helm],
    prometheus_programs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    """Prometheus, once it has seen a run that began and ended before its eyes."""
    folder = tmp_path_factory.mktemp("prometheus")
    objects = both[1].template({"monitoring": {"podMonitor": {"enabled": True}}})
    with scene(folder, operator_pod(only(objects, "Deployment"))) as seen:
        monitors = [one for one in objects if one["kind"] == "PodMonitor"]
        jobs = [job for one in monitors for job in scrape_jobs(one, seen.pods, INTERVAL)]
        with running(prometheus_programs, folder / "tsdb", jobs) as prometheus:
            _run_until_seen(prometheus, seen)
            assert prometheus.await_series(_all_scraped(seen.pods)), "not all ports are scraped"
            yield Seen(prometheus, seen.driver, seen.pods)


def _run_until_seen(prometheus: Prometheus, seen: Scene) -> None:
    """A run may begin and end between two looks: then there is another one."""
    deadline = time.monotonic() + PATIENCE
    moving = 'rate(lancemill_stage_worker_seconds_total{pipeline="thumbnails"}[5m]) > 0'
    while not prometheus.query(moving):
        assert time.monotonic() < deadline, "Prometheus never saw a run"
        seen.run()


def test_every_query_of_the_dashboard_returns_series(seen: Seen) -> None:
    deadline = time.monotonic() + PATIENCE
    empty = list(_queries())
    while empty and time.monotonic() < deadline:
        empty = [one for one in empty if not _numbers(seen.prometheus, one[1])]
    assert not empty, "\n".join(f"{title}: {query}" for title, query in empty)
    assert len(list(_queries())) > 20


def test_the_dashboard_is_drawn_with_something_in_every_panel(seen: Seen) -> None:
    now = time.time()
    answers = asked(seen.prometheus, (now - 10, now))
    drawn = ElementTree.fromstring(picture(BOARD, answers, (now - 10, now), "as seen <here>"))
    texts = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {panel["title"] for panel in BOARD["panels"]} <= {*texts}
    assert "as seen <here>" in texts
    assert "no data" not in texts


def test_the_choices_above_the_dashboard_are_those_there_are(seen: Seen) -> None:
    choices = {}
    for one in BOARD["templating"]["list"]:
        if one["type"] == "query":
            selector, label = re.fullmatch(
                r"label_values\((.*), (\w+)\)", one["definition"]
            ).groups()  # type: ignore[union-attr]
            choices[label] = seen.prometheus.label_values(label, chosen(selector))
    assert choices == {"namespace": [NAMESPACE], "pipeline": ["embeddings", "thumbnails"]}


def test_every_port_that_tells_metrics_is_scraped(seen: Seen) -> None:
    assert seen.prometheus.await_series(_all_scraped(seen.pods))
    ports = sum(len(pod.addresses) for pod in seen.pods)
    assert len(seen.prometheus.query("up")) == ports, "and nothing else"


def test_whose_series_they_are_is_said_by_kubernetes_and_not_by_the_pods(seen: Seen) -> None:
    (one, *_) = seen.prometheus.await_series('lancemill_actors{stage="embed"}')
    labels = one["metric"]
    assert (labels["namespace"], labels["pipeline"]) == (NAMESPACE, "embeddings")
    assert labels["node_type"] == "head"
    assert not [name for name in labels if name.startswith("exported_")]
    (ray, *_) = seen.prometheus.await_series('ray_node_cpu_count{node_type="worker"}')
    assert ray["metric"]["pipeline"] in ("embeddings", "thumbnails")
    assert ray["metric"]["group"] == "workers"


def test_what_prometheus_counts_of_a_run_is_what_the_run_says(seen: Seen) -> None:
    told = dict(re.findall(r"^(lancemill_rows_total\{.*\}) (\d+)$", seen.driver.text(), re.M))
    (given,) = [int(n) for name, n in told.items() if '"fetch"' in name and '"out"' in name]
    query = 'lancemill_rows_total{pipeline="thumbnails",stage="fetch",direction="out"}'
    assert seen.prometheus.await_series(f"{query} == {given}")


def test_every_alert_can_be_asked_of_what_there_is(seen: Seen) -> None:
    rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            seen.prometheus.query(rule["expr"])


def test_prometheus_finds_nothing_wrong_with_what_driver_and_operator_tell(
    seen: Seen, prometheus_programs: Path
) -> None:
    operator = OperatorMetrics()
    try:
        for text in (operator.text(), seen.driver.text(), GpuStage().text()):
            assert "# TYPE lancemill_" in text
            promtool(prometheus_programs, "check", "metrics", given=text)
    finally:
        operator.close()


def _all_scraped(pods: list[Pod]) -> str:
    return f"count(up == 1) == {sum(len(pod.addresses) for pod in pods)}"


def _queries() -> Iterator[tuple[str, str]]:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], chosen(target["expr"])


def _numbers(prometheus: Prometheus, query: str) -> bool:
    found = prometheus.query(query)
    return bool(found) and any(one["value"][1] != "NaN" for one in found)
