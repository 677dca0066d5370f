"""What users and clusters do to a running operator, on a real API server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kube.control_plane import ControlPlane
from kube.operator_process import OperatorProcess, operator
from kube.rest import Rest, resource
from kube.test_operator_process import (
    API,
    NARROW,
    PIPELINE_BODY,
    SUSPENDED,
    condition,
    phase,
    pipelines,
    until,
)
from lancemill_operator import names

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
pytestmark = pytest.mark.usefixtures("kuberay_crds")


READS_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


def rayjobs(rest: Rest, namespace: str) -> list[Object]:
    found: list[Object] = rest.get(resource("ray.io/v1", "rayjobs", namespace))["items"]
    return found


def degraded(rest: Rest, namespace: str) -> Object:
    """What is refused; that nodes of other tests are too small for a group is not it."""
    found = condition(rest, namespace, "Degraded")
    is_it = found.get("status") == "True" and found.get("reason") != "NoRoomYet"
    return found if is_it else {}


def may(rest: Rest, namespace: str, rules: list[Object]) -> None:
    """What the ServiceAccount `narrow` may do in the namespace."""
    rest.create(
        resource(f"{RBAC}/v1", "roles", namespace), {"metadata": {"name": "op"}, "rules": rules}
    )
    rest.create(
        resource(f"{RBAC}/v1", "rolebindings", namespace),
        {
            "metadata": {"name": "op"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "op"},
            "subjects": [{"kind": "ServiceAccount", "name": "narrow", "namespace": namespace}],
        },
    )


def tries(process: OperatorProcess) -> float:
    return process.total("lancemill_operator_api_calls_total", verb="create", kind="RayJob")


@pytest.mark.usefixtures("controllers")
def test_a_run_that_a_quota_keeps_from_starting_says_so_and_starts_once_it_may(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    quotas = resource("v1", "resourcequotas", namespace)
    hard = {"spec": {"hard": {"count/rayjobs.ray.io": "0"}}}
    rest.create(quotas, {"metadata": {"name": "tight"}, **hard})
    until("the quota counts", lambda: (rest.get(f"{quotas}/tight").get("status") or {}).get("hard"))
    with operator(control_plane, tmp_path, namespaces=(namespace,)) as process:
        rest.create(pipelines(namespace), PIPELINE_BODY)
        said = until("it says so", lambda: degraded(rest, namespace))
        assert said["reason"] == "CreateRefused"
        assert "exceeded quota: tight" in said["message"]
        assert phase(rest, namespace) == "Starting"
        rest.delete(f"{quotas}/tight")
        until("it has started", lambda: rayjobs(rest, namespace))
        until("nothing is refused any more", lambda: not degraded(rest, namespace))
        assert tries(process) < 30, "tried again, and not without pause"


def test_a_right_that_is_missing_is_told_and_used_once_it_is_given(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    user = control_plane.service_account(namespace, "narrow")
    role = resource(f"{RBAC}/v1", "roles", namespace, "op")
    rules = [
        {**one, "verbs": [verb for verb in one["verbs"] if verb != "create"]}
        if one["resources"] == ["rayjobs"]
        else one
        for one in (*NARROW, READS_MAPS)
    ]
    may(rest, namespace, rules)
    with operator(control_plane, tmp_path, namespaces=(namespace,), user=user):
        rest.create(pipelines(namespace), PIPELINE_BODY)
        said = until("it says so", lambda: degraded(rest, namespace))
        assert 'cannot create resource "rayjobs"' in said["message"]
        rest.merge(role, {"rules": [*NARROW, READS_MAPS]})
        until("it has started", lambda: rayjobs(rest, namespace))
        until("nothing is refused any more", lambda: not degraded(rest, namespace))


def test_a_policy_that_refuses_a_datasets_probe_is_told_to_its_pipelines_too(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    user = control_plane.service_account(namespace, "narrow")
    may(rest, namespace, [*NARROW, READS_MAPS])
    sink = {"sink": {"lance": {"dataset": "lake"}}}
    dataset = {"uri": "s3://lake/cats.lance"}
    with operator(control_plane, tmp_path, namespaces=(namespace,), user=user):
        rest.create(
            resource(API, "lancedatasets", namespace),
            {
                "apiVersion": API,
                "kind": "LanceDataset",
                "metadata": {"name": "lake"},
                "spec": dataset,
            },
        )
        rest.create(
            pipelines(namespace), {**PIPELINE_BODY, "spec": {**PIPELINE_BODY["spec"], **sink}}
        )
        until(
            "the pipeline says so",
            lambda: (
                'cannot create resource "jobs"'
                in condition(rest, namespace, "Reconciling").get("message", "")
            ),
        )


def test_a_config_map_of_somebody_else_under_our_name_is_told_and_left_alone(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    maps = resource("v1", "configmaps", namespace)
    with operator(control_plane, tmp_path, namespaces=(namespace,), started=False) as process:
        made = rest.create(pipelines(namespace), PIPELINE_BODY)
        rest.create(maps, {"metadata": {"name": _frozen_name(made)}, "data": {"mine": "yes"}})
        process.start()
        said = until("it says so", lambda: degraded(rest, namespace))
        assert said["reason"] == "NameTaken"
        assert _frozen_name(made) in said["message"]
        assert rest.get(f"{maps}/{_frozen_name(made)}")["data"] == {"mine": "yes"}
        rest.delete(f"{maps}/{_frozen_name(made)}")
        until("it has started", lambda: rayjobs(rest, namespace))


def _frozen_name(made: Object) -> str:
    """Of the first run: nothing but the object itself has asked for it."""
    return names.config_map("cats", names.digest([made["metadata"]["uid"], 1, None, None, {}]))


@pytest.mark.usefixtures("controllers")
def test_applied_deleted_and_applied_again_at_once_the_last_one_has_all_that_it_needs(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    with operator(control_plane, tmp_path, namespaces=(namespace,)):
        for _ in range(6):
            uid = rest.create(pipelines(namespace), PIPELINE_BODY)["metadata"]["uid"]
            until("it has a RayJob", lambda uid=uid: _of(uid, rayjobs(rest, namespace)))
            rest.delete(pipelines(namespace, "cats"))
        uid = rest.create(pipelines(namespace), PIPELINE_BODY)["metadata"]["uid"]
        until("only its RayJob is left", lambda: _only(uid, rayjobs(rest, namespace)))
        for api, plural in (
            ("v1", "serviceaccounts"),
            ("networking.k8s.io/v1", "networkpolicies"),
        ):
            owners = rest.get(resource(api, plural, namespace, "lm-cats"))["metadata"][
                "ownerReferences"
            ]
            assert [one["uid"] for one in owners] == [uid]
        until("it says so", lambda: phase(rest, namespace) == "Starting")


def _of(uid: str, objects: list[Object]) -> list[Object]:
    return [
        one
        for one in objects
        if uid in [owner["uid"] for owner in one["metadata"].get("ownerReferences", ())]
    ]


def _only(uid: str, objects: list[Object]) -> bool:
    return bool(objects) and _of(uid, objects) == objects


@pytest.mark.thorough
def test_two_operators_without_a_lease_make_one_rayjob_and_come_to_rest(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with (
        operator(control_plane, tmp_path / "first", namespaces=(namespace,)) as first,
        operator(control_plane, tmp_path / "second", namespaces=(namespace,)) as second,
    ):
        rest.create(pipelines(namespace), PIPELINE_BODY)
        until("a RayJob was made", lambda: rayjobs(rest, namespace))
        until(
            "both are content",
            lambda: _rests(rest, namespace, first) and _rests(rest, namespace, second),
        )
        assert len(rayjobs(rest, namespace)) == 1


def _rests(rest: Rest, namespace: str, process: OperatorProcess) -> bool:
    """Nothing is written for two seconds, which is longer than a first failure waits."""
    before = rest.get(pipelines(namespace, "cats"))["metadata"]["resourceVersion"], process.calls()
    time.sleep(2)
    after = rest.get(pipelines(namespace, "cats"))["metadata"]["resourceVersion"], process.calls()
    return before == after


def test_a_status_that_a_user_took_away_is_made_again_for_the_same_run(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    with operator(control_plane, tmp_path, namespaces=(namespace,)):
        rest.create(pipelines(namespace), PIPELINE_BODY)
        until("a RayJob was made", lambda: rayjobs(rest, namespace))
        first = rayjobs(rest, namespace)[0]["metadata"]["uid"]
        for _ in range(3):
            path = f"{pipelines(namespace, 'cats')}/status"
            rest.merge(path, {"status": None})
            until("it says so again", lambda: phase(rest, namespace) == "Starting")
        assert [one["metadata"]["uid"] for one in rayjobs(rest, namespace)] == [first]


def test_a_status_of_a_newer_version_is_understood_as_far_as_it_can_be(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    made = rest.create(pipelines(namespace), SUSPENDED)
    assert made["metadata"]["generation"] == 1
    later = {
        "status": {
            "phase": "Hovering",
            "conditions": [
                {
                    "type": "Levitating",
                    "status": "True",
                    "reason": "Later",
                    "lastTransitionTime": "2026-11-21T10:00:00Z",
                }
            ],
        }
    }
    rest.merge(f"{pipelines(namespace, 'cats')}/status", later)
    with operator(control_plane, tmp_path, namespaces=(namespace,)) as process:
        until("it is suspended", lambda: phase(rest, namespace) == "Suspended")
        assert condition(rest, namespace, "Ready")["status"] == "True"
        assert process.total("lancemill_operator_reconcile_errors_total") == 0


def test_the_run_of_a_deleted_pipeline_ends_though_somebody_holds_the_pipeline(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    held = {**PIPELINE_BODY, "metadata": {"name": "cats", "finalizers": ["example.com/backup"]}}
    with operator(control_plane, tmp_path, namespaces=(namespace,)):
        rest.create(pipelines(namespace), held)
        until("a RayJob was made", lambda: rayjobs(rest, namespace))
        rest.delete(pipelines(namespace, "cats"))
        until("its RayJob is gone", lambda: not rayjobs(rest, namespace))
        assert "deletionTimestamp" in rest.get(pipelines(namespace, "cats"))["metadata"]
        rest.merge(pipelines(namespace, "cats"), {"metadata": {"finalizers": None}})
