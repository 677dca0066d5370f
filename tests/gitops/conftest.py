"""Programs that may be missing: loudly, and in CI as a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from kube.binaries import Binaries, Missing, find_binaries
from kube.conftest import missing

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kube: needs Kubernetes' programs (set by its fixtures)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m "not kube"` runs what needs no kubectl and kstatus."""
    for item in items:
        if HERE in item.path.parents and "programs" in getattr(item, "fixturenames", ()):
            item.add_marker("kube")


@pytest.fixture(scope="session")
def programs() -> Binaries:
    """kubectl and kstatus."""
    try:
        return find_binaries("kubernetes", "kstatus")
    except Missing as problem:
        missing(problem)
