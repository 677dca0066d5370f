"""What a node says of itself: a function that travels whole, to nodes that may lack all of ours.

Ray sends a function of an installed module by its name only, which says nothing useful where the
module is not there, or is another version. So this module is sent by value (see preflight.py): it
imports nothing but Python's own at its top, and gives nothing but plain values.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def versions(names: Mapping[str, Sequence[str]]) -> dict[str, str | None]:
    """Of each name, as whichever of its distributions is installed here; None for none."""
    return {name: _version(name, tried) for name, tried in names.items()}


def _version(name: str, tried: Sequence[str]) -> str | None:
    if name == "python":
        return platform.python_version()
    for distribution in tried:
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


def answer(
    names: Mapping[str, Sequence[str]], brief: Sequence[Any], part: Mapping[str, Any]
) -> dict[str, Any]:
    """The task: versions, and what is wrong here for a part of the run.

    `brief` holds a reference, which is opened here: what is in it may not be readable.
    """
    import ray

    said: dict[str, Any] = {
        "node": ray.get_runtime_context().get_node_id(),
        "address": ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        "versions": versions(names),
        "problems": [],
        "notes": [],
    }
    try:
        from lancemill.engine.ray import reach

        opened = ray.get(brief[0])
        said["notes"] = reach.made_ready(opened, part)
        said["problems"] = reach.problems(opened, part)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        said["broken"] = f"{type(error).__name__}: {first}"
    return said
