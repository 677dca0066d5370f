"""The chart says what its sources say: the API, the operator's settings, rights and metrics."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from typing import Any

import pytest
import yaml
from kubernetes_asyncio.client import Configuration
from prometheus_client.parser import text_string_to_metric_families
from pydantic.alias_generators import to_camel

from helm.chart import CHART, Helm, only
from helm.rights import RIGHTS
from lancemill.engine.exposition import exposition
from lancemill.engine.meter import Meter
from lancemill_operator import kinds
from lancemill_operator.main import Operator
from lancemill_operator.settings import Settings

REFERENCE = runpy.run_path(str(CHART.parent / "reference.py"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def test_what_is_derived_in_the_chart_is_what_its_sources_give() -> None:
    stale = [
        str(path.relative_to(CHART))
        for path, text in REFERENCE["files"]().items()
        if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run `python helm/reference.py`"


def test_the_chart_holds_no_crd_that_the_api_does_not_have() -> None:
    held = {path.name for path in (CHART / "files" / "crds").iterdir()}
    assert held == {path.name for path in REFERENCE["CRDS"].glob("*.yaml")}


def test_every_value_is_described_and_every_described_value_is_there() -> None:
    described = dict[str, Any]()
    for path, schema, _ in REFERENCE["leaves"](SCHEMA, {}):
        assert schema["description"].strip().endswith("."), path
        described[path] = schema
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for path in described:
        if not path.startswith("settings.") and path != "global":
            place: Any = values
            for name in path.split("."):
                assert name in place, path
                place = place[name]


def test_no_object_of_the_schema_takes_names_that_it_does_not_know() -> None:
    def check(schema: dict[str, Any], path: str) -> None:
        if "properties" in schema:
            assert schema["additionalProperties"] is False, path
            for name, one in schema["properties"].items():
                check(one, f"{path}.{name}")

    check(SCHEMA, "values")


def test_the_operator_reads_every_setting_as_it_was_given(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _others(SCHEMA["properties"]["settings"])
    assert len(given) > 10 and len(given["defaults"]) > 10
    values = {
        "settings": given,
        "watchNamespaces": ["audio", "vision"],
        "port": 9090,
        "lease": {"enabled": True},
    }
    read = _read(helm, values, monkeypatch)
    assert _part(read, given) == given
    assert read["namespaces"] == ["audio", "vision"]
    assert (read["httpPort"], read["httpHost"]) == (9090, "0.0.0.0")
    assert (read["lease"], read["leaseName"]) == (True, "lancemill-operator")


def test_what_is_not_given_is_left_to_the_operator(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, usual = _read(helm, {}, monkeypatch), _camel(Settings.model_construct())
    for one in (read, usual):
        one["defaults"]["network"].pop("operatorLabels")
    assert read == usual


def test_networks_of_runs_know_the_operators_pods_by_namespace_and_labels(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"nameOverride": "curator", "podLabels": {"a": "b"}}
    deployment = only(helm.template(values, namespace="tools"), "Deployment")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    rules = Settings().defaults.network
    assert rules.operator_namespace == deployment["metadata"]["namespace"] == "tools"
    assert rules.operator_labels == deployment["spec"]["selector"]["matchLabels"]
    assert rules.operator_labels.items() <= pod["metadata"]["labels"].items()


def test_prices_reach_the_operator_as_they_were_given(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"cpuHour": 0.0316, "gpuHour": "2.5", "currency": "EUR"}
    read = _read(helm, {"prices": given}, monkeypatch)["defaults"]["prices"]
    assert read == {"cpu_hour": 0.0316, "gpu_hour": 2.5, "currency": "EUR"}


def test_the_port_of_progress_is_open_to_the_operator(helm: Helm) -> None:
    def ports(values: dict[str, Any]) -> set[int]:
        policy = only(helm.template(values), "NetworkPolicy")["spec"]["egress"]
        return {port["port"] for rule in policy for port in rule["ports"]}

    assert Settings.model_construct().defaults.progress_port in ports({})
    assert 9999 in ports({"settings": {"defaults": {"progressPort": 9999}}})


def test_the_operator_has_time_to_stop(helm: Helm) -> None:
    pod = only(helm.template(), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Settings().stop_timeout


def test_there_are_rights_on_the_kinds_that_the_operator_touches_and_on_no_others(
    helm: Helm,
) -> None:
    values = {"lease": {"enabled": True}, "settings": {"progressVia": "proxy"}}
    rules = [
        (group, resource.partition("/")[0])
        for one in helm.template(values | {"rbac": {"userRoles": False}})
        if one["kind"] in RIGHTS
        for rule in one.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]
    touched = {
        (kind.api_version.rpartition("/")[0], kind.plural)
        for kind in vars(kinds).values()
        if isinstance(kind, kinds.Kind)
    }
    assert set(rules) == touched


def test_a_narrow_install_asks_for_nothing_beyond_its_namespaces(helm: Helm) -> None:
    values = {"watchNamespaces": ["vision", "audio"], "rbac": {"userRoles": False}}
    objects = [one for one in helm.template(values) if one["kind"] in RIGHTS]
    assert {one["kind"] for one in objects} == {"Role", "RoleBinding"}
    assert sorted(one["metadata"]["namespace"] for one in objects) == [
        *("audio", "audio", "vision", "vision")
    ]


def test_secrets_are_left_alone_where_that_is_asked_for(helm: Helm) -> None:
    def resources(values: dict[str, Any]) -> set[str]:
        role = only(helm.template(values), "ClusterRole", "lancemill-operator")
        return {resource for rule in role["rules"] for resource in rule["resources"]}

    assert "secrets" in resources({})
    assert "secrets" not in resources({"rbac": {"readSecrets": False}})


def test_no_rule_has_a_star_and_none_lists_or_writes_secrets(helm: Helm) -> None:
    for one in helm.template({"settings": {"progressVia": "proxy"}}):
        for rule in one.get("rules", ()) if one["kind"] in RIGHTS else ():
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    asked = set[str]()
    for text in (*_expressions(), *_queries()):
        asked |= set(re.findall(r"\blancemill_\w+", text))
    assert len(asked) > 10
    exported = _exported(asyncio.run(_metrics()).decode()) | _exported(_drivers())
    assert not asked - exported


def test_every_alert_says_what_is_wrong_and_what_to_do(helm: Helm) -> None:
    for rule in _rules():
        assert set(rule["labels"]) == {"severity", "part"}, rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith(".")
    names = [rule["alert"] for rule in _rules()]
    switches = SCHEMA["properties"]["monitoring"]["properties"]["prometheusRule"]["properties"]
    assert switches["disabled"]["items"]["enum"] == names
    values = {"monitoring": {"prometheusRule": {"enabled": True, "disabled": names[:4]}}}
    groups = only(helm.template(values), "PrometheusRule")["spec"]["groups"]
    assert [rule["alert"] for group in groups for rule in group["rules"]] == names[4:]
    assert [rule["expr"] for group in groups for rule in group["rules"]] == _expressions()[4:]


def test_the_dashboards_panels_have_their_own_places_and_say_what_they_show(helm: Helm) -> None:
    values = {"monitoring": {"dashboard": {"enabled": True, "labels": {"grafana_dashboard": "1"}}}}
    board = json.loads(only(helm.template(values), "ConfigMap")["data"]["lancemill.json"])
    taken = set[tuple[int, int]]()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"], panel["title"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


def _read(helm: Helm, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings that an operator of the chart reads from its environment."""
    (container,) = only(helm.template(values), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    return _camel(Settings())


def _camel(settings: Settings) -> dict[str, Any]:
    """As the chart's values have them."""
    read = _named(settings.model_dump(mode="json"))
    read["defaults"] = _named(read["defaults"])
    read["defaults"]["network"] = _named(read["defaults"]["network"])
    return read


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(name): one for name, one in fields.items()}


def _part(whole: Any, like: Any) -> Any:
    """What of `whole` is given in `like`."""
    if isinstance(like, dict):
        return {name: _part(whole[name], one) for name, one in like.items()}
    return whole


def _others(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: _other(one) for name, one in schema["properties"].items()}


def _other(schema: dict[str, Any]) -> Any:
    """A value that the schema takes and that is not the default."""
    default = schema.get("default")
    if "properties" in schema:
        return _others(schema)
    if "enum" in schema:
        return next(word for word in schema["enum"] if word != default)
    if "anyOf" in schema:
        return _other({"default": default} | schema["anyOf"][0])
    match schema["type"]:
        case "integer":
            return default + 1 if isinstance(default, int) else 3
        case "number":
            return default + 0.5
        case "boolean":
            return not default
        case "string":
            return "2Gi" if "memory" in schema.get("description", "").lower() else "other"
        case "array":
            return ["10.0.0.0/8"]
        case "object":
            return {"other.example/name": "value"}
    raise AssertionError(f"no other value of {schema}")


def _rules() -> list[dict[str, Any]]:
    text = (CHART / "files" / "alerts.yaml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def _expressions() -> list[str]:
    return [rule["expr"] for rule in _rules()]


def _queries() -> list[str]:
    board = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
    targets = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [*targets, *(one.get("definition", "") for one in board["templating"]["list"])]


def _exported(told: str) -> set[str]:
    """Names of the series of an exposition, whether or not there is anything to tell by them."""
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + end
        for family in text_string_to_metric_families(told)
        for end in ends[family.type]
    }


def _drivers() -> str:
    meter = Meter(["decode"], rows_total=1)
    return exposition({}, meter.totals(), meter.sample())


async def _metrics() -> bytes:
    operator = Operator(Settings(), Configuration())
    try:
        return operator.metrics.text()
    finally:
        await operator.poller.close()
        await operator.api.close()
