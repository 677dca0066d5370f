"""The control plane is a real one: what the operator will rely on is there, and enforced."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiException, CustomObjectsApi

from kube import loops
from kube.control_plane import ControlPlane
from kube.kubectl import Kubectl
from kube.namespaces import fresh_namespace
from kube.rest import Refused, Rest, resource

API = "lancemill.dev/v1alpha1"


def pipeline(name: str = "photos", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://lake/photos/"}},
            "stages": [{"name": "bytes", "fetch": {"column": "uri", "into": "bytes"}}],
            "sink": {"lance": {"uri": "s3://lake/photos.lance"}},
            **spec,
        },
    }


def dataset(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "LanceDataset",
        "metadata": {"name": name, **metadata},
        "spec": {"uri": f"s3://lake/{name}.lance"},
    }


def owned_by(owner: dict[str, Any]) -> list[dict[str, Any]]:
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return [{**reference, "name": meta["name"], "uid": meta["uid"], "controller": True}]


def test_an_untouched_pipeline_reads_as_not_yet_observed(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", input=pipeline())

    found = kubectl.json("get", "mmp", "photos")

    assert found["metadata"]["generation"] == 1
    assert found["status"]["observedGeneration"] == -1


def test_an_untouched_dataset_reads_as_not_yet_observed(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", input=dataset("photos"))

    assert kubectl.json("get", "lds", "photos")["status"]["observedGeneration"] == -1


def test_a_manifest_that_breaks_a_rule_is_refused_with_the_rules_words(kubectl: Kubectl) -> None:
    sources = {
        "objects": {"uri": "s3://lake/photos/"},
        "table": {"format": "parquet", "uri": "s3://lake/photos.parquet"},
    }

    refused = kubectl("apply", "-f", "-", input=pipeline(source=sources), check=False)

    assert refused.returncode != 0
    assert "spec.source" in refused.stderr
    assert "expected exactly one source: objects or table" in refused.stderr


def test_server_side_apply_tells_who_owns_a_field_and_yields_only_by_force(
    control_plane: ControlPlane, namespace: str
) -> None:
    rest, path = control_plane.rest(), resource(API, "lancedatasets", namespace, "photos")
    mine = dataset("photos", labels={"team": "mine"})
    theirs = dataset("photos", labels={"team": "theirs"})
    rest.apply(path, mine, manager="mine")

    code, conflict = rest.answer(
        "PATCH",
        path,
        theirs,
        content_type="application/apply-patch+yaml",
        query={"fieldManager": "theirs"},
    )

    assert code == 409
    assert 'conflict with "mine"' in conflict["message"]
    assert rest.apply(path, theirs, manager="theirs")["metadata"]["labels"] == {"team": "theirs"}


def test_a_status_is_written_apart_from_the_specification(
    control_plane: ControlPlane, namespace: str
) -> None:
    rest, path = control_plane.rest(), resource(API, "lancedatasets", namespace, "photos")
    rest.apply(path, dataset("photos"))

    change = {"spec": {"uri": "s3://elsewhere/x.lance"}, "status": {"observedGeneration": 1}}
    rest.merge(f"{path}/status", change)

    found = rest.get(path)
    assert found["spec"]["uri"] == "s3://lake/photos.lance"
    assert found["status"]["observedGeneration"] == 1
    assert found["metadata"]["generation"] == 1


def test_what_an_object_owns_goes_with_it(
    control_plane: ControlPlane, controllers: None, namespace: str
) -> None:
    rest = control_plane.rest()
    parent = rest.create(resource(API, "lancedatasets", namespace), dataset("parent"))
    child = dataset("child", ownerReferences=owned_by(parent))
    rest.create(resource(API, "lancedatasets", namespace), child)

    rest.delete(resource(API, "lancedatasets", namespace, "parent"))

    rest.waited(resource(API, "lancedatasets", namespace, "child"), lambda found: found is None, 60)


def test_a_ray_job_goes_with_its_pipeline(
    control_plane: ControlPlane, controllers: None, kuberay_crds: None, namespace: str
) -> None:
    rest = control_plane.rest()
    owner = rest.create(resource(API, "multimodalpipelines", namespace), pipeline())
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "photos-1", "ownerReferences": owned_by(owner)},
        "spec": {"entrypoint": "true"},
    }
    rest.create(resource("ray.io/v1", "rayjobs", namespace), job)

    rest.delete(resource(API, "multimodalpipelines", namespace, "photos"))

    gone = resource("ray.io/v1", "rayjobs", namespace, "photos-1")
    rest.waited(gone, lambda found: found is None, 60)


def test_a_quota_refuses_what_goes_beyond_it(
    control_plane: ControlPlane, controllers: None, namespace: str
) -> None:
    rest = control_plane.rest()
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "one"},
        "spec": {"hard": {"count/lancedatasets.lancemill.dev": "1"}},
    }
    rest.create(resource("v1", "resourcequotas", namespace), quota)
    path = resource("v1", "resourcequotas", namespace, "one")
    rest.waited(path, lambda found: found and found.get("status", {}).get("used"), 60)
    rest.create(resource(API, "lancedatasets", namespace), dataset("first"))

    with pytest.raises(Refused, match="exceeded quota: one") as refusal:
        rest.create(resource(API, "lancedatasets", namespace), dataset("second"))

    assert refusal.value.code == 403


def test_a_pod_that_fits_nowhere_is_told_so_by_the_scheduler(
    control_plane: ControlPlane, controllers: None, namespace: str
) -> None:
    rest = control_plane.rest()
    container = {
        "name": "main",
        "image": "none",
        "resources": {"limits": {"nvidia.com/gpu": "1000"}},
    }
    body = {"metadata": {"name": "greedy"}, "spec": {"containers": [container]}}
    rest.create(resource("v1", "pods", namespace), body)

    def refused(found: dict[str, Any]) -> bool:
        conditions = found.get("status", {}).get("conditions", [])
        return any(one.get("reason") == "Unschedulable" for one in conditions)

    rest.waited(resource("v1", "pods", namespace, "greedy"), refused, 60)


def test_pod_security_is_enforced_where_a_namespace_asks_for_it(
    control_plane: ControlPlane,
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"metadata": {"name": "loose"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    with (
        fresh_namespace(control_plane, labels=labels) as namespace,
        pytest.raises(Refused, match="violates PodSecurity"),
    ):
        control_plane.rest().create(resource("v1", "pods", namespace), body)


def test_a_name_is_free_in_another_namespace(control_plane: ControlPlane, namespace: str) -> None:
    rest = control_plane.rest()
    rest.create(resource(API, "lancedatasets", namespace), dataset("same"))
    with fresh_namespace(control_plane) as other:
        rest.create(resource(API, "lancedatasets", other), dataset("same"))

        names = [one["metadata"]["name"] for one in _list(rest, other)]

    assert names == ["same"]


def _list(rest: Rest, namespace: str) -> list[dict[str, Any]]:
    items = rest.get(resource(API, "lancedatasets", namespace))["items"]
    assert isinstance(items, list)
    return items


def test_a_user_without_a_role_may_read_nothing(
    control_plane: ControlPlane, namespace: str
) -> None:
    with pytest.raises(Refused, match='User "alice" cannot list') as refusal:
        _list(control_plane.rest("alice"), namespace)

    assert refusal.value.code == 403


def test_a_service_account_may_do_what_its_role_says(
    control_plane: ControlPlane, namespace: str
) -> None:
    user = control_plane.service_account(namespace, "reader")
    kubectl = Kubectl(control_plane, namespace)
    kubectl("create", "role", "reader", "--verb=list", "--resource=lancedatasets.lancemill.dev")
    binding = ("--role=reader", f"--serviceaccount={namespace}:reader")
    kubectl("create", "rolebinding", "reader", *binding)

    assert _list(control_plane.rest(user), namespace) == []
    with pytest.raises(Refused, match="cannot list resource"):
        control_plane.rest(user).get(resource("v1", "secrets", namespace))


def test_the_operators_client_library_talks_to_it(api: Any, namespace: str) -> None:
    async def scenario() -> int:
        async with api() as client:
            objects = CustomObjectsApi(client)
            place = ("lancemill.dev", "v1alpha1", namespace, "lancedatasets")
            await objects.create_namespaced_custom_object(*place, dataset("photos"))
            found = await objects.list_namespaced_custom_object(*place)
        async with api("alice") as client:
            with pytest.raises(ApiException) as refusal:
                await CustomObjectsApi(client).list_namespaced_custom_object(*place)
            assert refusal.value.status == 403
        return len(found["items"])

    assert loops.run(scenario()) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_installs_a_chart_and_takes_it_away(
    helm: str,
    program: Callable[[str], str],
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
) -> None:
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: chart, version: 1.0.0}")
    (chart / "templates" / "dataset.json").write_text(json.dumps(dataset("photos")))
    rest, path = control_plane.rest(), resource(API, "lancedatasets", namespace, "photos")

    def run(*arguments: str) -> None:
        kubeconfig = f"--kubeconfig={control_plane.kubeconfig(namespace=namespace)}"
        command = [program(helm), *arguments, kubeconfig]
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr

    run("install", "release", str(chart))
    assert rest.find(path) is not None
    run("uninstall", "release")
    rest.waited(path, lambda found: found is None)


def test_kstatus_calls_an_untouched_pipeline_in_progress(
    program: Callable[[str], str], kubectl: Kubectl
) -> None:
    kubectl("apply", "-f", "-", input=pipeline())
    found = json.dumps(kubectl.json("get", "mmp", "photos"))

    said = subprocess.run([program("kstatus")], input=found, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["status"] == "InProgress"


_STARTER = """
import sys
from pathlib import Path
from kube.processes import Program
print(Program(["/bin/sleep", "600"], Path(sys.argv[1])).start().pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a dead parent's children")
def test_a_program_does_not_outlive_a_killed_test_run(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _STARTER, str(tmp_path / "log")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as run:
        assert run.stdout is not None
        child = int(run.stdout.readline())
        held = os.pidfd_open(child)
        try:
            run.kill()
            run.wait(timeout=60)
            assert _ends(held, 60), "the child still runs"
        finally:
            os.close(held)


def _ends(pidfd: int, seconds: float) -> bool:
    return bool(select.select([pidfd], [], [], seconds)[0])
