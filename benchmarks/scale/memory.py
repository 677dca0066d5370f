"""Memory of this process, as Linux tells it."""

from __future__ import annotations

import gc
from pathlib import Path


def peak_mb() -> float:
    """The most that was ever resident. (`ru_maxrss` would begin with the parent's.)"""
    return _kilobytes("VmHWM") / 1024


def resident_mb() -> float:
    """What is resident now, garbage collected."""
    gc.collect()
    return _kilobytes("VmRSS") / 1024


def _kilobytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise OSError(f"/proc/self/status does not tell {name}")
