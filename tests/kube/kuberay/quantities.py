"""Kubernetes quantities, as far as KubeRay reckons with them: sums, whole bytes, whole CPUs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def parse(text: str | float) -> Decimal:
    text = str(text)
    if text[-2:] in _BINARY:
        return Decimal(text[:-2]) * Decimal(1024) ** _BINARY[text[-2:]]
    if text[-1:].isalpha():
        return Decimal(text[:-1]) * Decimal(10) ** _DECIMAL[text[-1]]
    return Decimal(text)


def whole(text: str | float) -> int:
    """Rounded up, as Kubernetes does where a number is asked of a quantity."""
    return math.ceil(parse(text))


def total(texts: Iterable[str | float]) -> str:
    """The sum, written with the suffix family of the first that is not zero."""
    known = [str(text) for text in texts]
    amount = sum((parse(text) for text in known), Decimal(0))
    binary = any(text[-2:] in _BINARY for text in known)
    return _binary(int(amount)) if binary else _decimal(amount)


def _binary(amount: int) -> str:
    for suffix, power in reversed(_BINARY.items()):
        if amount and amount % 1024**power == 0:
            return f"{amount // 1024**power}{suffix}"
    return str(amount)


def _decimal(amount: Decimal) -> str:
    if amount == amount.to_integral_value():
        number = int(amount)
        for suffix in ("E", "P", "T", "G", "M", "k"):
            if number and number % 10 ** _DECIMAL[suffix] == 0:
                return f"{number // 10 ** _DECIMAL[suffix]}{suffix}"
        return str(number)
    return f"{math.ceil(amount * 1000)}m"
