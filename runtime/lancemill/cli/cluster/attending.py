"""Following a run for a person: shown on the way, told at the end, left alone by Ctrl-C."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.following import follow
from lancemill.cli.cluster.outcome import Wanted, exit_status
from lancemill.cli.cluster.views import view
from lancemill.engine.signals import handled_by
from lancemill.report.console import Mode

INTERRUPTED = 130
AGAIN_S = 0.5
"""After which an interrupt that nobody has heard is repeated."""


def for_people(*, following: bool) -> TextIO:
    """Where to write what people read: not among the JSON lines of a run that is followed."""
    return sys.stderr if following and not sys.stdout.isatty() else sys.stdout


def attend(api: Api, name: str, wanted: Wanted, mode: Mode) -> int:
    """Until the run is over; the exit status that tells how it ended."""
    shown = view(mode)
    try:
        with _insistent_interrupt():
            reading, now = follow(api, name, wanted, shown.show)
        shown.finish(reading, now)
        return exit_status(reading)
    except KeyboardInterrupt:
        shown.close()
        within = f"{name} -n {api.namespace}"
        sys.stderr.write(
            "■ no longer followed; the run goes on in the cluster\n"
            f"  look again:  lancemill status {within} --follow\n"
            f"  cancel it:   lancemill cancel {within}\n"
        )
        return INTERRUPTED
    finally:
        shown.close()


@contextmanager
def _insistent_interrupt() -> Iterator[None]:
    """Ctrl-C ends what is inside, wherever it comes.

    Python raises KeyboardInterrupt in whatever runs at that moment. Within a finaliser or a weak
    reference's callback nobody hears it, and a watch would go on as if nothing had been said.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        raise KeyboardInterrupt

    with handled_by(interrupt, (signal.SIGINT, signal.SIGALRM)):
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
