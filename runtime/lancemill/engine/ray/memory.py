"""Memory of this machine, or of the container that it is: how full it is, and who fills it.

Ray ends the newest worker of a node that is nearly full. One that looks for a row that needs too
much memory would be ended itself, and find nothing: so it looks at memory too, and ends its own
child a little earlier than Ray would end it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

EARLIER = 0.05
"""Share of the memory that is left free for that: Ray looks four times a second."""
THRESHOLD = "RAY_memory_usage_threshold"
"""The share at which Ray does so, in the environment of its processes."""
RAYS_USUAL = 0.95
"""What that is where nobody has said."""
EATS = 0.05
"""Share of the memory that rows must have taken to be to blame for a machine that is full."""
V2 = "memory.max", "memory.current", "inactive_file"
V1 = "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"


def killed_for_memory() -> int:
    """Processes that the kernel has ended on this machine for want of memory."""
    return _figures(Path("/proc/vmstat")).get("oom_kill", 0)


def used_and_there(
    cgroup: Path = Path("/sys/fs/cgroup"), machine: Path = Path("/proc/meminfo")
) -> tuple[int, int]:
    """Bytes in use, without files that the kernel may drop, and bytes that there are."""
    told = _figures(machine)
    there = told.get("MemTotal", 0) << 10
    for limit, current, droppable in (V2, V1):
        least, used = _number(cgroup / limit), _number(cgroup / current)
        if least is not None and used is not None and least < there:
            files = _figures((cgroup / current).with_name("memory.stat")).get(droppable, 0)
            return max(0, used - files), least
    return there - (told.get("MemAvailable", 0) << 10), there


class Appetite:
    """What a process takes from some moment on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = 0

    def begins(self) -> None:
        """That moment is now."""
        self._before = self._holds()

    def is_too_much(self) -> bool:
        """Whether memory is nearly full, and the process has taken a good part of it."""
        used, there = used_and_there()
        nearly = max(0.0, float(os.environ.get(THRESHOLD, RAYS_USUAL)) - EARLIER)
        return used > nearly * there and self._holds() - self._before > EATS * there

    def _holds(self) -> int:
        with suppress(OSError, ValueError, IndexError):
            told = Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii")
            return int(told.split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0


def _number(path: Path) -> int | None:
    """The figure in a file of one; None where there is none, or no limit."""
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None


def _figures(path: Path) -> dict[str, int]:
    """`name figure` or `name: figure kB` in each line."""
    return dict(_pairs(path))


def _pairs(path: Path) -> Iterator[tuple[str, int]]:
    with suppress(OSError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, figure, *_ = (*line.replace(":", " ").split(), "", "")
            if figure.isdecimal():
                yield name, int(figure)
