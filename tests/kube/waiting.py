"""Waiting for what comes about by itself, with a deadline that a busy machine keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

DEADLINE = 120.0


def until(what: str, holds: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """What `holds` gives as soon as that is true; AssertionError that names `what`, else."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)
    return found
