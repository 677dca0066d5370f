"""What the real KubeRay wrote over the life of a RayJob, and what we make of it.

Each recording's sequence of statuses is shown to the decisions one by one, as their first attempt.
Suspending, editing and deleting RayJobs is not ours to do (an attempt never changes), so those
recordings are not shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lancemill_operator.parse import rayjobs
from lancemill_operator.status import find
from support.simulated import Simulated, pipeline

DATA = Path(os.environ.get("KUBERAY_DATA") or Path(__file__).parents[4] / "shared" / "kuberay")
TRACES = DATA / "traces"

if not TRACES.is_dir():
    pytest.skip(f"no recordings of KubeRay in {TRACES}", allow_module_level=True)

SUCCEEDS = (
    *("01-success", "12-head-deleted", "13-worker-deleted", "14b-dashboard-unreachable-short"),
    *("15-dashboard-500", "15b-dashboard-500-json", "15c-dashboard-status-failure"),
    *("16-job-forgotten", "16b-dashboard-404", "17b-submission-refused-once", "22-autoscaler-v2"),
    *("23-auth-token", "24-operator-restarted", "24b-operator-away-at-the-end"),
)
FAILS = {
    "02-application-failure": "AppFailed",
    "04-image-cannot-be-pulled": "PreRunningDeadlineExceeded",
    "05-active-deadline": "TimedOut",
    "14-dashboard-unreachable": "JobStatusCheckTimeoutExceeded",
    "17c-submission-refused-deadline": "TimedOut",
    "17d-submission-refused-long": "JobStatusCheckTimeoutExceeded",
    "18-validation": "RayJobRefused",
    "18b-validation-cluster": "RayJobRefused",
    "19-unschedulable-worker": "PreRunningDeadlineExceeded",
    "20-quota-forbids-pods": "PreRunningDeadlineExceeded",
    "20b-quota-head-only": "PreRunningDeadlineExceeded",
    "27c-k8s-job-mode-submitter-fails": "SubmissionFailed",
    "30b-name-48": "RayJobRefused",
}


def statuses(scenario: str) -> Iterator[dict[str, Any]]:
    """The RayJob, each time that KubeRay wrote it."""
    for line in (TRACES / scenario / "trace.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "RayJob" and entry["type"] != "DELETED":
            yield entry["object"]


def shown(scenario: str, *, commits: bool, **run: Any) -> Simulated:
    """The world after the whole recording, every probe answered and everything gone that goes."""
    world = Simulated(pipeline(retries=0, **run))
    world.settle_down()
    name = next(iter(world.jobs))
    for body in statuses(scenario):
        if name not in world.jobs:
            break
        seen = rayjobs.view(body)
        own = world.jobs[name].view
        world.jobs[name].view = replace(
            seen, name=own.name, uid=own.uid, run=own.run, attempt=own.attempt
        )
        if seen.deployment == "Complete" and commits:
            world.ledgers[own.run].commit(1)
        world.settle_down()
        assert len(world.made) == 1
        world.check()
    for _ in range(3):
        world.clear()
        world.settle_down()
        world.answer()
        world.settle_down()
    return world


@pytest.mark.parametrize("scenario", SUCCEEDS)
def test_a_recording_that_ends_well_ends_well(scenario):
    world = shown(scenario, commits=True)
    assert (world.status.last_run.result, world.status.last_run.attempts) == ("Succeeded", 1)


@pytest.mark.parametrize("scenario", SUCCEEDS[:3])
def test_a_job_that_kuberay_calls_succeeded_has_failed_when_nothing_was_committed(scenario):
    world = shown(scenario, commits=False)
    assert (world.status.last_run.result, world.status.last_run.reason) == (
        "Failed",
        "NotCommitted",
    )


@pytest.mark.parametrize(("scenario", "reason"), FAILS.items())
def test_a_recording_that_fails_fails_for_its_reason(scenario, reason):
    world = shown(scenario, commits=False)
    assert (world.status.last_run.result, world.status.last_run.reason) == ("Failed", reason)
    assert find(world.status.conditions, "Stalled").status == "True"


def test_a_job_that_was_stopped_by_somebody_else_is_cancelled():
    assert shown("03-job-stopped", commits=False).status.last_run.result == "Cancelled"


def test_a_job_that_committed_before_it_was_stopped_has_succeeded():
    assert shown("03-job-stopped", commits=True).status.last_run.result == "Succeeded"


def test_a_quota_that_forbids_pods_is_told_while_the_cluster_waits():
    world = Simulated(pipeline())
    world.settle_down()
    name = next(iter(world.jobs))
    own = world.jobs[name].view
    for body in statuses("20-quota-forbids-pods"):
        seen = rayjobs.view(body)
        if seen.deployment != "Initializing" or not seen.replica_failure:
            continue
        world.jobs[name].view = replace(
            seen, name=own.name, uid=own.uid, run=own.run, attempt=own.attempt
        )
        world.settle_down()
        degraded = find(world.status.conditions, "Degraded")
        assert degraded.status == "True"
        assert "exceeded quota" in degraded.message
        return
    raise AssertionError("the recording shows no refusal")
