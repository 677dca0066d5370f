"""Every report says who was held to the recordings: the stand-in, or the real KubeRay."""

from __future__ import annotations

import os

import pytest

from kube.conformance.operators import VARIABLE, name_of

RAN = pytest.StashKey[str]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if RAN in config.stash:
        terminalreporter.section("KubeRay")
        terminalreporter.line(f"conformance: held to the recordings was {config.stash[RAN]}")


@pytest.fixture(scope="session")
def operator_name(pytestconfig: pytest.Config) -> str:
    found = pytestconfig.stash[RAN] = name_of(os.environ.get(VARIABLE))
    return found
