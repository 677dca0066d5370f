"""RayJobs as KubeRay describes them: in its own recordings, and in ways it might."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.binaries import kuberay_data
from lancemill_operator.facts import Deployment, RayJobView
from lancemill_operator.parse import rayjobs

Object = dict[str, Any]


def recording(name: str) -> Path:
    data = kuberay_data()
    if data is None:
        reason = "KubeRay's recordings are not here: name their folder by KUBERAY_DATA"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(f"NOT RUN: {reason}")
    (folder,) = (data / "traces").glob(f"{name}-*")
    return folder / "trace.jsonl"


def views(name: str) -> Iterator[RayJobView]:
    """Every state of the recording's RayJob; times of a recording are relative, and left out."""
    for line in recording(name).read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "RayJob":
            yield rayjobs.view(event["object"])


def distinct(name: str, *fields: str) -> list[tuple[Any, ...]]:
    found = [tuple(getattr(view, field) for field in fields) for view in views(name)]
    return [one for at, one in enumerate(found) if at == 0 or one != found[at - 1]]


def test_a_success_goes_through_its_states() -> None:
    assert distinct("01", "deployment", "job_status") == [
        ("", ""),
        ("Initializing", ""),
        ("Running", ""),
        ("Running", "PENDING"),
        ("Running", "RUNNING"),
        ("Complete", "SUCCEEDED"),
    ]


def test_a_head_that_only_starts_has_no_problem() -> None:
    assert {view.head_problem for view in views("01")} == {""}


def test_an_image_that_cannot_be_pulled_is_the_heads_problem() -> None:
    problems = [problem for (problem,) in distinct("04", "head_problem") if problem]
    assert problems == [
        "ErrImagePull: failed to pull and unpack image: not found",
        "ImagePullBackOff: Back-off pulling image: not found",
    ]
    last = list(views("04"))[-1]
    assert (last.deployment, last.reason) == ("Failed", "PreRunningDeadlineExceeded")


@pytest.mark.parametrize(
    ("deployment", "problem"),
    [(Deployment.RUNNING, "HeadPodNotFound: Head Pod not found"), (Deployment.INITIALIZING, "")],
)
def test_a_head_that_is_not_there_is_a_problem_once_it_was_there(
    deployment: Deployment, problem: str
) -> None:
    condition = {
        "type": "HeadPodReady",
        "status": "False",
        "reason": "HeadPodNotFound",
        "message": "Head Pod not found",
    }
    status = {"jobDeploymentStatus": deployment, "rayClusterStatus": {"conditions": [condition]}}
    assert rayjobs.view({"metadata": {"name": "a"}, "status": status}).head_problem == problem


def test_a_quota_is_told_with_its_numbers() -> None:
    failures = {view.replica_failure for view in views("20")} - {""}
    assert failures
    for failure in failures:
        assert failure.startswith("FailedCreateHeadPod: pods ")
        assert "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0" in failure
        assert "\n" not in failure


def test_any_text_of_a_dashboard_is_taken_as_it_is() -> None:
    assert "Failure" in {view.job_status for view in views("15c")}


def test_a_dashboard_that_cannot_be_reached_has_been_so_since_a_time() -> None:
    body = {
        "metadata": {"name": "a"},
        "status": {"jobStatusCheckFailureStartTime": "2026-11-21T10:00:00Z"},
    }
    since = rayjobs.view(body).unreachable_since
    assert since is not None
    assert since.isoformat() == "2026-11-21T10:00:00+00:00"


def test_every_recorded_state_can_be_read() -> None:
    data = kuberay_data()
    if data is None:
        pytest.skip("NOT RUN: KubeRay's recordings are not here")
    names = sorted(path.parent.name.split("-")[0] for path in data.glob("traces/*/trace.jsonl"))
    assert len(names) >= 48
    for name in names:
        assert list(views(name)), name


def test_run_and_attempt_are_read_from_labels() -> None:
    labels = {"lancemill.dev/run": "7f3a", "lancemill.dev/attempt": "12"}
    view = rayjobs.view({"metadata": {"name": "a", "uid": "u", "labels": labels}})
    assert (view.run, view.attempt, view.uid) == ("7f3a", 12, "u")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = (
    "jobDeploymentStatus",
    "jobStatus",
    "reason",
    "message",
    "rayClusterName",
    "endTime",
    "jobStatusCheckFailureStartTime",
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, ANYTHING)),
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from(["HeadPodReady", "ReplicaFailure"])},
            optional={"status": st.sampled_from(["True", "False"]), "reason": ANYTHING},
        )
    ),
)
def test_whatever_a_status_holds_it_is_read(status: Object, conditions: list[Object]) -> None:
    status["rayClusterStatus"] = {"conditions": conditions}
    labels = {"lancemill.dev/attempt": "x"}
    view = rayjobs.view({"metadata": {"name": "a", "labels": labels}, "status": status})
    assert isinstance(view.deployment, str)
    assert isinstance(view.job_status, str)
    assert view.attempt == 0
