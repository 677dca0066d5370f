"""Child processes that cannot outlive us: a test run that is killed leaves no API server behind.

Each program writes to a log file of its own; when it ends before its time, the end of that log is
what the developer gets to see. All of them are stopped by SIGKILL: what they hold is test data,
and an API server whose etcd is gone answers to nothing less.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Runs between fork and exec, as a program of its own: code in preexec_fn may deadlock where the
# parent has threads. On Linux the child dies with the thread that started it.
_LAUNCHER = """
import ctypes, os, sys
parent, program = int(sys.argv[1]), sys.argv[2]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:
        os._exit(1)
os.execv(program, sys.argv[2:])
"""
TAIL_LINES = 30


class Ended(Exception):
    """A program that should be running is not."""


@dataclass
class Program:
    """A running program, its command line kept so that it can be started again."""

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return Path(self.command[0]).name

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Program:
        assert not self.running, f"{self.name} runs already"
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self.command]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                launcher,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        return self

    def must_run(self) -> None:
        if not self.running:
            code = self._process.returncode if self._process else None
            raise Ended(f"{self.name} ended with {code}:\n{self.tail()}")

    def signal(self, number: int) -> None:
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(timeout=30)

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, as a cluster does it, and the exit code; SIGKILL when that is not heeded."""
        self.signal(signal.SIGTERM)
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Ended(f"{self.name} did not stop in {timeout} s:\n{self.tail()}") from None

    def tail(self) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
