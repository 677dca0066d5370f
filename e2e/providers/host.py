"""A real node on this machine: kubelet, containerd, DNS and service proxy in namespaces.

No container engine, no registry. KubeRay is the operator that KUBERAY_OPERATOR names, else our
stand-in for it, which starts the same pods and talks to the same dashboards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.cache import CACHE, ROOT
from e2e.cluster import Ability, Cluster
from e2e.host import debian, enter, podlogs
from e2e.host.node import Place, node
from e2e.host.programs import programs
from e2e.kubectl import Kubectl
from e2e.providers.addresses import by_name
from kube.binaries import find_binaries, kuberay_data
from kube.control_plane import ControlPlane
from kube.processes import Ended, Program

CAN: frozenset[Ability] = frozenset({"autoscaler", "drain", "gpus", "pod-addresses"})
KUBERAY_SECONDS = 120


class Host:
    name = "host"

    def why_not(self) -> str | None:
        if kuberay_data() is None:
            return "KubeRay's CRDs are not here: name their folder by KUBERAY_DATA"
        return enter.why_not()

    @contextlib.contextmanager
    def running(self) -> Iterator[Cluster]:
        """To be called inside the namespaces (`enter.inside`)."""
        folder = Path(os.environ[enter.FOLDER])
        place = Place(folder, debian.packages(), programs(), os.environ[enter.CGROUP])
        logs = CACHE / "logs" / time.strftime("%Y%m%d-%H%M%S")
        with node(place) as plane:
            try:
                with _kuberay(plane) as kuberay, podlogs.kept(folder / "pod-logs", logs / "pods"):
                    yield _cluster(plane, kuberay, logs)
            finally:
                shutil.copytree(plane.folder / "logs", logs / "node", dirs_exist_ok=True)


def _cluster(plane: ControlPlane, kuberay: str, logs: Path) -> Cluster:
    helm = find_binaries("helm3").path("helm3")
    kubectl = Kubectl(plane.binaries.path("kubectl"), plane.kubeconfig())
    return Cluster("host", kubectl, helm, kuberay, by_name, CAN, logs)


@contextlib.contextmanager
def _kuberay(plane: ControlPlane) -> Iterator[str]:
    """An operator outside of pods, for all namespaces; yields what it is."""
    given = os.environ.get("KUBERAY_OPERATOR")
    log = plane.folder / "logs" / "kuberay.log"
    program = _real(plane, given, log) if given else _stand_in(plane, log)
    program.start()
    try:
        _wait(program, "Starting workers" if given else "working")
        yield f"KubeRay's own operator ({given})" if given else "our stand-in for KubeRay"
    finally:
        program.kill()


def _stand_in(plane: ControlPlane, log: Path) -> Program:
    command = [sys.executable, "-m", "kube.kuberay_standin", f"--kubeconfig={plane.kubeconfig()}"]
    path = os.pathsep.join([str(ROOT / "tests"), *sys.path])
    return Program(command, log, {**os.environ, "PYTHONPATH": path})


def _real(plane: ControlPlane, program: str, log: Path) -> Program:
    flags = ["-enable-leader-election=false", "-log-stdout-encoder", "console"]
    addresses = [
        "-metrics-addr",
        "127.0.0.1:18080",
        "-health-probe-bind-address",
        "127.0.0.1:18081",
    ]
    return Program([program, "-kubeconfig", str(plane.kubeconfig()), *flags, *addresses], log)


def _wait(program: Program, said: str) -> None:
    deadline = time.monotonic() + KUBERAY_SECONDS
    while said not in program.tail():
        program.must_run()
        if time.monotonic() > deadline:
            raise Ended(f"{program.name} did not say {said!r}:\n{program.tail()}")
        time.sleep(0.1)
