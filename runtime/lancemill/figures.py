"""Figures as people read them: always with their unit, never with digits that mean nothing.

Terminal, JSON-free logs and the page share these, so that a run reads the same everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_ACRONYMS = {"http": "HTTP", "sql": "SQL", "uri": "URI", "url": "URL", "tls": "TLS", "dns": "DNS"}


def count(number: int) -> str:
    """`12,408`"""
    return f"{number:,}"


def rows(number: int) -> str:
    """`1 row`, `12,408 rows`"""
    return f"{number:,} row" if number == 1 else f"{number:,} rows"


def size(number: float) -> str:
    """`342 kB`, `4.1 GB`: powers of 1000, as stores bill them."""
    amount = float(number)
    for unit in _SIZES:
        if amount < 999.5 or unit == _SIZES[-1]:
            break
        amount /= 1000
    digits = 1 if unit != "B" and amount < 9.95 else 0
    return f"{amount:.{digits}f} {unit}"


def duration(seconds: float) -> str:
    """`40 ms`, `0.9 s`, `31 s`, `2 min 5 s`, `1 h 12 min`"""
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.0005 else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, left = divmod(whole, 60)
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    hours, left = divmod(round(seconds / 60), 60)
    return f"{hours} h {left} min" if left else f"{hours} h"


def rate(per_second: float) -> str:
    """`402 rows/s`, `2.4 rows/s`"""
    digits = 1 if 0 < per_second < 9.95 else 0
    return f"{per_second:,.{digits}f} rows/s"


def share(part: float) -> str:
    """`71%`, `1.35%`, `0.06%`, `99.7%`: digits where they decide, near nothing and near all."""
    percent = 100 * part
    if percent <= 0:
        return "0%"
    if 99 < percent < 100:
        return f"{math.floor(10 * percent) / 10:g}%"
    if percent >= 9.95:
        return f"{percent:.0f}%"
    return f"{percent:.2f}".rstrip("0").rstrip(".") + "%" if percent >= 1 else f"{percent:.1g}%"


def money(amount: float, currency: str) -> str:
    """`12.40 USD`, `0.0031 EUR`: digits where they decide, near nothing."""
    if 0 < amount < 0.00005:
        return f"under 0.0001 {currency}"
    digits = 2 if amount == 0 or amount >= 0.0995 else 4
    return f"{amount:,.{digits}f} {currency}"


def reason_words(reason: str) -> str:
    """A reason's code in words: `TooManyPixels` → `too many pixels`."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", reason) or [reason]
    return " ".join(_ACRONYMS.get(word.lower(), word.lower()) for word in words)


def reasons(by_reason: Mapping[str, int]) -> str:
    """`11 truncated, 4 not found`, the most frequent first."""
    ranked = sorted(by_reason.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{number:,} {reason_words(reason)}" for reason, number in ranked)
