"""Something for Prometheus to see: an operator, the pods of a run, and what each of them tells.

What is told comes from the code that tells it in a cluster: the operator's registry, and the HTTP
server of a driver whose run really runs. Played are what the operator knows of and does (no API
server is here), a stage with a GPU (counters and text are real, the GPU is not), and Ray, by what a
head of it once said.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kubernetes_asyncio.client import Configuration

from helm.prometheus import Pod
from kube.kuberay import pods as kuberay_pods
from kube.kuberay.objects import ray_cluster
from lancemill.engine.counters import StageCounters
from lancemill.engine.exposition import exposition
from lancemill.engine.request import RunOptions
from lancemill.engine.serve import Door, Server
from lancemill.engine.session import run_job
from lancemill.engine.telling import Telling
from lancemill.manifest import load_text
from lancemill.report.summary import RunSummary
from lancemill_api.manifest import load
from lancemill_api.prices import Prices
from lancemill_operator.facts import Identity, Outcome, Verdict
from lancemill_operator.kinds import DATASET, PIPELINE, Kind
from lancemill_operator.main import Operator
from lancemill_operator.manifests import Defaults, rayjob
from lancemill_operator.settings import Settings
from support.material import pictures

RAY = Path(__file__).parent / "ray-2.60.prom"
AUTOSCALER = Path(__file__).parent / "ray-2.60-autoscaler.prom"
NAMESPACE = "lake"
PRICES = Prices(cpu_hour=0.0316, gpu_hour=2.5, currency="EUR")


def manifest(folder: Path, name: str, copies: int) -> str:
    """Pictures become thumbnails; one of each copy is cut short and is set aside."""
    source = folder / "pictures"
    for number in range(0 if source.exists() else copies):
        copy = source / str(number)
        copy.mkdir(parents=True)
        for path in pictures():
            (copy / path.name).symlink_to(path)
        whole = (copy / "rocket.jpg").read_bytes()
        (copy / "cut-short.jpg").write_bytes(whole[: len(whole) // 2])
    return json.dumps(
        {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "MultimodalPipeline",
            "metadata": {"name": name},
            "spec": {
                "source": {"objects": {"uri": str(source), "include": ["**/*.jpg", "**/*.png"]}},
                "stages": [
                    {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
                    {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
                    {"name": "small", "resize": {"column": "image", "width": 64, "height": 64}},
                ],
                "sink": {"jsonl": {"uri": str(folder / f"{name}.jsonl"), "columns": ["key"]}},
                "errors": {"onRow": "quarantine", "maxRate": 0.5},
            },
        }
    )


class Driver:
    """A driver at its door, and runs that it has run."""

    def __init__(self, folder: Path, name: str, copies: int) -> None:
        self._folder = folder
        self._manifest = manifest(folder, name, copies)
        self._telling = Telling("r1", 1)
        server = Server.open(Door("127.0.0.1", 0), self._telling, print)
        assert server is not None
        self._server = server
        self.address = f"127.0.0.1:{server.port}"

    def run(self) -> RunSummary:
        """A whole run, and what came of it; the counters of the next one begin anew, as
        those of a new pod do."""
        job = load_text(self._manifest, source="manifest", base=self._folder).job(None)
        summary = run_job(job, RunOptions(), _Silent(), begun=self._telling.follow)
        assert summary.end == "committed", summary.message
        return summary

    def text(self) -> str:
        return self._telling.metrics().decode()

    def close(self) -> None:
        self._server.close()


class _Silent:
    def start(self, title: str, meter: Any) -> None: ...
    def event(self, text: str) -> None: ...


class GpuStage:
    """A stage whose GPU waits seven tenths of its time."""

    def __init__(self) -> None:
        self._counters = StageCounters("embed", queue_capacity=8)
        self._counters.gpus = 1.0
        self._counters.queue_depth = 2
        self._looked = time.monotonic()

    def text(self) -> str:
        passed = time.monotonic() - self._looked
        self._looked += passed
        rows = int(200 * passed) + 1
        self._counters.add(
            rows_in=rows,
            rows_out=rows,
            busy_seconds=0.3 * passed,
            wait_in_seconds=0.7 * passed,
            bytes_in=600 * rows,
            bytes_out=2048 * rows,
        )
        return exposition({"pipeline": "embeddings"}, [self._counters.totals()], None)


class OperatorMetrics:
    """An operator's registry, with a store that holds pipelines and a dataset of every state."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._operator = self._loop.run_until_complete(self._made())
        self.metrics = self._operator.metrics
        self._lock = threading.Lock()
        self._version = 0
        for name in ("thumbnails", "embeddings"):
            self.ran(name, rows=12391, seconds=31.0, cpu_seconds=58.0)
        self._saw(DATASET, "photos", _DATASET)

    def ran(self, pipeline: str, *, rows: int, seconds: float, cpu_seconds: float) -> None:
        """A run of the pipeline has ended, and the next one goes on."""
        self.metrics.run_ended(NAMESPACE, pipeline, "Succeeded")
        used = Outcome("7f3a", 1, Verdict.COMMITTED, rows=rows, cpu_seconds=cpu_seconds)
        self._saw(PIPELINE, pipeline, _pipeline_status(used, seconds))

    def _saw(self, kind: Kind, name: str, status: dict[str, Any]) -> None:
        self._version += 1
        metadata = {"name": name, "namespace": NAMESPACE, "uid": name}
        metadata["resourceVersion"] = str(self._version)
        self._operator.store.saw(kind, {"metadata": metadata, "spec": {}, "status": status})

    def text(self) -> str:
        """Each time that it is asked something has happened since."""
        with self._lock:
            metrics = self.metrics
            metrics.called("apply", "MultimodalPipeline", "200")
            metrics.errors.labels("LanceDataset", "Conflict").inc()
            metrics.progress_polls.labels("answered").inc()
            metrics.reconcile_seconds.labels("MultimodalPipeline").observe(0.02)
            return metrics.text().decode()

    def close(self) -> None:
        self._loop.run_until_complete(self._operator.poller.close())
        self._loop.run_until_complete(self._operator.api.close())
        self._loop.close()

    async def _made(self) -> Operator:
        return Operator(Settings(), Configuration())


_DATASET = {
    "version": 8,
    "rows": 12391,
    "fragments": 24,
    "liveBytes": 10**9,
    "physicalBytes": 2**31,
}


def _pipeline_status(used: Outcome, seconds: float) -> dict[str, Any]:
    end = datetime.now(UTC)
    paid = PRICES.cost(used.cpu_seconds, used.gpu_seconds)
    assert paid is not None
    last = {
        "id": used.run,
        "result": "Succeeded",
        "rows": used.rows,
        "startTime": (end - timedelta(seconds=seconds)).isoformat(),
        "endTime": end.isoformat(),
        "cost": paid.model_dump(by_alias=True),
    }
    current = {"id": "8a1b", "state": "Running"}
    return {"currentRun": current, "progress": {"rowsDone": 4000}, "lastRun": last}


def run_pods(pipeline: str) -> list[dict[str, Any]]:
    """The pods of a run, as our operator and KubeRay make them of a manifest."""
    (one,) = load(_LEAST.replace("NAME", pipeline)).pipelines
    owner = Identity(NAMESPACE, pipeline, f"uid-of-{pipeline}", 1)
    body = rayjob(owner, one, [], run="r1", attempt=1, remaining=3600.0, defaults=Defaults())
    job = {**json.loads(json.dumps(body)), "status": {}}
    job["metadata"]["uid"] = f"uid-of-job-{pipeline}"
    cluster = ray_cluster(job, f"{pipeline}-cluster")
    cluster["metadata"]["uid"] = f"uid-of-cluster-{pipeline}"
    made = [kuberay_pods.head(cluster)]
    made += [
        kuberay_pods.worker(cluster, group, 0) for group in cluster["spec"]["workerGroupSpecs"]
    ]
    for pod in made:
        pod["metadata"]["name"] = pod["metadata"]["generateName"] + "x1"
    return made


_LEAST = json.dumps(
    {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {"name": "NAME"},
        "spec": {
            "source": {"table": {"format": "csv", "uri": "s3://a/b.csv"}},
            "sink": {"jsonl": {"uri": "s3://a/b.jsonl"}},
        },
    }
)


def operator_pod(deployment: dict[str, Any]) -> dict[str, Any]:
    """The pod of the chart's Deployment."""
    template = deployment["spec"]["template"]
    where = {"name": "lancemill-operator-x1", "namespace": deployment["metadata"]["namespace"]}
    return {**template, "metadata": {**template["metadata"], **where}}


def chosen(query: str) -> str:
    """With everything chosen, as Grafana puts it."""
    return query.replace("$namespace", ".*").replace("$pipeline", ".*")


@contextlib.contextmanager
def told_at(text: Callable[[], str]) -> Iterator[str]:
    """The address at which `text` is told as metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = _Http(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Http(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prometheus may be stopped while it reads."""


@dataclass(frozen=True)
class Scene:
    """All pods with their addresses, and who speaks from them."""

    pods: list[Pod]
    driver: Driver
    operator: OperatorMetrics

    def run(self) -> None:
        """A run of the pipeline thumbnails, which the operator hears of."""
        done = self.driver.run()
        self.operator.ran(
            "thumbnails",
            rows=done.rows_out,
            seconds=done.duration_seconds,
            cpu_seconds=done.cpu_seconds or 0.0,
        )


@contextlib.contextmanager
def scene(folder: Path, operator_pod: dict[str, Any], copies: int = 1) -> Iterator[Scene]:
    """`copies` of the pictures make runs longer."""
    with contextlib.ExitStack() as stack:
        driver = Driver(folder, "thumbnails", copies)
        stack.callback(driver.close)
        operator = OperatorMetrics()
        stack.callback(operator.close)
        ray = stack.enter_context(told_at(lambda: RAY.read_text(encoding="utf-8")))
        scaler = stack.enter_context(told_at(lambda: AUTOSCALER.read_text(encoding="utf-8")))
        nothing = stack.enter_context(told_at(str))
        gpu = stack.enter_context(told_at(GpuStage().text))
        http = stack.enter_context(told_at(operator.text))
        pods = [Pod(operator_pod, {"http": http})]
        for pipeline, door in (("thumbnails", driver.address), ("embeddings", gpu)):
            head, *workers = run_pods(pipeline)
            of_ray = {"metrics": ray, "as-metrics": scaler, "dash-metrics": nothing}
            pods.append(Pod(head, {"lancemill": door, **of_ray}))
            pods += [Pod(worker, {"metrics": ray}) for worker in workers]
        yield Scene(pods, driver, operator)
