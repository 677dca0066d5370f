"""Runs that somebody orders attempt by attempt (the operator), by the command line alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lancemill.engine import settle as settling
from support.killing import moments, run_and_kill
from support.sampled import sampled

from .given import Place, lance, lancemill, one_line, small_shards

NEVER = [{"name": "never", "query": "select count(*) from output", "expect": {"max": 0}}]
UNTIL = "import os, signal; from lancemill.engine.ledger import Ledger as L; real = L.decide\n"
STOPS_ITSELF = {
    "before": UNTIL
    + "def stop(l, *a, **k): os.kill(os.getpid(), signal.SIGSTOP); real(l, *a, **k)\n",
    "behind": UNTIL
    + "def stop(l, *a, **k): real(l, *a, **k); os.kill(os.getpid(), signal.SIGSTOP)\n",
}
"""Drivers that stand still at the moment that decides, as under a frozen node."""


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "PATIENCE_S", 0.0)


def asked(manifest: Path, epoch: int = 2) -> dict[str, Any]:
    """What `lancemill probe run` answers, in both places."""
    answer = manifest.with_name("answer.json")
    told = lancemill(
        *("probe", "run", manifest, "--pipeline", "cats"),
        *("--run-id", "r1", "--epoch", str(epoch), "--answer", answer),
    )
    assert told.status == 0, told.all
    assert answer.stat().st_size <= 4096
    said: dict[str, Any] = json.loads(answer.read_text())
    assert told.json == said
    return said


def ordered(place: Place, epoch: int = 1, **changes: Any) -> Any:
    return place.run("--run-id", "r1", "--epoch", str(epoch), **changes)


@contextmanager
def standing_still(manifest: Path, where: str) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own that has stopped itself; killed at the end."""
    code = STOPS_ITSELF[where] + "L.decide = stop\nfrom lancemill.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, "run", str(manifest), "--run-id", "r1", "--epoch", "1"]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 100
        while _state(driver.pid) != "T":
            assert driver.poll() is None, driver.communicate()
            assert time.monotonic() < end, "it never came so far"
            time.sleep(0.02)
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see that it stopped")
@pytest.mark.parametrize(
    ("where", "verdict"),
    sampled([("before", "NotCommitted"), ("behind", "Committed")], first=1),
)
def test_a_driver_that_wakes_after_its_run_was_settled_changes_nothing(
    place: Place, where: str, verdict: str
) -> None:
    keys = place.pictures(4)
    manifest = place.manifest()
    with standing_still(manifest, where) as driver:
        said = asked(manifest)
        assert said["verdict"] == verdict
        version = place.dataset().version
        os.kill(driver.pid, signal.SIGCONT)
        _, err = driver.communicate(timeout=100)
    assert driver.returncode == 3, err
    assert "taken over" in err
    assert place.keys() == (keys if verdict == "Committed" else [])
    assert place.dataset().version == version
    now = asked(manifest)
    assert now.pop("cpuSeconds") >= said.pop("cpuSeconds"), "it has said what it spent, on waking"
    assert now == said


def test_a_lower_epoch_is_refused_in_one_line_with_a_status_of_its_own(place: Place) -> None:
    place.pictures(2)
    assert ordered(place, 3).status == 0
    told = ordered(place, 2)
    line = one_line(told, 3)
    assert line.startswith("✗ cats")
    assert line.endswith("run r1 has been taken over under epoch 3; epoch 2 does nothing")
    by_hand = place.run("--run-id", "r1")
    assert by_hand.status == 3
    assert "was ordered under epoch 3, and this attempt has none" in by_hand.all
    assert "leave it to its operator, or give --epoch 3" in by_hand.all
    assert ordered(place, 3).status == 0


def test_an_epoch_needs_the_runs_id(place: Place) -> None:
    told = place.run("--epoch", "1")
    assert told.status == 2
    assert "needs --run-id" in told.err


def test_a_run_that_is_done_is_told_with_its_figures(place: Place) -> None:
    keys = place.pictures(4)
    (place.folder / "pictures" / keys[1]).write_bytes(b"no picture")
    summary = [{"name": "sizes", "query": "select key, size from output order by key"}]
    errors = {"maxRate": 0.5}
    assert ordered(place, summary=summary, errors=errors).status == 0
    said = asked(place.folder / "pipeline.yaml")
    size = (place.folder / "pictures" / keys[0]).stat().st_size
    assert said["verdict"] == "Committed"
    assert (said["rows"], said["quarantined"]) == (3, 1)
    assert said["datasetVersion"] == place.runs()[0]["version"]
    assert said["bytes"] > 0 and said["cpuSeconds"] > 0
    (table,) = said["summary"]
    assert table["name"] == "sizes" and table["columns"] == ["key", "size"]
    assert table["rows"][0] == {"key": keys[0], "size": f"{size:,}"}
    assert len(table["rows"]) == 3


def test_a_manifest_that_does_not_fit_its_data_has_failed_for_good(place: Place) -> None:
    place.pictures(2)
    wrong = [{"name": "sql", "sql": {"query": "select nothing from input"}}]
    assert ordered(place, stages=wrong).status == 2
    said = asked(place.folder / "pipeline.yaml")
    assert said["verdict"] == "Failed"
    assert "spec.stages[0].sql.query" in said["message"]


def test_a_manifest_without_its_dataset_has_failed_for_good(place: Place) -> None:
    place.pictures(2)
    assert ordered(place, sink={"lance": {"dataset": "lost"}}).status == 2
    said = asked(place.folder / "pipeline.yaml")
    assert said["verdict"] == "Failed"
    assert "there is no LanceDataset 'lost'" in said["message"]


def test_a_committed_run_whose_manifest_fits_no_more_is_committed(place: Place) -> None:
    place.pictures(2)
    assert place.run("--run-id", "r0").status == 0
    twice = [{"name": "sql", "sql": {"query": "select *, 2 * size as twice from input"}}]
    new = {
        "source": {"table": {"uri": "out.lance", "format": "lance"}},
        "stages": twice,
        "sink": {"lance": {"uri": "out.lance", "mode": "addColumns", "columns": ["twice"]}},
    }
    assert ordered(place, **new).status == 0
    assert ordered(place, 2, **new).status == 2  # twice is there already: no plan any more
    said = asked(place.folder / "pipeline.yaml", 3)
    assert (said["verdict"], said["rows"]) == ("Committed", 2)


def test_the_answer_fits_into_a_termination_message(place: Place) -> None:
    place.pictures(60)
    query = """select key, repeat('é"', 90) as long from output order by key"""
    tables = [{"name": f"n{n}", "query": query} for n in range(5)]
    assert ordered(place, summary=tables, stages=[], sink=lance(columns=["key"])).status == 0
    said = asked(place.folder / "pipeline.yaml")
    assert (said["verdict"], said["rows"]) == ("Committed", 60)
    assert [table["name"] for table in said["summary"]] == [f"n{n}" for n in range(5)]
    assert said["summary"][0]["rows"][0]["key"] == "p000.jpg"


def test_a_store_that_does_not_answer_is_no_answer(place: Place) -> None:
    place.pictures(1)
    manifest = place.manifest()
    (place.folder / "out.lance.runs").write_text("a file where the ledgers' folder should be")
    answer = place.folder / "answer.json"
    told = lancemill(
        *("probe", "run", manifest, "--run-id", "r1", "--epoch", "2", "--answer", answer)
    )
    assert told.status == 1
    said = json.loads(answer.read_text())
    assert said["problem"] == "Other"
    assert "out.lance.runs" in said["error"]


def test_a_manifest_as_the_api_server_gives_it_back_runs_as_it_is(place: Place) -> None:
    """Documents as `kubectl get -o yaml` prints them, the LanceDataset in the same file."""
    keys = place.pictures(2)
    metadata = {
        "annotations": {"lancemill.dev/run-requested-at": "2026-11-21T10:00:00Z"},
        "creationTimestamp": "2026-11-21T10:00:00Z",
        "generation": 3,
        "labels": {"team": "vision"},
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
        "namespace": "lake",
        "resourceVersion": "4711",
        "uid": "6c0c1a5e-0a5e-4b1e-9d9e-2d2d2d2d2d2d",
    }
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Running",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }
    status = {"observedGeneration": 3, "conditions": [condition]}
    manifest = place.manifest(sink={"lance": {"dataset": "out"}})
    pipeline = yaml.safe_load(manifest.read_text())
    pipeline["metadata"] |= metadata
    dataset = {
        "apiVersion": pipeline["apiVersion"],
        "kind": "LanceDataset",
        "metadata": {"name": "out", **metadata},
        "spec": {"uri": str(place.folder / "out.lance")},
        "status": {"version": 3, **status},
    }
    manifest.write_text(yaml.safe_dump_all([{**pipeline, "status": status}, dataset]))
    manifest.chmod(0o444)
    told = lancemill("run", manifest, "--pipeline", "cats", "--run-id", "r1", "--epoch", "1")
    assert told.status == 0, told.all
    assert place.keys() == keys
    assert asked(manifest)["rows"] == 2
    assert lancemill("probe", "dataset", manifest, "--dataset", "out").json["rows"] == 2


@pytest.mark.parametrize("seed", sampled(range(6), first=1))
def test_attempts_killed_anywhere_and_settled_end_with_every_row_once(
    place: Place, seed: int
) -> None:
    """Each attempt is killed, its run settled, and the next one ordered where that is open."""
    import random

    keys = place.pictures(12)
    manifest = place.manifest()
    shards = small_shards(place.folder / "pictures", 4)
    dice = random.Random(seed)
    for epoch in range(1, 6):
        arguments = ["run", str(manifest), "--run-id", "r1", "--epoch", str(epoch), *shards]
        run_and_kill(arguments, place.folder, moments(dice, 4))
        said = asked(manifest, epoch + 1)
        if said["verdict"] == "Committed":
            break
        assert said["verdict"] == "NotCommitted"
        assert place.folder.joinpath("out.lance").exists() is False or place.keys() == []
    else:
        assert lancemill(*arguments[:-2], "--epoch", "6", "-q").status == 0
    assert place.keys() == keys
    assert asked(manifest, 9)["rows"] == 12
