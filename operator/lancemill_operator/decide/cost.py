"""What a run has cost, where anybody knows what it used."""

from __future__ import annotations

from lancemill_api.prices import Prices
from lancemill_api.status import Cost
from lancemill_operator.facts import Outcome


def cost(outcome: Outcome | None, prices: Prices) -> Cost | None:
    """None where there are no prices, or where nobody knows what the run used."""
    return None if outcome is None else prices.cost(outcome.cpu_seconds, outcome.gpu_seconds)
