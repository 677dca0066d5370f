"""The block that shows a run on a terminal, as lines of at most a given width. Pure.

What matters most survives a narrow terminal: the share that is done, the time that is left, and
which stage holds up the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from lancemill import figures
from lancemill.engine.progress import Progress, StageProgress

STALL_SECONDS = 30.0
"""A run in which no row moves for so long gets a line that says so."""
_LONGEST_NAME = 16
_WIDEST_BAR = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line and the style of the whole of it."""

    text: str
    style: str = ""


def block_lines(title: str, progress: Progress, width: int) -> list[Line]:
    """The whole block."""
    return [
        Line(header(title, progress, width), "bold"),
        *_stages(progress, width),
        *(Line(_fit(text, width), "yellow") for text in _attention(progress)),
    ]


def header(title: str, progress: Progress, width: int) -> str:
    """`cats · run 7f3a · 38% · 4,711 of 12,408 rows · 402 rows/s · 133 MB/s · 19 s left`.

    Where it does not fit, bytes go first, then the count of rows, then the rate.
    """
    total = progress.rows_total
    parts = {
        "title": title,
        "percent": "" if progress.percent is None else f"{int(progress.percent)}%",
        "rows": figures.rows(progress.rows_done)
        if total is None
        else f"{figures.count(progress.rows_done)} of {figures.rows(total)}",
        "rate": figures.rate(progress.rows_per_second),
        "bytes": f"{figures.size(progress.bytes_per_second)}/s"
        if progress.bytes_per_second
        else "",
        "left": ""
        if progress.eta_seconds is None
        else f"{figures.duration(progress.eta_seconds)} left",
    }
    for dropped in ("", "bytes", "rows", "rate"):
        parts.pop(dropped, None)
        text = " · ".join(part for part in parts.values() if part)
        if len(text) <= width:
            return text
    return _fit(text, width)


def _stages(progress: Progress, width: int) -> list[Line]:
    stages = progress.stages
    if not stages:
        return []
    name_width = min(_LONGEST_NAME, max(len(stage.name) for stage in stages))
    queues = [_queue(stage) for stage in stages]
    queue_width = max(map(len, queues))
    mark = "  ← bottleneck"
    taken = 1 + name_width + 2 + len(" 100% busy") + (3 + queue_width if queue_width else 0)
    bar_width = max(6, min(_WIDEST_BAR, width - taken - len(mark)))
    lines = []
    for stage, queue in zip(stages, queues, strict=True):
        held_up = progress.bottleneck is not None and progress.bottleneck.stage == stage.name
        text = (
            f" {_fit(stage.name, name_width):{name_width}} {_bar(stage.busy_fraction, bar_width)}"
            f" {stage.busy_fraction:4.0%} busy"
        )
        if queue_width:
            text += f"   {queue:{queue_width}}"
        if held_up:
            text += mark
        lines.append(Line(_fit(text.rstrip(), width), "cyan" if held_up else ""))
    return lines


def _attention(progress: Progress) -> list[str]:
    lines = []
    aside = sum(progress.quarantined.values())
    if aside:
        lines.append(f" {figures.count(aside)} set aside{_budget(progress, aside)}:")
        lines[-1] += f" {figures.reasons(progress.quarantined)}"
    if progress.last_progress_seconds >= STALL_SECONDS:
        stood = figures.duration(progress.last_progress_seconds)
        lines.append(f" no row has moved for {stood}")
    return lines


def _budget(progress: Progress, aside: int) -> str:
    """` (0.06% of at most 1%)`: of the rows that are dealt with."""
    if not progress.rows_done:
        return ""
    rate = figures.share(aside / progress.rows_done)
    if progress.max_fault_rate is None:
        return f" ({rate})"
    return f" ({rate} of at most {figures.share(progress.max_fault_rate)})"


def _queue(stage: StageProgress) -> str:
    if not stage.queue_capacity:
        return ""
    return f"queue {stage.queue_depth}/{stage.queue_capacity}"


def _bar(share: float, width: int) -> str:
    filled = round(share * width)
    return "█" * filled + "░" * (width - filled)


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
