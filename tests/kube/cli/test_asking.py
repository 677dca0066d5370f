"""`lancemill cancel` and `rerun`: what the operator makes of what is asked."""

from __future__ import annotations

import pytest

from kube.cli_stage import Stage, lines
from kube.waiting import until

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")


def test_a_run_is_cancelled_and_that_is_waited_for(stage: Stage) -> None:
    name = "not-committed-cancelled"
    stage.cli("submit", str(stage.manifest(name, "seconds-600")))
    until("it runs", lambda: stage.phase(name) == "Running")
    done = stage.cli("cancel", name)
    assert done.returncode == 0, done.stderr
    assert "is cancelled; nothing was committed" in done.stdout
    last = stage.object(name)["status"]["lastRun"]
    assert (last["result"], last["reason"]) == ("Cancelled", "Cancelled")
    again = stage.cli("cancel", name)
    assert again.returncode == 1
    assert f"no run of {name} goes on; the last one, {last['id']}, has ended" in again.stderr


def test_a_run_that_committed_before_it_could_be_cancelled_is_told_so(stage: Stage) -> None:
    stage.cli("submit", str(stage.manifest("quick", "seconds-600")))
    until("it runs", lambda: stage.phase("quick") == "Running")
    done = stage.cli("cancel", "quick")
    assert done.returncode == 1
    assert "was committed as version 3 before it could be cancelled" in done.stdout


@pytest.mark.usefixtures("cats")
def test_a_rerun_is_one_more_run_of_the_same_manifest(stage: Stage) -> None:
    before = stage.object("cats")
    first = before["status"]["lastRun"]["id"]
    done = stage.cli("rerun", "cats", "--follow")
    assert done.returncode == 0, done.stderr
    after = stage.object("cats")
    last = after["status"]["lastRun"]
    assert last["id"] != first
    assert last["id"] == lines(done.stdout)[-1]["run"]["id"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert last["cause"].startswith("request 2")
