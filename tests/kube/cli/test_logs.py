"""`lancemill logs`: by Ray's dashboard, by kubelets, and when both are gone."""

from __future__ import annotations

import base64

import pytest

from kube.addresses import PodAddresses
from kube.cli_stage import Cli, Object, Stage
from kube.played_logs import kubelet, played_pod
from kube.rest import resource
from kube.waiting import until

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")


RBAC = "rbac.authorization.k8s.io"


@pytest.mark.thorough
def test_the_drivers_log_is_followed_to_its_end_and_told_gone_with_its_cluster(
    stage: Stage, addresses: PodAddresses
) -> None:
    if addresses.shared:
        pytest.skip("NOT RUN: the API server's proxy reaches no played head without CAP_NET_ADMIN")
    stage.cli("submit", str(stage.manifest("talks", "seconds-5", ttlAfterFinished="15s")))
    until("its driver has begun", lambda: stage.cli("logs", "talks").returncode == 0)
    log = stage.cli("logs", "talks", "--follow")
    assert log.returncode == 0, log.stderr
    said = log.stdout.splitlines()
    assert said[0].startswith("lancemill run /etc/lancemill/run/manifest.yaml --pipeline talks")
    assert said[-1] == "SUCCEEDED"
    assert len(said) == len(set(said)), "no line twice"
    asked = next(one for one in reversed(stage.heard) if one.path.endswith("/logs"))
    assert asked.headers["X-Ray-Authorization"] == f"Bearer {_token(stage, asked.head)}"
    until("its pods are gone", lambda: not _pods(stage, "talks"))
    gone = stage.cli("logs", "talks")
    assert gone.returncode == 1
    assert "is gone, and its logs with it" in gone.stderr
    assert "ttlAfterFinished" in gone.stderr


def test_who_may_not_use_the_proxy_is_told_another_way(
    stage: Stage, addresses: PodAddresses
) -> None:
    pod = played_pod(stage, "kept-from", head=True, node=None)
    user = stage.plane.service_account(stage.namespace, "looker")
    bound = {
        "metadata": {"name": "looker"},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "looker"},
        "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": stage.namespace}],
    }
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["lancemill.dev"], "resources": ["multimodalpipelines"], "verbs": ["get"]},
    ]
    role = {"metadata": {"name": "looker"}, "rules": rules}
    stage.rest.create(resource(f"{RBAC}/v1", "roles", stage.namespace), role)
    stage.rest.create(resource(f"{RBAC}/v1", "rolebindings", stage.namespace), bound)
    done = Cli(stage.plane, stage.namespace, user=user)("logs", "kept-from")
    assert done.returncode == 1
    assert "through services/proxy, which you may not use" in done.stderr
    assert f"kubectl exec -n {stage.namespace} {pod}" in done.stderr


def test_a_groups_log_is_that_of_its_pods(stage: Stage, addresses: PodAddresses) -> None:
    if addresses.shared:
        pytest.skip("NOT RUN: the API server calls no kubelet on loopback")
    with kubelet(stage, addresses) as node:
        pod = played_pod(stage, "grouped", head=False, node=node)
        done = stage.cli("logs", "grouped", "--group", "gpu")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"hello from {pod}\nof ray-worker\n"
        before = stage.cli("logs", "grouped", "--group", "gpu", "--previous")
        assert before.stdout.splitlines()[-1] == "of ray-worker before its restart"
        other = stage.cli("logs", "grouped", "--group", "cpu")
        assert other.returncode == 1
        assert "no pod of group 'cpu' now; there are: gpu" in other.stderr


def _token(stage: Stage, head: str) -> str:
    """The token of a head's cluster, as KubeRay keeps it."""
    pod = stage.rest.get(resource("v1", "pods", stage.namespace, head))
    cluster = pod["metadata"]["labels"]["ray.io/cluster"]
    secret = stage.rest.get(resource("v1", "secrets", stage.namespace, cluster))
    return base64.b64decode(secret["data"]["auth_token"]).decode()


def _pods(stage: Stage, name: str) -> list[Object]:
    pods = resource("v1", "pods", stage.namespace)
    found = stage.rest.get(pods, labelSelector=f"lancemill.dev/pipeline={name}")
    return [one for one in found["items"] if "lancemill.dev/run" in one["metadata"]["labels"]]
