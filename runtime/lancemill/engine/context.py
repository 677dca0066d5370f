"""What this machine gives to a worker."""

from __future__ import annotations

import os

from lancemill.manifest import Job
from lancemill.ops.operation import WorkerContext


def local_context(job: Job) -> WorkerContext:
    """The context of a worker in this process."""
    source = job.pipeline.spec.source.given[1]
    return WorkerContext(cores=usable_cores(), base=job.base, storage=source.storage)


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and no more than its CPU quota."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
