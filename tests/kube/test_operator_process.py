"""The operator as a process on a real API server: its start, its work, its end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from kube.control_plane import ControlPlane
from kube.fault_proxy import fault_proxy
from kube.faults import break_stream
from kube.operator_process import operator
from kube.played import committed, played
from kube.rest import Rest, resource
from kube.waiting import DEADLINE, until
from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB

Object = dict[str, Any]
API = "lancemill.dev/v1alpha1"
PIPELINE_BODY: Object = {
    "apiVersion": API,
    "kind": "MultimodalPipeline",
    "metadata": {"name": "cats"},
    "spec": {
        "source": {"objects": {"uri": "s3://b/x/"}},
        "sink": {"lance": {"uri": "s3://lake/cats.lance"}},
    },
}
SUSPENDED = {**PIPELINE_BODY, "spec": {**PIPELINE_BODY["spec"], "run": {"suspend": True}}}


def pipelines(namespace: str, name: str = "") -> str:
    return resource(API, "multimodalpipelines", namespace, name or None)


def phase(rest: Rest, namespace: str, name: str = "cats") -> str:
    found = rest.get(pipelines(namespace, name))
    return str((found.get("status") or {}).get("phase", ""))


def condition(rest: Rest, namespace: str, kind: str, name: str = "cats") -> Object:
    status = rest.get(pipelines(namespace, name)).get("status") or {}
    return next((one for one in status.get("conditions", ()) if one["type"] == kind), {})


def test_it_is_ready_once_it_has_listed_everything_and_ends_when_told_to(
    control_plane: ControlPlane, kuberay_crds: None, tmp_path: Path
) -> None:
    with operator(control_plane, tmp_path) as process:
        assert process.is_alive()
        for kind in (PIPELINE, DATASET, RAY_JOB, JOB):
            assert process.total("lancemill_operator_api_calls_total", verb="list", kind=kind.name)
            ages = process.total("lancemill_operator_watch_age_seconds", kind=kind.name)
            assert 0 <= ages < DEADLINE
        assert process.stop() == 0
        assert [line["event"] for line in process.lines()][-1] == "ended"


def test_an_object_is_written_by_us_alone_and_only_to_its_status(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    with operator(control_plane, tmp_path) as process:
        made = rest.create(pipelines(namespace), SUSPENDED)
        until("suspended", lambda: phase(rest, namespace) == "Suspended")
        found = rest.get(pipelines(namespace, "cats"))
        assert found["spec"] == made["spec"]
        assert found["metadata"]["generation"] == made["metadata"]["generation"]
        assert "finalizers" not in found["metadata"]
        assert "annotations" not in found["metadata"]
        written = {
            (one["manager"], one["operation"], one.get("subresource"))
            for one in found["metadata"]["managedFields"]
        }
        ours = {one for one in written if one[0] == "lancemill-operator"}
        assert ours == {("lancemill-operator", "Apply", "status")}
        assert len(written) == 2, written
        assert process.total("lancemill_operator_reconcile_errors_total") == 0


def test_idle_it_calls_nobody(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    with operator(control_plane, tmp_path, namespaces=(namespace,)) as process:
        rest.create(pipelines(namespace), SUSPENDED)
        until("suspended", lambda: phase(rest, namespace) == "Suspended")
        settled = process.calls()
        reconciled = process.total("lancemill_operator_reconcile_seconds_count")
        until(
            "its own echo was looked at",
            lambda: process.total("lancemill_operator_reconcile_seconds_count") >= reconciled,
        )
        time.sleep(3)
        assert process.calls() == settled


@pytest.mark.usefixtures("controllers", "kuberay_crds")
def test_a_pipeline_becomes_a_rayjob_and_its_end_is_told(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    play = {"test.lancemill.dev/play": "seconds=2,lingers=60"}
    rest.merge(resource("v1", "namespaces", None, namespace), {"metadata": {"annotations": play}})

    with played(control_plane, committed):
        defaults = {"progress_seconds": 1}
        with operator(
            control_plane, tmp_path, namespaces=(namespace,), defaults=defaults
        ) as process:
            rest.create(pipelines(namespace), PIPELINE_BODY)
            until("succeeded", lambda: phase(rest, namespace) == "Succeeded")
            assert condition(rest, namespace, "Ready")["status"] == "True"
            assert condition(rest, namespace, "Succeeded")["status"] == "True"
            last = rest.get(pipelines(namespace, "cats"))["status"]["lastRun"]
            assert (last["result"], last["attempts"]) == ("Succeeded", 1)
            jobs = rest.get(resource("ray.io/v1", "rayjobs", namespace))["items"]
            assert len(jobs) == 1
            assert last["rows"] > 0, "as its driver said"
            assert rest.get(resource("batch/v1", "jobs", namespace))["items"] == []
            assert process.total("lancemill_operator_progress_polls_total", result="answered") > 0
            assert process.total("lancemill_runs_total", namespace=namespace) == 1
            assert process.total("lancemill_operator_reconcile_errors_total") == 0
            rest.delete(pipelines(namespace, "cats"))
            until(
                "the series has ended",
                lambda: not process.total("lancemill_runs_total", namespace=namespace),
            )


@pytest.mark.thorough
@pytest.mark.usefixtures("controllers", "kuberay_crds")
def test_a_pipeline_waits_for_its_dataset_and_its_commit_is_seen_there(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    sink = {"lance": {"dataset": "lake"}}
    datasets = resource(API, "lancedatasets", namespace)

    with (
        played(control_plane, committed),
        operator(control_plane, tmp_path, namespaces=(namespace,)),
    ):
        rest.create(
            pipelines(namespace),
            {**PIPELINE_BODY, "spec": {**PIPELINE_BODY["spec"], "sink": sink}},
        )
        until(
            "it waits for the dataset",
            lambda: "lake" in condition(rest, namespace, "Reconciling").get("message", ""),
        )
        rest.create(
            datasets,
            {
                "apiVersion": API,
                "kind": "LanceDataset",
                "metadata": {"name": "lake"},
                "spec": {"uri": "s3://lake/cats.lance"},
            },
        )
        until("succeeded", lambda: phase(rest, namespace) == "Succeeded")
        jobs = resource("batch/v1", "jobs", namespace)
        made = {one["metadata"]["uid"] for one in rest.get(jobs)["items"]}
        until(
            "the dataset was looked at again after the commit",
            lambda: (rest.get(f"{datasets}/lake")["status"].get("probeToken") or "") == "1/3",
        )
        assert len(made) >= 2


@pytest.mark.usefixtures("controllers", "kuberay_crds")
def test_killed_and_started_again_it_goes_on_where_it_was(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()

    with (
        played(control_plane, committed),
        operator(control_plane, tmp_path, namespaces=(namespace,)) as process,
    ):
        rest.create(pipelines(namespace), PIPELINE_BODY)
        jobs = resource("ray.io/v1", "rayjobs", namespace)
        until("a RayJob was made", lambda: rest.get(jobs)["items"])
        process.restart()
        until("succeeded", lambda: phase(rest, namespace) == "Succeeded")
        assert len(rest.get(jobs)["items"]) == 1
        last = rest.get(pipelines(namespace, "cats"))["status"]["lastRun"]
        assert (last["result"], last["attempts"]) == ("Succeeded", 1)


NARROW = [
    {
        "apiGroups": ["lancemill.dev"],
        "resources": ["multimodalpipelines", "lancedatasets"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["lancemill.dev"],
        "resources": ["multimodalpipelines/status", "lancedatasets/status"],
        "verbs": ["patch"],
    },
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "list", "watch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch"]},
    {
        "apiGroups": ["", "networking.k8s.io"],
        "resources": ["configmaps", "serviceaccounts", "networkpolicies"],
        "verbs": ["create", "patch"],
    },
]


def test_in_one_namespace_it_needs_no_right_beyond_it(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str, tmp_path: Path
) -> None:
    rest = control_plane.rest()
    user = control_plane.service_account(namespace, "narrow")
    rbac = "rbac.authorization.k8s.io"
    rest.create(
        resource(f"{rbac}/v1", "roles", namespace), {"metadata": {"name": "op"}, "rules": NARROW}
    )
    rest.create(
        resource(f"{rbac}/v1", "rolebindings", namespace),
        {
            "metadata": {"name": "op"},
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "op"},
            "subjects": [{"kind": "ServiceAccount", "name": "narrow", "namespace": namespace}],
        },
    )
    with operator(control_plane, tmp_path, namespaces=(namespace,), user=user) as process:
        rest.create(pipelines(namespace), PIPELINE_BODY)
        jobs = resource("ray.io/v1", "rayjobs", namespace)
        until("a RayJob was made", lambda: rest.get(jobs)["items"])
        assert process.total("lancemill_operator_reconcile_errors_total") == 0
        assert not [line for line in process.lines() if line.get("level") == "error"]


@pytest.mark.thorough
def test_a_watch_that_dies_ends_the_process(
    control_plane: ControlPlane, kuberay_crds: None, tmp_path: Path
) -> None:
    with (
        fault_proxy(control_plane) as proxy,
        operator(control_plane, tmp_path, server=proxy.url, started=False) as process,
    ):
        proxy.inject(
            lambda call: call.verb == "watch" and call.resource.startswith("rayjobs"),
            break_stream(500),
        )
        process.start(wait=False)
        until("the process has ended", lambda: not process.running)
        said = [line for line in process.lines() if line.get("event") == "ends itself"]
        assert len(said) == 1, process.program.tail()
        process.start()
        assert process.is_alive(), "and is well when it is started again"


@pytest.mark.thorough
def test_a_second_operator_waits_for_the_lease_and_takes_over(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str, tmp_path: Path
) -> None:
    lease: dict[str, object] = {"lease": True, "lease_namespace": namespace, "lease_duration": 3}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with (
        operator(control_plane, tmp_path / "first", **lease) as first,
        operator(control_plane, tmp_path / "second", started=False, **lease) as second,
    ):
        second.start(wait=False)
        until("the second waits", lambda: "waiting for the lease" in events(second.lines()))
        assert not second.is_ready()
        first.kill()
        second.wait_until_ready()
        leases = resource("coordination.k8s.io/v1", "leases", namespace, "lancemill-operator")
        assert control_plane.rest().get(leases)["spec"]["leaseTransitions"] == 2
        assert second.stop() == 0
        assert control_plane.rest().get(leases)["spec"]["holderIdentity"] == ""


def test_an_operator_that_loses_its_lease_ends(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str, tmp_path: Path
) -> None:
    lease: dict[str, object] = {"lease": True, "lease_namespace": namespace, "lease_duration": 3}
    with operator(control_plane, tmp_path, **lease) as process:
        path = resource("coordination.k8s.io/v1", "leases", namespace, "lancemill-operator")

        def stolen() -> bool:
            control_plane.rest().merge(path, {"spec": {"holderIdentity": "somebody else"}})
            return not process.running

        until("it has ended", stolen)
        assert any("lease" in str(line.get("why", "")) for line in process.lines())


def events(lines: list[Object]) -> list[str]:
    return [str(line.get("event")) for line in lines]
