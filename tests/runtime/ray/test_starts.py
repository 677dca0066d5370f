"""Ray that does not start, or is still starting when a run is told to stop: told in one line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .given import Place, command, function, run
from .stage import processes

FAILS = """
import ray

def init(**_):
    raise Exception("The current node timed out during startup.\\nThis could happen because …")

ray.init = init
"""
"""In the place of Ray's own: when it is too slow cannot be had at will. It raises just this."""


@pytest.fixture
def listening() -> Iterator[str]:
    """The address of something that listens, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def started(manifest: Path, *, first: str = "", **environment: str) -> subprocess.Popen[str]:
    """`lancemill run r1` on Ray, in a process of its own."""
    return subprocess.Popen(
        command(manifest, "--run-id", "r1", first=first),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **environment},
        text=True,
    )


@pytest.mark.thorough
@pytest.mark.parametrize("here", [True, False], ids=["on this machine", "in a cluster"])
def test_a_ray_that_does_not_start_in_time_is_told_in_one_line_and_the_run_can_be_gone_on_with(
    place: Place, listening: str, here: bool
) -> None:
    environment = {} if here else {"RAY_ADDRESS": listening}
    process = started(place.manifest(), first=FAILS, **environment)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 1, out
    assert "Traceback" not in out
    assert "internal error" not in out
    expected = "Ray does not start on this machine" if here else f"RAY_ADDRESS={listening} cannot"
    assert expected in out
    assert "The current node timed out during startup." in out
    assert "This could happen" not in out
    assert json.loads(out.splitlines()[-1])["end"] == "resumable"
    told = run(place.manifest(), "--resume", "r1", engine="local")
    assert told.status == 0, told.out


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_while_its_ray_starts_ends_soon_and_leaves_nothing(
    place: Place, number: signal.Signals
) -> None:
    folder = Path("/tmp") / f"lmt-{os.getpid()}-{number}"
    folder.mkdir()
    process = started(place.manifest(), TMPDIR=str(folder))
    try:
        until(lambda: any(folder.glob("lm-*/session_*/logs/gcs_server.out")), process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert "run r1 was stopped" in out
    until(lambda: not living(str(folder)))
    assert list(folder.iterdir()) == []
    folder.rmdir()
    told = run(place.manifest(), "--resume", "r1", engine="local")
    assert told.status == 0, told.out


CHANGES = """
import os
from pathlib import Path
from lancemill.engine.ray import engine

joined = engine.joined

def changed(*what, **how):
    functions = Path(os.environ["LANCEMILL_CODE_DIR"]) / "functions.py"
    functions.write_text(functions.read_text() + "# edited")
    return joined(*what, **how)

engine.joined = changed
"""
"""The ConfigMap's files change when the run is planned, and its workers are not there yet."""


@pytest.mark.thorough
def test_a_config_map_that_changes_before_its_workers_come_ends_the_run_for_good(
    place: Place, tmp_path: Path
) -> None:
    manifest = place.manifest(function("mean"), code={"configMap": "my-udfs"})
    (tmp_path / "mounted").mkdir()
    (place.folder / "functions.py").rename(tmp_path / "mounted" / "functions.py")
    where = {"LANCEMILL_CODE_DIR": str(tmp_path / "mounted")}
    process = started(manifest, first=CHANGES, LANCEMILL_CACHE_DIR=str(tmp_path / "cache"), **where)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 1, out
    assert "Traceback" not in out
    told = json.loads(out.splitlines()[-1])
    assert told["end"] == "failed"
    assert told["message"].startswith("spec.code.configMap: 'my-udfs' has changed since the run")
    assert "lancemill rerun" in told["remedy"]


def living(words: str) -> list[str]:
    """Processes whose command line has these words."""
    return [title for _, title in processes() if words in title]


def until(holds: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert process is None or process.poll() is None, "it has ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)
