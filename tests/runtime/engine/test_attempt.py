"""Who is on a run, and whether he still works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lancemill.engine.attempt import is_alive
from lancemill.storage import open_store

IDENTITY = (
    "import json, sys; from lancemill.engine.attempt import identity; "
    "print(json.dumps(identity(1)), flush=True); sys.stdin.read()"
)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="tells processes apart by /proc")
def test_a_process_that_has_ended_is_not_alive_though_its_parent_has_not_asked(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", IDENTITY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        who = json.loads(process.stdout.readline())
        folder = open_store(str(tmp_path), None)
        assert is_alive(folder, "beat", who)
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(folder, "beat", who)
