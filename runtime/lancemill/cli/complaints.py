"""How a mistake or a failure is told: what, where, and what would be right; never a traceback.

With `as_json` one object of a stable schema instead, for scripts:

    {"error": "PlanError", "exitStatus": 2, "message": …, "source": "pipeline.yaml",
     "mistakes": [{"document": …, "path": …, "line": …, "message": …}]}
    {"error": "StorageError", "exitStatus": 1, "message": …, "kept": …, "remedy": …}
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

from lancemill.errors import Interrupted, LancemillError, ManifestError
from lancemill.report.lines import terminal_width, write_lines
from lancemill_api.mistakes import InvalidManifest, Mistake

_WIDEST_PATH = 44
"""Longer paths get their message on the next line, so that one does not push all to the right."""


def print_error(
    error: LancemillError | InvalidManifest, stream: TextIO | None = None, *, as_json: bool = False
) -> None:
    """Tell any error of ours, on standard error."""
    out = stream or sys.stderr
    if as_json:
        out.write(json.dumps(error_json(error), ensure_ascii=False) + "\n")
    elif isinstance(error, ManifestError | InvalidManifest):
        print_mistakes(error, out)
    else:
        write_lines(error_lines(error), out)


def print_mistakes(error: ManifestError | InvalidManifest, stream: TextIO | None = None) -> None:
    """Tell everything that is wrong with a manifest, on standard error."""
    out = stream or sys.stderr
    width = terminal_width() if out.isatty() else None
    write_lines(mistake_lines(error.mistakes, error.source, width), out)


def mistake_lines(
    mistakes: Sequence[Mistake], source: str = "", width: int | None = None
) -> list[str]:
    """`pipeline.yaml: 3 mistakes`, then one aligned line for each; documents named when several.

    With `width` long messages wrap under themselves; without, each stays on its line.
    """
    number = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes):,} mistakes"
    lines = [f"{source or 'manifest'}: {number}"]
    documents = list(dict.fromkeys(mistake.document for mistake in mistakes))
    for document in documents:
        if len(documents) > 1:
            lines.append(f" {document or 'the file'}")
        lines += _aligned([one for one in mistakes if one.document == document], width)
    return lines


def error_lines(error: LancemillError) -> list[str]:
    """What happened, what is kept, how to go on."""
    mark = "■" if isinstance(error, Interrupted) else "✗"
    lines = [f"{mark} {error}"]
    lines += [f"  {error.kept}"] if error.kept else []
    lines += [f"  go on:   {error.remedy}"] if error.remedy else []
    return lines


def error_json(error: LancemillError | InvalidManifest) -> dict[str, Any]:
    """The schema in this module's docstring."""
    found: dict[str, Any] = {
        "error": type(error).__name__,
        "exitStatus": error.exit_status if isinstance(error, LancemillError) else 2,
        "message": str(error),
    }
    if isinstance(error, ManifestError | InvalidManifest):
        found["source"] = error.source or None
        found["mistakes"] = [
            {
                "document": one.document or None,
                "path": one.path,
                "line": one.line,
                "message": one.message,
            }
            for one in error.mistakes
        ]
    else:
        found["kept"] = error.kept or None
        found["remedy"] = error.remedy or None
    return found


def _aligned(mistakes: Sequence[Mistake], width: int | None) -> list[str]:
    places = [_place(mistake) for mistake in mistakes]
    short = [len(place) for place in places if len(place) <= _WIDEST_PATH]
    column = max(short, default=0)
    lines = []
    for place, mistake in zip(places, mistakes, strict=True):
        margin = 2 + column + 2
        message = _wrapped(mistake.message, None if width is None else width - margin)
        if len(place) > column:
            lines.append(f"  {place}")
            lines += [" " * margin + part for part in message]
        else:
            lines.append(f"  {place:{column}}  {message[0]}")
            lines += [" " * margin + part for part in message[1:]]
    return lines


def _place(mistake: Mistake) -> str:
    line = "" if mistake.line is None else f"line {mistake.line}: "
    return line + (mistake.path or "(whole document)")


def _wrapped(message: str, width: int | None) -> list[str]:
    one_line = " ".join(message.split())
    if width is None:
        return [one_line]
    return textwrap.wrap(one_line, max(24, width), break_long_words=False) or [""]
