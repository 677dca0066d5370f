"""A namespace of a test's own: names never clash, and what is left is not waited for."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from kube.control_plane import ControlPlane
from kube.rest import Refused, resource


@contextlib.contextmanager
def fresh_namespace(
    plane: ControlPlane, prefix: str = "test", labels: dict[str, str] | None = None
) -> Iterator[str]:
    """Pods may be made in it at once. Its deletion begins at the end, and takes seconds more."""
    name = f"{prefix}-{secrets.token_hex(4)}"
    rest = plane.rest()
    rest.create(resource("v1", "namespaces"), {"metadata": {"name": name, "labels": labels or {}}})
    try:
        _ensure_service_account(plane, name)
        yield name
    finally:
        with contextlib.suppress(Refused, OSError):  # the control plane may be what the test broke
            rest.delete(resource("v1", "namespaces", None, name))


def _ensure_service_account(plane: ControlPlane, namespace: str) -> None:
    """Without it the API server refuses every pod."""
    accounts = resource("v1", "serviceaccounts", namespace)
    if plane.runs_controllers:
        plane.rest().waited(f"{accounts}/default", lambda found: found is not None, timeout=60)
    else:
        plane.rest().create(accounts, {"metadata": {"name": "default"}})
