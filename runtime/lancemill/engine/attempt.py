"""Who works on a run, and whether that process is still alive.

On one machine the process itself tells; of another machine only its beat does, which a doubter
watches for more than two beats, so that no clocks are compared.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lancemill.storage import Location

BEAT_SECONDS = 5.0
"""How often an attempt says that it is alive; who doubts it watches for more than two beats."""

_DEAD = ("Z", "X")
"""States of a process that is over and still has its number."""


def identity(epoch: int, settles: bool = False) -> dict[str, Any]:
    """What an attempt says of itself when it claims a run.

    `settles` marks one that only looks what came of the run: nobody waits for it.
    """
    return {
        "epoch": epoch,
        "settles": settles,
        "host": _host(),
        "pid": os.getpid(),
        "started": _process_start(os.getpid()),
        "nonce": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def is_alive(folder: Location, beat: str, who: Mapping[str, Any]) -> bool:
    """Whether the process that said `who`, and beats at `beat` in `folder`, still works."""
    if who.get("settles"):
        return False
    if who.get("host") == _host():
        return bool(_process_start(int(who["pid"])) == who["started"])
    before = folder.get(beat)
    end = time.monotonic() + 2.4 * BEAT_SECONDS
    while time.monotonic() < end:
        time.sleep(BEAT_SECONDS / 5)
        if folder.get(beat) != before:
            return True
    return False


def _host() -> str:
    return f"{socket.gethostname()}/{_boot()}"


def _boot() -> str:
    """What tells this boot of this machine (or this container) from another of the same name."""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8] + namespace
    return ""


def _process_start(pid: int) -> str | None:
    """What tells a process from a later one with its number; None when there is none, or only
    what its parent has not yet asked about."""
    try:
        state, *told = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in _DEAD else told[18]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return None
    try:  # no /proc (macOS): a number that is in use is taken for the same process
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
