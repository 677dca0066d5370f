"""The outcome as JSON: what it says of a run, and how it is made to fit."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancemill.engine.outcome import Outcome, cut
from lancemill.engine.progress import StageTotals
from lancemill.report.summary import RunSummary, SummaryTable


def summary(**told: object) -> RunSummary:
    given = {"pipeline": "cats", "run": "r1", "result": "succeeded", "end": "committed", **told}
    return RunSummary(**given)  # type: ignore[arg-type]


def test_a_drivers_outcome_has_the_fields_of_the_protocol() -> None:
    table = SummaryTable("n", "select", ("a", "b"), (("1", "x"), ("2", "y")))
    whole = summary(
        rows_out=8,
        quarantined={"Truncated": 2},
        version=3,
        bytes_out=99,
        cpu_seconds=1.5,
        gpu_seconds=10.0,
        gpu_idle_share=0.25,
        summaries=(table,),
        stages=(StageTotals("decode", busy_seconds=9.0, worker_seconds=10.0),),
    )
    outcome = Outcome.of(whole, epoch=4)
    assert outcome is not None
    assert outcome.to_json() == {
        "run": "r1",
        "attempt": 4,
        "verdict": "Committed",
        "rows": 8,
        "quarantined": 2,
        "bytes": 99,
        "datasetVersion": 3,
        "cpuSeconds": 1.5,
        "gpuSeconds": 10.0,
        "gpuIdleSeconds": 2.5,
        "summary": [
            {
                "name": "n",
                "columns": ["a", "b"],
                "rows": [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}],
            }
        ],
        "diagnosis": "decode is the bottleneck: busy 90% of the time",
        "message": "",
    }


@pytest.mark.parametrize(("end", "verdict"), [("failed", "Failed"), ("resumable", "NotCommitted")])
def test_a_failure_is_told_with_what_is_kept(end: str, verdict: str) -> None:
    outcome = Outcome.of(summary(result="failed", end=end, message="so", kept="all"), 1)
    assert outcome is not None
    assert (outcome.verdict, outcome.message) == (verdict, "so. all")


def test_a_driver_that_cannot_know_says_nothing() -> None:
    assert Outcome.of(summary(result="failed", end="unknown"), 1) is None


texts = st.text(max_size=300) | st.text(min_size=5_000, max_size=5_000, alphabet='é"😀\\x00a')


@settings(deadline=None, max_examples=60)
@given(
    message=texts,
    tables=st.lists(st.tuples(st.integers(0, 100), st.text(max_size=40)), max_size=64),
    longest=st.sampled_from([4096, 1000, 400]),
)
def test_any_outcome_fits_and_keeps_its_figures(
    message: str, tables: list[tuple[int, str]], longest: int
) -> None:
    one = [
        {"name": f"t{n}", "columns": ["a"], "rows": [{"a": cell}] * rows}
        for n, (rows, cell) in enumerate(tables)
    ]
    outcome = Outcome(
        run="r" * 10, attempt=2, verdict="Failed", rows=7, summary=tuple(one), message=message
    )
    text = outcome.to_text(longest)
    assert len(text.encode()) <= longest
    said = json.loads(text)
    assert (said["verdict"], said["rows"]) == ("Failed", 7)
    assert [t["name"] for t in said["summary"]] == [f"t{n}" for n in range(len(said["summary"]))]
    if not said["message"].endswith("…"):
        assert said["message"] == message


def test_a_text_is_cut_at_its_end_and_says_so() -> None:
    assert cut("short", 100) == "short"
    assert cut("0123456789", 9) == "0123…"
    assert cut("anything", 2) == ""
