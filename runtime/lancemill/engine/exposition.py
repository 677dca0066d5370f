"""A run's counters as Prometheus reads them. Pure: counters in, text out, format 0.0.4.

Labels hold what there is little of (namespace, pipeline, stage, direction, reason), never a run's
id, a key or a URL. Where the namespace is not known, Prometheus takes it from the pod.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from lancemill.engine.progress import Progress, StageTotals, gpu_time_by_stage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


def exposition(common: Labels, stages: Sequence[StageTotals], progress: Progress | None) -> str:
    """All families of one run; `common` are labels that each series gets."""
    families = [*_of_stages(stages), *(_of_run(progress) if progress is not None else ())]
    lines: list[str] = []
    for name, kind, text, samples in families:
        lines += [f"# HELP lancemill_{name} {text}", f"# TYPE lancemill_{name} {kind}"]
        lines += [
            f"lancemill_{name}{_labels({**common, **labels})} {_number(value)}"
            for labels, value in samples
        ]
    return "".join(f"{line}\n" for line in lines)


def _of_stages(stages: Sequence[StageTotals]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    yield (
        *("rows_total", "counter", "Rows taken (in) and given (out) by a stage."),
        _both(stages, "rows_in", "rows_out"),
    )
    yield (
        *("bytes_total", "counter", "Bytes taken (in) and given (out) by a stage."),
        _both(stages, "bytes_in", "bytes_out"),
    )
    yield (
        *("rows_quarantined_total", "counter", "Rows that a stage has set aside."),
        [
            ({"stage": one.name, "reason": reason}, rows)
            for one in stages
            for reason, rows in sorted(one.faults_by_reason.items())
        ],
    )
    for name, kind, text, field in _FIGURES:
        yield name, kind, text, [({"stage": one.name}, getattr(one, field)) for one in stages]
    yield (
        *("queue_depth_rows", "gauge", "Rows that wait at a stage, by its mean batch."),
        [({"stage": one.name}, _queued(one)) for one in stages],
    )
    gpus = gpu_time_by_stage(stages)
    yield (
        *("gpu_seconds_total", "counter", "GPU time that was held."),
        [({"stage": name}, held) for name, (held, _) in gpus.items()],
    )
    yield (
        *("gpu_idle_seconds_total", "counter", "GPU time that was held and not worked in."),
        [({"stage": name}, idle) for name, (_, idle) in gpus.items()],
    )


_FIGURES = (
    ("stage_busy_seconds_total", "counter", "Time worked, summed over workers.", "busy_seconds"),
    (
        *("stage_wait_seconds_total", "counter", "Time waited for input, summed over workers."),
        "wait_in_seconds",
    ),
    (
        *(
            "stage_blocked_seconds_total",
            "counter",
            "Time waited for room behind, in the same way.",
        ),
        "blocked_seconds",
    ),
    (
        *("stage_worker_seconds_total", "counter", "Time for which there were workers, summed."),
        "worker_seconds",
    ),
    ("actors", "gauge", "Workers of a stage: threads, requests or actors.", "workers"),
)


def _of_run(progress: Progress) -> Iterator[tuple[str, str, str, list[Sample]]]:
    figures = {
        "run_source_rows": ("Rows of the source that the run is to do.", progress.rows_total),
        "run_source_rows_done": ("Rows of the source that are dealt with.", progress.rows_done),
        "run_rows_per_second": ("Rows of the source per second, lately.", progress.rows_per_second),
        "run_elapsed_seconds": ("Time since rows began to flow.", progress.elapsed_seconds),
        "run_last_progress_seconds": (
            *("Time since a row last moved anywhere.",),
            progress.last_progress_seconds,
        ),
    }
    for name, (text, value) in figures.items():
        if value is not None:
            yield name, "gauge", text, [({}, float(value))]


def _both(stages: Sequence[StageTotals], taken: str, given: str) -> list[Sample]:
    return [
        ({"stage": one.name, "direction": direction}, getattr(one, field))
        for one in stages
        for direction, field in (("in", taken), ("out", given))
    ]


def _queued(stage: StageTotals) -> float:
    """Queues count batches."""
    return stage.queue_depth * (stage.rows_in / stage.batches if stage.batches else 1)


def _labels(labels: Labels) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items() if value)
    inside = ",".join(pairs)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if isinstance(value, int) or (math.isfinite(value) and value == int(value)):
        return str(int(value))
    return repr(float(value))
