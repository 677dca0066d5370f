"""Each test runs with helm 3 and with helm 4."""

from __future__ import annotations

from pathlib import Path

import pytest

from helm.chart import Helm, find_helm
from helm.prometheus import find_prometheus
from kube.binaries import Missing
from kube.conftest import missing

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kube: needs Kubernetes' programs (set by its fixtures)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not kube"` runs what needs no helm. Building both helms takes minutes: that is not for
    `make test`."""
    for item in items:
        if HERE in item.path.parents and {"helm", "both"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("kube")
            item.add_marker("thorough")


@pytest.fixture(scope="session", params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    try:
        return find_helm(request.param)
    except Missing as problem:
        missing(problem)


@pytest.fixture(scope="session")
def both() -> tuple[Helm, Helm]:
    try:
        return find_helm("helm3"), find_helm("helm4")
    except Missing as problem:
        missing(problem)


@pytest.fixture(scope="session")
def prometheus_programs() -> Path:
    """The folder of prometheus and promtool."""
    try:
        return find_prometheus()
    except Missing as problem:
        missing(problem)
