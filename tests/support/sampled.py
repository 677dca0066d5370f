"""Parameters of which a sample is tested each time, and all of them by `make test-thorough`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], *, first: int) -> list[Any]:
    """`values` for parametrize; those behind the `first` are marked as thorough."""
    given = list(values)
    rest = (pytest.param(*_several(one), marks=pytest.mark.thorough) for one in given[first:])
    return [*given[:first], *rest]


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
