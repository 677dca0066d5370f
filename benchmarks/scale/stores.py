"""A store as far away as one usually is: every request takes 30 ms, and costs no CPU meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from lancemill.storage import Location

ROUND_TRIP_S = 0.030


@dataclass(frozen=True, slots=True)
class FarStore:
    """The store of a location, with a round trip before each answer."""

    near: Any

    def put(self, *given: Any, **more: Any) -> Any:
        time.sleep(ROUND_TRIP_S)
        return self.near.put(*given, **more)

    def get(self, *given: Any, **more: Any) -> Any:
        time.sleep(ROUND_TRIP_S)
        return self.near.get(*given, **more)

    def list(self, *given: Any, **more: Any) -> Any:
        for page in self.near.list(*given, **more):
            time.sleep(ROUND_TRIP_S)
            yield page


def far(place: Location) -> Location:
    """`place`, far away."""
    return replace(place, store=FarStore(place.store))  # type: ignore[arg-type]
