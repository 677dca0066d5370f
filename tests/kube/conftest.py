"""Fixtures of the tier that runs against a real API server.

A part that is missing fails the tests that need it where CI is set, and skips them elsewhere, with
the reason: nothing passes because it could not run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NoReturn

import pytest
from kubernetes_asyncio.client import ApiClient

from kube.addresses import PodAddresses, pod_addresses
from kube.asynchronous import connected
from kube.binaries import ROOT, Missing, find_binaries, kuberay_data
from kube.control_plane import ControlPlane
from kube.control_plane import control_plane as running_control_plane
from kube.credentials import ADMIN
from kube.kubectl import Kubectl
from kube.namespaces import fresh_namespace

Api = Callable[..., AbstractAsyncContextManager[ApiClient]]

HERE = Path(__file__).parent
LOGS = ROOT / ".cache" / "kube-logs"
KEPT_LOGS = 5
TIMEOUT = 300  # the first test starts the control plane, and on a cold cache makes its seed


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kube: needs Kubernetes' programs (set by its fixtures)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not kube"` runs what needs no control plane, wherever it lies."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        if "control_plane" in getattr(item, "fixturenames", ()):
            item.add_marker("kube")
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


def missing(problem: Missing) -> NoReturn:
    """Fails in CI, where everything must run; says why not elsewhere."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"this must run in CI, and cannot: {problem}", pytrace=False)
    pytest.skip(f"NOT RUN: {problem}")


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """One for the whole test run; a test gets its isolation from a namespace."""

    def logs_of_failures() -> Path | None:
        if not request.session.testsfailed:
            return None
        kept = LOGS / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}")
        for old in sorted(LOGS.glob("*"))[: -KEPT_LOGS + 1]:
            shutil.rmtree(old, ignore_errors=True)
        print(f"\nlogs of the control plane: {kept}")
        return kept

    try:
        binaries = find_binaries()
    except Missing as problem:
        missing(problem)
    with running_control_plane(binaries, keep_logs=logs_of_failures) as plane:
        yield plane


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """`program("helm3")`: the path of helm3, helm4 or kstatus."""

    def path(name: str) -> str:
        try:
            return find_binaries(name).path(name)
        except Missing as problem:
            missing(problem)

    return path


@pytest.fixture
def controllers(control_plane: ControlPlane) -> None:
    """For tests of garbage collection, quota, deletion and scheduling."""
    if not (control_plane.runs_controllers and control_plane.runs_scheduler):
        missing(Missing(f"{control_plane.binaries.folder} has no controller manager, scheduler"))


@pytest.fixture
def kuberay_crds(control_plane: ControlPlane) -> None:
    """For tests of RayJobs and RayClusters."""
    if kuberay_data() is None:
        missing(Missing("KubeRay's CRDs are not here: name their folder by KUBERAY_DATA"))


@pytest.fixture(scope="session")
def addresses() -> Iterator[PodAddresses]:
    """For what plays pods: not loopback's, so that the API server's proxy reaches them."""
    with contextlib.ExitStack() as stack:
        try:
            found = stack.enter_context(pod_addresses())
        except Missing as problem:
            missing(problem)
        yield found


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    with fresh_namespace(control_plane) as name:
        yield name


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """In the test's namespace, as admin."""
    return Kubectl(control_plane, namespace)


@pytest.fixture
def api(control_plane: ControlPlane) -> Api:
    """`async with api() as client:` or `api("alice", server=proxy.url)`: kubernetes_asyncio's."""

    def client(
        user: str = ADMIN, server: str | None = None
    ) -> AbstractAsyncContextManager[ApiClient]:
        return connected(control_plane.kubeconfig(user, server=server))

    return client
