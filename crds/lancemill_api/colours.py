"""Colours that a manifest may name."""

from __future__ import annotations

NAMED = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "gray": (128, 128, 128),
    "grey": (128, 128, 128),
    "silver": (192, 192, 192),
    "red": (255, 0, 0),
    "green": (0, 128, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "orange": (255, 165, 0),
    "purple": (128, 0, 128),
    "brown": (165, 42, 42),
}
"""Basic colours with their values in CSS."""

COLOUR = rf"^(?:#[0-9a-fA-F]{{6}}|{'|'.join(NAMED)})$"
COLOUR_WORDS = f'"#rrggbb" or one of {", ".join(NAMED)}'


def rgb(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0..255, of a colour that fits COLOUR."""
    if text in NAMED:
        return NAMED[text]
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue
