"""Alerts, as Prometheus itself reads and plays them (`promtool`), and as people hear of them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from helm.chart import CHART
from helm.prometheus import promtool
from kube.binaries import ROOT

RULES = CHART / "files" / "alerts.yaml"
PLAYED = Path(__file__).parent / "alerts.test.yaml"
RUNBOOK = ROOT / "docs" / "guide" / "metrics.md"


def names() -> list[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def test_prometheus_takes_the_rules(prometheus_programs: Path) -> None:
    said = promtool(prometheus_programs, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert f"{len(names())} rules found" in said


def test_each_alert_fires_where_it_should_and_is_quiet_where_it_should(
    prometheus_programs: Path,
) -> None:
    promtool(prometheus_programs, "test", "rules", str(PLAYED))


def test_no_alert_is_without_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    seen = defaultdict[str, set[bool]](set)
    cases: list[dict[str, Any]] = yaml.safe_load(PLAYED.read_text(encoding="utf-8"))["tests"]
    for case in cases:
        for one in case["alert_rule_test"]:
            seen[one["alertname"]].add(bool(one["exp_alerts"]))
    assert seen == {name: {True, False} for name in names()}


def test_the_guide_has_a_chapter_on_each_alert() -> None:
    chapters = [
        line.removeprefix("### ")
        for line in RUNBOOK.read_text(encoding="utf-8").splitlines()
        if line.startswith("### Lancemill")
    ]
    assert chapters == names()
