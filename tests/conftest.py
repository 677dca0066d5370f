"""What holds for all tests.

Property tests behave the same on every machine: what a slow or busy one does is no failure.

Examples are drawn by the test's own code and not by chance, so that a test which passed passes
again, and none are kept: a checkout may be read-only. For other examples each time:
`pytest --hypothesis-profile=explore`.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A shell without job control has what it starts in the background ignore Ctrl-C, and so would every
# process of a test, and its own.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

RAY = Path(__file__).parent / "runtime" / "ray"

settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("explore", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ray: needs a Ray (set by its fixtures)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process for all tests on Ray, however many share the tests: their Rays are shared.
    `-m "not ray"` runs what needs none."""
    for item in items:
        if RAY in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("ray"))
            if {"local_ray", "groups"} & {*getattr(item, "fixturenames", ())}:
                item.add_marker("ray")
