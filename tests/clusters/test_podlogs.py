"""Logs outlive their pods."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from e2e.host import podlogs

DEADLINE = 60.0


def test_the_log_of_a_pod_that_is_gone_is_kept_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "pod-logs" / "team_pod_uid" / "main" / "0.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\n")
    link = tmp_path / "kept-pod-logs" / "team_pod_uid" / "main-0.log"
    with podlogs.kept(tmp_path / "pod-logs", tmp_path / "out"):
        deadline = time.monotonic() + DEADLINE
        while not link.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        with log.open("a") as written:
            written.write("last words\n")
        shutil.rmtree(tmp_path / "pod-logs")
    kept = tmp_path / "out" / "team_pod_uid" / "main-0.log"
    assert kept.read_text() == "first\nlast words\n"
