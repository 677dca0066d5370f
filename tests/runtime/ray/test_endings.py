"""How a run on Ray ends otherwise: budget, stop, errors; each in words, with all that was done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .given import SHARD, Place, function, run


def test_a_run_ends_as_soon_as_too_many_rows_have_failed(local_ray: Any, place: Place) -> None:
    told = run(place.manifest(function("refuses"), errors={"maxRate": 0.1}))
    assert told.status == 1
    message = told.summary["message"]
    assert "at most 10.00%" in message
    assert "UdfError: ValueError: no such day" in message
    assert told.summary["end"] == "failed"
    assert told.summary["datasetVersion"] is None


def test_a_worker_s_error_is_told_as_itself(local_ray: Any, place: Place) -> None:
    stage = function("mean", schema={"mean": "string"})
    told = run(place.manifest(stage))
    assert told.status == 1
    message = told.summary["message"]
    assert message.startswith("stage 'mean': functions.py:mean")
    assert "ray" not in message.lower()
    assert "\n" not in message
    assert told.summary["end"] == "failed", "the next attempt would meet it too"


def test_what_nobody_foresaw_is_told_in_one_line(local_ray: Any, place: Place) -> None:
    manifest = place.manifest(function("mean"))
    (place.folder / "out.lance").mkdir()
    (place.folder / "out.lance" / "_versions").write_text("no folder")
    told = run(manifest)
    assert told.status != 0
    assert "Traceback" not in told.out


@pytest.mark.thorough
def test_a_run_says_that_there_is_no_gpu_and_stops_its_ray(place: Place, tmp_path: Path) -> None:
    stage = function("mean", {"group": "gpu", "gpus": 1})
    done = subprocess.run(
        command(place.manifest(stage)), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no GPU on this machine" in done.stdout
    assert done.stderr == ""
    assert place.rows().num_rows == 80


@pytest.mark.thorough
def test_a_run_that_is_stopped_can_be_gone_on_with_by_either_engine(place: Place) -> None:
    manifest = place.manifest(function("is_slow", batchSize=2))
    process = subprocess.Popen(
        [*command(manifest), "--run-id", "r1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        finished = place.folder / "out.lance.runs" / "r1" / "done"
        until(lambda: (finished.is_dir() and any(finished.iterdir())) or process.poll() is not None)
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    told = run(place.manifest(function("mean")), "--resume", "r1", engine="local")
    assert told.status != 0, "another function is another meaning"
    told = run(place.manifest(function("is_slow", batchSize=2)), "--resume", "r1", engine="local")
    assert told.status == 0, told.out
    assert told.summary["resumedRows"] > 0
    assert place.rows().column("key").to_pylist() == sorted(
        path.name for path in (place.folder / "pictures").iterdir() if path.name[0] == "p"
    )


def test_without_ray_a_run_says_how_to_get_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine import work

    monkeypatch.setattr(work, "find_spec", lambda name: None)
    told = run(place.manifest())
    assert told.status == 2
    assert "pip install 'lancemill[ray]'" in told.out + told.err


def test_a_cluster_that_is_not_there_is_told_in_one_line(place: Place) -> None:
    done = subprocess.run(
        command(place.manifest()),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={
            **os.environ,
            "RAY_ADDRESS": "127.0.0.1:1",
        },
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "RAY_ADDRESS=127.0.0.1:1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def command(manifest: Path) -> list[str]:
    """The command line, in a process of its own."""
    words = ["run", str(manifest), "--json", "--shard-bytes", SHARD, "--engine", "ray"]
    return [sys.executable, "-c", "from lancemill.cli.main import main; main()", *words]


def until(holds: Any) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
