"""Programs that may be missing: loudly, and in CI as a failure."""

from __future__ import annotations

import pytest

from kube.binaries import Binaries, Missing, find_binaries
from kube.conftest import missing


@pytest.fixture(scope="session")
def programs() -> Binaries:
    """kubectl and kstatus."""
    try:
        return find_binaries("kubernetes", "kstatus")
    except Missing as problem:
        missing(problem)
