"""What drivers say, and what strangers say in their place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill_operator.facts import Verdict
from lancemill_operator.parse.outcomes import outcome, progress, spoken

OUTCOME = {
    "run": "r",
    "attempt": 2,
    "verdict": "Committed",
    "rows": 10,
    "quarantined": 1,
    "bytes": 1024,
    "datasetVersion": 3,
    "cpuSeconds": 1.5,
    "gpuSeconds": 2,
    "gpuIdleSeconds": 0.5,
    "summary": [{"name": "types", "columns": ["n"], "rows": [{"n": 1}]}],
    "diagnosis": "decode is the bottleneck: busy 90% of the time",
    "message": "done",
}
SAID = {"run": "r", "attempt": 2, "progress": {"text": "38%", "rowsDone": 38}, "outcome": None}


def test_progress_is_read() -> None:
    said = spoken(json.dumps(SAID).encode())
    assert said is not None
    assert (said.run, said.attempt, said.outcome) == ("r", 2, None)
    assert said.progress is not None
    assert (said.progress.text, said.progress.rows_done) == ("38%", 38)


def test_the_last_word_is_read() -> None:
    said = spoken(json.dumps(SAID | {"outcome": OUTCOME}).encode())
    assert said is not None
    word = said.outcome
    assert word is not None
    assert word.verdict is Verdict.COMMITTED
    assert (word.run, word.attempt, word.rows, word.dataset_version) == ("r", 2, 10, 3)
    assert (word.cpu_seconds, word.gpu_seconds, word.gpu_idle_seconds) == (1.5, 2.0, 0.5)
    assert word.summary[0]["name"] == "types"
    assert word.diagnosis == OUTCOME["diagnosis"]


@pytest.mark.parametrize(("said", "kept"), [(3, 0), (None, 0), ("x" * 10_000, 512)])
def test_a_diagnosis_that_is_none_or_endless_is_cut(said: Any, kept: int) -> None:
    word = outcome(OUTCOME | {"diagnosis": said})
    assert word is not None and len(word.diagnosis) == kept


def test_an_outcome_without_run_and_attempt_is_of_those_that_spoke() -> None:
    said = spoken(json.dumps(SAID | {"outcome": {"verdict": "NotCommitted"}}).encode())
    assert said is not None
    assert said.outcome is not None
    assert (said.outcome.run, said.outcome.attempt) == ("r", 2)


@pytest.mark.parametrize("verdict", ["", "Perhaps", None, 3])
def test_a_verdict_that_is_not_known_is_none(verdict: Any) -> None:
    assert outcome({"verdict": verdict} if isinstance(verdict, str) else {}) is None


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b"\xff", b"[" * 100_000, b"3"])
def test_what_is_no_answer_is_none(answer: bytes) -> None:
    assert spoken(answer) is None


def test_fields_of_progress_that_make_no_sense_are_left_out() -> None:
    found = progress({"text": "38%", "percent": 380, "rowsDone": "many", "stages": [{"x": 1}]})
    assert found is not None
    assert (found.text, found.percent, found.rows_done, found.stages) == ("38%", 0, 0, ())


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(SAID, ANYTHING)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(OUTCOME, ANYTHING)),
)
def test_whatever_is_said_it_harms_nobody(said: dict[str, Any], end: dict[str, Any]) -> None:
    text = json.dumps({"run": "r", "attempt": 1, **said, "outcome": {**end, "verdict": "Failed"}})
    heard = spoken(text.encode())
    if heard is not None and heard.outcome is not None:
        assert heard.outcome.rows >= 0
        assert heard.outcome.verdict is Verdict.FAILED
