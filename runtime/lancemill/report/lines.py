"""Lines of text on a stream: coloured on a terminal, plain elsewhere, ASCII where needed.

rich is imported only when there is a terminal to write to.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, TextIO

from lancemill.report.words import ascii_only

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

MARK_STYLES = {"✓": "bold green", "✗": "bold red", "■": "bold yellow"}
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NARROWEST = 60
"""Columns below which lines are cut instead of being rearranged."""


def rich_console(stream: TextIO, width: int | None = None) -> RichConsole:
    """rich's console on `stream`; honours NO_COLOR, and is not narrower than it can be read."""
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False
    )


def write_lines(lines: list[str], stream: TextIO, console: RichConsole | None = None) -> None:
    """Print lines. On a terminal a first line with a mark is coloured and wrapped under itself;
    all others are left to the terminal to wrap, so that a command in them can be copied whole."""
    lines = [printable(line) for line in lines]
    if console is None and not stream.isatty():
        stream.write("".join(encodable(line, stream) + "\n" for line in lines))
        stream.flush()
        return
    from rich.text import Text

    console = console or rich_console(stream)
    for line in lines:
        mark = line[:1]
        if mark in MARK_STYLES:
            line = textwrap.fill(
                line, max(NARROWEST, console.width), subsequent_indent="  ", break_on_hyphens=False
            )
        text = Text(encodable(line, stream))
        if mark in MARK_STYLES:
            text.stylize(MARK_STYLES[mark], 0, len(encodable(mark, stream)))
        console.print(text, soft_wrap=True)


def terminal_width(default: int = 100) -> int:
    """Columns to write for; COLUMNS wins, as everywhere."""
    return max(NARROWEST, shutil.get_terminal_size((default, 24)).columns)


def printable(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey: names of files may hold
    line breaks and escape sequences."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def encodable(text: str, stream: TextIO) -> str:
    """`text` as `stream` can show it."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    return text if encoding.startswith("utf") else ascii_only(text)
