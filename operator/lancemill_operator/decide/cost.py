"""What a run has cost: its time, by the prices that the cluster's administrator gave.

CPU counts as used and GPUs as held, as the run's outcome tells them: what nodes cost beside that
(idle CPUs, memory, disks, the head) is not in it.
"""

from __future__ import annotations

import math

from lancemill_api.status import Cost
from lancemill_operator.facts import Outcome
from lancemill_operator.manifests.defaults import Prices

HOUR = 3600.0
DIGITS = 6
"""After the point: a run of seconds costs fractions of a cent, which still add up."""


def cost(outcome: Outcome | None, prices: Prices) -> Cost | None:
    """None where there are no prices, or where nobody knows what the run used. A driver may say
    anything: what a status cannot hold is not known either."""
    if outcome is None or (prices.cpu_hour is None and prices.gpu_hour is None):
        return None
    amount = outcome.cpu_seconds * (prices.cpu_hour or 0.0)
    amount += outcome.gpu_seconds * (prices.gpu_hour or 0.0)
    if not math.isfinite(amount):
        return None
    return Cost(amount=round(amount / HOUR, DIGITS), currency=prices.currency)
