"""`make bench-operator`: a thousand pipelines at once, on a real API server.

Real: etcd, API server, controllers, scheduler, our operator as a process of its own. Played:
KubeRay, nodes, pods and drivers, by the same two cores, so every duration is an upper bound. What
the operator is answerable for are its calls and its memory, and that all is submitted in time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kube.control_plane import ControlPlane, control_plane
from kube.fake_nodes import CPU_NODE, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.rayjob import Settings
from kube.namespaces import fresh_namespace
from kube.operator_process import OperatorProcess, operator
from kube.probe_answers import well
from kube.rest import Rest, resource

API = "lancemill.dev/v1alpha1"
NODES = 40
IDLE_SECONDS = 60
PLAY = {"metadata": {"annotations": {"test.lancemill.dev/play": "seconds=3,lingers=15"}}}
"""Each driver works for three seconds, and stays until somebody has read its outcome."""
LONGEST = 1800.0
POLL = 5.0


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    what: str
    found: str
    wanted: str
    good: bool

    def text(self) -> str:
        verdict = "ok" if self.good else "MISSED"
        return f"  {self.what:<52} {self.found:>14} {self.wanted:>16}  {verdict}"


def manifest(number: int) -> dict[str, Any]:
    """A pipeline whose cluster is a head and one worker."""
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": f"p-{number:04d}"},
        "spec": {
            "source": {"objects": {"uri": "s3://photos/cats/", "storage": {"anonymous": True}}},
            "sink": {"lance": {"uri": f"s3://lake/{number}.lance"}},
            "cluster": {
                "head": {"resources": {"cpu": "500m", "memory": "1Gi"}},
                "workerGroups": [
                    {"name": "cpu", "resources": {"cpu": "500m", "memory": "1Gi"}, "minReplicas": 1}
                ],
            },
            "run": {"ttlAfterFinished": "1h"},
        },
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=1000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, control_plane() as plane:
        lines = asyncio.run(_played(plane, Path(folder), options.pipelines))
    print(f"\n{options.pipelines} pipelines, KubeRay played by the stand-in\n")
    print(f"  {'':<52} {'measured':>14} {'wanted':>16}")
    for line in lines:
        print(line.text())
    return 0 if all(line.good for line in lines) else 1


async def _played(plane: ControlPlane, folder: Path, count: int) -> list[Line]:
    config = str(plane.kubeconfig())
    kuberay = Options(Settings(poll=3.0, status_check_timeout=300, after_ttl=0), (), False)
    nodes = played_nodes(config, nodes=[CPU_NODE] * NODES, timing=Timing.fast(), job_ending=well)
    async with nodes, running(config, kuberay):
        return await asyncio.to_thread(_measured, plane, folder, count)


def _measured(plane: ControlPlane, folder: Path, count: int) -> list[Line]:
    with ExitStack() as stack:
        namespace = stack.enter_context(fresh_namespace(plane))
        plane.rest().merge(resource("v1", "namespaces", None, namespace), PLAY)
        process = stack.enter_context(operator(plane, folder, progress_interval=POLL))
        before = process.calls()
        started = time.monotonic()
        _create(plane, namespace, count)
        created = time.monotonic() - started
        submitted = _until(lambda: _rayjobs(plane.rest(), namespace) >= count, "submitted")
        done = _until(lambda: _phases(plane.rest(), namespace)["Succeeded"] >= count, "succeeded")
        calls = (process.calls() - before) / count
        polls = process.total("lancemill_operator_api_calls_total", verb="proxy") / count
        peak = process.peak_memory() / 2**20
        _report_calls(process, count)
        idle = _idle_calls(process)
    first, last = submitted - started, done - started
    return [
        Line("created, seconds", f"{created:.0f}", "", True),
        Line("submitted to KubeRay, seconds", f"{first:.0f}", "at most 120", first <= 120),
        Line("all Succeeded, seconds", f"{last:.0f}", "", True),
        Line(
            "API calls a pipeline, without polls of progress",
            f"{calls:.1f}",
            "at most 12",
            calls <= 12,
        ),
        Line(f"polls of progress a pipeline (every {POLL:.0f} s)", f"{polls:.1f}", "", True),
        Line("peak memory of the operator, MB", f"{peak:.0f}", "under 200", peak < 200),
        Line("API calls a second when all is done", f"{idle:.2f}", "nearly none", idle < 0.5),
    ]


def _create(plane: ControlPlane, namespace: str, count: int) -> None:
    path = resource(API, "multimodalpipelines", namespace)
    rest = plane.rest()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: rest.create(path, manifest(number)), range(count)))


def _rayjobs(rest: Rest, namespace: str) -> int:
    return len(rest.get(resource("ray.io/v1", "rayjobs", namespace))["items"])


def _phases(rest: Rest, namespace: str) -> Counter[str]:
    items = rest.get(resource(API, "multimodalpipelines", namespace))["items"]
    found = Counter(str((one.get("status") or {}).get("phase")) for one in items)
    print(
        "  " + ", ".join(f"{number} {phase}" for phase, number in found.most_common()), flush=True
    )
    return found


def _until(reached: Callable[[], bool], what: str) -> float:
    """The moment at which it was reached, give or take the pause between two looks."""
    deadline = time.monotonic() + LONGEST
    while not reached():
        if time.monotonic() > deadline:
            raise SystemExit(f"not all were {what} within {LONGEST:.0f} s")
        time.sleep(3)
    return time.monotonic()


def _report_calls(process: OperatorProcess, count: int) -> None:
    name = "lancemill_operator_api_calls_total"
    found: Counter[str] = Counter()
    for (sample, labels), value in process.metrics().items():
        if sample == name:
            of = dict(labels)
            found[f"{of.get('verb')} {of.get('resource') or of.get('kind') or ''}"] += int(value)
    print(
        "  calls: "
        + ", ".join(f"{what} {number / count:.2f}" for what, number in found.most_common())
    )


def _idle_calls(process: OperatorProcess) -> float:
    time.sleep(20)
    before = process.calls()
    time.sleep(IDLE_SECONDS)
    return (process.calls() - before) / IDLE_SECONDS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
