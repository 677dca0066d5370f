"""What the commands show: a run by `lancemill.report.console`, mistakes by `complaints`.

The console itself lies in `report`, because a run that Python starts shows itself too and nobody
imports the command line.
"""

from __future__ import annotations

from lancemill.cli.complaints import print_error, print_mistakes
from lancemill.report.console import Console, Mode

__all__ = ["Console", "Mode", "print_error", "print_mistakes"]
