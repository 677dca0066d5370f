"""What holds for all tests.

Property tests behave the same on every machine: what a slow or busy one does is no failure.

Examples are drawn by the test's own code and not by chance, so that a test which passed passes
again, and none are kept: a checkout may be read-only. For other examples each time:
`pytest --hypothesis-profile=explore`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process for all tests on Ray, however many share the tests: their Rays are shared."""
    for item in items:
        if RAY in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("ray"))
