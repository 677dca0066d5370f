"""Keeps memory that a worker frees for its next batch, instead of giving it back to the system.

Batches are a few megabytes, made and freed many times a second. glibc gives such blocks back at
once and gets fresh pages for the next ones, each of which the kernel has to find and clear: 5% of
the CPU time of a JPEG pipeline. It does raise its limits as it sees blocks freed, up to the very
values below, but when, and whether at all, depends on which thread frees what first.
"""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 << 20
"""Bytes of a block from which on it is always given back: glibc's own upper bound."""
MOST_FREE = 2 * LARGEST_KEPT
"""Free bytes that an arena keeps at its end: twice the above, as in glibc."""
_SAID_BY_USERS = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> None:
    """Set the limits for this process, where its C library has them and its user has set none."""
    if any(name in os.environ for name in _SAID_BY_USERS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, MOST_FREE)
