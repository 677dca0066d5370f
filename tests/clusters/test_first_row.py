"""What a run has passed on its way to its first row, from what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.first_row import DRIVING, MADE, READY, ROW, STEPS, SUBMITTED, Seen, compared, reached
from e2e.kubectl import Failed

DATA, RECORD = "thumbnails.lance/data/0a.lance", "thumbnails.lance.runs/7f3a/run.json"


def seen(*keys: str, **status: Any) -> Seen:
    return Seen({"status": status}, frozenset(keys))


def test_each_step_is_behind_a_run_once_its_sign_is_there() -> None:
    assert reached(Seen(None, frozenset())) == []
    assert reached(Seen({}, frozenset())) == [MADE]
    assert reached(seen(jobDeploymentStatus="Initializing")) == [MADE]
    ready = {"jobDeploymentStatus": "Running"}
    assert reached(seen(**ready, jobStatus="")) == [MADE, READY]
    assert reached(seen(**ready, jobStatus="PENDING")) == [MADE, READY, SUBMITTED]
    assert reached(seen(RECORD, **ready, jobStatus="RUNNING"))[-1] == DRIVING
    assert reached(seen(RECORD, DATA, **ready, jobStatus="RUNNING")) == list(STEPS)


def test_a_file_beside_the_data_is_no_row() -> None:
    assert ROW not in reached(seen(RECORD, "thumbnails.lance/_versions/1.manifest"))


def test_a_run_that_fails_before_its_first_row_is_not_waited_for() -> None:
    with pytest.raises(Failed, match="SubmissionFailed"):
        reached(seen(RECORD, jobDeploymentStatus="Failed", reason="SubmissionFailed"))


def test_what_the_operator_adds_is_the_difference_of_medians() -> None:
    ours = [{MADE: 1.0, ROW: 30.0}, {MADE: 1.2, ROW: 99.0}, {MADE: 0.9, ROW: 29.0}]
    theirs = [{MADE: 0.4, ROW: 29.5}, {MADE: 0.4, ROW: 20.0}, {MADE: 0.4, ROW: 30.0}]
    assert compared(ours, theirs) == (
        "from apply to the first row, medians: 30.0 s, a bare RayJob 29.5 s: +0.5 s, "
        "of which +0.6 s until its RayJob is there"
    )
