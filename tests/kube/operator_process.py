"""The operator as a process of its own, as a cluster runs it: killed, started again, asked.

    with operator(plane, tmp_path) as running:
        ...
        running.kill()          # as a node that dies
        running.start()

Intervals are short (FAST); `settings` are the operator's own, by their names in lower case.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kube.control_plane import ControlPlane
from kube.credentials import ADMIN
from kube.processes import Ended, Program

PREFIX = "LANCEMILL_OPERATOR_"
FAST: Mapping[str, object] = {
    "http_host": "127.0.0.1",
    "http_port": 0,
    "backoff_shortest": 0.1,
    "backoff_longest": 2,
    "progress_interval": 0.5,
    "request_timeout": 20,
    "log_level": "debug",
}
DEADLINE = 120.0
"""Seconds within which it must be ready, on the busiest machine."""


@dataclass
class OperatorProcess:
    """One operator, which may be started more than once."""

    kubeconfig: Path
    log: Path
    namespaces: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    _program: Program | None = field(default=None, repr=False)
    _began: int = 0
    """Where in the log its latest start begins."""

    def start(self, wait: bool = True) -> OperatorProcess:
        """Start it, and wait until it is ready."""
        self._began = self.log.stat().st_size if self.log.exists() else 0
        command = [str(Path(sys.executable).parent / "lancemill-operator"), "run"]
        command += ["--kubeconfig", str(self.kubeconfig)]
        for namespace in self.namespaces:
            command += ["--namespace", namespace]
        self._program = Program(command, self.log, self._environment()).start()
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, seconds: float = DEADLINE) -> None:
        """Until it has listed everything and its workers are at work."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            self.must_run()
            if time.monotonic() > deadline:
                raise Ended(f"the operator was not ready in {seconds} s:\n{self.program.tail()}")
            time.sleep(0.05)

    @property
    def program(self) -> Program:
        assert self._program is not None, "the operator was not started"
        return self._program

    @property
    def pid(self) -> int:
        return self.program.pid

    @property
    def running(self) -> bool:
        return self._program is not None and self._program.running

    def must_run(self) -> None:
        """Raises Ended with the end of its log where it does not run."""
        self.program.must_run()

    def kill(self) -> None:
        """SIGKILL: it gets to finish nothing."""
        self.program.kill()

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM, and its exit code."""
        return self.program.stop(timeout)

    def restart(self) -> None:
        """Killed, and started again."""
        self.kill()
        self.start()

    @property
    def port(self) -> int | None:
        """Where its latest start listens, once it does."""
        return next(
            (line["port"] for line in self.lines() if line.get("event") == "listening"), None
        )

    def is_ready(self) -> bool:
        return self.port is not None and self._status("/readyz") == 200

    def is_alive(self) -> bool:
        return self.port is not None and self._status("/healthz") == 200

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of /metrics, by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """Sum of the samples of that name that have these labels."""
        return sum(
            value
            for (found, has), value in self.metrics().items()
            if found == name and frozenset(labels.items()) <= has
        )

    def calls(self) -> float:
        """Calls to the API server since it was started, but for progress and kopf's watches."""
        name = "lancemill_operator_api_calls_total"
        return self.total(name) - self.total(name, verb="proxy")

    def lines(self) -> list[dict[str, Any]]:
        """The log of its latest start; lines that are no JSON are left out."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(self._began)
            text = file.read().decode(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def memory(self) -> int:
        """Bytes of memory that it holds now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(one for one in status.splitlines() if one.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def peak_memory(self) -> int:
        """The most bytes of memory that it ever held."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(one for one in status.splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def _status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def _environment(self) -> dict[str, str]:
        """None of the developer's own settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PREFIX) and name not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")
        }
        given = {f"{PREFIX}{name.upper()}": _text(value) for name, value in self.settings.items()}
        return {**kept, **given, "PYTHONUNBUFFERED": "1"}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@contextlib.contextmanager
def operator(
    plane: ControlPlane,
    folder: Path,
    *,
    namespaces: Sequence[str] = (),
    user: str = ADMIN,
    server: str | None = None,
    started: bool = True,
    **settings: object,
) -> Iterator[OperatorProcess]:
    """An operator on this control plane (or on a proxy before it), gone at the end."""
    process = OperatorProcess(
        plane.kubeconfig(user, server=server),
        folder / "operator.log",
        namespaces,
        {**FAST, **settings},
    )
    try:
        yield process.start() if started else process
    finally:
        if process.running:
            process.kill()
