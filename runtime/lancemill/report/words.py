"""A finished run in words: one sentence for the page, a few lines for the terminal.

Pure: a summary in, text out. Where nothing went wrong there is nothing to explain.
"""

from __future__ import annotations

from collections.abc import Sequence

from lancemill import figures
from lancemill.report.summary import RunSummary, SummaryTable

SUMMARY_ROWS_IN_TERMINAL = 8
WORTH_WAITING_S = 10.0
"""What held up a shorter run is told on its page only."""

_ASCII = str.maketrans(
    {
        "✓": "ok",
        "✗": "failed:",
        "■": "stopped:",
        "·": "|",
        "→": "->",
        "←": "<-",
        "…": "...",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{EN DASH}": "-",
        "—": "-",
        "█": "#",
        "░": ".",
        "≤": "<=",
        "≥": ">=",
    }
)


def ascii_only(text: str) -> str:
    """`text` for a terminal or a file that cannot show more than ASCII."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def verdict(summary: RunSummary) -> str:
    """The run in one sentence."""
    if summary.result == "nothing-to-do":
        return f"Nothing to do: {summary.message or 'the source has no new rows'}."
    if summary.result == "interrupted":
        after = figures.duration(summary.duration_seconds)
        return f"Stopped on request after {after}: {_why(summary)}."
    if summary.result == "failed":
        why = _why(summary)
        return f"{why[0].upper()}{why[1:]}."
    where = f"{summary.target}, version {summary.version}" if summary.version else summary.target
    if summary.estimate is not None:
        where = f"a sample beside {summary.target}"
    sentence = f"{figures.rows(summary.rows_out)} went into {where}"
    if not summary.set_aside:
        return f"{sentence}; none was set aside."
    were = "was" if summary.set_aside == 1 else "were"
    return f"{sentence}; {figures.count(summary.set_aside)} {were} set aside."


def closing_lines(summary: RunSummary) -> list[str]:
    """What a terminal shows when the run is over; the first line begins with its mark."""
    head = _headline(summary)
    below = [
        *([f"{summary.target} stays as it was"] if summary.result == "nothing-to-do" else []),
        *_resources(summary),
        *_diagnosis(summary),
        *_checks(summary),
        *summary_lines(summary.summaries),
        *_estimate(summary),
        *_labelled(summary),
    ]
    return [head, *(f"  {line}" for line in below)]


def _headline(summary: RunSummary) -> str:
    who = f"{summary.pipeline} · run {summary.run}"
    if summary.result == "nothing-to-do":
        return f"✓ {who} · nothing to do: {summary.message or 'the source has no new rows'}"
    if summary.result == "interrupted":
        return f"■ {who} · stopped on request: {_why(summary)}"
    if summary.result == "failed":
        return f"✗ {who} · stopped: {_why(summary)}"
    target = f"{summary.target} version {summary.version}" if summary.version else summary.target
    if summary.estimate is not None:
        target = "a sample, nothing committed"
    parts = [
        f"✓ {who}",
        f"{figures.rows(summary.rows_out)} → {target}",
        figures.duration(summary.duration_seconds),
    ]
    if summary.set_aside:
        parts.append(
            f"{figures.count(summary.set_aside)} set aside: {figures.reasons(summary.quarantined)}"
        )
    return " · ".join(parts)


def _resources(summary: RunSummary) -> list[str]:
    if summary.result == "nothing-to-do":
        return []
    parts = []
    if summary.bytes_in or summary.bytes_out:
        parts.append(f"{figures.size(summary.bytes_in)} in → {figures.size(summary.bytes_out)} out")
    if summary.rows_per_second is not None:
        parts.append(figures.rate(summary.rows_per_second))
    if summary.cpu_seconds is not None:
        parts.append(f"cpu {figures.duration(summary.cpu_seconds)}")
    if summary.gpu_seconds is not None:
        parts.append(f"gpu {figures.duration(summary.gpu_seconds)}")
        if summary.gpu_idle_share is not None:
            parts[-1] += f", idle {figures.share(summary.gpu_idle_share)}"
    if summary.cost is not None:
        parts.append(figures.money(summary.cost.amount, summary.cost.currency))
    return [" · ".join(parts)] if parts else []


def _diagnosis(summary: RunSummary) -> list[str]:
    """Of a run that somebody has waited for."""
    told = summary.diagnosis if summary.duration_seconds >= WORTH_WAITING_S else ""
    return [told] if told else []


def _checks(summary: RunSummary) -> list[str]:
    return [
        f"validate {one.name}: found {one.found}, expected {one.expected}"
        for one in summary.validations
        if not one.ok
    ]


def summary_lines(tables: Sequence[SummaryTable]) -> list[str]:
    """The results of `spec.summary`, each under its name."""
    lines = []
    for table in tables:
        shown = table.rows[:SUMMARY_ROWS_IN_TERMINAL]
        more = len(table.rows) - len(shown) + table.more
        numeric = table.numeric or (False,) * len(table.columns)
        widths = [max(map(len, column)) for column in zip(table.columns, *shown, strict=True)]
        lines.append(f"{table.name}:")
        for row in (table.columns, *shown):
            cells = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            )
            lines.append("  " + "  ".join(cells).rstrip())
        if more:
            lines.append(f"  and {figures.rows(more)} more")
    return lines


def _estimate(summary: RunSummary) -> list[str]:
    if summary.estimate is None:
        return []
    whole = summary.estimate
    return [
        f"the whole, estimated: {figures.rows(whole.rows)} · about"
        f" {figures.duration(whole.seconds)} · {figures.size(whole.bytes_out)} out"
    ]


def _labelled(summary: RunSummary) -> list[str]:
    """Lines that say where to look and how to go on."""
    lines = []
    if summary.result == "succeeded" and summary.message and summary.estimate is None:
        lines.append(summary.message)
    if summary.kept:
        lines.append(summary.kept)
    if summary.remedy:
        lines.append(f"go on:   {summary.remedy}")
    if summary.report:
        lines.append(f"report:  {summary.report}")
    committed = summary.result == "succeeded" and summary.estimate is None
    if summary.set_aside and summary.dataset and committed:
        label = f"why {figures.count(summary.set_aside)}:".ljust(9)
        lines.append(f"{label}lancemill quarantine list {summary.dataset}")
    return lines


def _why(summary: RunSummary) -> str:
    return summary.message.rstrip(".") or "no reason was given"
