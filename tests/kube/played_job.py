"""A Ray job that is played: its state follows from the time since it was submitted."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from kube.plays import JobPlay

Object = dict[str, Any]

PENDING_SECONDS = 1.0
_MESSAGES = {
    "PENDING": "Job has not started yet. It may be waiting for the runtime environment to be set "
    "up.",
    "RUNNING": "Job is currently running.",
    "SUCCEEDED": "Job finished successfully.",
    "STOPPED": "Job was intentionally stopped.",
    "FAILED": "Job entrypoint command failed with exit code 1, last available logs (truncated to "
    "20,000 chars):\nValueError: bad row",
}
_RUN = re.compile(r"--run-id (\S+) --epoch (\d+)")
_OVER = ("SUCCEEDED", "STOPPED", "FAILED")


@dataclass
class PlayedJob:
    """A submitted job; its state follows from the time."""

    id: str
    entrypoint: str
    play: JobPlay
    end: str
    patient: bool = False
    """No state ends before it was told: on a busy machine a poll may come late."""
    submitted: float = field(default_factory=time.time)
    stopped: float | None = None
    told: set[str] = field(default_factory=set)
    heard: bool = False
    """Whether its outcome was read, for which it stays."""

    def status(self) -> str:
        now = time.time()
        if self.stopped is not None and self.stopped <= min(now, self._planned_end):
            return "STOPPED"
        if now < self.submitted + PENDING_SECONDS or self._is_awaited("PENDING"):
            return "PENDING"
        return "RUNNING" if now < self._planned_end or self._is_awaited("RUNNING") else self.end

    def _is_awaited(self, status: str) -> bool:
        return self.patient and status not in self.told

    @property
    def _planned_end(self) -> float:
        stays = 0.0 if self.heard else self.play.lingers
        return self.submitted + PENDING_SECONDS + self.play.seconds + stays

    @property
    def ended(self) -> float | None:
        if self.status() not in _OVER:
            return None
        return self.stopped if self.status() == "STOPPED" and self.stopped else self._planned_end

    def record(self) -> Object:
        """As Ray 2.56 answers GET /api/jobs/ID."""
        status, ended = self.status(), self.ended
        self.told.add(status)
        return {
            "type": "SUBMISSION",
            "job_id": None if status == "PENDING" else "02000000",
            "submission_id": self.id,
            "driver_info": None,
            "status": status,
            "entrypoint": self.entrypoint,
            "message": _MESSAGES[status],
            "error_type": None,
            "start_time": int(self.submitted * 1000),
            "end_time": None if ended is None else int(ended * 1000),
            "metadata": {},
            "runtime_env": {},
            "driver_agent_http_address": None,
            "driver_node_id": None,
            "driver_exit_code": {"SUCCEEDED": 0, "FAILED": 1}.get(status),
        }

    def log(self) -> str:
        """What its driver has written: a line a second, and one at its end."""
        if self.status() == "PENDING":
            return ""
        running = (self.ended or time.time()) - self.submitted - PENDING_SECONDS
        lines = [f"second {number}" for number in range(int(max(0.0, running)) + 1)]
        end = [self.status()] if self.ended is not None else []
        return "".join(f"{line}\n" for line in (self.entrypoint, *lines, *end))

    def progress(self) -> Object | None:
        """What our driver says of its run; its outcome once it has one, after which it may go."""
        run = _RUN.search(self.entrypoint)
        if run is None or not self.play.lingers or self.status() == "PENDING":
            return None
        share = self._share
        outcome = self._outcome(run[1], int(run[2])) if share >= 1.0 else None
        self.heard = self.heard or outcome is not None
        return {
            "run": run[1],
            "attempt": int(run[2]),
            "progress": self._counts(share),
            "outcome": outcome,
        }

    @property
    def _share(self) -> float:
        """Part of its work that is done."""
        running = max(0.0, time.time() - self.submitted - PENDING_SECONDS)
        return min(1.0, running / self.play.seconds) if self.play.seconds else 1.0

    def _counts(self, share: float) -> Object:
        done, rate = int(self.play.rows * share), self.play.rows / (self.play.seconds or 1.0)
        return {
            "text": f"{share:.0%}",
            "percent": round(100 * share, 1),
            "rowsDone": done,
            "rowsTotal": self.play.rows,
            "rowsPerSecond": rate,
            "bytesPerSecond": rate * 1024,
            "etaSeconds": round((self.play.rows - done) / rate, 1),
            "lastProgressSeconds": 0.0,
        }

    def _outcome(self, run: str, attempt: int) -> Object:
        good = self.end == "SUCCEEDED"
        return {
            "run": run,
            "attempt": attempt,
            "verdict": "Committed" if good else "Failed",
            "rows": self.play.rows if good else 0,
            "bytes": self.play.rows * 1024 if good else 0,
            "datasetVersion": 1 if good else None,
            "message": "" if good else "132 of 9,800 rows failed (1.35%, at most 1%)",
        }
