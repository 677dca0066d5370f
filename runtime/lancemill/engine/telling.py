"""What a run says of itself over HTTP, whenever it is asked: progress, counters, and its outcome.

The run is not asked to do anything: what is told is read from its counters. The outcome is told
once nothing can change it any more and all else is done, since who reads it may take the run's
machine away at once.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from lancemill import figures
from lancemill.engine.exposition import exposition
from lancemill.engine.outcome import Outcome

if TYPE_CHECKING:
    from lancemill.engine.run import RunInProgress
    from lancemill.report.summary import RunSummary

LARGEST = 128 * 1024
"""Bytes of the outcome; the operator reads at most twice as many of the whole answer."""


class Telling:
    """The answers of one run's driver, from before the run is known until it has ended."""

    def __init__(self, run: str, attempt: int) -> None:
        self.run = run
        self.attempt = attempt
        self.asked = False
        """Whether anybody has wanted to know how far it is."""
        self.heard = threading.Event()
        """Set once the outcome was read, or nobody should wait for that any more."""
        self.outcome: Outcome | None = None
        self._followed: RunInProgress | None = None

    def follow(self, run: RunInProgress) -> None:
        """Tell of this run from now on."""
        self._followed, self.run = run, run.run

    def ended(self, summary: RunSummary) -> None:
        """Tell what came of it; nothing where only the ledger can."""
        self.outcome = Outcome.of(summary, self.attempt)

    def progress(self) -> tuple[bytes, bool]:
        """The answer to `GET /progress`: {"run", "attempt", "progress", "outcome"}; and whether
        the outcome is in it."""
        self.asked = True
        outcome = self.outcome
        told: dict[str, Any] = {
            "run": self.run,
            "attempt": self.attempt,
            "progress": None if self._followed is None else _told(self._followed),
            "outcome": json.loads(outcome.to_text(LARGEST)) if outcome is not None else None,
        }
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return text.encode(), outcome is not None

    def metrics(self) -> bytes:
        """The answer to `GET /metrics`; empty before there is a run."""
        run = self._followed
        if run is None:
            return b""
        common = {"namespace": _namespace(), "pipeline": run.plan.pipeline}
        meter = run.account.meter
        if meter is None:
            return exposition(common, (), None).encode()
        return exposition(common, meter.totals(), meter.sample()).encode()


def _told(run: RunInProgress) -> dict[str, Any] | None:
    """As `status.progress`, with the text that `kubectl get` shows: its change writes a status."""
    if run.account.meter is None:
        return None if run.meter is None else {"text": "sample"}
    progress = run.account.meter.sample()
    done = figures.rows(progress.rows_done) if progress.percent is None else None
    told = {"text": done or f"{int(progress.percent or 0)}%", **progress.to_json()}
    return told if run.estimate is None else {**told, "estimate": run.estimate.to_json()}


def _namespace() -> str:
    """Empty where nobody has said; then Prometheus knows it from the pod that it asks."""
    return os.environ.get("LANCEMILL_NAMESPACE", "")
