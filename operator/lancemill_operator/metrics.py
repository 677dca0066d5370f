"""What /metrics says: the operator's own doings, and the runs and datasets as they are now.

Figures of a pipeline or dataset are read from the store when Prometheus asks, so a series ends
with its object and needs no bookkeeping. Only ends of runs are counted here, as they are told by
the status that we write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lancemill_operator import times
from lancemill_operator.kinds import DATASET, PIPELINE, Body
from lancemill_operator.store import Store

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RESULTS = ("Succeeded", "Failed", "Cancelled")
_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of this process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconcile_seconds = Histogram(
            "lancemill_operator_reconcile_seconds",
            "Time that looking at an object and acting on it took.",
            ["kind"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.errors = Counter(
            "lancemill_operator_reconcile_errors_total",
            "Looks at an object that failed and are tried again.",
            ["kind", "error"],
            registry=self.registry,
        )
        self.calls = Counter(
            "lancemill_operator_api_calls_total",
            "Calls to the API server.",
            ["verb", "kind", "code"],
            registry=self.registry,
        )
        self.progress_polls = Counter(
            "lancemill_operator_progress_polls_total",
            "Times that a running head was asked how far it is.",
            ["result"],
            registry=self.registry,
        )
        self.resyncs = Counter(
            "lancemill_operator_resyncs_total",
            "Listings of everything, against what watches may have missed.",
            ["result"],
            registry=self.registry,
        )
        self.purged = Counter(
            "lancemill_operator_purged_total",
            "Objects whose end a watch had missed.",
            ["kind"],
            registry=self.registry,
        )
        self._ends: dict[tuple[str, str], dict[str, int]] = {}

    def called(self, verb: str, kind: str, code: str) -> None:
        """A call to the API server was made."""
        self.calls.labels(verb, kind, code).inc()

    def run_ended(self, namespace: str, name: str, result: str) -> None:
        """A run of the pipeline came to its end."""
        ends = self._ends.setdefault((namespace, name), {})
        ends[result] = ends.get(result, 0) + 1

    def forget(self, namespace: str, name: str) -> None:
        """The pipeline is gone, and its series with it."""
        self._ends.pop((namespace, name), None)

    def ends(self) -> Mapping[tuple[str, str], Mapping[str, int]]:
        return self._ends

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A figure that is asked for when Prometheus does."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def observe(self, store: Store) -> None:
        """Tell of the objects in `store`."""
        self.registry.register(_Objects(self, store))

    def watch_ages(self, ages: Callable[[], Mapping[str, float]]) -> None:
        """Tell since when each watch has been silent."""
        self.registry.register(_WatchAges(ages))

    def text(self) -> bytes:
        """What Prometheus reads."""
        return generate_latest(self.registry)


class _WatchAges(Collector):
    def __init__(self, ages: Callable[[], Mapping[str, float]]) -> None:
        self._ages = ages

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "lancemill_operator_watch_age_seconds",
            "Seconds since a watch was last heard of.",
            labels=["kind"],
        )
        for kind, age in self._ages().items():
            family.add_metric([kind], age)
        return [family]


class _Objects(Collector):
    """Runs and datasets, as their status has them."""

    def __init__(self, metrics: Metrics, store: Store) -> None:
        self._metrics = metrics
        self._store = store

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._pipelines()
        yield from self._datasets()
        yield self._runs()

    def _pipelines(self) -> Iterator[Metric]:
        rows = _gauge("run_rows", "Rows that the last run wrote.", "pipeline")
        seconds = _gauge("run_duration_seconds", "Time that the last run took.", "pipeline")
        success = _gauge("last_success_timestamp_seconds", "When a run last succeeded.", "pipeline")
        going = _gauge("run_active", "1 while a run goes on; 0 while suspended.", "pipeline")
        done = _gauge(
            "run_rows_done", "Rows of its source that the present run has done.", "pipeline"
        )
        costs = _gauge("run_cost", "What the last run has cost.", "pipeline", "currency")
        for body in self._store.all(PIPELINE):
            labels, status = _labels(body), body.get("status") or {}
            active = _is_active(status)
            going.add_metric(labels, 1.0 if active else 0.0)
            if active:
                done.add_metric(labels, float((status.get("progress") or {}).get("rowsDone", 0)))
            last = status.get("lastRun")
            if last:
                rows.add_metric(labels, float(last.get("rows", 0)))
                seconds.add_metric(labels, _length(last))
                if cost := last.get("cost"):
                    costs.add_metric([*labels, cost["currency"]], float(cost["amount"]))
            if (when := _last_success(status)) is not None:
                success.add_metric(labels, when)
        yield from (rows, seconds, success, going, done, costs)

    def _datasets(self) -> Iterator[Metric]:
        version = _gauge("dataset_version", "Latest version of the dataset.", "dataset")
        rows = _gauge("dataset_rows", "Rows of its latest version.", "dataset")
        fragments = _gauge("dataset_fragments", "Fragments of its latest version.", "dataset")
        live = _gauge("dataset_live_bytes", "Bytes of its latest version.", "dataset")
        dead = _gauge("dataset_dead_bytes", "Bytes that only older versions use.", "dataset")
        for body in self._store.all(DATASET):
            labels, status = _labels(body), body.get("status") or {}
            told = (
                (version, "version"),
                (rows, "rows"),
                (fragments, "fragments"),
                (live, "liveBytes"),
            )
            for family, field in told:
                if field in status:
                    family.add_metric(labels, float(status[field]))
            if "physicalBytes" in status and "liveBytes" in status:
                unused = status["physicalBytes"] - status["liveBytes"]
                dead.add_metric(labels, float(max(0, unused)))
        yield from (version, rows, fragments, live, dead)

    def _runs(self) -> Metric:
        family = CounterMetricFamily(
            "lancemill_runs",
            "Runs that ended since the operator started, by their result.",
            labels=["namespace", "pipeline", "result"],
        )
        ends = self._metrics.ends()
        for body in self._store.all(PIPELINE):
            namespace, name = _labels(body)
            # From 0 on: Prometheus' increase() does not see what a series began with.
            for result in RESULTS:
                number = ends.get((namespace, name), {}).get(result, 0)
                family.add_metric([namespace, name, result], number)
        return family


def _gauge(name: str, text: str, *kinds: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lancemill_{name}", text, labels=["namespace", *kinds])


def _is_active(status: Mapping[str, Any]) -> bool:
    """Whether a run goes on: one that is suspended waits for a person."""
    current = status.get("currentRun") or {}
    return bool(current) and current.get("state") != "Suspended"


def _labels(body: Body) -> list[str]:
    return [body["metadata"].get("namespace", ""), body["metadata"]["name"]]


def _length(run: Mapping[str, Any]) -> float:
    start, end = _time(run.get("startTime")), _time(run.get("endTime"))
    return max(0.0, end - start) if start is not None and end is not None else 0.0


def _last_success(status: Mapping[str, Any]) -> float | None:
    runs = [status.get("lastRun") or {}, *(status.get("runs") or ())]
    ends = [_time(run.get("endTime")) for run in runs if run.get("result") == "Succeeded"]
    return max((end for end in ends if end is not None), default=None)


def _time(text: Any) -> float | None:
    try:
        return times.parse(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
