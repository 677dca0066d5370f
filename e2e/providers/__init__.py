"""Three ways to a cluster, and which of them are possible here."""

from __future__ import annotations

from e2e.cluster import Provider
from e2e.providers.existing import Existing
from e2e.providers.host import Host
from e2e.providers.kind import Kind


def providers() -> dict[str, Provider]:
    """By name, in the order in which they are taken: what users have before what stands in."""
    return {one.name: one for one in (Existing(), Kind(), Host())}
