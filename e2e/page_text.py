"""A run's page as text: what a reader sees of it, without pictures, style and script."""

from __future__ import annotations

from html.parser import HTMLParser

UNSEEN = frozenset({"script", "style", "title", "details", "svg", "nav", "dialog", "button"})
LINES = frozenset({"p", "h1", "h2", "h3", "li", "tr", "dt", "pre", "table", "section", "figure"})
CELLS = frozenset({"td", "th", "dd", "strong", "time"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = [[""]]
        self._unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._unseen:
            self._unseen += [tag] if tag == self._unseen[0] else []
        elif tag in UNSEEN or ("class", "hidden") in attrs:
            self._unseen.append(tag)
        elif tag in LINES:
            self.lines.append([""])
        elif tag in CELLS:
            self.lines[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen and tag == self._unseen[-1]:
            self._unseen.pop()

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.lines[-1][-1] += data


def page_text(page: str) -> str:
    """A line for each paragraph, figure and row of a table; two spaces between its cells."""
    reader = _Reader()
    reader.feed(page)
    lines = ([" ".join(cell.split()) for cell in line] for line in reader.lines)
    told = ("  ".join(cell for cell in line if cell) for line in lines)
    return "\n".join(line for line in told if line)
