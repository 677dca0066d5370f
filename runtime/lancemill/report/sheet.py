"""A contact sheet of a dataset's rows for `lancemill view`: HTML, PNG, or a table in a terminal.

Takes an Arrow table (the first rows, blobs as bytes) and knows nothing of where it comes from.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lancemill import figures
from lancemill.report import contact
from lancemill.report.contact import Picture

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

_CELL = 180
_MARGIN = 12
_TEXT = 18


@dataclass(frozen=True, slots=True)
class Card:
    """A row: its pictures by column, and its other values as short text."""

    row: int
    pictures: tuple[tuple[str, Picture | None], ...]
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows to look at."""

    title: str
    about: str
    """Under the title: `27 rows, version 1`."""
    cards: tuple[Card, ...]


def make_sheet(table: pa.Table, title: str, about: str = "", *, first_row: int = 0) -> Sheet:
    """The rows of `table` as cards, pictures small enough for all of them to fit one page."""
    pictured = contact.picture_columns(table)
    others = [name for name in table.column_names if name not in pictured]
    side = contact.LARGE if table.num_rows * max(1, len(pictured)) <= 96 else contact.SMALL
    small = [
        contact.thumbnails(contact.picture_rows(table.column(name)), side) for name in pictured
    ]
    text = contact.text_rows(table, others) if others else [[] for _ in range(table.num_rows)]
    cards = tuple(
        Card(
            first_row + row,
            tuple((name, column[row]) for name, column in zip(pictured, small, strict=True)),
            tuple(zip(others, text[row], strict=True)),
        )
        for row in range(table.num_rows)
    )
    return Sheet(title, about or figures.rows(table.num_rows), cards)


def write_sheet(sheet: Sheet, path: Path) -> None:
    """Write the sheet as what `path` ends in: `.png`, else HTML."""
    if path.suffix.lower() == ".png":
        path.write_bytes(png(sheet))
    else:
        path.write_text(html(sheet), "utf-8")


def html(sheet: Sheet) -> str:
    """The sheet as one HTML file that loads nothing."""
    from lancemill.report.page import packaged_text, template

    return template("sheet.html.j2").render(sheet=sheet, style=packaged_text("page.css"))


def png(sheet: Sheet, columns: int = 6) -> bytes:
    """The sheet as a picture: one cell for each row's first picture, its key below."""
    from PIL import Image, ImageDraw, ImageFont

    cards = sheet.cards
    across = max(1, min(columns, len(cards)))
    down = max(1, -(-len(cards) // across))
    step_x, step_y = _CELL + _MARGIN, _CELL + _TEXT + _MARGIN
    size = (across * step_x + _MARGIN, down * step_y + _MARGIN)
    canvas = Image.new("RGB", size, "#f7f6f3")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    for at, card in enumerate(cards):
        left = _MARGIN + at % across * step_x
        top = _MARGIN + at // across * step_y
        draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), "#ecebe6")
        picture = next((one for _, one in card.pictures if one), None)
        if picture:
            small = Image.open(io.BytesIO(picture.data)).convert("RGBA")
            small.thumbnail((_CELL, _CELL))
            place = (left + (_CELL - small.width) // 2, top + (_CELL - small.height) // 2)
            canvas.paste(small, place, small)
        draw.text((left, top + _CELL + 3), _label(card), "#1b1d20", font)
    out = io.BytesIO()
    canvas.save(out, "PNG", optimize=True)
    return out.getvalue()


def terminal_table(sheet: Sheet, columns: Sequence[str] | None = None) -> Table:
    """The values that are no pictures as a rich table, for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    names = columns or [name for name, _ in (sheet.cards[0].values if sheet.cards else ())]
    table.add_column("row", justify="right", style="dim")
    for name in names:
        table.add_column(Text(name), overflow="ellipsis", no_wrap=True)
    for card in sheet.cards:
        values = dict(card.values)
        table.add_row(str(card.row), *(Text(values.get(name, "")) for name in names))
    return table


def _label(card: Card) -> str:
    text = card.values[0][1] if card.values else str(card.row)
    # Pillow's own font has no glyphs beyond Latin-1; the end of a key tells more than its start.
    text = text.encode("latin-1", "replace").decode("latin-1")
    return text if len(text) <= 26 else "..." + text[-23:]
