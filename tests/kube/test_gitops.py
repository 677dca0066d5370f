"""What GitOps tools see of real objects after real lives: no drift, and one judgement of each.

The operator runs with the rights that the chart gives it, and with no others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from gitops.argocd import health
from gitops.kstatus import AS_ARGO_CD_SAYS, kstatuses
from helm.chart import find_helm
from helm.rights import operator_account
from kube.binaries import Missing
from kube.conftest import missing
from kube.control_plane import ControlPlane
from kube.fake_nodes import Ending
from kube.kubectl import Kubectl
from kube.namespaces import fresh_namespace
from kube.operator_process import OperatorProcess, operator
from kube.played import played
from kube.rest import Object, resource
from lancemill_operator.names import CANCEL_RUN

pytestmark = pytest.mark.thorough  # the operator's rights here are the chart's

API = "lancemill.dev/v1alpha1"
SECONDS = 150
TURNING = ("waits", "accepted", "denied")
"""Names of objects whose status goes on changing: they wait, or are looked at again."""


@dataclass(frozen=True)
class Life:
    """An object, and what must become of it: Argo CD's word, and a condition with its reason."""

    document: Object
    health: str
    condition: str


def pipeline(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name, "annotations": {"team": "vision"}},
        "spec": {
            "source": {"objects": {"uri": "s3://photos/cats/", "include": ["*.jpg"]}},
            "stages": [{"name": "bytes", "fetch": {"column": "uri", "into": "body"}}],
            "sink": {"lance": {"uri": f"s3://lake/{name}.lance"}},
            **spec,
        },
    }


def dataset(name: str) -> Object:
    return {
        "apiVersion": API,
        "kind": "LanceDataset",
        "metadata": {"name": name},
        "spec": {"uri": f"s3://lake/{name}.lance", "tags": {"first": 1}},
    }


HUGE = {
    "head": {"resources": {"cpu": 4000}},
    "workerGroups": [{"name": "cpu", "resources": {"cpu": 1, "memory": "1Gi"}}],
}
"""A cluster whose head fits no node: its run waits for one."""
LIVES = {
    "succeeded": Life(pipeline("succeeded"), "Healthy", "Succeeded"),
    "failed": Life(pipeline("failed", run={"retries": 0}), "Degraded", "Failed"),
    "suspended": Life(pipeline("suspended", run={"suspend": True}), "Suspended", "Suspended"),
    "scheduled": Life(pipeline("scheduled", run={"schedule": "0 3 1 1 *"}), "Healthy", "Ready"),
    "refused": Life(pipeline("refused", run={"timeZone": "Mars/Base"}), "Degraded", "Stalled"),
    "cancelled": Life(pipeline("cancelled", cluster=HUGE), "Degraded", "Stalled"),
    "waits": Life(pipeline("waits", cluster=HUGE), "Progressing", "Reconciling"),
    "accepted": Life(
        pipeline("accepted", cluster=HUGE, run={"readiness": "Accepted"}), "Healthy", "Accepted"
    ),
    "known": Life(dataset("known"), "Healthy", "Ready"),
    "denied": Life(dataset("denied"), "Degraded", "AccessDenied"),
}


COMMITTED = {"verdict": "Committed", "rows": 10, "datasetVersion": 3}
VERDICTS: dict[str, Object] = {
    "failed": {"verdict": "Failed", "message": "132 of 9800 rows failed"},
    "cancelled": {"verdict": "NotCommitted"},
}
"""What the ledgers of runs that did not commit say."""


def answer(pod: Object) -> Ending:
    """What a probe's pod says: of a run, or of a dataset."""
    labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    if "--run-id" in words:
        said = VERDICTS.get(labels["lancemill.dev/pipeline"], COMMITTED)
        return Ending(message=json.dumps({"run": words[words.index("--run-id") + 1], **said}))
    if labels["lancemill.dev/dataset"] == "denied":
        wrong = {"ok": False, "problem": "AccessDenied", "message": "403 from s3://lake"}
        return Ending(message=json.dumps(wrong))
    known = {"ok": True, "exists": True, "version": 1, "rows": 10, "fragments": 1}
    return Ending(message=json.dumps({**known, "tags": {"first": 1}, "schema": []}))


@pytest.fixture(scope="module")
def lived(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Kubectl, OperatorProcess]]:
    """All lives, applied at once and come to where they shall be looked at."""
    try:
        helm = find_helm("helm4")
    except Missing as problem:
        missing(problem)
    with (
        played(control_plane, answer),
        fresh_namespace(control_plane, "system") as system,
        fresh_namespace(control_plane, "lives") as namespace,
        operator_account(control_plane, helm, system, [namespace]) as user,
        operator(
            control_plane,
            tmp_path_factory.mktemp("operator"),
            user=user,
            namespaces=(namespace,),
        ) as process,
    ):
        kubectl = Kubectl(control_plane, namespace)
        kubectl("apply", "-f", "-", input=manifest())
        deadline = time.monotonic() + SECONDS
        while missing_yet := unsettled(kubectl):
            cancel(kubectl, "cancelled")
            assert time.monotonic() < deadline, f"{missing_yet}\n{process.program.tail()}"
            time.sleep(0.2)
        yield kubectl, process


def manifest() -> str:
    return "\n---\n".join(json.dumps(life.document) for life in LIVES.values())


def live(kubectl: Kubectl) -> dict[str, Object]:
    """Every object as it is now."""
    rest = kubectl.plane.rest()
    return {
        item["metadata"]["name"]: {**item, "apiVersion": API, "kind": kind}
        for plural, kind in (
            ("multimodalpipelines", "MultimodalPipeline"),
            ("lancedatasets", "LanceDataset"),
        )
        for item in rest.get(resource(API, plural, kubectl.namespace))["items"]
    }


def unsettled(kubectl: Kubectl) -> dict[str, Any]:
    """Objects that are not yet as they shall be, and what they say."""
    return {
        name: one.get("status")
        for name, one in live(kubectl).items()
        if health(one)[0] != LIVES[name].health or not is_true(one, LIVES[name].condition)
    }


def cancel(kubectl: Kubectl, name: str) -> None:
    """Ask for the end of its run, once it has one, as `lancemill cancel` does."""
    path = resource(API, "multimodalpipelines", kubectl.namespace, name)
    found = kubectl.plane.rest().get(path)
    run = found.get("status", {}).get("currentRun", {}).get("id")
    annotations = found["metadata"].get("annotations", {})
    if run and CANCEL_RUN not in annotations:
        kubectl.plane.rest().merge(path, {"metadata": {"annotations": {CANCEL_RUN: run}}})


def is_true(document: Object, kind: str) -> bool:
    conditions = document.get("status", {}).get("conditions", ())
    return any(one["type"] == kind and one["status"] == "True" for one in conditions)


def versions(kubectl: Kubectl) -> dict[str, tuple[int, str]]:
    """Generation of each object, and resourceVersion of those that are at rest."""
    return {
        name: (
            one["metadata"]["generation"],
            "" if name in TURNING else one["metadata"]["resourceVersion"],
        )
        for name, one in live(kubectl).items()
    }


def test_flux_and_helm_judge_as_argo_cd_does(lived: tuple[Kubectl, OperatorProcess]) -> None:
    documents = live(lived[0])
    said = kstatuses(documents.values())
    found = {name: status for name, (status, _) in zip(documents, said, strict=True)}
    assert found == {name: AS_ARGO_CD_SAYS[health(one)[0]] for name, one in documents.items()}


def test_who_needs_somebody_says_why(lived: tuple[Kubectl, OperatorProcess]) -> None:
    documents = live(lived[0])
    assert "Mars/Base" in health(documents["refused"])[1]
    assert "132 of 9800 rows failed" in health(documents["failed"])[1]
    assert "403 from s3://lake" in health(documents["denied"])[1]


def test_a_diff_of_what_was_applied_is_empty(lived: tuple[Kubectl, OperatorProcess]) -> None:
    found = lived[0]("diff", "-f", "-", input=manifest(), check=False)
    assert found.stdout == "", found.stdout
    assert found.returncode == 0, found.stderr


def test_to_apply_it_again_changes_nothing(lived: tuple[Kubectl, OperatorProcess]) -> None:
    before = versions(lived[0])
    # kubectl says "configured" of a list whose entries got defaults, and sends it: to no effect.
    lived[0]("apply", "-f", "-", input=manifest())
    assert versions(lived[0]) == before


def test_to_apply_it_again_on_the_server_changes_nothing(
    lived: tuple[Kubectl, OperatorProcess],
) -> None:
    flags = ("--server-side", "--force-conflicts", "--field-manager=argocd-controller")
    generations = {name: one[0] for name, one in versions(lived[0]).items()}
    lived[0]("apply", *flags, "-f", "-", input=manifest())  # makes the manager known
    before = versions(lived[0])
    assert {name: one[0] for name, one in before.items()} == generations
    lived[0]("apply", *flags, "-f", "-", input=manifest())
    assert versions(lived[0]) == before
    found = lived[0]("diff", *flags, "-f", "-", input=manifest(), check=False)
    assert found.stdout == "", found.stdout


def test_the_operator_misses_no_right_but_those_that_a_narrow_install_goes_without(
    lived: tuple[Kubectl, OperatorProcess],
) -> None:
    denied = {
        (labels["verb"], labels["kind"])
        for (name, pairs), value in lived[1].metrics().items()
        if name == "lancemill_operator_api_calls_total" and value
        for labels in [dict(pairs)]
        if labels["code"] == "403"
    }
    assert denied <= {("list", "Node"), ("get", "PriorityClass")}
    assert lived[1].total("lancemill_operator_reconcile_errors_total") == 0
