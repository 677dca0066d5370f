"""The tables that `make bench` prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from benchmarks.goals import GOALS, Figures, Goal, Medians
from benchmarks.runner import Failure, Run
from benchmarks.suite import GROUPS, Group


def medians(runs: Iterable[Run]) -> dict[tuple[str, str], Figures]:
    """The median of each figure over the rounds, by group and case."""
    by_case: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        by_case[run.group, run.case].append(run)
    return {
        key: Figures(
            rows=some[0].rows,
            seconds=median(run.seconds for run in some),
            total_seconds=median(run.total_seconds for run in some),
            cpu_seconds=median(run.cpu_seconds for run in some),
            peak_rss_mb=median(run.peak_rss_mb for run in some),
        )
        for key, some in by_case.items()
    }


def tables(
    runs: Sequence[Run],
    failures: Sequence[Failure],
    groups: Sequence[Group] = GROUPS,
    goals: Sequence[Goal] = GOALS,
) -> Iterator[str]:
    """Lines: a table for each group, then the goals, then what failed."""
    found = medians(runs)
    for group in groups:
        some = [run for run in runs if run.group == group.name]
        if some:
            yield from _group(group.title, some, found)
    yield from _goals(found, goals)
    for failure in failures:
        yield f"FAILED {failure.group}/{failure.case} in round {failure.round}: {failure.message}"


def _group(title: str, runs: Sequence[Run], found: Medians) -> Iterator[str]:
    yield f"\n{title} ({runs[0].rows} pictures; medians)"
    yield (
        f"  {'case':<16}{'images/s':>9}{'spread':>8}{'ratio':>7}{'start s':>9}{'total s':>9}"
        f"{'CPU ms':>8}{'peak MB':>9}{'dB':>6}{'load':>6}{'others':>8}"
    )
    for name in dict.fromkeys(run.case for run in runs):
        yield _row(name, [run for run in runs if run.case == name], found)


def _row(name: str, runs: Sequence[Run], found: Medians) -> str:
    figures = found[runs[0].group, name]
    ours = found.get((runs[0].group, "lancemill"))
    rates = [run.rows / run.seconds for run in runs]
    spread = 100 * (max(rates) - min(rates)) / figures.rate
    ratio = f"{ours.rate / figures.rate:.2f}x" if ours else "-"
    quality = [run.psnr for run in runs if run.psnr is not None]
    return (
        f"  {name:<16}{figures.rate:>9.0f}{spread:>7.0f}%{ratio:>7}"
        f"{figures.total_seconds - figures.seconds:>9.2f}{figures.total_seconds:>9.2f}"
        f"{1000 * figures.cpu_seconds / figures.rows:>8.1f}{figures.peak_rss_mb:>9.0f}"
        f"{f'{min(quality):.0f}' if quality else '-':>6}"
        f"{median(run.load for run in runs):>6.1f}{median(run.others for run in runs):>8.2f}"
    )


def _goals(found: Medians, goals: Sequence[Goal]) -> Iterator[str]:
    yield "\ngoals (Lancemill against …)"
    for goal in goals:
        sign = "≤" if goal.at_most else "≥"
        wanted = f"{sign} {goal.wanted:g}{goal.unit}"
        try:
            value = goal.found(found)
        except KeyError:
            yield f"  not run  {goal.text:<62}{'':>8}  ({wanted})"
            continue
        verdict = "pass" if goal.holds(value) else "FAIL"
        yield f"  {verdict:<9}{goal.text:<62}{f'{value:.1f}{goal.unit}':>8}  ({wanted})"
