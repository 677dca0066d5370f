"""`lancemill status`: what it shows, and what it follows through."""

from __future__ import annotations

import json
import signal

import pytest

from kube.cli_stage import Cli, Stage, lines, pipeline
from kube.fault_proxy import fault_proxy
from kube.faults import break_stream, refuse
from kube.waiting import DEADLINE, until

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")


@pytest.mark.usefixtures("cats")
def test_the_table_and_the_page_of_one_pipeline(stage: Stage) -> None:
    table = stage.cli("status")
    row = next(line for line in table.stdout.splitlines() if line.startswith("cats "))
    assert row.split()[1:4] == ["True", "Succeeded", "100%"]
    everywhere = stage.cli("status", "-A")
    assert f"{stage.namespace}   cats" in everywhere.stdout
    page = stage.cli("status", "cats")
    assert page.stdout.startswith("✓ cats · run ")
    found = json.loads(stage.cli("status", "cats", "--json").stdout)
    assert (found["phase"], found["status"]["lastRun"]["result"]) == ("Succeeded", "Succeeded")


def test_why_a_pipeline_waits_is_said_with_what_to_do(stage: Stage) -> None:
    body = pipeline("waits")
    body["spec"]["sink"] = {"lance": {"dataset": "nobodys"}}
    path = stage.folder / "waits.yaml"
    path.write_text(json.dumps(body))
    assert stage.cli("submit", str(path)).returncode == 0
    until("it waits", lambda: stage.phase("waits") == "Waiting")
    page = stage.cli("status", "waits")
    assert "LanceDatasetNotFound" in page.stdout
    assert "create it, or give uri" in " ".join(page.stdout.split())


def test_a_name_that_is_not_there_is_told(stage: Stage) -> None:
    done = stage.cli("status", "nobody")
    assert done.returncode == 1
    assert f"no MultimodalPipeline nobody in namespace {stage.namespace}" in done.stderr


def test_a_run_is_followed_through_broken_watches_and_lost_history(stage: Stage) -> None:
    with fault_proxy(stage.plane) as proxy:
        watches = lambda call: call.verb == "watch"  # noqa: E731
        proxy.inject(watches, break_stream(410, after=1), times=2)
        proxy.inject(watches, break_stream(None, after=1), skip=2, times=1)
        proxy.inject(lambda call: call.verb == "get", refuse(500), skip=1, times=1)
        cli = Cli(stage.plane, stage.namespace, server=proxy.url)
        assert stage.cli("submit", str(stage.manifest("broken", "seconds-4"))).returncode == 0
        done = cli("status", "broken", "--follow")
        assert done.returncode == 0, done.stderr
        assert lines(done.stdout)[-1]["run"]["result"] == "Succeeded"
        assert any(call.fault for call in proxy.calls)


def test_who_stops_following_stops_nothing(stage: Stage) -> None:
    stage.cli("submit", str(stage.manifest("long", "seconds-600")))
    following = stage.cli.start("status", "long", "--follow")
    assert following.stdout is not None
    first = json.loads(following.stdout.readline())
    assert first["name"] == "long"
    following.send_signal(signal.SIGINT)
    _, told = following.communicate(timeout=DEADLINE)
    assert following.returncode == 130
    assert "the run goes on in the cluster" in told
    assert f"lancemill cancel long -n {stage.namespace}" in told
    assert stage.object("long")["status"]["currentRun"]["id"]
