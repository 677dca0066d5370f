"""The stand-in and the played nodes as programs, as the demo and the bench use them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kube import loops
from kube.conformance.operators import Real
from kube.control_plane import ControlPlane
from kube.plays import ANNOTATION
from kube.processes import Program
from kube.rest import resource

DEADLINE = 90.0
TESTS = Path(__file__).parents[1]


@contextmanager
def program(folder: Path, module: str, says: str, *flags: str) -> Iterator[Program]:
    """Runs `python -m module` until the block ends; entered when it says that it works."""
    log = folder / f"{module}.log"
    found = Program(
        (sys.executable, "-m", module, *flags), log, {**os.environ, "PYTHONPATH": str(TESTS)}
    ).start()
    try:
        deadline = time.monotonic() + DEADLINE
        while says not in log.read_text().splitlines():
            found.must_run()
            assert time.monotonic() < deadline, found.tail()
            time.sleep(0.05)
        yield found
        assert found.stop() == 0, found.tail()
    finally:
        found.kill()


def rayjob(name: str) -> dict[str, object]:
    container = {"name": "ray", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}
    group = {"rayStartParams": {}, "template": {"spec": {"containers": [container]}}}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "annotations": {ANNOTATION: "seconds=500ms"}},
        "spec": {
            "submissionMode": "HTTPMode",
            "entrypoint": "lancemill run /etc/lancemill/run.json --run-id r1 --epoch 2",
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": {
                "rayVersion": "2.56.1",
                "headGroupSpec": group,
                "workerGroupSpecs": [{"groupName": "cpu", "replicas": 1, **group}],
            },
        },
    }


@pytest.mark.usefixtures("controllers", "kuberay_crds")
def test_a_rayjob_succeeds_on_the_two_programs_and_goes_with_its_cluster(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = ("--kubeconfig", str(control_plane.kubeconfig()))
    jobs = resource("ray.io/v1", "rayjobs", namespace)
    rest = control_plane.rest()
    with ExitStack() as stack:
        stack.enter_context(program(tmp_path, "kube.fake_nodes", "ready", *kubeconfig, "--fast"))
        quick = ("--poll", "0.2", "--after-ttl", "0", "--no-events", "--namespace", namespace)
        stack.enter_context(
            program(tmp_path, "kube.kuberay_standin", "working", *kubeconfig, *quick)
        )
        rest.create(jobs, rayjob("job"))
        rest.waited(
            f"{jobs}/job",
            lambda one: one.get("status", {}).get("jobStatus") == "SUCCEEDED",
            timeout=DEADLINE,
        )
        pods = resource("v1", "pods", namespace)
        deadline = time.monotonic() + DEADLINE
        while rest.get(pods)["items"]:
            assert time.monotonic() < deadline, "the cluster's pods stay"
            time.sleep(0.05)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"),
    reason="NOT RUN: a mount of one's own over /etc/resolv.conf takes root and unshare",
)
def test_a_given_operator_runs_with_our_name_server_until_it_is_stopped(tmp_path: Path) -> None:
    stand_in = tmp_path / "operator"
    pid = tmp_path / "pid"
    stand_in.write_text(
        f"#!/bin/sh\necho $$ > {pid}\ncat /etc/resolv.conf\necho Starting workers\nexec sleep 600\n"
    )
    stand_in.chmod(0o755)

    async def work() -> str:
        operator = Real(stand_in, "kubeconfig", ["a", "b"], 20.0, "198.18.0.9", tmp_path)
        await operator.start()
        await operator.stop()
        [log] = tmp_path.glob("operator-*.log")
        return log.read_text()

    assert "nameserver 198.18.0.9" in loops.run(work())
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid.read_text().strip()}").exists():
        assert time.monotonic() < deadline, "the operator outlives its end"
        time.sleep(0.05)
