"""What an API server refuses, in one line with what would help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lancemill.cli.cluster import connection
from lancemill.cli.cluster.connection import connect
from lancemill.cli.cluster.errors import ClusterError, Refused, status_of
from lancemill_api.mistakes import Mistake


def refused(code: int, message: str, **details: object) -> Refused:
    return Refused(code, {"message": message, "details": details}, "MultimodalPipeline/cats")


def test_forbidden_names_the_user_what_and_a_role() -> None:
    text = 'x is forbidden: User "alice" cannot patch resource "y" in the namespace "lake"'
    found = refused(403, text)
    assert str(found) == (
        'MultimodalPipeline/cats: alice may not patch resource "y" in the namespace "lake"'
    )
    assert "edit" in found.remedy


def test_a_quota_is_not_told_as_a_missing_right() -> None:
    found = refused(403, "exceeded quota: few")
    assert "exceeded quota: few" in str(found)
    assert not found.remedy


def test_an_unknown_kind_is_a_missing_installation_and_an_unknown_name_is_not() -> None:
    assert "not installed" in str(Refused(404, status_of(404, "404 page not found\n"), ""))
    named = refused(404, "not found", kind="multimodalpipelines", name="cats")
    assert named.is_absence
    assert not refused(404, "not found", kind="namespaces", name="lake").is_absence


def test_an_invalid_object_is_mistakes_by_field() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "must  be\n less", "field": "spec.a"}
    found = refused(422, "invalid", causes=[cause])
    assert found.is_of_the_manifest
    assert found.mistakes("d") == [Mistake("spec.a", "must be less", "d")]


def test_a_field_that_the_clusters_crds_do_not_know_is_one_of_the_manifest() -> None:
    assert refused(500, "failed: .spec.new: field not declared in schema").is_of_the_manifest


def test_what_another_manager_owns_is_told_by_field_and_manager() -> None:
    cause = {"message": 'conflict with "argocd" using v1', "field": ".spec.run.retries"}
    found = refused(409, "conflict with 1", causes=[cause])
    assert "spec.run.retries belong to argocd" in str(found)
    assert "--force-conflicts" in found.remedy


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "has_extra", lambda: False)
    with pytest.raises(ClusterError) as raised:
        connect()
    assert raised.value.remedy == "pip install 'lancemill[k8s]'"


def test_a_context_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(KUBECONFIG))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ClusterError, match=r"no context 'b' .* there are: a"):
        connect("b")


def test_the_contexts_namespace_is_meant_where_none_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(KUBECONFIG))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with connect() as api:
        assert (api.namespace, api.host) == ("lake", "https://127.0.0.1:1")
    with connect(namespace="other") as api:
        assert api.namespace == "other"


def test_an_api_server_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "config"
    path.write_text(json.dumps(KUBECONFIG))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with connect() as api, pytest.raises(ClusterError) as raised:
        api.get("/version")
    assert str(raised.value).startswith("the API server https://127.0.0.1:1 does not answer: ")
    assert "object at 0x" not in str(raised.value)


def test_the_command_line_loads_nothing_of_kubernetes_before_it_is_needed() -> None:
    code = (
        "import sys, lancemill.cli.main\n"
        "print([one for one in ('kubernetes', 'urllib3', 'pydantic', 'rich.live')"
        " if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "a", "context": {"cluster": "c", "user": "u", "namespace": "lake"}}],
    "current-context": "a",
}
