"""`lancemill view`: rows of a dataset as people see them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lancemill.cli.target import Dataset, target_of


def view(
    dataset: Dataset,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=500, help="How many.")] = 24,
    start: Annotated[int, typer.Option("--start", min=0, help="First row, from 0.")] = 0,
    version: Annotated[int | None, typer.Option("--version", help="Of the dataset.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Contact sheet to write: .html or .png."),
    ] = None,
) -> None:
    """Show rows: a table here, and a contact sheet of their pictures in a file."""
    from lancemill.cli.told import telling

    with telling():
        from lancemill.report.lines import rich_console
        from lancemill.report.sheet import make_sheet, terminal_table, write_sheet
        from lancemill.tables.rows import read_rows

        uri, storage = target_of(dataset)
        table, about = read_rows(uri, start=start, rows=rows, version=version, storage=storage)
        name = Path(uri.rstrip("/")).name
        sheet = make_sheet(table, name, about, first_row=start)
        rich_console(sys.stdout).print(terminal_table(sheet))
        if output is not None or any(card.pictures for card in sheet.cards):
            place = output or Path(f"{name}.html")
            write_sheet(sheet, place)
            typer.echo(f"contact sheet: {place}")
