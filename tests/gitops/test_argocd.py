"""Argo CD's health checks and actions, by the cases in the form of its own repository."""

from __future__ import annotations

import copy
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lupa.lua51
import pytest
import yaml

from gitops.argocd import CUSTOMIZATIONS, Document, act, actions, health
from kube.binaries import ROOT

KINDS = sorted(path.parent for path in CUSTOMIZATIONS.glob("*/*/health.lua"))
PIPELINE = CUSTOMIZATIONS / "lancemill.dev" / "MultimodalPipeline"
GENERATED = runpy.run_path(str(ROOT / "gitops" / "generate.py"))


def load(path: Path) -> Document:
    document: Document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return document


def cases() -> list[Any]:
    return [
        pytest.param(
            kind / case["inputPath"], case["healthStatus"], id=f"{kind.name}-{case['inputPath']}"
        )
        for kind in KINDS
        for case in load(kind / "health_test.yaml")["tests"]
    ]


@pytest.mark.parametrize(("path", "expected"), cases())
def test_a_state_has_its_health(path: Path, expected: dict[str, str]) -> None:
    assert health(load(path)) == (expected["status"], expected["message"])


def test_both_kinds_are_judged_by_the_same_text() -> None:
    assert len(KINDS) == 2
    assert len({(kind / "health.lua").read_text(encoding="utf-8") for kind in KINDS}) == 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda path: path.name)
def test_every_document_of_the_test_data_is_a_case(kind: Path) -> None:
    told = {case["inputPath"] for case in load(kind / "health_test.yaml")["tests"]}
    assert told == {f"testdata/{path.name}" for path in (kind / "testdata").iterdir()}


@pytest.mark.parametrize(
    "status", [None, {}, {"observedGeneration": 1, "conditions": []}, {"conditions": None}]
)
def test_an_object_that_says_nothing_is_never_healthy(status: Any) -> None:
    document = load(PIPELINE / "testdata" / "succeeded.yaml") | {"status": status}
    assert health(document)[0] == "Progressing"


def test_an_object_that_is_being_deleted_is_progressing() -> None:
    document = load(PIPELINE / "testdata" / "succeeded.yaml")
    document["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z"
    assert health(document)[0] == "Progressing"


def test_conditions_decide_in_any_order() -> None:
    for path in sorted((PIPELINE / "testdata").iterdir()):
        document = load(path)
        turned = copy.deepcopy(document)
        turned.get("status", {}).get("conditions", []).reverse()
        assert health(turned) == health(document)


def test_a_condition_without_a_message_is_told_by_its_reason() -> None:
    document = load(PIPELINE / "testdata" / "failed.yaml")
    for condition in document["status"]["conditions"]:
        condition.pop("message", None)
    assert health(document) == ("Degraded", "BudgetExceeded")


@pytest.mark.parametrize(
    "script", ["string.upper('a')", "('a'):upper()", "io.open('x')", "math.max(1)"]
)
def test_a_script_has_no_more_than_argo_cd_gives_it(script: str) -> None:
    with pytest.raises(lupa.lua51.LuaError):
        health(load(PIPELINE / "testdata" / "failed.yaml"), f"return {script}")


def test_actions_are_offered_where_they_make_sense() -> None:
    for case in load(PIPELINE / "actions" / "action_test.yaml")["discoveryTests"]:
        found = actions(load(PIPELINE / "actions" / case["inputPath"]))
        assert [one["name"] for one in case["result"]] == [
            name for name in ("rerun", "cancel", "suspend", "resume") if name in found
        ]
        for expected in case["result"]:
            assert {"name": expected["name"], **found[expected["name"]]} == expected


def test_an_action_changes_what_it_says_and_nothing_else() -> None:
    tests = load(PIPELINE / "actions" / "action_test.yaml")["actionTests"]
    for case in tests:
        before = load(PIPELINE / "actions" / case["inputPath"])
        after = load(PIPELINE / "actions" / case["expectedOutputPath"])
        assert act(before, case["action"]) == after, case
    assert {case["action"] for case in tests} == {"cancel", "suspend", "resume"}


def test_a_rerun_is_asked_for_by_the_moment_at_which_it_was() -> None:
    before = load(PIPELINE / "actions" / "testdata" / "succeeded.yaml")
    after = act(before, "rerun")
    asked = after["metadata"].pop("annotations")
    assert after == before
    (name, moment) = asked.popitem()
    assert (name, asked) == ("lancemill.dev/run-requested-at", {})
    assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_rerun_keeps_other_annotations() -> None:
    before = load(PIPELINE / "actions" / "testdata" / "succeeded.yaml")
    before["metadata"]["annotations"] = {"team": "vision"}
    assert act(before, "rerun")["metadata"]["annotations"]["team"] == "vision"


def test_generated_files_are_what_their_sources_give() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in GENERATED["files"]().items()
        if path.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run `python gitops/generate.py`"


def test_the_config_map_holds_the_same_scripts_under_the_keys_that_argo_cd_looks_for() -> None:
    data = load(ROOT / "gitops" / "argocd" / "argocd-cm.yaml")["data"]
    for kind in KINDS:
        script = (kind / "health.lua").read_text(encoding="utf-8")
        assert data.pop(f"resource.customizations.health.lancemill.dev_{kind.name}") == script
    held = yaml.safe_load(
        data.pop("resource.customizations.actions.lancemill.dev_MultimodalPipeline")
    )
    assert held["discovery.lua"] == (PIPELINE / "actions" / "discovery.lua").read_text()
    assert {one["name"]: one["action.lua"] for one in held["definitions"]} == {
        path.parent.name: path.read_text() for path in (PIPELINE / "actions").glob("*/action.lua")
    }
    assert not data
