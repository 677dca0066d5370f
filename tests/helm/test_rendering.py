"""What comes out of the templates, for every two settings in every way."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from helm.chart import CHART, Failed, Helm, copy_of_chart, only
from helm.combinations import any_two, nested
from kube.rest import Object
from support.sampled import sampled

DIGEST = "sha256:" + "0123456789abcdef" * 4
SWITCHES: dict[str, list[Any]] = {
    "affinity": [{}, {"nodeAffinity": {}}],
    "crds.install": [True, False],
    "crds.keep": [True, False],
    "env": [[], [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]],
    "fullnameOverride": ["", "curation"],
    "image.digest": ["", DIGEST],
    "imagePullSecrets": [[], [{"name": "pull"}]],
    "labels": [{}, {"team": "data"}],
    "lease.enabled": [False, True],
    "monitoring.dashboard.enabled": [False, True],
    "monitoring.podMonitor.enabled": [False, True],
    "monitoring.prometheusRule.enabled": [False, True],
    "networkPolicy.enabled": [True, False],
    "networkPolicy.metricsFrom": [[], [{"namespaceSelector": {}}]],
    "nodeSelector": [{}, {"kubernetes.io/os": "linux"}],
    "podAnnotations": [{}, {"a": "b"}],
    "podDisruptionBudget.enabled": [True, False],
    "rbac.create": [True, False],
    "rbac.readSecrets": [True, False],
    "rbac.userRoles": [True, False],
    "replicas": [1, 0],
    "settings.progressVia": ["auto", "proxy"],
    "serviceAccount.annotations": [{}, {"a": "b"}],
    "serviceAccount.create": [True, False],
    "tolerations": [[], [{"operator": "Exists"}]],
    "watchNamespaces": [[], ["vision"], ["vision", "audio"]],
}
COMBINATIONS = [nested(one) for one in any_two(SWITCHES)]
EACH_COMBINATION = pytest.mark.parametrize(
    "values", sampled(COMBINATIONS, first=6), ids=map(str, range(len(COMBINATIONS)))
)
CLUSTER_WIDE = ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")


def key(one: Object) -> tuple[str, str | None, str]:
    return one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]


def test_lint_finds_nothing_to_complain_of(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@EACH_COMBINATION
def test_any_two_settings_render_into_whole_objects(helm: Helm, values: dict[str, Any]) -> None:
    objects = helm.template(values)
    assert len({key(one) for one in objects}) == len(objects), "an object is rendered twice"
    for one in objects:
        assert one["apiVersion"], one
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert ("namespace" in one["metadata"]) == (one["kind"] not in CLUSTER_WIDE), key(one)
    deployment = only(objects, "Deployment")["spec"]
    chosen = deployment["selector"]["matchLabels"].items()
    assert chosen <= deployment["template"]["metadata"]["labels"].items()
    for kind, place in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        for one in objects:
            if one["kind"] == kind:
                assert one["spec"][place]["matchLabels"].items() == chosen
    kinds = {one["kind"] for one in objects}
    assert ("CustomResourceDefinition" in kinds) == values["crds"]["install"]
    assert ("ConfigMap" in kinds) == values["monitoring"]["dashboard"]["enabled"]
    assert ("PodMonitor" in kinds) == values["monitoring"]["podMonitor"]["enabled"]
    assert ("PrometheusRule" in kinds) == values["monitoring"]["prometheusRule"]["enabled"]
    assert ("ClusterRoleBinding" in kinds) == (
        values["rbac"]["create"] and not values["watchNamespaces"]
    )


@EACH_COMBINATION
def test_helm_3_and_4_render_the_same(both: tuple[Helm, Helm], values: dict[str, Any]) -> None:
    three, four = (sorted(helm.template(values), key=str) for helm in both)
    assert three == four


def test_the_crds_are_those_of_the_api_but_for_labels_and_the_keep_annotation(helm: Helm) -> None:
    rendered = {
        one["metadata"]["name"]: one
        for one in helm.template()
        if one["kind"] == "CustomResourceDefinition"
    }
    sources = sorted((CHART.parents[1] / "crds").glob("*.yaml"))
    assert len(sources) == len(rendered) == 2
    for path in sources:
        source = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        made = rendered[source["metadata"]["name"]]
        annotations = made["metadata"].pop("annotations")
        assert annotations == {"helm.sh/resource-policy": "keep"}
        assert made["metadata"].pop("labels")["helm.sh/chart"].startswith("lancemill-")
        assert made == source, "run `make crds`"


def test_crds_that_are_not_to_be_kept_carry_no_policy(helm: Helm) -> None:
    for one in helm.template({"crds": {"keep": False}}):
        assert "helm.sh/resource-policy" not in one["metadata"].get("annotations", {})


def test_an_image_may_be_pinned_by_its_digest(helm: Helm) -> None:
    values = {"image": {"repository": "mirror.example/ops/lancemill", "digest": DIGEST}}
    (container,) = _pod(helm, values)["containers"]
    assert container["image"] == f"mirror.example/ops/lancemill:0.1.0@{DIGEST}"


def test_the_pod_is_as_narrow_as_pod_security_can_ask_for(helm: Helm) -> None:
    pod = _pod(helm)
    (container,) = pod["containers"]
    assert container["command"] == ["lancemill-operator", "run"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert [one["mountPath"] for one in container["volumeMounts"]] == ["/tmp"]
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_probes_ask_the_port_that_the_operator_is_told_to_serve(helm: Helm) -> None:
    (container,) = _pod(helm, {"port": 9090})["containers"]
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": 9090}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_the_order_of_values_does_not_change_what_is_rendered(helm: Helm) -> None:
    assert helm.template({"labels": {"a": "1", "b": "2"}}) == helm.template(
        {"labels": {"b": "2", "a": "1"}}
    )


@pytest.mark.parametrize(
    ("values", "place", "word"),
    [
        ({"image": {"tagg": "1"}}, "image", "tagg"),
        ({"watchNamespace": ["a"]}, "", "watchNamespace"),
        ({"settings": {"resyncs": 1}}, "settings", "resyncs"),
        ({"replicas": 2}, "replicas", "1"),
        ({"crds": {"keep": "yes"}}, "crds", "boolean"),
        ({"image": {"digest": "sha256:abc"}}, "digest", "pattern"),
        ({"watchNamespaces": ["Vision"]}, "watchNamespaces", "pattern"),
        ({"networkPolicy": {"apiServerPorts": []}}, "apiServerPorts", "1"),
        ({"prices": {"gpuHour": -1}}, "gpuHour", "minimum"),
        ({"prices": {"cpuHour": "cheap"}}, "cpuHour", "cheap"),
        ({"monitoring": {"prometheusRule": {"disabled": ["Nope"]}}}, "disabled", "LancemillRun"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_value_is_refused_with_its_place(
    helm: Helm, values: dict[str, Any], place: str, word: str
) -> None:
    with pytest.raises(Failed) as refusal:
        helm.template(values)
    assert place in str(refusal.value)
    assert word in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 8


def test_a_parent_chart_may_share_its_global_values(helm: Helm) -> None:
    assert helm.template({"global": {"region": "eu"}}) == helm.template()


def test_the_chart_packages_with_its_crds(helm: Helm, tmp_path: Any) -> None:
    with copy_of_chart() as chart:
        helm("package", str(chart), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("lancemill-*.tgz")
    assert helm.template(chart=package) == helm.template()


def _pod(helm: Helm, values: dict[str, Any] | None = None) -> dict[str, Any]:
    template: dict[str, Any] = only(helm.template(values), "Deployment")["spec"]["template"]["spec"]
    return template
