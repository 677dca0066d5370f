"""What a run has cost."""

from __future__ import annotations

import pytest

from lancemill_api.status import Cost
from lancemill_operator.decide.cost import cost
from lancemill_operator.facts import Outcome, Verdict
from lancemill_operator.manifests.defaults import Prices

USED = Outcome("r", 1, Verdict.COMMITTED, cpu_seconds=7200.0, gpu_seconds=1800.0)


@pytest.mark.parametrize(
    ("prices", "amount"),
    [
        (Prices(cpu_hour=0.03, gpu_hour=2.0), 0.06 + 1.0),
        (Prices(cpu_hour=0.03), 0.06),
        (Prices(gpu_hour=2.0), 1.0),
        (Prices(cpu_hour=0.0), 0.0),
    ],
    ids=["both", "CPUs only", "GPUs only", "free"],
)
def test_time_is_paid_by_the_hour_and_what_has_no_price_is_not_counted(
    prices: Prices, amount: float
) -> None:
    assert cost(USED, prices) == Cost(amount=amount, currency="USD")


def test_seconds_of_a_cheap_machine_still_add_up() -> None:
    brief = Outcome("r", 1, Verdict.COMMITTED, cpu_seconds=1.0)
    made = cost(brief, Prices(cpu_hour=0.0316, currency="EUR"))
    assert made == Cost(amount=0.000009, currency="EUR")


def test_figures_that_no_status_can_hold_are_not_believed() -> None:
    boasts = Outcome("r", 1, Verdict.COMMITTED, cpu_seconds=1.7e308, gpu_seconds=1.7e308)
    assert cost(boasts, Prices(cpu_hour=10.0, gpu_hour=10.0)) is None


def test_nothing_is_told_without_prices_or_without_an_outcome() -> None:
    assert cost(USED, Prices()) is None
    assert cost(None, Prices(cpu_hour=1.0, gpu_hour=1.0)) is None
