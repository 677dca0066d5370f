"""A Prometheus of the tests: Debian's program, scraping what a PodMonitor of the chart selects.

Debian builds it without Kubernetes' service discovery. So a PodMonitor becomes scrape configuration
as the Prometheus Operator makes it, and pods become targets of files that carry the labels which
discovery would have found: the PodMonitor's own relabeling rules then do what they do in a cluster.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kube.binaries import ROOT, Missing
from kube.ports import free_port
from kube.processes import Program

PATIENCE = 60.0
META = "__meta_kubernetes_pod_"


def find_prometheus() -> Path:
    """The folder of prometheus and promtool; fetched where it is not there. Raises Missing."""
    command = [str(ROOT / "scripts" / "prometheus-assets")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Missing(found.stderr.strip() or "scripts/prometheus-assets failed")
    return Path(found.stdout.strip())


def promtool(programs: Path, *arguments: str, given: str = "") -> str:
    """What promtool says; it must be content."""
    command = [str(programs / "promtool"), *arguments]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Pod:
    """A pod that is there, by its manifest, with the address at which each named port answers."""

    body: Mapping[str, Any]
    addresses: Mapping[str, str]


def scrape_jobs(
    monitor: Mapping[str, Any], pods: Iterable[Pod], interval: str
) -> list[dict[str, Any]]:
    """The scrape configuration of a PodMonitor, one job for each of its endpoints."""
    spec, name = monitor["spec"], monitor["metadata"]["name"]
    selected = [pod for pod in pods if _selects(monitor, pod.body["metadata"])]
    return [
        {
            "job_name": f"{name}/{endpoint['port']}",
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "metrics_path": endpoint.get("path", "/metrics"),
            "honor_labels": endpoint.get("honorLabels", False),
            "static_configs": [
                _target(pod, endpoint["port"])
                for pod in selected
                if endpoint["port"] in pod.addresses
            ],
            "relabel_configs": [*_OF_THE_OPERATOR, *_rules(endpoint.get("relabelings", ()))],
            "metric_relabel_configs": _rules(endpoint.get("metricRelabelings", ())),
        }
        for endpoint in spec["podMetricsEndpoints"]
    ]


_OF_THE_OPERATOR: list[dict[str, Any]] = [
    {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
    {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
]
"""What the Prometheus Operator puts before a PodMonitor's own rules."""


def _target(pod: Pod, port: str) -> dict[str, Any]:
    meta = pod.body["metadata"]
    assert port in _named_ports(pod.body), f"{meta['name']} has no port named {port}"
    labels = {
        f"{META}label_{re.sub(r'[^a-zA-Z0-9_]', '_', key)}": value
        for key, value in meta.get("labels", {}).items()
    }
    labels |= {"__meta_kubernetes_namespace": meta["namespace"], f"{META}name": meta["name"]}
    return {"targets": [pod.addresses[port]], "labels": labels}


def _named_ports(body: Mapping[str, Any]) -> set[str]:
    containers = body["spec"]["containers"]
    return {port["name"] for one in containers for port in one.get("ports", ())}


def _rules(rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """camelCase of the PodMonitor, snake_case of Prometheus."""
    return [
        {
            re.sub(r"[A-Z]", lambda one: f"_{one[0].lower()}", key): value
            for key, value in one.items()
        }
        for one in rules
    ]


def _selects(monitor: Mapping[str, Any], meta: Mapping[str, Any]) -> bool:
    spec, labels = monitor["spec"], meta.get("labels", {})
    where = spec.get("namespaceSelector", {"matchNames": [monitor["metadata"]["namespace"]]})
    if not where.get("any") and meta["namespace"] not in where.get("matchNames", ()):
        return False
    selector = spec["selector"]
    for one in selector.get("matchExpressions", ()):
        assert one["operator"] == "Exists", "the only one that the chart uses"
        if one["key"] not in labels:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    address: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query. Raises ValueError with what Prometheus says."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def over(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a range query."""
        given = {"query": expression, "start": start, "end": end, "step": step}
        found: list[dict[str, Any]] = self._ask("query_range", **given)["result"]
        return found

    def label_values(self, label: str, selector: str) -> list[str]:
        found: list[str] = self._ask(f"label/{label}/values", **{"match[]": selector})
        return found

    def await_series(self, expression: str, patience: float = PATIENCE) -> list[dict[str, Any]]:
        """The series of a query once there are any; what there is at the end of patience."""
        deadline = time.monotonic() + patience
        while not (found := self.query(expression)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _ask(self, what: str, **given: Any) -> Any:
        address = f"{self.address}/api/v1/{what}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            with refused:
                raise ValueError(refused.read().decode(errors="replace")) from None


@contextlib.contextmanager
def running(programs: Path, folder: Path, jobs: list[dict[str, Any]]) -> Iterator[Prometheus]:
    """A Prometheus with these scrape jobs and its data in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "prometheus.yaml"
    configuration.write_text(yaml.safe_dump({"scrape_configs": jobs}), encoding="utf-8")
    port = free_port()
    command = [
        str(programs / "prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    program = Program(command, folder / "prometheus.log").start()
    try:
        _await_ready(program, f"http://127.0.0.1:{port}/-/ready")
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        program.kill()


def _await_ready(program: Program, address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        program.must_run()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except urllib.error.HTTPError as early:
            early.close()
        except OSError:
            pass
        assert time.monotonic() < deadline, program.tail()
        time.sleep(0.05)
