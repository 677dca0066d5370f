"""Chaos: runs on Ray whose workers, drivers and heads die at random, or live on when given up.

    PYTHONPATH=tests .venv/bin/python -m runtime.ray.soak [RUNS] [FIRST_SEED]

Each run is gone on with, attempt by attempt under a higher epoch, until one has committed. Then its
rows are exactly those of a quiet run, in order, the quarantine has each bad row once, and there is
one commit. What is done to a run follows from its seed; when exactly it hits, the machine decides.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .given import Place, function, run
from .stage import Stage, kill, stage

ATTEMPTS = 12
PATIENCE_S = 240
OVERTAKEN = 3


@dataclass
class Play:
    """One run, and what was done to it."""

    stage: Stage
    place: Place
    manifest: Path
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    epoch: int = 0
    living: list[subprocess.Popen[str]] = field(default_factory=list)
    """Attempts that were given up and live on."""
    timers: list[threading.Timer] = field(default_factory=list)

    def attempt(self) -> subprocess.Popen[str]:
        self.epoch += 1
        return self.stage.start(self.manifest, "--run-id", "chaos", "--epoch", str(self.epoch))

    def to_its_end(self, kinds: tuple[str, ...]) -> None:
        """Attempts, each troubled once or twice, until one of them has committed."""
        for _ in range(ATTEMPTS):
            process = self.attempt()
            if self.epoch <= 3:
                self._trouble(process, kinds)
            if process in self.living:
                continue
            out = _finished(process)
            assert "(raylet)" not in out, "Ray speaks between the lines of --json"
            if process.returncode == 0:
                self._end_living()
                return
            assert process.returncode in (1, -signal.SIGKILL), out[-2000:]
        raise AssertionError(f"not committed after {ATTEMPTS} attempts: {self.done}")

    def _trouble(self, process: subprocess.Popen[str], kinds: tuple[str, ...]) -> None:
        for _ in range(self.dice.randint(1, 2)):
            if not self._wait(process, self.dice.uniform(0.0, 3.0)):
                return
            kind = self.dice.choice(kinds)
            self.done[kind] += 1
            if kind == "worker":
                self._kill_a_worker()
            elif kind == "driver":
                kill(process.pid)
                return
            elif kind == "head":
                self._lose_the_head(process)
                return
            elif kind == "given up":
                self.living.append(process)
                return
            elif kind == "stopped for a while":
                process.send_signal(signal.SIGSTOP)
                self.living.append(process)
                # Not for longer than the next one needs to take the run over: its workers are
                # in the way of the next one's.
                self._later(self.dice.uniform(5.0, 10.0), process)
                return

    def _wait(self, process: subprocess.Popen[str], seconds: float) -> bool:
        """So long after its first worker is at work; whether the attempt still goes on."""
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and not self.stage.workers():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.poll() is None

    def _later(self, seconds: float, process: subprocess.Popen[str]) -> None:
        timer = threading.Timer(seconds, process.send_signal, [signal.SIGCONT])
        timer.daemon = True
        timer.start()
        self.timers.append(timer)

    def _kill_a_worker(self) -> None:
        there = sorted(self.stage.workers())
        if there:
            kill(self.dice.choice(there))

    def _lose_the_head(self, process: subprocess.Popen[str]) -> None:
        """Its drivers go with it; its workers on other nodes do not, at first."""
        for one in (process, *self.living):
            kill(one.pid)
        for one in self.living:
            one.communicate()
        self.living.clear()
        self.stage.lose_the_head()

    def _end_living(self) -> None:
        """Who was given up comes to its end too, and must change nothing."""
        for timer in self.timers:
            timer.join()
        for process in self.living:
            out = _finished(process)
            assert process.returncode in (0, OVERTAKEN), out[-2000:]

    def close(self) -> None:
        for timer in self.timers:
            timer.cancel()
        for process in self.living:
            process.send_signal(signal.SIGCONT)
            kill(process.pid)
            process.communicate()


def _finished(process: subprocess.Popen[str]) -> str:
    try:
        out, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        kill(process.pid)
        out, _ = process.communicate()
        raise AssertionError(f"an attempt does not end: {out[-3000:]}") from None
    return out


TROUBLES = ("worker", "worker", "driver", "given up", "stopped for a while", "head")


def chaotic_run(
    on: Stage, place: Place, seed: int, kinds: tuple[str, ...] = TROUBLES
) -> Counter[str]:
    """One run under trouble, and what was done to it; AssertionError where its rows are wrong."""
    import lance

    dice = random.Random(seed)
    stages = [function("is_slow", {"group": "gpu", "gpus": 1} if seed % 2 else None, batchSize=4)]
    quiet = run(place.manifest(*stages, name=f"quiet{seed % 2}"), engine="local")
    assert quiet.status == 0, quiet.out
    play = Play(on, place, place.manifest(*stages, name="chaos"), dice)
    try:
        play.to_its_end(kinds)
    finally:
        play.close()
    assert place.rows("chaos").equals(place.rows(f"quiet{seed % 2}")), f"seed {seed}: {play.done}"
    assert place.quarantined("chaos") == place.quarantined(f"quiet{seed % 2}")
    versions = lance.dataset(str(place.folder / "chaos.lance")).versions()
    rows = {version["metadata"]["total_rows"] for version in versions}
    assert len(rows) == 2, f"no rows, then all of them, in one commit: {rows}"
    return play.done


def main(runs: int, first: int) -> None:
    """So many runs, one after the other, on one cluster."""
    from .conftest import write_corpus

    did: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="chaos-") as made:
        os.environ["HOME"] = made
        corpus = Path(made) / "pictures"
        write_corpus(corpus)
        with stage(("cpu", 2, 0), ("gpu", 1, 1)) as on:
            for seed in range(first, first + runs):
                folder = Path(made) / str(seed)
                folder.mkdir()
                (folder / "pictures").symlink_to(corpus, target_is_directory=True)
                began = time.monotonic()
                done = chaotic_run(on, Place(folder), seed)
                did += done
                words = ", ".join(f"{n} {kind}" for kind, n in done.items()) or "nothing"
                print(f"seed {seed}: exact, {time.monotonic() - began:.0f} s; {words}", flush=True)
    print(f"{runs} runs, each exact and in order, after {dict(did)}")


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:]]
    main(*(numbers + [50, 1][len(numbers) :]))
