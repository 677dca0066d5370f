"""A sample of the soak (see soak.py): workers and drivers die, given-up attempts live on."""

from __future__ import annotations

import os

import pytest

from .given import Place
from .soak import chaotic_run
from .stage import Stage


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("seed", "kinds"),
    [
        pytest.param(1, ("worker", "driver"), id="workers and drivers die"),
        pytest.param(
            2,
            ("given up", "stopped for a while"),
            id="an attempt that was given up lives on",
        ),
    ],
)
def test_rows_are_exact_and_in_order_whatever_dies(
    groups: Stage, place: Place, seed: int, kinds: tuple[str, ...]
) -> None:
    assert chaotic_run(groups, place, seed, kinds), "nothing was done to it"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 100 + int(os.environ.get("SOAK_RAY_RUNS", "50"))))
def test_rows_are_exact_in_a_long_chaos(groups: Stage, place: Place, seed: int) -> None:
    chaotic_run(groups, place, seed)
