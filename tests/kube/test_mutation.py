"""Mutated manifests: API server and models accept the same, and the operator answers all of them.

A sample; thousands by `make mutation`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kube.control_plane import ControlPlane
from kube.mutation.edits import STRANGE
from kube.mutation.findings import examined
from kube.mutation.judges import KNOWN, Verdict, judged, known, manifest
from kube.mutation.live import applied
from kube.mutation.lives import made

COUNT = 100
ALIVE = 8
DECISION = Path(__file__).parents[2] / "docs/decisions/0015-what-an-api-server-cannot-check.md"


def test_api_server_and_models_accept_the_same_and_all_comes_to_rest(
    control_plane: ControlPlane,
) -> None:
    found = examined(control_plane, made(COUNT, 1))
    assert found.manifests >= COUNT
    assert not found.wrong, json.dumps(found.wrong, ensure_ascii=False)[:8000]
    assert found.accepted > COUNT / 5 and found.refused > COUNT / 5, "a lopsided sample"
    assert len(found.ends) > 1, "all lives end alike"


def test_the_operator_answers_every_edit_and_no_reconcile_fails(
    control_plane: ControlPlane, kuberay_crds: None, tmp_path: Path
) -> None:
    wrong = applied(control_plane, tmp_path, made(3 * ALIVE, 2)[:ALIVE])
    assert not wrong, json.dumps(wrong, ensure_ascii=False)[:8000]


@pytest.mark.parametrize("strange", STRANGE, ids=lambda one: repr(one)[:20])
def test_a_strange_value_for_a_whole_specification_is_refused_by_both(
    strange: object, control_plane: ControlPlane, namespace: str
) -> None:
    (verdict,) = judged(control_plane, namespace, [manifest("MultimodalPipeline", strange)])
    assert not verdict.accepted and verdict.mistakes


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"run": {"retries": None}}, "null"),
        ({"runtime": {"env": None}}, "null"),
        ({"cluster": {"workerGroups": [{"name": "a", "labels": {"no key!": "x"}}]}}, "map key"),
        (
            {"stages": [{"name": "a", "udf": {"entrypoint": "m:f", "schema": {"a": "list<x>"}}}]},
            "inside of a type",
        ),
    ],
)
def test_what_is_known_to_differ_does(
    spec: dict[str, object], why: str, control_plane: ControlPlane, namespace: str
) -> None:
    right = {"source": {"objects": {"uri": "s3://a/"}}, "sink": {"lance": {"uri": "s3://b"}}}
    (verdict,) = judged(control_plane, namespace, [manifest("MultimodalPipeline", right | spec)])
    assert verdict.accepted, verdict.answer
    assert [known(verdict.document, *one) for one in verdict.mistakes] == [why]


def test_every_known_difference_is_written_down() -> None:
    text = DECISION.read_text(encoding="utf-8")
    assert all(f"**{name}**" in text for name in KNOWN)


def test_a_difference_that_nobody_knows_is_told() -> None:
    document = manifest("MultimodalPipeline", {})
    refused = Verdict(document, 422, {"message": "no"}, [])
    assert refused.difference == "only the API server refuses it: no"
    accepted = Verdict(document, 201, document, [("spec.source", "missing; expected a mapping")])
    assert accepted.difference.startswith("only the models refuse it: ")
    assert Verdict(document, 201, document, []).difference == ""
