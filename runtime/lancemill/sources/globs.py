"""Globs over object keys, as .gitignore has them.

| pattern | matches |
|---|---|
| `*.jpg` | objects of this name in any folder |
| `2024/*.jpg`, `/cover.png` | keys from the prefix on, as soon as the pattern holds a `/` |
| `raw/` | everything below any folder of this name |
| `**/thumbs/**` | `**` crosses folders; `*`, `?` and `[a-z]` do not |

Upper and lower case differ: write `*.[jJ][pP][gG]`, or `where: lower(key) like '%.jpg'`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc


def matcher(patterns: Sequence[str]) -> str:
    """One RE2 expression that matches exactly the keys that any of `patterns` matches."""
    return "(?s)^(?:" + "|".join(_expression(pattern) for pattern in patterns) + r")\z"


def mask(keys: pa.Array, include: Sequence[str], exclude: Sequence[str]) -> pa.BooleanArray:
    """True for keys that some include matches (all, where there is none) and no exclude does."""
    kept = pc.match_substring_regex(keys, matcher(include)) if include else None
    if exclude:
        outside = pc.invert(pc.match_substring_regex(keys, matcher(exclude)))
        kept = outside if kept is None else pc.and_(kept, outside)
    return kept if kept is not None else pa.repeat(pa.scalar(True), len(keys))


def _expression(pattern: str) -> str:
    folder = pattern.endswith("/")
    body = pattern.strip("/") if folder else pattern.removeprefix("/")
    anchored = "/" in pattern.rstrip("/")
    start = "" if anchored else "(?:.*/)?"
    return start + _translated(body) + ("/.*" if folder else "")


_TOKEN = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|\\.|.", re.DOTALL)
_MEANS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translated(body: str) -> str:
    return "".join(_translated_token(token) for token in _TOKEN.findall(body))


def _translated_token(token: str) -> str:
    if token in _MEANS:
        return _MEANS[token]
    if token.startswith("[") and len(token) > 2:
        negated = token[1] in "!^"
        return _set(token[2 if negated else 1 : -1], negated)
    return re.escape(token[1:] if token.startswith("\\") and len(token) > 1 else token)


def _set(inside: str, negated: bool) -> str:
    """A set of characters. It never matches the slash: folders are crossed by `**` only."""
    parts = [part for low, high in _ranges(inside) for part in _around_slash(low, high)]
    listed = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in parts)
    if negated:
        return f"[^/{listed}]"
    return f"[{listed}]" if listed else _NOTHING


_NOTHING = r"[^\x{0}-\x{10ffff}]"


def _ranges(inside: str) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(inside):
        is_range = inside[at + 1 : at + 2] == "-" and at + 2 < len(inside)
        last = at + 2 if is_range else at
        yield ord(inside[at]), ord(inside[last])
        at = last + 1


def _around_slash(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The range without the slash; nothing of one that is upside down."""
    slash = ord("/")
    for part in ((low, min(high, slash - 1)), (max(low, slash + 1), high)):
        if part[0] <= part[1]:
            yield part
