"""Following a run for a person: shown on the way, told at the end, left alone by Ctrl-C."""

from __future__ import annotations

import sys
from typing import TextIO

from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.following import follow
from lancemill.cli.cluster.outcome import Wanted, exit_status
from lancemill.cli.cluster.views import view
from lancemill.report.console import Mode

INTERRUPTED = 130


def for_people(*, following: bool) -> TextIO:
    """Where to write what people read: not among the JSON lines of a run that is followed."""
    return sys.stderr if following and not sys.stdout.isatty() else sys.stdout


def attend(api: Api, name: str, wanted: Wanted, mode: Mode) -> int:
    """Until the run is over; the exit status that tells how it ended."""
    shown = view(mode)
    try:
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
