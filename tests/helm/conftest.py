"""Each test runs with helm 3 and with helm 4."""

from __future__ import annotations

import pytest

from helm.chart import Helm, find_helm
from kube.binaries import Missing
from kube.conftest import missing


@pytest.fixture(scope="session", params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    try:
        return find_helm(request.param)
    except Missing as problem:
        missing(problem)
