"""A pipeline's state in words."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from lancemill.cli.cluster import story
from lancemill.cli.cluster.outcome import Reading, Wanted
from lancemill.cli.cluster.seen import Seen, seen
from lancemill.cli.cluster.views import JsonView, LiveView, PlainView, ending
from support.pipelines import condition, current_run, finished_run, pipeline_object

NOW = datetime(2026, 11, 21, 12, 0, 40, tzinfo=UTC)
PROGRESS = {
    "text": "38%",
    "percent": 38.0,
    "rowsDone": 4711,
    "rowsTotal": 12408,
    "rowsPerSecond": 402.0,
    "etaSeconds": 19.0,
    "bottleneck": {"stage": "image", "share": 0.99},
    "stages": [
        {"name": "fetch", "busyFraction": 0.17},
        {"name": "image", "busyFraction": 0.99},
    ],
}


def at(**words: Any) -> Seen:
    return seen(pipeline_object(**words))


def text(found: Seen, width: int = 100) -> str:
    return "\n".join(line.text for line in story.describe(found, NOW, width))


def test_a_running_run_is_shown_as_a_local_one_is() -> None:
    lines = story.block(at(phase="Running", currentRun=current_run(), progress=PROGRESS), NOW, 100)
    assert lines[0].text == (
        "cats · run 7f3a · 38% · 4,711 of 12,408 rows · 402 rows/s · 19 s left"
    )
    assert lines[2].text.endswith("99% busy  ← bottleneck")


def test_a_run_that_waits_says_why_and_for_how_long() -> None:
    why = "Unschedulable: 0/3 nodes have 1 nvidia.com/gpu (group gpu). spec.run.startTimeout is 30m"
    shown = text(
        at(phase="Starting", reason="Unschedulable", message=why, currentRun=current_run(attempt=2))
    )
    assert shown.startswith("cats · run 7f3a, attempt 2 · Starting · 40 s\n")
    assert shown.count("Unschedulable") == 1
    assert "0/3 nodes have 1 nvidia.com/gpu" in shown


def test_an_object_that_nobody_looks_at_makes_one_ask_for_the_operator() -> None:
    young = pipeline_object(observed=-1)
    young["metadata"]["creationTimestamp"] = "2026-11-21T12:00:39Z"
    assert "is it running?" not in text(seen(young))
    assert "is it running?" in text(at(observed=-1))


def test_a_doubt_about_a_running_run_is_shown_beneath_it() -> None:
    doubt = condition("Degraded", "True", "HeadUnreachable", "KubeRay has not reached the head")
    lines = story.block(
        at(phase="Running", currentRun=current_run(), progress=PROGRESS, conditions=(doubt,)),
        NOW,
        100,
    )
    assert lines[-1].text == " HeadUnreachable: KubeRay has not reached the head"


def test_a_finished_run_is_told_in_figures_with_its_summary() -> None:
    last = finished_run(
        rows=12391,
        quarantined=17,
        datasetVersion=8,
        cpuSeconds=58.0,
        gpuSeconds=9.0,
        gpuIdleSeconds=6.4,
        cost={"amount": 0.0031, "currency": "EUR"},
        diagnosis="decode is the bottleneck: the GPU waits 71% of the time",
        bytes=1_900_000_000,
        summary=[
            {
                "name": "by-type",
                "columns": ["type", "n"],
                "rows": [{"type": "image/jpeg", "n": 12000}, {"type": "image/png", "n": 391}],
            }
        ],
    )
    shown = text(at(phase="Succeeded", three=("True", "False", "False"), lastRun=last))
    assert shown.splitlines() == [
        "✓ cats · run 7f3a · 12,391 rows → cats-224 version 8 · 31 s · 17 set aside",
        "  1.9 GB out · cpu 58 s · gpu 9.0 s, idle 71% · 0.0031 EUR",
        "  decode is the bottleneck: the GPU waits 71% of the time",
        "  by-type:",
        "    type             n",
        "    image/jpeg  12,000",
        "    image/png      391",
    ]


def test_a_failed_run_says_why_and_how_to_go_on() -> None:
    last = finished_run(result="Failed", message="132 of 9,800 rows failed.", attempts=2)
    shown = text(at(phase="Failed", three=("False", "False", "True"), lastRun=last))
    assert shown.startswith("✗ cats · run 7f3a · failed: 132 of 9,800 rows failed · 31 s\n")
    assert "lancemill rerun cats -n lake" in shown
    assert "lancemill logs" not in shown, "its cluster is gone"
    kept = at(phase="Failed", three=("False", "False", "True"), lastRun={**last, "rayJob": "r"})
    assert "lancemill logs cats -n lake" in text(kept)


def test_what_the_next_run_waits_for_is_said_beneath_the_last_one() -> None:
    shown = text(
        at(
            phase="Waiting",
            reason="SecretNotFound",
            message="no Secret 'lake'",
            lastRun=finished_run(rows=10),
        )
    )
    assert shown.splitlines()[-1] == " the next run waits: SecretNotFound: no Secret 'lake'"


def test_the_next_start_and_the_runs_before_are_listed() -> None:
    runs = [finished_run("b"), finished_run("a", "Failed", rows=3)]
    shown = text(
        at(
            phase="Succeeded",
            three=("True", "False", "False"),
            lastRun=runs[0],
            runs=runs,
            nextRunTime="2026-11-22T03:00:00Z",
        )
    )
    assert " next run   2026-11-22T03:00:00Z" in shown
    assert shown.splitlines()[-1].split()[:2] == ["a", "Failed"]


def test_the_table_has_a_line_for_each_with_why_it_waits() -> None:
    waits = at(phase="Waiting", reason="SecretNotFound", message="no Secret 'lake'; create it")
    heads, row = story.table([waits], NOW, namespaces=True)
    assert heads.split() == [
        "NAMESPACE",
        "NAME",
        "READY",
        "PHASE",
        "PROGRESS",
        "ROWS",
        "DATASET",
        "VERSION",
        "AGE",
        "WHY",
    ]
    assert row.endswith("SecretNotFound: no Secret 'lake'; create it")


def test_text_of_others_cannot_steer_a_terminal() -> None:
    out = StringIO()
    view = PlainView(out)
    view.show(at(phase="Waiting", reason="Bad", message="\x1b[2Jgone"))
    assert "\x1b" not in out.getvalue()


def test_scripts_get_a_line_for_each_change_and_one_for_the_end() -> None:
    out, people = StringIO(), StringIO()
    view = JsonView(out, people)
    running = at(phase="Running", currentRun=current_run(), progress=PROGRESS)
    view.show(running)
    view.show(running)
    over = at(phase="Succeeded", three=("True", "False", "False"), lastRun=finished_run())
    view.finish(Reading(Wanted(run="7f3a"), "over", over.last), over)
    assert out.getvalue().count("\n") == 2
    assert '"event": "finished"' in out.getvalue()
    assert people.getvalue().startswith("✓ cats")


def test_on_a_terminal_a_block_is_redrawn_and_taken_away_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    view = LiveView(out)
    view.show(at(phase="Running", currentRun=current_run(), progress=PROGRESS))
    retrying = at(phase="Retrying", currentRun=current_run(attempt=2, message="head lost"))
    view.show(retrying)
    over = at(phase="Succeeded", three=("True", "False", "False"), lastRun=finished_run())
    view.finish(Reading(Wanted(run="7f3a"), "over", over.last), over)
    shown = out.getvalue()
    assert "4,711 of 12,408 rows" in shown
    assert "attempt 1: head lost" in shown
    assert "\x1b[2K" in shown, "the block was taken away"
    assert shown.rstrip().endswith("31 s")
    assert "run 7f3a" in shown.splitlines()[-1]


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_refused_manifest_and_one_at_rest_end_in_words() -> None:
    refused = at(phase="Invalid", conditions=(condition("Accepted", "False", "X", "a loop"),))
    assert ending(Reading(Wanted(), "refused"), refused) == [
        "✗ cats · the manifest is refused: a loop"
    ]
    later = at(
        phase="Scheduled",
        three=("True", "False", "False"),
        reason="Scheduled",
        message="the first run is due at 03:00",
    )
    assert ending(Reading(Wanted(), "resting"), later)[0].endswith("the first run is due at 03:00")
