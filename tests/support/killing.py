"""Runs of the command line in processes of their own, killed with SIGKILL at chosen moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from lancemill.cli.main import main; main()"]


def command(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`lancemill ARGUMENTS`, to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after a file matching `sign` has appeared below `folder`.

    Files tell how far a run is, whatever the machine's speed: a shard's entry in the ledger, a
    transaction file or a manifest of the dataset (the commit), the mirror behind it.
    """

    sign: str
    count: int
    delay: float


def moments(rng: random.Random, shards: int) -> Moment:
    """A moment somewhere in a run: at its start, between shards, or around its commit."""
    sign, most = rng.choice(
        [
            ("*.runs/*/attempts/*.json", 1),
            ("*.runs/*/run.json", 1),
            ("*.runs/*/done/*.json", shards),
            ("*.lance/data/*", shards),
            ("*.lance/_transactions/*.txn", 3),
            ("*.lance/_versions/*.manifest", 3),
            ("*.quarantine/**/*", 3),
            ("*.runs/*/committed.json", 1),
        ]
    )
    return Moment(sign, rng.randint(1, most), rng.choice([0.0, 0.0, rng.uniform(0, 0.05)]))


def run_and_kill(arguments: Sequence[str], folder: Path, moment: Moment) -> bool:
    """Start `lancemill ARGUMENTS` and kill it at `moment`; True when it was still running then."""
    before = _count(folder, moment.sign)
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if _count(folder, moment.sign) >= before + moment.count:
            break
        time.sleep(0.002)
    time.sleep(moment.delay)
    alive = process.poll() is None
    if alive:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def _count(folder: Path, sign: str) -> int:
    return sum(1 for _ in folder.glob(sign))
