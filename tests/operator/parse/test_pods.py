"""Why pods wait or die, in words."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_operator.parse import pods

Object = dict[str, Any]


def pod(status: Object, **labels: str) -> Object:
    return {"metadata": {"name": "p", "labels": labels}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    return {
        "name": "ray-worker",
        "state": {"waiting": {"reason": reason, "message": message}},
        **more,
    }


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to "
            "deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful.",
        }
    ],
}
SECRET = 'secret "aws" not found'


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (UNSCHEDULABLE, "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu"),
        (
            {"containerStatuses": [waiting("ImagePullBackOff", "Back-off pulling image x")]},
            "ImagePullBackOff: Back-off pulling image x",
        ),
        (
            {"containerStatuses": [waiting("CreateContainerConfigError", SECRET)]},
            f"CreateContainerConfigError: {SECRET}",
        ),
        ({"containerStatuses": [waiting("ContainerCreating")]}, ""),
        ({"containerStatuses": [waiting("PodInitializing")]}, ""),
        (
            {
                "initContainerStatuses": [
                    {
                        "name": "wait-gcs-ready",
                        "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    }
                ]
            },
            "init container wait-gcs-ready: OOMKilled: out of memory",
        ),
        (
            {"initContainerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}}]},
            "",
        ),
        (
            {
                "containerStatuses": [
                    waiting(
                        "CrashLoopBackOff",
                        "back-off 10s",
                        lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                    )
                ]
            },
            "CrashLoopBackOff: back-off 10s (it ended before: OOMKilled: out of memory)",
        ),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "Error", "exitCode": 3}}}]},
            "Error: exit code 3",
        ),
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory. ",
            },
            "Evicted: The node was low on resource: memory.",
        ),
        ({"phase": "Running"}, ""),
        ({}, ""),
    ],
)
def test_a_pod_says_what_is_the_matter_with_it(status: Object, problem: str) -> None:
    assert pods.summary(pod(status)).problem == problem


def test_a_pod_that_is_ready_has_no_problem() -> None:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [waiting("CrashLoopBackOff")],
    }
    found = pods.summary(pod(status))
    assert found.ready
    assert found.problem == ""


def test_a_pod_is_known_by_its_cluster_and_group() -> None:
    labels = {"ray.io/cluster": "c", "ray.io/group": "gpu"}
    found = pods.summary({"metadata": {"name": "p", "labels": labels, "deletionTimestamp": "x"}})
    assert (found.cluster, found.group, found.deleting) == ("c", "gpu", True)


def test_the_last_words_are_found_where_a_container_ended() -> None:
    ended = {"terminated": {"exitCode": 0, "message": '{"ok": true}'}}
    assert pods.termination_message({"containerStatuses": [{"state": ended}]}) == '{"ok": true}'
    before = {"containerStatuses": [{"state": {}, "lastState": ended}]}
    assert pods.termination_message(before) == '{"ok": true}'
    assert pods.termination_message({}) == ""
