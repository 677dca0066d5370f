"""What a cluster's time costs, and so what a run has cost.

CPU counts as used and GPUs as held: what nodes cost beside that (idle CPUs, memory, disks, the
head) is not in it. The operator is given the prices and hands them to the run's driver, so that
status, metric and page tell the same.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from lancemill_api.status import Cost

VARIABLE = "LANCEMILL_PRICES"
"""Environment variable in which a driver is told of them."""
LONGEST_CURRENCY = 16
HOUR = 3600.0
DIGITS = 6
"""After the point: a run of seconds costs fractions of a cent, which still add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the cluster's time costs. What has no price is not counted."""

    cpu_hour: float | None = None
    """Price of a CPU's hour."""
    gpu_hour: float | None = None
    """Price of a GPU's hour."""
    currency: str = "USD"
    """What both are in."""

    def __post_init__(self) -> None:
        """Raises ValueError at the operator's start rather than at a run's end."""
        for one in (self.cpu_hour, self.gpu_hour):
            if one is not None and not (math.isfinite(one) and one >= 0):
                raise ValueError(f"a price is a number from 0 on, not {one}")
        if not self.currency or len(self.currency) > LONGEST_CURRENCY:
            raise ValueError(f"a currency is a word such as EUR, not {self.currency!r}")

    def cost(self, cpu_seconds: float, gpu_seconds: float) -> Cost | None:
        """None where there are no prices. A driver may say anything of what it used: a figure that
        no status can hold is not known either."""
        if self.cpu_hour is None and self.gpu_hour is None:
            return None
        amount = cpu_seconds * (self.cpu_hour or 0.0) + gpu_seconds * (self.gpu_hour or 0.0)
        if not math.isfinite(amount):
            return None
        return Cost(amount=round(amount / HOUR, DIGITS), currency=self.currency)

    def to_text(self) -> str:
        """For the environment; empty where there are none."""
        if self.cpu_hour is None and self.gpu_hour is None:
            return ""
        said = {"cpuHour": self.cpu_hour, "gpuHour": self.gpu_hour, "currency": self.currency}
        return json.dumps(said)

    @classmethod
    def of_text(cls, text: str) -> Prices:
        """What `to_text` gave; no prices where it is anything else: no run fails for its cost."""
        try:
            said: Any = json.loads(text)
            return cls(
                cpu_hour=_price(said["cpuHour"]),
                gpu_hour=_price(said["gpuHour"]),
                currency=str(said["currency"]),
            )
        except (ValueError, TypeError, KeyError):
            return cls()


def _price(given: Any) -> float | None:
    return None if given is None else float(given)
