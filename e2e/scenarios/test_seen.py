"""What is seen of a run in real pods, by a Prometheus that scrapes what PodMonitors select."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e import install, long_run
from e2e.cache import ROOT
from e2e.kubectl import said
from e2e.long_run import NAME
from e2e.tenant import Object, Tenant

from helm.prometheus import Pod, find_prometheus, running, scrape_jobs

RAY = "ray.io/is-ray-node=yes"
PATIENCE = 120.0
SHARDS = 12
"""So many that the run is still there when Prometheus has looked at it a few times."""
SEEN = (
    "lancemill_run_active",
    'rate(lancemill_rows_total{direction="out"}[5m]) > 0',
    "lancemill_stage_busy_seconds_total > 0",
    "lancemill_run_rows_done > 0",
    "lancemill_operator_watch_age_seconds",
    'ray_node_mem_used{node_type="head"}',
    'ray_node_mem_used{node_type="worker"}',
)


def monitors(tenant: Tenant) -> list[Object]:
    chart = str(ROOT / "helm" / "lancemill")
    on = "--set=monitoring.podMonitor.enabled=true"
    cluster = tenant.cluster
    text = said(cluster.helm_command(install.SYSTEM, "template", install.RELEASE, chart, on))
    found = [one for one in yaml.safe_load_all(text) if one]
    return [one for one in found if one["kind"] == "PodMonitor"]


def addressed(pod: Object) -> Pod:
    """With the address of each named port, as discovery finds it."""
    named = {
        port["name"]: f"{pod['status']['podIP']}:{port['containerPort']}"
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
        if "name" in port
    }
    return Pod(pod, named)


@pytest.mark.needs("pod-addresses")
def test_a_run_is_seen_by_a_prometheus_that_follows_the_charts_podmonitors(
    tenant: Tenant, tmp_path: Path
) -> None:
    long_run.started(tenant, SHARDS)
    operators: dict[str, Any] = tenant.cluster.kubectl.at(install.SYSTEM).json("get", "pods")
    pods = [addressed(one) for one in [*operators["items"], *tenant.pods(RAY)]]
    jobs = [job for one in monitors(tenant) for job in scrape_jobs(one, pods, "2s")]
    assert {job["job_name"] for job in jobs if job["static_configs"]} >= {
        "lancemill-operator/http",
        "lancemill-runs/lancemill",
        "lancemill-runs/metrics",
    }
    with running(find_prometheus(), tmp_path, jobs) as prometheus:
        for expression in SEEN:
            series = prometheus.await_series(expression, PATIENCE)
            assert series, f"nothing answers {expression}"
        whose = prometheus.query("lancemill_rows_total")
        assert {one["metric"]["pipeline"] for one in whose} == {NAME}, json.dumps(whose)
        assert {one["metric"]["namespace"] for one in whose} == {tenant.namespace}
    tenant.succeeded(NAME, minutes=12)
