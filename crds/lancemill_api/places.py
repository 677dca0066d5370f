"""Paths of fields, `spec.stages[2].resize.width`, and back into their steps."""

from __future__ import annotations

import re
from collections.abc import Iterable

Step = str | int

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_STEP = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_-]*)|\["([^"]*)"\]|\[([^\]"]*)\]')


def path_text(steps: Iterable[Step]) -> str:
    """The path as messages write it."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text


def below(path: str, rest: str) -> str:
    """`path` and `rest` joined; either may be empty."""
    return path + rest if not path or not rest or rest.startswith("[") else f"{path}.{rest}"


def parent(path: str) -> str:
    """The path without its last step; empty at the top."""
    return path_text(steps(path)[:-1])


def steps(path: str) -> tuple[Step, ...]:
    """The steps of a path; a name in brackets stays a name. Raises ValueError."""
    found: list[Step] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (match.start() == 0 and path.startswith(".")):
            raise ValueError(f"cannot be read from '{path[at:]}' on")
        plain, quoted, bracket = match.groups()
        found.append(plain or quoted or (int(bracket) if bracket.isdigit() else bracket))
        at = match.end()
    return tuple(found)
