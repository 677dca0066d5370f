"""Teams that share a cluster, and what stays when Lancemill goes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from e2e import install, long_run
from e2e.kubectl import Failed
from e2e.long_run import NAME
from e2e.scenarios.test_faults import HEAD
from e2e.tenant import SECRET, Object, Tenant

DASHBOARD = 8265


def reached(tenant: Tenant, from_: Tenant, token: str | None) -> str:
    """What the head's dashboard answers a pod of another team: an HTTP status, or why none."""
    head = tenant.pods(HEAD)[0]["status"]["podIP"]
    header = f"headers={{'X-Ray-Authorization': 'Bearer {token}'}}, " if token else ""
    code = (
        "import urllib.error, urllib.request\n"
        f"asked = urllib.request.Request('http://{head}:{DASHBOARD}/api/jobs/', {header})\n"
        "try:\n"
        "    print(urllib.request.urlopen(asked, timeout=10).status)\n"
        "except urllib.error.HTTPError as problem:\n"
        "    print(problem.code)\n"
        "except OSError as problem:\n"
        "    print('unreachable', problem)\n"
    )
    return in_a_pod(from_, code)


def in_a_pod(tenant: Tenant, code: str) -> str:
    """What Python prints there."""
    name = "asker"
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": name,
        "image": tenant.cluster.images["runtime"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", code],
        "securityContext": restricted,
    }
    profile = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {"containers": [container], "restartPolicy": "Never", "securityContext": profile}
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    tenant.kubectl("delete", "pod", name, "--ignore-not-found", "--wait")
    tenant.kubectl.apply(pod)
    tenant.kubectl(
        "wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s"
    )
    return tenant.kubectl("logs", name).strip()


def test_teams_neither_read_each_others_secrets_nor_use_each_others_heads(
    new_tenant: Callable[[], Tenant],
) -> None:
    ours, theirs = new_tenant(), new_tenant()
    account = f"--as=system:serviceaccount:{theirs.namespace}:default"
    allowed = ours.kubectl("auth", "can-i", "get", f"secret/{SECRET}", account, check=False)
    assert allowed.strip() == "no"
    long_run.started(ours)
    assert reached(ours, from_=theirs, token=None) in ("401", "403")
    assert reached(ours, from_=theirs, token="guessed") in ("401", "403")
    ours.succeeded(NAME, minutes=12)


@pytest.mark.needs("network-policies")
def test_a_head_does_not_answer_other_teams_at_all(new_tenant: Callable[[], Tenant]) -> None:
    ours, theirs = new_tenant(), new_tenant()
    long_run.started(ours)
    assert reached(ours, from_=theirs, token=None).startswith("unreachable")


def test_what_pods_of_a_run_may_do_at_the_api_server_is_nothing(tenant: Tenant) -> None:
    tenant.kubectl.apply(*long_run.documents(tenant, suspend=True))
    account = f"--as=system:serviceaccount:{tenant.namespace}:lm-{NAME}"
    for what in ("secrets", "pods", "configmaps"):
        answer = tenant.kubectl("auth", "can-i", "list", what, account, check=False)
        assert answer.strip() == "no"


def test_uninstalling_keeps_objects_and_data_and_a_later_install_takes_them_up(
    tenant: Tenant, pictures: dict[str, bytes]
) -> None:
    tenant.put("pictures", pictures)
    tenant.kubectl.apply(*tenant.documents())
    run = tenant.succeeded()["status"]["lastRun"]["id"]
    rows = tenant.rows()
    try:
        install.uninstall(tenant.cluster)
        with pytest.raises(Failed, match="not found"):
            tenant.cluster.kubectl.at(install.SYSTEM)("get", install.OPERATOR)
        assert tenant.pipeline()["status"]["lastRun"]["id"] == run
        assert tenant.rows().equals(rows)
    finally:
        install.lancemill(tenant.cluster)
    tenant.kubectl("annotate", "mmp", "thumbnails", "lancemill.dev/note=seen")
    assert tenant.pipeline()["status"]["lastRun"]["id"] == run
