"""Runs that are stopped, doubled and taken up again, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.killing import COMMAND, command
from support.sampled import sampled
from support.servers import HttpServer, faulty_http

from .given import Place, picture, spec

LONG = 100
"""Seconds that a run would have to wait for what it is doing."""
SOON = LONG / 2
"""Seconds within which a run that is stopped has ended, on the slowest machine: it did not wait."""


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`lancemill ARGUMENTS` in a process of its own, ended if it is still there."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(holds: Any, seconds: float = 60) -> None:
    """Wait until `holds()`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.01)


def stopped(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> str:
    """Send the signal; what the process says as it ends, soon and with the status for it."""
    process.send_signal(number)
    out, err = process.communicate(timeout=SOON)
    said = out + err
    assert process.returncode == 130, said
    assert "Traceback" not in said
    return said


FILES = {f"p{index:02}.jpg": picture(index) for index in range(40)}


def over_http(place: Place, server: HttpServer, **changes: Any) -> Path:
    """The pictures of a server as the source; fetched eight at a time."""
    stages = spec()["stages"]
    stages[0]["fetch"] |= {"allowPrivateAddresses": True}
    source = {"objects": {"uri": f"{server.url}/", "include": ["*.jpg"]}}
    return place.manifest(**{"source": source, "stages": stages, **changes})


def test_ctrl_c_stops_soon_says_what_is_kept_and_how_to_go_on(place: Place) -> None:
    never = threading.Event()
    with faulty_http(FILES, hold=never, served=20, only="GET /p") as server:
        manifest = over_http(place, server)
        with started("run", str(manifest), "--shard-bytes", "4Ki") as process:
            done = place.folder
            until(lambda: list(done.glob("out.lance.runs/*/done/*.json")))
            said = stopped(process)
    (run,) = [path.name for path in (place.folder / "out.lance.runs").iterdir()]
    assert "shards are kept" in said
    assert f"lancemill run {manifest} --resume {run}" in said
    assert place.keys() == []


def test_a_stopped_run_is_completed_by_the_command_that_it_names(place: Place) -> None:
    names = place.pictures(60)
    slow = [{"name": "slow", "udf": {"entrypoint": "slow.py:slow", "schema": {"one": "int64"},
             "inputs": ["key"], "batchSize": 1}}]  # fmt: skip
    slowly = place.folder / "slowly"
    slowly.touch()
    (place.folder / "slow.py").write_text(
        "import pathlib, time\nimport pyarrow as pa\n\n"
        f"def slow(batch):\n    time.sleep(0.5 if pathlib.Path({str(slowly)!r}).exists() else 0)\n"
        "    return pa.RecordBatch.from_arrays([pa.array([1] * len(batch), pa.int64())], ['one'])\n"
    )
    manifest = place.manifest(
        stages=slow, sink={"lance": {"uri": "out.lance", "columns": ["key", "one"]}}
    )
    with started("run", str(manifest), "--quiet", "--shard-bytes", "8Ki") as process:
        until(lambda: list(place.folder.glob("out.lance.runs/*/done/*.json")))
        said = stopped(process)
    slowly.unlink()
    line = next(line for line in said.splitlines() if "go on:" in line)
    words = line.partition("lancemill ")[2].split()
    finished = command(*words, "--quiet")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert place.keys() == names


@pytest.mark.parametrize("number", sampled([signal.SIGTERM, signal.SIGINT], first=1))
def test_a_run_that_waits_for_a_server_stops_soon(place: Place, number: signal.Signals) -> None:
    with (
        faulty_http(FILES, latency=LONG, only="GET /p") as server,
        started("run", str(over_http(place, server)), "--quiet") as process,
    ):
        until(lambda: any(r.method == "GET" and "p0" in r.path for r in server.requests))
        stopped(process, number)


def test_a_run_that_lists_a_slow_server_stops_soon(place: Place) -> None:
    many = {f"p{index:04}.jpg": b"" for index in range(2000)}
    with (
        faulty_http(many, latency=0.5, only="HEAD /p") as server,
        started("run", str(over_http(place, server)), "--quiet") as process,
    ):
        until(lambda: any(r.method == "HEAD" for r in server.requests))
        stopped(process)
    assert len([r for r in server.requests if r.method == "HEAD"]) < len(many)


def asked(server: HttpServer, method: str) -> bool:
    return any(request.method == method for request in server.requests)


@pytest.mark.parametrize("method", sampled(["GET", "HEAD"], first=1))
def test_a_run_that_lists_a_server_that_never_answers_stops_soon(place: Place, method: str) -> None:
    never = threading.Event()
    with (
        faulty_http(FILES, hold=never, only=method) as server,
        started("run", str(over_http(place, server)), "--quiet") as process,
    ):
        until(lambda: asked(server, method))
        assert "was stopped before its first row" in stopped(process)


def in_s3(server: HttpServer, name: str, **more: Any) -> dict[str, Any]:
    """A place in a bucket of `server`."""
    storage = {"endpoint": server.url, "region": "us-east-1", "allowHttp": True, "anonymous": True}
    return {"uri": f"s3://silent/{name}", "storage": storage, **more}


@pytest.mark.parametrize(
    ("changes", "method"),
    sampled(
        [
            (lambda s3: {"source": {"objects": in_s3(s3, "pictures/")}}, "GET"),
            (lambda s3: {"source": {"table": in_s3(s3, "t.parquet", format="parquet")}}, "GET"),
            (lambda web: {"source": {"table": {"uri": web.uri("t.csv"), "format": "csv"}}}, "HEAD"),
            (lambda s3: {"sink": {"lance": in_s3(s3, "out.lance")}}, "GET"),
            (lambda s3: {"sink": {"jsonl": in_s3(s3, "out.jsonl", columns=["key"])}}, "GET"),
        ],
        first=2,
    ),
    ids=["listing", "table", "http", "dataset", "ledger"],
)
def test_a_run_that_waits_for_a_store_that_never_answers_stops_soon(
    place: Place, changes: Callable[[HttpServer], dict[str, Any]], method: str
) -> None:
    place.pictures(2)
    with (
        faulty_http({}, hold=threading.Event()) as server,
        started("run", str(place.manifest(**changes(server))), "--quiet") as process,
    ):
        until(lambda: asked(server, method))
        stopped(process)


def test_a_run_that_waits_for_its_next_attempt_stops_soon(place: Place) -> None:
    rule = {"stage": "fetch", "action": "retry", "attempts": 5, "backoff": f"{LONG}s"}
    with faulty_http(FILES, fail_every=1, fail_status=503, only="GET /p") as server:
        stages = spec()["stages"]
        stages[0]["fetch"] |= {"allowPrivateAddresses": True, "attempts": 1}
        manifest = over_http(place, server, stages=stages, errors={"rules": [rule]})
        with started("run", str(manifest), "--quiet") as process:
            until(lambda: any(r.method == "GET" and "p0" in r.path for r in server.requests))
            time.sleep(0.3)
            stopped(process)


def test_a_run_in_the_middle_of_a_slow_function_stops_soon(place: Place) -> None:
    place.pictures(4)
    slow = [{"name": "slow", "udf": {"entrypoint": "slow.py:slow", "schema": {"one": "int64"},
             "inputs": ["key"], "isolation": "process"}}]  # fmt: skip
    begun = place.folder / "begun"
    (place.folder / "slow.py").write_text(
        "import time, pathlib\n\ndef slow(batch):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n    time.sleep({LONG})\n    return batch\n"
    )
    manifest = place.manifest(
        stages=slow, sink={"lance": {"uri": "out.lance", "columns": ["key", "one"]}}
    )
    with started("run", str(manifest), "--quiet") as process:
        until(begun.exists)
        stopped(process)


@pytest.mark.thorough
def test_a_second_process_with_the_same_id_is_refused_in_one_line(place: Place) -> None:
    refused = threading.Event()
    with faulty_http(FILES, hold=refused, only="GET /p") as server:
        arguments = ["run", str(over_http(place, server)), "--quiet", "--run-id", "same"]
        with started(*arguments) as first:
            until(lambda: list(place.folder.glob("out.lance.runs/same/run.json")))
            second = command(*arguments)
            assert second.returncode == 1
            line = (second.stdout + second.stderr).splitlines()[0]
            assert "run same is being worked on by process" in line and str(first.pid) in line
            refused.set()
            out, err = first.communicate(timeout=60)
            assert first.returncode == 0, out + err
    assert place.keys() == sorted(FILES)


@pytest.mark.thorough
def test_two_runs_into_one_dataset_at_the_same_time_both_add_their_rows(place: Place) -> None:
    keys = place.pictures(12)
    manifest = place.manifest()
    run = ("run", str(manifest), "--quiet")
    with started(*run) as first, started(*run) as second:
        said = [process.communicate(timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    assert place.keys() == keys * 2
