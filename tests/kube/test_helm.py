"""The chart in a real cluster, by helm 3 and helm 4: its whole life.

The control plane is one of its own: here it is the chart that brings the CRDs.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from helm.chart import CHART, Failed, Helm, copy_of_chart, find_helm, only, path_of
from helm.test_rendering import COMBINATIONS
from kube.binaries import Missing, find_binaries
from kube.conftest import missing
from kube.control_plane import ControlPlane
from kube.control_plane import control_plane as running_control_plane
from kube.rest import Object, Refused, Rest, resource

RELEASE, SYSTEM = "lancemill", "lancemill-system"
API = "lancemill.dev/v1alpha1"
CRDS = resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
PIPELINES = f"{CRDS}/multimodalpipelines.lancemill.dev"
OF_PROMETHEUS = ("PodMonitor", "PrometheusRule")
"""Kinds whose CRDs are the Prometheus Operator's."""
SECONDS = 60

pytestmark = [pytest.mark.kube, pytest.mark.thorough]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    try:
        binaries = find_binaries()
    except Missing as problem:
        missing(problem)
    ours = sorted((CHART / "files" / "crds").iterdir())  # the control plane tries itself with them
    with running_control_plane(binaries, crds=ours) as running:
        _delete_crds(running)
        for name in (SYSTEM, "vision", "audio"):
            running.rest().create(resource("v1", "namespaces"), {"metadata": {"name": name}})
        yield running


@pytest.fixture(params=["helm4", "helm3"])
def helm(request: pytest.FixtureRequest, plane: ControlPlane) -> Iterator[Helm]:
    """Begins and ends without a release; CRDs that it left are taken up by the next one."""
    try:
        made = find_helm(request.param, plane.kubeconfig(namespace=SYSTEM))
    except Missing as problem:
        missing(problem)
    yield made
    made("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found")


@pytest.fixture(scope="module")
def rendered() -> Helm:
    """For what a cluster makes of objects: both helms render the same ones (tests/helm)."""
    try:
        return find_helm("helm4")
    except Missing as problem:
        missing(problem)


def install(
    helm: Helm, values: dict[str, Any] | None = None, *more: str, chart: Path = CHART
) -> str:
    """Installs or upgrades, with these values and none of those before; what helm says."""
    flags = ("--install", "--reset-values", "--namespace", SYSTEM)
    return helm("upgrade", RELEASE, str(chart), *flags, *more, values=values or {})


def uninstall(helm: Helm) -> None:
    helm("uninstall", RELEASE, "--namespace", SYSTEM)


@contextlib.contextmanager
def previous_chart() -> Iterator[Path]:
    """The chart as an older release may have been: its pipelines have no `spec.summary`."""
    with copy_of_chart() as chart:
        about = yaml.safe_load((chart / "Chart.yaml").read_text())
        about |= {"version": "0.0.9", "appVersion": "0.0.9"}
        (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
        path = chart / "files" / "crds" / "multimodalpipelines.lancemill.dev.yaml"
        crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        del schema["properties"]["spec"]["properties"]["summary"]
        path.write_text(yaml.dump(crd, Dumper=yaml.CSafeDumper, sort_keys=False))
        yield chart


def pipeline(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://lake/photos/"}},
            "sink": {"lance": {"uri": "s3://lake/photos.lance"}},
            **spec,
        },
    }


SUMMARY = [{"name": "rows", "query": "select count(*) n from output"}]
MINE = resource(API, "multimodalpipelines", "vision")


def create(rest: Rest, body: Object) -> Object:
    """Creates it as soon as the kind is served; fields that are not known are refused."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return rest.create(MINE, body, fieldValidation="Strict")
        except Refused as refusal:
            if refusal.code != 404 or time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def knows_summary(rest: Rest) -> bool:
    """Whether the API server takes `spec.summary` by now."""
    try:
        rest.create(MINE, pipeline("try", summary=SUMMARY), fieldValidation="Strict", dryRun="All")
    except Refused as refusal:
        assert refusal.code in (400, 404), refusal
        return False
    return True


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"did not come true in {SECONDS} s"
        time.sleep(0.1)


def test_a_releases_whole_life_keeps_every_pipeline(helm: Helm, plane: ControlPlane) -> None:
    rest, name = plane.rest(), f"cats-{Path(helm.program).name}"
    with previous_chart() as older:
        install(helm, chart=older)
    eventually(lambda: not knows_summary(rest))
    made = create(rest, pipeline(name))

    install(helm)
    eventually(lambda: knows_summary(rest))
    assert rest.get(PIPELINES)["metadata"]["labels"]["helm.sh/chart"] == "lancemill-0.1.0"

    helm("rollback", RELEASE, "1", "--namespace", SYSTEM)
    eventually(lambda: not knows_summary(rest))

    install(helm)
    eventually(lambda: knows_summary(rest))
    uninstall(helm)
    assert rest.find(resource("apps/v1", "deployments", SYSTEM, f"{RELEASE}-operator")) is None
    assert rest.find(_rbac("clusterroles", f"{RELEASE}-operator")) is None
    assert rest.get(f"{MINE}/{name}")["metadata"]["uid"] == made["metadata"]["uid"]

    install(helm)  # and takes up again the CRDs that were left
    assert rest.get(f"{MINE}/{name}")["metadata"]["uid"] == made["metadata"]["uid"]


def test_crds_of_somebody_else_are_left_alone(helm: Helm, plane: ControlPlane) -> None:
    install(helm)
    uninstall(helm)
    with _given_away(plane):
        with pytest.raises(Failed, match="ownership"):
            install(helm)
        before = plane.rest().get(PIPELINES)["metadata"]["resourceVersion"]
        install(helm, {"crds": {"install": False}})
        uninstall(helm)
        assert plane.rest().get(PIPELINES)["metadata"]["resourceVersion"] == before


def test_the_same_upgrade_again_changes_nothing(helm: Helm, plane: ControlPlane) -> None:
    values = {"lease": {"enabled": True}, "watchNamespaces": ["vision"]}
    install(helm, values)
    objects = helm.template(values)
    before = _states(plane, objects)
    install(helm, values)
    assert _states(plane, objects) == before


def test_namespaces_can_be_added_and_taken_away(helm: Helm, plane: ControlPlane) -> None:
    def role(namespace: str) -> Object | None:
        return plane.rest().find(_rbac("roles", f"{RELEASE}-operator", namespace))

    install(helm, {"watchNamespaces": ["vision"]})
    assert role("vision") and not role("audio")
    install(helm, {"watchNamespaces": ["audio"]})
    assert role("audio") and not role("vision")
    install(helm)
    assert not role("audio") and not role("vision")
    assert plane.rest().find(_rbac("clusterroles", f"{RELEASE}-operator"))


def test_a_misspelt_value_stops_an_upgrade_before_it_begins(helm: Helm) -> None:
    install(helm)
    with pytest.raises(Failed, match="watchNamespace"):
        install(helm, {"watchNamespace": ["vision"]})
    (release,) = json.loads(helm("list", "--namespace", SYSTEM, "--output", "json"))
    assert (str(release["revision"]), release["status"]) == ("1", "deployed")


def test_notes_warn_where_kuberay_is_missing_and_tell_what_an_uninstall_leaves(
    helm: Helm, plane: ControlPlane
) -> None:
    said = install(helm)
    assert "does not serve ray.io/v1" in said
    assert "leaves the CRDs" in said
    assert "kubectl get mmp -A -w" in said
    with _kuberay(plane):
        values = {"watchNamespaces": ["vision"], "crds": {"keep": False}}
        said = install(helm, values, "--dry-run=server")
    assert "ray.io/v1" not in said
    assert "watches namespaces vision" in said
    assert "deletes the CRDs" in said


def test_crds_that_are_not_to_be_kept_go_with_the_release(helm: Helm, plane: ControlPlane) -> None:
    install(helm, {"crds": {"keep": False}})
    assert plane.rest().find(PIPELINES) is not None
    uninstall(helm)
    plane.rest().waited(PIPELINES, lambda found: found is None, timeout=SECONDS)


def test_the_api_server_accepts_all_that_any_two_settings_render(
    rendered: Helm, plane: ControlPlane
) -> None:
    rest = plane.rest()
    tried = set[str]()
    for values in COMBINATIONS:
        for one in rendered.template(values):
            text = json.dumps(one, sort_keys=True)
            if text not in tried and one["kind"] not in OF_PROMETHEUS:
                rest.apply(path_of(one), one, dryRun="All")
                tried.add(text)
    assert len(tried) > 30


def test_the_operators_pod_is_let_into_a_restricted_namespace(
    rendered: Helm, plane: ControlPlane
) -> None:
    template = only(rendered.template(), "Deployment")["spec"]["template"]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = resource("v1", "namespaces", None, "vision")
    plane.rest().merge(namespace, {"metadata": {"labels": labels}})
    pod = {"metadata": {"name": "operator"}, "spec": dict(template["spec"])}
    pod["spec"]["serviceAccountName"] = "default"
    pods = resource("v1", "pods", "vision")
    plane.rest().waited(
        resource("v1", "serviceaccounts", "vision", "default"),
        lambda found: found is not None,
        timeout=SECONDS,
    )
    assert plane.rest().create(pods, pod, dryRun="All")["kind"] == "Pod"
    del pod["spec"]["securityContext"]
    with pytest.raises(Refused, match="restricted"):
        plane.rest().create(pods, pod, dryRun="All")


def _rbac(plural: str, name: str, namespace: str | None = None) -> str:
    return resource("rbac.authorization.k8s.io/v1", plural, namespace, name)


def _states(plane: ControlPlane, objects: list[Object]) -> dict[str, Any]:
    """Of each object what changes when it is written, and not when a controller looks at it."""
    states = {}
    for one in objects:
        meta = plane.rest().get(path_of(one))["metadata"]
        states[path_of(one)] = meta.get("generation", meta["resourceVersion"]), meta["labels"]
    return states


@contextlib.contextmanager
def _kuberay(plane: ControlPlane) -> Iterator[None]:
    """The API group ray.io/v1, by a CRD of the name of one of KubeRay's."""
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "rayjobs.ray.io"},
        "spec": {
            "group": "ray.io",
            "scope": "Namespaced",
            "names": {"kind": "RayJob", "plural": "rayjobs"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }
            ],
        },
    }
    plane.rest().create(CRDS, crd)
    plane.rest().waited("/apis/ray.io/v1", lambda found: found is not None, timeout=SECONDS)
    try:
        yield
    finally:
        plane.rest().delete(f"{CRDS}/rayjobs.ray.io")
        plane.rest().waited("/apis/ray.io/v1", lambda found: found is None, timeout=SECONDS)


OWNER = {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": SYSTEM}


@contextlib.contextmanager
def _given_away(plane: ControlPlane) -> Iterator[None]:
    """The CRDs as somebody else's: without helm's marks."""
    paths = [f"{CRDS}/{path.stem}" for path in (CHART / "files" / "crds").iterdir()]
    try:
        for path in paths:
            plane.rest().merge(path, _marks(None, dict.fromkeys(OWNER)))
        yield
    finally:
        for path in paths:
            plane.rest().merge(path, _marks("Helm", OWNER))


def _marks(manager: str | None, annotations: dict[str, Any]) -> Object:
    labels = {"app.kubernetes.io/managed-by": manager}
    return {"metadata": {"labels": labels, "annotations": annotations}}


def _delete_crds(plane: ControlPlane) -> None:
    paths = [f"{CRDS}/{path.stem}" for path in (CHART / "files" / "crds").iterdir()]
    for path in paths:
        plane.rest().delete(path)
    for path in paths:
        plane.rest().waited(path, lambda found: found is None, timeout=SECONDS)
