"""The rights that the chart gives: to the operator exactly these, to people by their own roles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from helm.chart import Helm, find_helm, path_of
from kube.binaries import Missing
from kube.conftest import missing
from kube.control_plane import ControlPlane
from kube.kubectl import Kubectl
from kube.rest import Object, Refused, resource

RELEASE, SYSTEM = "lancemill", "lancemill-system"
pytestmark = pytest.mark.thorough

SECONDS = 60
RBAC = "rbac.authorization.k8s.io"
OF_RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount")
OF_EVERYBODY = ("authorization.k8s.io", "authentication.k8s.io")


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> ControlPlane:
    for name in (SYSTEM, "vision", "audio"):
        with contextlib.suppress(Refused):
            control_plane.rest().create(resource("v1", "namespaces"), {"metadata": {"name": name}})
    return control_plane


@pytest.fixture(scope="module")
def rendered() -> Helm:
    """For what a cluster makes of objects: both helms render the same ones (tests/helm)."""
    try:
        return find_helm("helm4")
    except Missing as problem:
        missing(problem)


IN_EACH_NAMESPACE = {
    ("lancemill.dev", "multimodalpipelines"): "get list watch",
    ("lancemill.dev", "lancedatasets"): "get list watch",
    ("lancemill.dev", "multimodalpipelines/status"): "patch",
    ("lancemill.dev", "lancedatasets/status"): "patch",
    ("events.k8s.io", "events"): "create",
    ("ray.io", "rayjobs"): "create delete get list watch",
    ("ray.io", "rayclusters"): "list",
    ("", "configmaps"): "create delete get",
    ("", "serviceaccounts"): "create get patch",
    ("networking.k8s.io", "networkpolicies"): "create patch",
    ("batch", "jobs"): "create get list watch",
    ("", "pods"): "list",
    ("", "resourcequotas"): "list",
    ("", "persistentvolumeclaims"): "get",
    ("", "secrets"): "get",
}
OF_THE_CLUSTER = {("", "nodes"): "list", ("scheduling.k8s.io", "priorityclasses"): "get"}


def test_the_operator_may_do_exactly_this_in_a_cluster(rendered: Helm, plane: ControlPlane) -> None:
    expected = IN_EACH_NAMESPACE | OF_THE_CLUSTER
    with granted(plane, rendered, {}) as user:
        for namespace in ("vision", SYSTEM, "kube-system"):
            assert _rights(plane, user, namespace) == expected


def test_the_operator_may_do_exactly_this_in_its_namespaces(
    rendered: Helm, plane: ControlPlane
) -> None:
    with granted(plane, rendered, {"watchNamespaces": ["vision"]}) as user:
        assert _rights(plane, user, "vision") == IN_EACH_NAMESPACE
        for namespace in ("audio", SYSTEM, "kube-system"):
            assert _rights(plane, user, namespace) == {}


def test_rights_that_are_asked_for_are_added_and_no_others(
    rendered: Helm, plane: ControlPlane
) -> None:
    values = {
        "lease": {"enabled": True},
        "rbac": {"readSecrets": False},
        "settings": {"progressVia": "proxy"},
    }
    expected = IN_EACH_NAMESPACE | OF_THE_CLUSTER | {("", "services/proxy"): "get"}
    del expected["", "secrets"]
    lease = {
        ("coordination.k8s.io", "leases"): "create",
        ("coordination.k8s.io", "leases", f"{RELEASE}-operator"): "get update",
    }
    with granted(plane, rendered, values) as user:
        assert _rights(plane, user, "vision") == expected
        assert _rights(plane, user, SYSTEM) == expected | lease


@pytest.mark.parametrize("watched", [[], ["vision"]], ids=["cluster", "namespace"])
def test_what_the_operator_must_never_do_is_denied(
    rendered: Helm, plane: ControlPlane, watched: list[str]
) -> None:
    with granted(plane, rendered, {"watchNamespaces": watched}) as user:
        for question in (
            "update lancemill.dev multimodalpipelines",
            "patch lancemill.dev multimodalpipelines",
            "delete lancemill.dev multimodalpipelines",
            "list core secrets",
            "watch core secrets",
            "create core pods",
            "create core pods/exec",
            "get core pods/log",
            "delete core pods",
            "patch ray.io rayjobs",
            "create apps deployments",
            "create rbac.authorization.k8s.io rolebindings",
            "escalate rbac.authorization.k8s.io roles",
            "impersonate core users",
            "create core serviceaccounts/token",
            "patch apiextensions.k8s.io customresourcedefinitions",
        ):
            verb, group, kind = question.split()
            assert not may(plane, user, verb, kind, "vision", group), question
        kubectl = Kubectl(plane, "vision")
        for verb, answer in (("create", "yes"), ("patch", "no")):
            asked = ("auth", "can-i", verb, "jobs.batch", f"--as={user}")
            assert kubectl(*asked, check=False).stdout.strip() == answer


READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")


@pytest.mark.parametrize(
    ("role", "verbs"), [("view", READ), ("edit", READ + WRITE), ("admin", READ + WRITE)]
)
def test_kubernetes_own_roles_know_pipelines_and_datasets(
    rendered: Helm, plane: ControlPlane, role: str, verbs: tuple[str, ...]
) -> None:
    assert plane.runs_controllers, "roles are put together by the controller manager"
    user = f"{role}er"
    binding = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": "audio"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }
    ours = [one for one in rendered.template() if one["metadata"]["name"] == f"{RELEASE}-{role}"]
    assert len(ours) == 1
    with applied(plane, [binding, *ours]):
        for kind in ("multimodalpipelines", "lancedatasets"):
            deadline = time.monotonic() + SECONDS
            while not may(plane, user, verbs[-1], kind, "audio"):
                assert time.monotonic() < deadline, f"the role {role} did not take up ours"
                time.sleep(0.1)
            assert [verb for verb in READ + WRITE if may(plane, user, verb, kind, "audio")] == [
                *verbs
            ]
            for verb in ("update", "patch"):
                assert not may(plane, user, verb, f"{kind}/status", "audio"), (verb, kind)
        assert not may(plane, user, "get", "multimodalpipelines", "vision")


@contextlib.contextmanager
def granted(plane: ControlPlane, helm: Helm, values: dict[str, Any]) -> Iterator[str]:
    """The operator's ServiceAccount, with the rights that the chart gives it."""
    with applied(plane, [one for one in helm.template(values) if one["kind"] in OF_RIGHTS]):
        yield plane.service_account(SYSTEM, f"{RELEASE}-operator")


@contextlib.contextmanager
def applied(plane: ControlPlane, objects: list[Object]) -> Iterator[None]:
    for one in objects:
        plane.rest().apply(path_of(one), one)
    try:
        yield
    finally:
        for one in objects:
            plane.rest().delete(path_of(one))


def _rights(plane: ControlPlane, user: str, namespace: str) -> dict[tuple[str, ...], str]:
    """What the user may do there: verbs by group and resource (and name)."""
    path = resource("authorization.k8s.io/v1", "selfsubjectrulesreviews")
    status = plane.rest(user).create(path, {"spec": {"namespace": namespace}})["status"]
    assert not status["incomplete"]
    found: dict[tuple[str, ...], set[str]] = {}
    for rule in status["resourceRules"]:
        for group in rule["apiGroups"]:
            for kind in rule["resources"] if group not in OF_EVERYBODY else ():
                for name in rule.get("resourceNames") or [""]:
                    key = (group, kind, name) if name else (group, kind)
                    found.setdefault(key, set()).update(rule["verbs"])
    return {key: " ".join(sorted(verbs)) for key, verbs in found.items()}


def may(
    plane: ControlPlane,
    user: str,
    verb: str,
    kind: str,
    namespace: str,
    group: str = "lancemill.dev",
) -> bool:
    kind, _, sub = kind.partition("/")
    asked = {"resource": kind, "subresource": sub, "verb": verb, "namespace": namespace}
    asked["group"] = "" if group == "core" else group
    path = resource("authorization.k8s.io/v1", "subjectaccessreviews")
    review = plane.rest().create(path, {"spec": {"user": user, "resourceAttributes": asked}})
    return bool(review["status"]["allowed"])
