"""A run's driver as the operator and Prometheus meet it: over HTTP, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser

from lancemill.engine.serve import LINGER_S
from lancemill_operator.facts import Outcome, Verdict
from lancemill_operator.parse.outcomes import Spoken
from lancemill_operator.progress import ByService, Poller
from support.killing import COMMAND

from .given import Place, lancemill, one_line

SOON = 100.0
PICTURES = 6


class Here(ByService):
    """By service, with a cluster whose names all mean this machine."""

    def address(self, namespace: str, cluster: str) -> str:
        return f"http://127.0.0.1:{self._port}/progress"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
    return found


def gated(place: Place, **changes: Any) -> tuple[Path, Path]:
    """A manifest whose last stage stands at a gate, and the file that opens it."""
    place.pictures(PICTURES)
    gate = place.folder / "gate"
    (place.folder / "gate.py").write_text(
        "import pathlib, time\nimport pyarrow as pa\n\n"
        f"def wait(batch):\n    while not pathlib.Path({str(gate)!r}).exists():\n"
        "        time.sleep(0.01)\n"
        "    return pa.RecordBatch.from_arrays([pa.array([1] * len(batch), pa.int64())], ['one'])\n"
    )
    stages = [
        {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
        {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
        {
            "name": "gate",
            "udf": {"entrypoint": "gate.py:wait", "schema": {"one": "int64"}, "inputs": ["key"]},
        },
    ]
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "one"]}}
    return place.manifest(stages=stages, sink=sink, **changes), gate


@contextmanager
def driver(
    manifest: Path, port: int, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """The command that the operator's RayJob runs, with the variables that it gives."""
    command = [*COMMAND, "run", str(manifest), "--pipeline", "cats", "--run-id", "r1"]
    process = subprocess.Popen(
        [*command, "--epoch", "2", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**_environment(), "LANCEMILL_PROGRESS_PORT": str(port), **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


class Operator:
    """The operator's own reader of progress, which asks as often as it is called."""

    def __init__(self, port: int) -> None:
        self._port = port

    def hears(self, holds: Any, attempt: int = 2) -> Spoken:
        """Ask until what it has heard is what is wanted."""
        return asyncio.run(self._hears(holds, attempt))

    async def _hears(self, holds: Any, attempt: int) -> Spoken:
        poller = Poller(Here(self._port, 10.0), 0.0)
        try:
            async with asyncio.timeout(SOON):
                while True:
                    said = await poller.latest("lake", "c", "r1", attempt, lambda: None)
                    if said is not None and holds(said):
                        return said
                    await asyncio.sleep(0.05)
        finally:
            await poller.close()

    def counted_once(self, attempt: int) -> list[str]:
        """What one question about that attempt comes to."""

        async def ask() -> list[str]:
            counted: list[str] = []
            poller = Poller(Here(self._port, 10.0), 0.0, counted=counted.append)
            async with asyncio.timeout(SOON):
                while not counted:
                    await poller.latest("lake", "c", "r1", attempt, lambda: None)
            await poller.close()
            return counted

        return asyncio.run(ask())


def has_outcome(said: Spoken) -> bool:
    return said.outcome is not None


def ends(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit status, and the last line of its standard output."""
    out, err = process.communicate(timeout=SOON)
    assert "Traceback" not in err
    return process.returncode, json.loads(out.splitlines()[-1])


def reads(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Its lines up to the one with this event."""
    assert process.stdout is not None
    for line in process.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(f"it never said {event}")


def metrics(port: int) -> dict[str, float]:
    """The rows that came out of each stage, as Prometheus reads them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SOON) as answer:
        text = answer.read().decode()
    return {
        sample.labels["stage"]: sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "lancemill_rows_total" and sample.labels["direction"] == "out"
    }


def test_the_operator_reads_progress_then_the_outcome_and_the_driver_goes(
    place: Place, port: int
) -> None:
    manifest, gate = gated(place)
    operator = Operator(port)
    with driver(manifest, port) as process:
        said = operator.hears(lambda one: one.progress is not None and len(one.progress.stages))
        assert said.progress is not None and said.outcome is None
        assert [one.name for one in said.progress.stages] == [
            *("source", "fetch", "decode", "gate", "sink")
        ]
        assert (said.progress.rows_total, said.progress.rows_done) == (PICTURES, 0)
        assert said.progress.text == "0%", "the operator writes a status when this changes"
        assert operator.counted_once(attempt=1) == ["senseless"], "it speaks for attempt 2 alone"
        assert metrics(port)["gate"] == 0
        gate.touch()
        last = reads(process, "finished")
        assert last["end"] == "committed"
        assert metrics(port)["sink"] == PICTURES
        assert process.poll() is None, "its outcome has not been read yet"
        said = operator.hears(has_outcome)
        assert process.wait(SOON) == 0
    assert said.progress is not None
    assert (said.progress.rows_done, said.progress.text) == (PICTURES, "100%")
    assert isinstance(said.outcome, Outcome)
    assert (said.outcome.verdict, said.outcome.rows) == (Verdict.COMMITTED, PICTURES)
    assert said.outcome.dataset_version == last["datasetVersion"]
    assert said.outcome.cpu_seconds > 0


def test_a_failure_is_heard_too_and_the_status_is_the_runs(place: Place, port: int) -> None:
    place.pictures(2)
    (place.folder / "pictures" / "p000.jpg").write_bytes(b"no picture")
    manifest = place.manifest(errors={"onRow": "fail"})
    with driver(manifest, port) as process:
        said = Operator(port).hears(has_outcome)
        assert process.wait(SOON) == 1
    assert said.outcome is not None and said.outcome.verdict is Verdict.FAILED
    assert "p000.jpg" in said.outcome.message


def test_a_stopped_driver_does_not_wait_to_be_heard(place: Place, port: int) -> None:
    manifest, gate = gated(place)
    with driver(manifest, port) as process:
        Operator(port).hears(lambda one: one.progress is not None)
        process.send_signal(signal.SIGTERM)
        last = reads(process, "finished")
        ended = time.monotonic()
        assert process.wait(SOON) == 130
        assert time.monotonic() - ended < LINGER_S, "of its pod's half a minute, this is too much"
        gate.touch()
    assert last["end"] == "resumable"


@pytest.mark.thorough
def test_a_driver_in_the_middle_of_its_sample_says_so_and_stops_as_soon(
    place: Place, port: int
) -> None:
    manifest, gate = gated(place, run={"sample": {"rows": 2}})
    with driver(manifest, port) as process:
        said = Operator(port).hears(lambda one: one.progress is not None)
        assert said.progress is not None and said.progress.text == "sample"
        process.send_signal(signal.SIGTERM)
        status, last = ends(process)
    assert (status, last["end"]) == (130, "resumable")
    gate.touch()
    told = lancemill("run", manifest, "--json", "--run-id", "r1", "--epoch", "3")
    assert told.status == 0
    assert "a sample of 2 rows goes first" in told.out, "none of it was done"
    assert len(place.keys()) == PICTURES


@pytest.mark.thorough
def test_what_a_sample_says_of_the_whole_is_told_with_the_progress(place: Place, port: int) -> None:
    place.pictures(PICTURES)
    manifest = place.manifest(run={"sample": {"rows": 2}})
    with driver(manifest, port) as process:
        said = Operator(port).hears(has_outcome)
        assert process.wait(SOON) == 0
    assert said.progress is not None and said.progress.estimate is not None
    assert said.progress.estimate.rows == PICTURES
    assert said.progress.estimate.seconds > 0 and said.progress.estimate.bytes_out > 0


@pytest.mark.thorough
def test_a_driver_that_is_late_stops_by_itself_and_can_be_gone_on_with(
    place: Place, port: int
) -> None:
    manifest, gate = gated(place)
    with driver(manifest, port, LANCEMILL_DEADLINE_SECONDS="1") as process:
        said = Operator(port).hears(has_outcome)
        status, last = ends(process)
    assert said.outcome is not None and said.outcome.verdict is Verdict.NOT_COMMITTED
    assert "the run's time is over" in said.outcome.message
    assert (status, last["result"], last["end"]) == (4, "failed", "resumable")
    gate.touch()
    assert lancemill("run", manifest, "--run-id", "r1", "--epoch", "3").status == 0
    assert len(place.keys()) == PICTURES


def test_a_run_that_stands_still_says_which_stage_and_can_be_gone_on_with(
    place: Place, port: int
) -> None:
    manifest, gate = gated(place, run={"stallTimeout": "1s"})
    with driver(manifest, port) as process:
        said = Operator(port).hears(has_outcome)
        status, _ = ends(process)
    assert status == 4
    assert said.outcome is not None and said.outcome.verdict is Verdict.NOT_COMMITTED
    assert "no row has moved for" in said.outcome.message
    assert "(spec.run.stallTimeout): stage 'gate' (udf) has been in a call" in said.outcome.message
    gate.touch()
    assert lancemill("run", manifest, "--run-id", "r1", "--epoch", "3").status == 0


def test_a_local_run_heeds_the_stall_timeout_that_its_manifest_gives(place: Place) -> None:
    manifest, gate = gated(place, run={"stallTimeout": "500ms"})
    told = lancemill("run", manifest, "--quiet")
    gate.touch()
    line = one_line(told, 4)
    assert line.startswith("✗ cats") and "no row has moved for" in line
    assert "--resume" in told.all


def test_a_taken_port_is_told_in_a_line_and_the_run_goes_on(place: Place) -> None:
    place.pictures(2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = place.run("--serve", str(taken.getsockname()[1]), "--json")
    assert told.status == 0
    notes = [json.loads(line) for line in told.out.splitlines()]
    (note,) = [one["text"] for one in notes if one["event"] == "note"]
    assert note.startswith("progress is not served on 127.0.0.1:")
    assert len(place.keys()) == 2


@pytest.mark.parametrize("text", ["http", "1:2:x", "99999"])
def test_what_is_no_port_is_refused_before_anything_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    place.pictures(1)
    told = place.run("--serve", text)
    assert told.status == 2 and "expected a port such as 8787" in told.err
    monkeypatch.setenv("LANCEMILL_PROGRESS_PORT", text)
    told = place.run()
    assert told.status == 2 and "LANCEMILL_PROGRESS_PORT" in told.err
    assert not (place.folder / "out.lance").exists()


def test_the_last_line_of_a_run_that_never_began_says_so_in_json_too(place: Place) -> None:
    manifest = place.manifest(source={"objects": {"uri": "nowhere"}})
    told = lancemill("run", manifest)
    assert told.status != 0
    assert told.json["event"] == "finished"
    assert told.json["exitStatus"] == told.status
    assert told.json["message"] in told.err
