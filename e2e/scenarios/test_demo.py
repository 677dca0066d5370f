"""The demo by `kubectl apply`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from e2e.tenant import Tenant, on_the_laptop


@pytest.mark.smoke
def test_the_demo_makes_the_same_dataset_as_on_the_laptop(
    tenant: Tenant, pictures: dict[str, bytes], folder: Path
) -> None:
    tenant.put("pictures", pictures)
    tenant.kubectl.apply(*tenant.documents())
    run = tenant.succeeded()["status"]["lastRun"]
    expected = on_the_laptop(folder / "laptop", pictures, sys.executable)
    found = tenant.rows()
    assert (run["rows"], run["quarantined"]) == (len(expected), 1)
    assert found.schema == expected.schema
    assert found.to_pylist() == expected.to_pylist()
