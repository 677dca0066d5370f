"""Combinations of values: any two settings meet in every way, in few renderings.

All combinations of the chart's switches would be thousands; faults come from one or two together.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any


def any_two(choices: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Few assignments that hold every combination of values of any two of the choices."""
    names = sorted(choices)
    missing = {
        ((one, first), (other, second))
        for one, other in itertools.combinations(names, 2)
        for first in range(len(choices[one]))
        for second in range(len(choices[other]))
    }
    made: list[dict[str, Any]] = []
    while missing:
        picked = dict(min(missing))
        for name in names:
            if name not in picked:
                picked[name] = _best(name, len(choices[name]), picked, missing)
        missing -= set(itertools.combinations(sorted(picked.items()), 2))
        made.append({name: choices[name][index] for name, index in picked.items()})
    return made


Pair = tuple[tuple[str, int], tuple[str, int]]


def _best(name: str, count: int, picked: Mapping[str, int], missing: set[Pair]) -> int:
    """Which value of `name` covers most of what is missing, given what is picked."""

    def gain(index: int) -> int:
        pairs = (tuple(sorted([(name, index), pair])) for pair in picked.items())
        return sum(pair in missing for pair in pairs)

    return max(range(count), key=gain)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"crds.keep": True}` as helm wants it: `{"crds": {"keep": True}}`."""
    made: dict[str, Any] = {}
    for dotted, value in values.items():
        *above, last = dotted.split(".")
        place = made
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return made
