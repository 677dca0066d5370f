"""Short Jobs and what they left."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_operator.parse import probes

Object = dict[str, Any]
LABELS = {"lancemill.dev/purpose": "settle", "lancemill.dev/token": "abc"}


def job(*conditions: str, reason: str = "", message: str = "") -> Object:
    made = [
        {"type": kind, "status": "True", "reason": reason, "message": message}
        for kind in conditions
    ]
    metadata = {"name": "j", "labels": LABELS, "creationTimestamp": "2026-11-21T10:00:00Z"}
    return {"metadata": metadata, "status": {"conditions": made}}


def pod(message: str, code: int = 0) -> Object:
    ended = {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}
    return {
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [{"name": "probe", "state": ended}]},
    }


def test_a_finished_job_hands_its_json_over() -> None:
    view = probes.view(job("Complete"), [pod('{"ok": true}')])
    assert view.finished
    assert view.answer == {"ok": True}
    assert (view.purpose, view.token, view.problem) == ("settle", "abc", "")
    assert view.created is not None


def test_a_job_that_runs_has_no_answer_yet() -> None:
    view = probes.view(job(), [pod('{"ok": true}')])
    assert not view.finished
    assert view.answer is None


def test_a_job_that_failed_with_an_answer_still_gives_it() -> None:
    view = probes.view(job("Failed"), [pod('{"ok": false, "problem": "AccessDenied"}', 1)])
    assert view.answer == {"ok": False, "problem": "AccessDenied"}


@pytest.mark.parametrize("said", ["", "Traceback", "[1]", "3", "{", "[" * 4096, '{"a":' * 600])
def test_what_is_no_json_object_is_no_answer(said: str) -> None:
    view = probes.view(job("Complete"), [pod(said)])
    assert view.answer is None
    assert view.problem


def test_the_end_of_a_traceback_is_the_problem() -> None:
    said = "Traceback (most recent call last):\n  File x\nValueError: no such bucket\n"
    assert probes.view(job("Failed"), [pod(said, 1)]).problem == "ValueError: no such bucket"


def test_a_pod_that_waits_says_why() -> None:
    status = {
        "containerStatuses": [
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
        ]
    }
    view = probes.view(job(), [{"metadata": {"name": "p"}, "status": status}])
    assert view.problem == "ImagePullBackOff: not found"


def test_a_job_whose_pod_is_gone_says_so() -> None:
    assert probes.view(job("Complete")).problem == "its pod was gone before it could be asked"
    failed = job("Failed", reason="DeadlineExceeded", message="Job was active longer than that")
    assert probes.view(failed).problem == "DeadlineExceeded: Job was active longer than that"
