"""How long a writer waits after it met another one."""

from __future__ import annotations

import random
import time

FIRST = 0.02
LONGEST = 2.0


def pause(attempt: int) -> None:
    """Wait before the next attempt: longer each time, and never two writers alike."""
    longest = min(LONGEST, FIRST * 2.0**attempt)
    time.sleep(random.uniform(longest / 4, longest))
