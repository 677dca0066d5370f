"""A run's progress as the cluster tells it, as the structure that a local run is shown by."""

from __future__ import annotations

from lancemill.engine.progress import Bottleneck, Progress, StageProgress
from lancemill_api import status


def progress_of(told: status.Progress, elapsed: float) -> Progress:
    """What `status.progress` says; a queue's capacity is not told, and so not shown."""
    held_up = told.bottleneck
    return Progress(
        percent=told.percent,
        rows_done=told.rows_done,
        rows_total=told.rows_total,
        rows_per_second=told.rows_per_second,
        bytes_per_second=told.bytes_per_second,
        eta_seconds=told.eta_seconds,
        last_progress_seconds=told.last_progress_seconds or 0.0,
        elapsed_seconds=elapsed,
        bottleneck=Bottleneck(held_up.stage, held_up.share, "") if held_up else None,
        stages=tuple(
            StageProgress(
                name=one.name,
                rows_in=one.rows_in,
                rows_out=one.rows_out,
                rows_per_second=one.rows_per_second,
                busy_fraction=one.busy_fraction,
                queue_depth=one.queue_depth,
                queue_capacity=0,
                actors=one.actors,
            )
            for one in told.stages
        ),
    )
