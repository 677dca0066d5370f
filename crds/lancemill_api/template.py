"""Text templates: literal text with the names of columns in braces, `Caption of {key}: {caption}`.

A brace written twice stands for itself.
"""

from __future__ import annotations

import re

_PIECE = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<column>[^{}]*)\}|(?P<stray>[{}])")


class NoTemplate(ValueError):
    """The text is no template; the message says where it goes wrong."""


def pieces(text: str) -> list[str]:
    """Literal text and column names in turn; literal text first and last. Raises NoTemplate."""
    found = [""]
    end = 0
    for piece in _PIECE.finditer(text):
        found[-1] += text[end : piece.start()]
        end = piece.end()
        if piece["stray"]:
            raise NoTemplate(f"has a single {piece[0]} at {piece.start()}; write it twice")
        if piece["brace"]:
            found[-1] += piece[0][0]
        elif not piece["column"].strip():
            raise NoTemplate(f"names no column between the braces at {piece.start()}")
        else:
            found += [piece["column"].strip(), ""]
    found[-1] += text[end:]
    return found


def columns(text: str) -> tuple[str, ...]:
    """The columns that a template names, in order. Raises NoTemplate."""
    return tuple(pieces(text)[1::2])
