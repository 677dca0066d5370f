"""`lancemill submit`: what is applied, what is refused, and which run is waited for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kube.cli_stage import API, Cli, Done, Stage, lines, pipeline
from kube.control_plane import ControlPlane
from kube.control_plane import control_plane as bare_control_plane
from kube.rest import resource

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")


def test_a_manifest_is_applied_and_its_run_followed_to_its_end(
    cats: Done,
) -> None:
    assert cats.returncode == 0, cats.stderr
    assert "MultimodalPipeline cats created" in cats.stderr
    events = lines(cats.stdout)
    assert {one["event"] for one in events} == {"status", "finished"}
    last = events[-1]
    assert (last["run"]["result"], last["exitStatus"]) == ("Succeeded", 0)
    assert "✓ cats · run " in cats.stderr


@pytest.mark.usefixtures("cats")
def test_the_same_manifest_again_changes_nothing_and_tells_the_last_run(stage: Stage) -> None:
    before = stage.object("cats")["metadata"]
    again = stage.cli("submit", str(stage.manifest("cats")), "--wait")
    assert again.returncode == 0
    assert "cats unchanged" in again.stdout
    assert "✓ cats · run " in again.stdout
    after = stage.object("cats")["metadata"]
    assert [after[key] for key in ("generation", "resourceVersion")] == [
        before[key] for key in ("generation", "resourceVersion")
    ]


def test_a_run_that_fails_is_told_with_its_reason_and_exit_status_1(stage: Stage) -> None:
    name = "not-committed-fails"
    done = stage.cli("submit", str(stage.manifest(name, "seconds-1.end-FAILED", retries=0)), "-f")
    assert done.returncode == 1, done.stderr
    assert lines(done.stdout)[-1]["run"]["result"] == "Failed"
    assert f"✗ {name} · run " in done.stderr
    assert f"lancemill rerun {name} -n {stage.namespace}" in done.stderr


@pytest.mark.usefixtures("cats")
def test_an_edit_that_starts_no_run_is_followed_to_the_run_before_it(stage: Stage) -> None:
    number = stage.object("cats")["spec"]["run"]["retries"] + 1
    done = stage.cli("submit", str(stage.manifest("cats", retries=number)), "--wait")
    assert done.returncode == 0, done.stderr
    assert "cats configured" in done.stdout
    assert "nothing new to run; the last run:" in done.stdout


def test_a_wrong_manifest_is_refused_here_and_nothing_is_sent(stage: Stage) -> None:
    path = stage.manifest("wrong")
    done = stage.cli("submit", str(path), "--set", "spec.run.retries=many")
    assert done.returncode == 2
    assert "spec.run.retries" in done.stderr
    assert stage.rest.find(resource(API, "multimodalpipelines", stage.namespace, "wrong")) is None


def test_what_only_the_api_server_refuses_is_told_by_field_and_nothing_is_applied(
    stage: Stage,
) -> None:
    right, wrong = pipeline("right"), pipeline("wrong")
    wrong["metadata"]["labels"] = {"team": "not a label!"}
    path = stage.folder / "two.yaml"
    path.write_text("\n---\n".join(json.dumps(one) for one in (right, wrong)))
    done = stage.cli("submit", str(path))
    assert done.returncode == 2
    assert "metadata.labels" in done.stderr
    assert "MultimodalPipeline/wrong" in done.stderr or "not a label!" in done.stderr
    assert stage.rest.find(resource(API, "multimodalpipelines", stage.namespace, "right")) is None


def test_who_may_not_apply_is_told_what_to_ask_for(stage: Stage) -> None:
    cli = Cli(stage.plane, stage.namespace, user="alice")
    done = cli("submit", str(stage.manifest("hers")))
    assert done.returncode == 1
    first, remedy = done.stderr.splitlines()
    assert "alice may not patch resource" in first
    assert "role" in remedy


def test_a_namespace_that_is_not_there_is_named(stage: Stage) -> None:
    done = stage.cli("submit", str(stage.manifest("lost")), "-n", "nowhere")
    assert done.returncode == 1
    assert "there is no namespace nowhere" in done.stderr


def test_fields_of_another_manager_are_not_taken_over_unasked(stage: Stage) -> None:
    path = resource(API, "multimodalpipelines", stage.namespace, "theirs")
    body = pipeline("theirs", suspend=True, retries=1)
    stage.rest.apply(path, body, fieldManager="argocd-controller")
    manifest = str(stage.manifest("theirs", suspend=True, retries=2))
    done = stage.cli("submit", manifest)
    assert done.returncode == 1
    assert "spec.run.retries belong to argocd-controller" in done.stderr
    assert stage.cli("submit", manifest, "--force-conflicts").returncode == 0
    assert stage.object("theirs")["spec"]["run"]["retries"] == 2


@pytest.mark.timeout(300)
def test_a_cluster_without_our_crds_is_told_apart(
    tmp_path: Path, control_plane: ControlPlane
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(pipeline("cats")))
    with bare_control_plane(control_plane.binaries, crds=(), controllers=False) as plane:
        cli = Cli(plane, "default")
        for words in (("submit", str(path)), ("status",)):
            done = cli(*words)
            assert done.returncode == 1
            assert "Lancemill is not installed in this cluster" in done.stderr
            assert "helm install" in done.stderr
