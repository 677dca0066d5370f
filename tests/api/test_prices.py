"""What a run has cost, by the prices that a cluster's administrator gave."""

from __future__ import annotations

import pytest

from lancemill_api.prices import Prices
from lancemill_api.status import Cost

BOTH = Prices(cpu_hour=0.03, gpu_hour=2.0, currency="EUR")


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
    assert prices.cost(7200.0, 1800.0) == Cost(amount=amount, currency="USD")


def test_seconds_of_a_cheap_machine_still_add_up() -> None:
    made = Prices(cpu_hour=0.0316, currency="EUR").cost(1.0, 0.0)
    assert made == Cost(amount=0.000009, currency="EUR")


def test_without_prices_there_is_no_cost() -> None:
    assert Prices().cost(7200.0, 1800.0) is None


def test_figures_that_no_status_can_hold_are_not_believed() -> None:
    assert Prices(cpu_hour=10.0, gpu_hour=10.0).cost(1.7e308, 1.7e308) is None


@pytest.mark.parametrize("prices", [BOTH, Prices(gpu_hour=1.5)], ids=["both", "one"])
def test_a_driver_reads_the_prices_that_it_was_given(prices: Prices) -> None:
    assert Prices.of_text(prices.to_text()) == prices


@pytest.mark.parametrize(
    "text",
    ["", "cheap", "[]", "3", "{}", '{"cpuHour": -1, "gpuHour": null, "currency": "EUR"}'],
)
def test_a_text_that_holds_no_prices_costs_no_run_its_end(text: str) -> None:
    assert Prices.of_text(text) == Prices()


def test_no_prices_are_no_text() -> None:
    assert Prices().to_text() == ""
