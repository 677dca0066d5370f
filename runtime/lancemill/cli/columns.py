"""Rows of text in aligned columns, as kubectl prints them: easy to read, easy to cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lancemill.report.lines import printable


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """A header and a line a row; columns as wide as their widest cell."""
    cells = [list(heads), *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "   ".join(padded).rstrip()
