"""Environment variables of pods: the manifest's, then ours, which the models keep apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lancemill_api.runtime import Runtime
from lancemill_operator.manifests.written import written

HOME = "/tmp"
"""A folder that a user without a home may write to: Ray and model caches want one."""


def environment(runtime: Runtime, own: Mapping[str, str]) -> dict[str, Any]:
    """`env` and `envFrom` of a container; a key without entries is left out."""
    given = [written(one) for one in runtime.env]
    taken = {one["name"] for one in given}
    ours = [
        {"name": name, "value": value}
        for name, value in {"HOME": HOME, **own}.items()
        if name not in taken
    ]
    made: dict[str, Any] = {"env": given + ours}
    if runtime.env_from:
        made["envFrom"] = [written(one) for one in runtime.env_from]
    return made
