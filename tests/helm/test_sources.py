"""The chart says what its sources say: the API, the operator's settings, rights and metrics."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic.alias_generators import to_camel

from helm.chart import CHART, SYSTEM, Helm, only
from helm.rights import RIGHTS
from lancemill_operator import kinds
from lancemill_operator.manifests.defaults import NetworkRules
from lancemill_operator.settings import Settings

REFERENCE = runpy.run_path(str(CHART.parent / "reference.py"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
OF_RAY_PODS = {
    "rows_total",
    "bytes_total",
    "rows_quarantined_total",
    "stage_batch_duration_seconds_bucket",
    "stage_init_seconds_bucket",
    "queue_depth_rows",
    "actors",
    "gpu_idle_seconds_total",
}
"""What the runtime exports through Ray, with `ray_lancemill_` before it."""


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
    given = {name: _other(schema) for name, schema in _settings().items()}
    values = {
        "settings": given,
        "watchNamespaces": ["audio", "vision"],
        "port": 9090,
        "lease": {"enabled": True},
    }
    (container,) = only(helm.template(values), "Deployment")["spec"]["template"]["spec"][
        "containers"
    ]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    read = Settings().model_dump(mode="json")
    assert {name: read[field] for name, field in _fields().items() if name in given} == given
    assert read["namespaces"] == ["audio", "vision"]
    assert (read["http_port"], read["http_host"]) == (9090, "0.0.0.0")
    assert (read["lease"], read["lease_name"]) == (True, "lancemill-operator")
    assert {one["name"] for one in container["env"]} <= {
        f"LANCEMILL_OPERATOR_{field.upper()}" for field in Settings.model_fields
    }


def test_what_is_not_given_is_left_to_the_operator(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = only(helm.template(), "Deployment")["spec"]["template"]["spec"]["containers"]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable["value"])
    assert Settings() == Settings.model_construct()


def test_the_operator_has_time_to_stop(helm: Helm) -> None:
    pod = only(helm.template(), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > Settings().stop_timeout


def test_networks_of_runs_know_the_operators_pods_by_the_charts_labels(helm: Helm) -> None:
    deployment = only(helm.template(), "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    rules = NetworkRules()
    assert rules.operator_labels.items() <= labels.items()
    assert rules.operator_namespace == SYSTEM == deployment["metadata"]["namespace"]


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
        asked |= set(re.findall(r"\b(?:ray_)?lancemill_\w+", text))
    assert len(asked) > 10
    exported = _exported() | {f"ray_lancemill_{name}" for name in OF_RAY_PODS}
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


def _settings() -> dict[str, Any]:
    settings: dict[str, Any] = SCHEMA["properties"]["settings"]["properties"]
    assert len(settings) > 10
    return settings


def _fields() -> dict[str, str]:
    return {to_camel(name): name for name in Settings.model_fields}


def _other(schema: dict[str, Any]) -> Any:
    """A value that the schema takes and that is not the default."""
    if "enum" in schema:
        return next(word for word in schema["enum"] if word != schema.get("default"))
    match schema["type"]:
        case "integer":
            return schema["default"] + 1
        case "number":
            return schema["default"] + 0.5
        case "boolean":
            return not schema["default"]
        case "string":
            return "other"
        case "array":
            return ["other"]
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


def _exported() -> set[str]:
    """Names of the operator's series, of one pipeline and dataset with everything known."""
    from lancemill_operator.metrics import Metrics
    from lancemill_operator.store import Store

    metrics = Metrics()
    metrics.observe(Store())
    metrics.watch_ages(dict)
    for name in _gauges_of_the_process():
        metrics.gauge(name, "", lambda: 0.0)
    ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + end
        for family in text_string_to_metric_families(metrics.text().decode())
        for end in ends[family.type]
    }


def _gauges_of_the_process() -> set[str]:
    """Those that are told of parts which exist only while the operator runs."""
    package = Path(kinds.__file__).parent
    sources = (path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    return {name for text in sources for name in re.findall(r'\.gauge\(\s*"(\w+)"', text)}
