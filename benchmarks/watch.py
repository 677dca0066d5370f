"""A case seen from outside: wall clock, and CPU time and memory of its whole tree of processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

INTERVAL = 0.2
"""Seconds between two looks; a look costs a few milliseconds even at Ray's twenty processes."""


@dataclass
class Watch:
    """What a tree of processes took."""

    output: str = ""
    wall_seconds: float = 0.0
    peak_rss_mb: float = 0.0
    others: float = 0.0
    """CPU that other work on the machine used meanwhile, in cores."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    """Load average of the machine before it started."""
    _cpu: dict[tuple[int, float], float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        """User and system time, as far as the looks saw it."""
        return sum(self._cpu.values())

    def look(self, root: psutil.Process) -> None:
        """One look at every process of the tree."""
        resident = 0
        for process in (root, *_children(root)):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    resident += process.memory_info().rss
                    self._cpu[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue
        self.peak_rss_mb = max(self.peak_rss_mb, resident / 2**20)


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return list(root.children(recursive=True))
    except psutil.Error:
        return []


class CaseFailedError(Exception):
    """A case ended with an error or ran too long."""


def run(command: list[str], log: Path, timeout: float) -> Watch:
    """Run a command to its end; its standard error goes to `log`."""
    watch = Watch()
    busy, started = _busy(), time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        done = threading.Event()
        looker = threading.Thread(target=_look_until, args=(watch, process.pid, done))
        looker.start()
        try:
            watch.output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise CaseFailedError(f"ran longer than {timeout:.0f} s, see {log}") from error
        finally:
            watch.wall_seconds = time.perf_counter() - started
            done.set()
            looker.join()
    if process.returncode:
        raise CaseFailedError(f"exit status {process.returncode}, see {log}")
    watch.others = max(0.0, _busy() - busy - watch.cpu_seconds) / watch.wall_seconds
    return watch


def _look_until(watch: Watch, pid: int, done: threading.Event) -> None:
    try:
        root = psutil.Process(pid)
    except psutil.Error:
        return
    while not done.wait(INTERVAL):
        watch.look(root)


def _busy() -> float:
    """CPU seconds that the whole machine has used."""
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)
